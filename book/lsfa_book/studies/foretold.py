"""What chapter 13's explanation says of the paper's tables, before they are run on ten kinds.

The explanation: features that already share a scale, and a sound fusion, leave training nothing to
gain. If it is right, a table of ablations is a table of noise. Who wrote these lines knew the
tables on four kinds, seeds 0 to 2 (records/reproduction.json), and records/why.json; six kinds
and the first real category nobody had seen in any of these rows but "LSFA", the two banks and
single families of losses.

Each line is a `why.Prediction`; its cells are rows of tables, under the preset's own scoring.
"""

from __future__ import annotations

from collections.abc import Iterable

from lsfa_book.studies import records
from lsfa_book.studies.tables import TABLES
from lsfa_book.studies.why import Cell, Prediction
from lsfa_lite.config import FIRST, Config

PRESET = "preset"  # the way of every cell here
BARE, FULL = "no adaptation", "LSFA"
NOTHING = {  # row -> what is said: no further than MARGIN from no adaptation
    "L_LA": "local alignment alone changes nothing",
    "L_GA": "global alignment alone changes nothing",
    "L_LA + L_GA": "consistency alone changes nothing",
    "L_GC": "global compactness alone changes nothing",
    "L_LC": "local compactness alone changes nothing",
    "IFC": "compactness alone changes nothing",
    FULL: "all four losses change nothing",
    "one encoder layer": "nor with an encoder layer",
    "two encoder layers": "nor with two",
    "1x1 convolution": "nor with a convolution",
}


def _cell(row: str, view: str = "both") -> Cell:
    return row, PRESET, view


def _than(after: str, before: str, view: str = "both") -> tuple[tuple[int, Cell], ...]:
    return (1, _cell(after, view)), (-1, _cell(before, view))


TOLD_OF_TABLES: tuple[Prediction, ...] = (
    *(
        Prediction(f"t{i}", words, _than(row, BARE), "within")
        for i, (row, words) in enumerate(NOTHING.items(), 1)
    ),
    Prediction("u1", "lambda does not matter", _than("lambda 1.0", "lambda 0.2"), "within"),
    Prediction("u2", "nor does the bank's size", _than("n^L 500", "n^L 12000"), "within"),
    Prediction("u3", "nor k of the prototypes", _than("k 4", FULL), "within"),
    Prediction("u4", "nor the temperature", _than("temperature 0.05", "temperature 0.5"), "within"),
    Prediction("u5", "nor the softmax's range", _than("softmax joint", FULL), "within"),
    Prediction("v1", "the larger of two z-scores loses", _than("fusion max", FULL), "below"),
    Prediction("v2", "a one-class SVM is a mean", _than("fusion ocsvm", FULL), "within"),
    Prediction(
        "w1",
        "of the small networks for shape, the one without learning finds more",
        _than("3D: no adaptation", "3D: Point-MAE (FPFH*)", "3d"),
        "above",
    ),
    Prediction(
        "w2",
        "training the networks themselves loses",
        _than("all blocks trained", "frozen networks"),
        "below",
    ),
)


def shipped() -> list[records.Record]:
    """Four kinds with three seeds and, of the rows that they have been run on, six with one."""
    return [*records.shipped(), *records.shipped("six-kinds")]


def cells(
    found: Iterable[records.Record], preset: Config = FIRST
) -> dict[Cell, dict[tuple[str, int], float]]:
    """Every row of every table -> {(category, seed): image AUROC}, as `why.by_kind` takes it."""
    known, table = list(found), dict[Cell, dict[tuple[str, int], float]]()
    for rows in TABLES.values():
        for row in rows:
            view = {"all": "both"}.get(row.view, row.view)
            measured = records.measured([row], known, preset)[row.name]
            table.setdefault(_cell(row.name, view), {}).update(measured)
    return table

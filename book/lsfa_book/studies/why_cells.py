"""The arithmetic behind `why`: rows of results, cells of them, and what a claim comes to.

A cell is a setting, a way to one score, and a view: ("28, LSFA", "sound", "both").
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import stats

from lsfa_book.studies.comparison import Difference, paired

Cell = tuple[str, str, str]
Row = Mapping[str, Any]  # {"category", "seed", "setting", "i_auroc": {"max | rgb": 0.8, ...}}

# The way to one score: image score and fusion. "plain" is the paper's text (3.4), on a part's
# re-weighted maximum; "sound" is LITE's.
WAYS: dict[str, tuple[str, str]] = {
    "plain": ("max", "sum of raw scores"),
    "z-scores": ("max", "mean of z-scores"),
    "one-class SVM": ("max", "one-class SVM"),
    "unweighted": ("top 1", "sum of raw scores"),  # plain, without PatchCore's re-weighting
    "sound": ("top 10", "Fisher"),
}
# the numbers of a row: image score and fusion, or a sense alone
KEYS = list(
    dict.fromkeys(f"{how} | {view}" for how, both in WAYS.values() for view in (both, "rgb", "3d"))
)
MARGIN = 0.02  # image AUROC: what no table of sixty test parts tells from nothing


@dataclass(frozen=True)
class Prediction:
    """A sum of cells, with signs, and what is said of it before the run.

    claim  "above" or "below" zero, or "within" MARGIN of it
    """

    key: str
    words: str
    cells: tuple[tuple[int, Cell], ...]
    claim: Literal["above", "below", "within"]


def packed(rows: Iterable[Row]) -> str:
    """The text of the shipped file: a line for each row, the names of its numbers once."""
    values = (
        [row["category"], row["seed"], row["setting"], *(row["i_auroc"][key] for key in KEYS)]
        for row in rows
    )
    lines = ",\n".join(map(json.dumps, values))
    return f'{{"keys": {json.dumps(KEYS)},\n"rows": [\n{lines}\n]}}\n'


def unpacked(text: str) -> list[dict[str, Any]]:
    stored = json.loads(text)
    return [
        {
            "category": c,
            "seed": s,
            "setting": name,
            "i_auroc": dict(zip(stored["keys"], x, strict=True)),
        }
        for c, s, name, *x in stored["rows"]
    ]


def table(rows: Iterable[Row]) -> dict[Cell, dict[tuple[str, int], float]]:
    """Every cell -> {(category, seed): image AUROC}."""
    found: dict[Cell, dict[tuple[str, int], float]] = {}
    for row in rows:
        for way, (how, fusion) in WAYS.items():
            for view in ("both", "rgb", "3d"):
                key = f"{how} | {fusion if view == 'both' else view}"
                cell = (row["setting"], way, view)
                found.setdefault(cell, {})[row["category"], row["seed"]] = row["i_auroc"][key]
    return found


def of_kinds(rows: Iterable[Row], kinds: Iterable[str]) -> list[Row]:
    """Rows of these categories alone: made kinds and real ones are never mixed in a mean."""
    wanted = set(kinds)
    return [row for row in rows if row["category"] in wanted]


def by_kind(
    cells: Sequence[tuple[int, Cell]], found: Mapping[Cell, Mapping[tuple[str, int], float]]
) -> dict[str, float]:
    """The signed sum for each kind, a mean over the seeds that all of its cells have.

    Seeds of a kind are no new kinds: they are averaged before anything is counted.
    """
    shared = set.intersection(*(set(found.get(cell, {})) for _, cell in cells))
    sums = {key: sum(sign * found[cell][key] for sign, cell in cells) for key in shared}
    kinds = sorted({kind for kind, _ in shared})
    return {k: float(np.mean([x for (kind, _), x in sums.items() if kind == k])) for k in kinds}


def outcome(changes: Mapping[str, float], claim: str) -> Difference:
    """The mean over kinds with its 95 % t-interval, and the p of the claim.

    above, below: all sign flips of the kinds, two-sided; within: the larger of two one-sided
    t-tests against MARGIN. Raises ValueError for fewer than two kinds.
    """
    d, values = paired(changes, dict.fromkeys(changes, 0.0)), np.array(list(changes.values()))
    if claim != "within":
        return replace(d, p=sign_flips(values))
    error = max(values.std(ddof=1) / np.sqrt(d.n), 1e-12)
    return replace(d, p=float(stats.t.sf((MARGIN - abs(d.mean)) / error, d.n - 1)))


def failed(d: Difference, claim: str) -> bool:
    """Whether the interval, too, lies where the claim says that it does not."""
    if claim == "within":
        return d.low > MARGIN or d.high < -MARGIN
    return d.high < 0 if claim == "above" else d.low > 0


def sign_flips(values: np.ndarray) -> float:
    """Two-sided p: the share of all sign flips whose mean is as far from zero as the one seen.

    Exact, and without a normal distribution; ten kinds can reach 2 / 1024.
    """
    signs = np.array(list(itertools.product((1, -1), repeat=len(values))))
    means = np.abs(signs @ values)
    return float((means >= abs(values.sum()) * (1 - 1e-9)).mean())

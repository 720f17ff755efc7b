"""Chapter 13's study: what adaptation does on many data sets, as records of its tables.

lsfa-lite reproduce effect coreset --out OUT --seeds 3
lsfa-lite reproduce length shape --out OUT --seeds 1 --resume
lsfa-lite reproduce dial --out OUT --seeds 1 --resume --nuisance 0   # and 0.2, 0.7, 1
python book/scripts/gather_records.py effect OUT/records
"""

from __future__ import annotations

from collections.abc import Iterable

from lsfa_book.studies.records import Record, Values, measured, of_nuisance
from lsfa_book.studies.records import shipped as shipped_records
from lsfa_book.studies.tables import STUDY, Row
from lsfa_lite.errors import LSFAError


def shipped() -> list[Record]:
    """The records that the book shows."""
    return shipped_records("effect")


def values(
    records: Iterable[Record],
    metric: str,
    view: str,
    variant: str,
    nuisance: float = 0.4,
    steps: int | None = None,
) -> Values:
    """{(category, seed): value} of one row of the study; view is "all", "rgb" or "3d".

    Runs of the preset's own length are meant unless `steps` is asked for.
    """
    row = row_of(variant if steps is None else f"{variant}, {steps} steps")
    return measured([row], of_nuisance(records, nuisance), metric=metric, view=view)[row.name]


def row_of(name: str) -> Row:
    """ValueError for a name that no table of the study has."""
    rows = {row.name: row for table in STUDY.values() for row in table}
    if name not in rows:
        raise LSFAError(f"no row {name!r}; there are {', '.join(rows)}")
    return rows[name]

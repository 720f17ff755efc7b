"""How often the first real category was looked at, and with which settings.

Each look at the test parts makes the next best figure a little less worth. Every record counts, of
whatever table: who tried twenty settings and shows three has looked twenty times.
"""

from __future__ import annotations

from collections.abc import Iterable

from lsfa_book.studies import records
from lsfa_book.studies.first_look import CATEGORY, FIRST, SOURCE
from lsfa_book.studies.records import Record
from lsfa_book.studies.tables import FIRST_REAL, REAL
from lsfa_lite.checked import differences
from lsfa_lite.config import LITE, Config, from_values

UNTOLD = {"name", "seed", "features.cache"}  # they change no figure, or are counted on their own


def by_setting(found: Iterable[Record], category: str) -> dict[str, list[Record]]:
    """Setting -> the records of a category that have metrics, one per seed (the last), by seed.

    First the table's settings in its order, those without a record included; then all others.
    """
    seeds: dict[str, dict[int, Record]] = {row.name: {} for row in REAL[FIRST_REAL]}
    names = _names()
    for record in found:
        if record["category"] == category and "metrics" in record:
            seeds.setdefault(names.get(record["row"]) or setting(record), {})[record["seed"]] = (
                record
            )
    return {name: [its[seed] for seed in sorted(its)] for name, its in seeds.items()}


def setting(record: Record) -> str:
    """The name of the table's row that has this key, else what differs from the review's LITE."""
    if known := _names().get(record["row"]) or record.get("setting"):
        return known
    try:
        config = from_values(Config, record["config"])
    except ValueError:  # of another version
        return f"setting {record['row']}"
    told = differences(LITE.change(**FIRST), config)
    told |= {key: record[key] for key in ("method", "shots") if record[key] not in ("lsfa", None)}
    return ", ".join(f"{name} {value}" for name, value in told.items() if name not in UNTOLD)


def _names() -> dict[str, str]:
    return {records.row_key(row, LITE): row.name for row in REAL[FIRST_REAL]}


def belongs(record: Record) -> bool:
    """Of the real category, whichever row it is of: a look left out would be a look denied."""
    return record["category"] == CATEGORY and not record["data"].startswith("mini3d ")


def public(record: Record) -> Record:
    """What may be shipped: numbers, the setting's name, and the source in the place of a folder."""
    return record | {"data": SOURCE, "setting": setting(record)}


def shipped() -> list[Record]:
    """Those that come with the package, if it has any."""
    try:
        return records.shipped(FIRST_REAL)
    except FileNotFoundError:
        return []

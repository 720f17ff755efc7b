"""Put the records of `lsfa-lite reproduce TABLE ... --out OUT` into a file that the book shows.

    python book/scripts/gather_records.py reproduction OUT/records [MORE/records ...]
    python book/scripts/gather_records.py six-kinds OUT/records [MORE/records ...]
    python book/scripts/gather_records.py effect OUT/records
    python book/scripts/gather_records.py first-real-category OUT/records [MORE/records ...]

Records of mini3d under the preset FIRST, of the study's own tables, belong there; nothing else is
taken. "six-kinds" takes those of the kinds that "reproduction" has not, and of these the rows that
all six have. "effect" is chapter 13's study and has its nuisance as a dial, the others the usual.
"first-real-category" takes every record of cable gland, of whatever setting: each was a look at it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from lsfa_book.mini3d import CATEGORIES, KINDS, Mini3DConfig
from lsfa_book.studies import looks
from lsfa_book.studies.records import USUAL, Record, gather, load, row_key
from lsfa_book.studies.tables import AUDIT, FIRST_REAL, STUDY, TABLES
from lsfa_lite.config import FIRST
from lsfa_lite.data.files import written_beside

RECORDS = Path(__file__).parents[1] / "lsfa_book/records"
STUDIES = ("reproduction", "confirmation", "six-kinds", "effect", FIRST_REAL)
SIX = set(KINDS) - set(CATEGORIES)


def belongs(record: Record, study: str) -> bool:
    if study == FIRST_REAL:
        return looks.belongs(record)
    tables = STUDY if study == "effect" else TABLES | AUDIT
    nuisance = record.get("nuisance", USUAL)
    made = dataclasses.replace(Mini3DConfig(), nuisance=nuisance)
    return (
        record["row"] in {row_key(row, FIRST) for rows in tables.values() for row in rows}
        and record["data"] == f"mini3d {made}"
        and (study == "effect" or nuisance == USUAL)
        and (study != "six-kinds" or record["category"] in SIX)
    )


def whole(records: list[Record]) -> list[Record]:
    """Those of rows that every one of the six kinds has, for a seed that all have."""
    done: dict[tuple[str, int], set[str]] = {}
    for r in records:
        if "metrics" in r:
            done.setdefault((r["row"], r["seed"]), set()).add(r["category"])
    return [r for r in records if done.get((r["row"], r["seed"])) == SIX]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, help="another file than the book's own")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        if not folder.is_dir():
            parser.error(f"{folder}: no such folder; give OUT/records of lsfa-lite reproduce")
    found = {name: r for folder in arguments.folders for name, r in load(folder).items()}
    kept = [r for _, r in sorted(found.items()) if belongs(r, arguments.study)]
    kept = whole(kept) if arguments.study == "six-kinds" else kept
    if not kept:
        parser.error(
            f"none of {len(found)} records belongs to {arguments.study}: nothing was written"
        )
    if arguments.study == FIRST_REAL:
        kept = [looks.public(record) for record in kept]
    out = arguments.out or RECORDS / f"{arguments.study}.json"
    with written_beside(out) as temporary:
        temporary.write_text(gather(kept))
    print(f"{len(kept)} of {len(found)} records: {out}")


if __name__ == "__main__":
    main()

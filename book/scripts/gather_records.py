"""Put the records of `lsfa-lite reproduce all --out OUT` into the file that the book shows.

    python book/scripts/gather_records.py OUT/records [MORE/records ...]

Records of mini3d under the preset LITE belong in the package; nothing else is taken.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.studies.records import gather, load, row_key
from lsfa_book.studies.tables import TABLES
from lsfa_lite.config import LITE
from lsfa_lite.data.files import written_beside

OUT = Path(__file__).parents[1] / "lsfa_book/records/reproduction.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    for folder in arguments.folders:
        if not folder.is_dir():
            parser.error(f"{folder}: no such folder; give OUT/records of lsfa-lite reproduce")
    wanted = {row_key(row, LITE) for rows in TABLES.values() for row in rows}
    data = f"mini3d {Mini3DConfig()}"
    found = {name: r for folder in arguments.folders for name, r in load(folder).items()}
    kept = [r for _, r in sorted(found.items()) if r["row"] in wanted and r["data"] == data]
    if not kept:
        parser.error(f"none of {len(found)} records is of mini3d under LITE: nothing was written")
    with written_beside(arguments.out) as temporary:
        temporary.write_text(gather(kept))
    print(f"{len(kept)} of {len(found)} records: {arguments.out}")


if __name__ == "__main__":
    main()

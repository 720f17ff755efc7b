"""Download Eyecandies: `python data_scripts/download_eyecandies.py --url ADDRESS`.

Neither the address nor a checksum nor the licence of the data is recorded here: take them from the
publisher's pages (the code in eyecan-ai/eyecandies is GPL-3.0, which says nothing of the data).
The classes may come in one archive or in several, one call each with `--categories`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import fetch

EYECANDIES = fetch.Source(
    name="Eyecandies (Bonfiglioli et al., ACCV 2022)",
    licence="not recorded here: read the publisher's terms; accepting says that you have done so",
    folders=(
        *("CandyCane", "ChocolateCookie", "ChocolatePraline", "Confetto", "GummyBear"),
        *("HazelnutTruffle", "LicoriceSandwich", "Lollipop", "Marshmallow", "PeppermintCandy"),
    ),
    splits=("train", "val", "test_public"),  # test_private has no labels and is not needed
)


def main(arguments: list[str] | None = None) -> int:
    parser = fetch.parser(__doc__.split("\n")[0], "data/eyecandies")
    parser.add_argument("--archive", type=Path, help="an archive that you have already")
    parser.add_argument(
        "--categories",
        nargs="+",
        choices=EYECANDIES.folders,
        default=EYECANDIES.folders,
        help="what the archive holds, if not all ten",
    )
    options = parser.parse_args(arguments)
    source = replace(EYECANDIES, folders=tuple(options.categories))
    return fetch.guarded(lambda: fetch.fetch(source, options))


if __name__ == "__main__":
    sys.exit(main())

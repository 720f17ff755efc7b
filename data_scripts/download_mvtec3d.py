"""Download MVTec 3D-AD: `python data_scripts/download_mvtec3d.py --url ADDRESS`.

MVTec gives the address on its own pages, to those who agree to the licence; this script does not
know it. The archive's md5 is the one that anomalib compares with. The result is the layout that
`lsfa_lite.data.mvtec3d.MVTec3D` reads.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import fetch

MVTEC3D = fetch.Source(
    name="MVTec 3D-AD (arXiv 2112.09045), archive mvtec_3d_anomaly_detection.tar.xz",
    licence="CC BY-NC-SA 4.0: not for commercial use, name the source, share alike",
    checksum="md5:d8bb2800fbf3ac88e798da6ae10dc819",
    folders=(
        *("bagel", "cable_gland", "carrot", "cookie", "dowel"),
        *("foam", "peach", "potato", "rope", "tire"),
    ),
    splits=("train", "validation", "test"),
)


def main(arguments: list[str] | None = None) -> int:
    parser = fetch.parser(__doc__.split("\n")[0], "data/mvtec3d")
    parser.add_argument("--archive", type=Path, help="an archive that you have already")
    parser.add_argument(
        "--categories",
        nargs="+",
        choices=MVTEC3D.folders,
        default=MVTEC3D.folders,
        help="what the archive holds, if not all ten (its md5 is another: see --checksum)",
    )
    options = parser.parse_args(arguments)
    source = replace(MVTEC3D, folders=tuple(options.categories))
    return fetch.guarded(lambda: fetch.fetch(source, options))


if __name__ == "__main__":
    sys.exit(main())

"""Does memory stay flat? Score the same scans for minutes and look at what the process holds.

    python tests/soak.py [--minutes 20] [--limit 1.0]

Scores six small scans in a loop, colour and 3D, files read anew each time, one of them broken, as
`watch` does it; writes map and picture. After the first fifth prints the resident megabytes at ten
moments and their slope, in megabytes per 1000 scans (Theil and Sen: the median of all pairs');
exits with 1 where it is above the limit. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_lite.config import LITE
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.files import write_sample
from lsfa_lite.data.folder import Folder
from lsfa_lite.detector import LSFADetector
from lsfa_lite.report import write_scores

SMALL = Mini3DConfig(seed=3, size=96)
CONFIG = LITE.change(features__image_size=96, features__grid=12, features__cache=False)


def resident() -> float:
    """Megabytes of this process, now; Linux tells it here."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def slope(seen: list[tuple[int, float]]) -> float:
    """(scans, megabytes) -> megabytes per 1000 scans."""
    pairs = itertools.combinations(seen, 2)
    return 1000 * statistics.median((b - a) / (n - m) for (m, a), (n, b) in pairs)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=20)
    options.add_argument("--limit", type=float, default=1.0, help="megabytes per 1000 scans")
    asked = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="lsfa-soak-") as name:
        parts, out = Path(name, "parts"), Path(name, "out")
        good = [make_sample("ring", "train/good", i, SMALL) for i in range(6)]
        good = [remove_background(sample) for sample in good]
        for i, sample in enumerate(good):
            write_sample(parts, f"{i:03d}", sample)
        broken = parts / "rgb" / "003.png"
        broken.write_bytes(broken.read_bytes()[:300])
        detector = LSFADetector(CONFIG).fit(good[:4], good[4:])
        seen, done, refused = list[tuple[int, float]](), 0, 0
        begun, end = time.monotonic(), time.monotonic() + 60 * asked.minutes
        while time.monotonic() < end:
            scans = Folder(parts)
            for i in range(len(scans)):
                try:
                    sample = scans[i]
                except ValueError:
                    refused += 1
                    continue
                write_scores(out, f"{i:03d}", sample, detector.score(sample))
                done += 1
            gc.collect()
            seen.append((done, resident()))
    later = [one for one in seen if one[0] > done / 5]
    for n, megabytes in later[:: max(1, len(later) // 10)]:
        print(f"{n:7d} scans  {megabytes:8.1f} MB")
    grows = slope(later[:: max(1, len(later) // 300)])
    minutes = (time.monotonic() - begun) / 60
    print(f"{done} scans scored, {refused} refused in {minutes:.1f} min: {grows:+.3f} MB per 1000")
    return 1 if grows > asked.limit else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Time the same runs by one worker and by two: `python book/scripts/time_workers.py`.

Table 4 of two small categories, in this process, in two processes and by Ray, each with its start.
Quiet machine wanted. Writes book/lsfa_book/records/bench-workers.json, which a chapter shows.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

import torch

from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.studies.engines import in_processes, in_this_process, on_ray
from lsfa_book.studies.reproduce import Parts, machine, reproduce
from lsfa_lite import FIRST

OUT = Path(__file__).parents[1] / "lsfa_book/records/bench-workers.json"
CATEGORIES = ["ring", "biscuit"]
SMALL = Mini3DConfig(train=12, validation=6, test_good=6, test_per_defect=2)
ENGINES = {
    "one process": in_this_process,
    "two processes": in_processes(2),
    "Ray, two workers": on_ray(),
}


def main() -> None:
    torch.set_num_threads(1)
    preset = FIRST.change(features__cache=False, adaptation__steps=20)
    report = {
        **{"date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "rows": []},
        **{"machine": machine(torch.device("cpu")), "cores": os.cpu_count()},
        "what": f"table4, {' and '.join(CATEGORIES)}, lite, {SMALL.train} parts, 20 steps",
    }
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(Path(folder) / "parts", SMALL)
        for category in CATEGORIES:
            parts.category(category, 0)  # made before the clock runs
        for number, (name, engine) in enumerate(ENGINES.items()):
            out, started = Path(folder) / str(number), time.perf_counter()
            done = list(reproduce(["table4"], preset, parts, CATEGORIES, [0], out, engine=engine))
            assert not any("error" in record for record in done), done
            row = {"engine": name, "runs": len(done), "load": round(os.getloadavg()[0], 1)}
            report["rows"].append(row | {"seconds": round(time.perf_counter() - started, 1)})
            print(row | report["rows"][-1])
    OUT.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Measure what adaptation does on mini3d: `python book/scripts/measure_effect.py --work FOLDER`.

Five questions: the mean effect (three generator seeds), the length of training, the strength of
the nuisance, the network that describes the shape, and the luck of the coreset. FOLDER keeps data
sets and one record per run; the same command goes on where it was stopped. At the end all records
are gathered in --out, which the book reads. All of it takes a few hours on two cores; --questions
picks some.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.studies.effect import VARIANTS, Run, load, measure, plan
from lsfa_lite.config import LITE
from lsfa_lite.data.files import written_beside

OUT = Path(__file__).parents[1] / "lsfa_book/records/effect.json"
USUAL = Mini3DConfig().nuisance
DIAL = (0.0, 0.2, 0.7, 1.0)
LENGTHS = (10, 30, 100, 300)
QUESTIONS = ["mean", "length", "dial", "shape", "coreset"]
FEW = ["no adaptation", "whitening", "LSFA", "LSFA as printed"]
SHAPE = ["no adaptation", "Point-MAE", "Point-MAE, random weights"]
ALL_ROWS = [name for name in VARIANTS if name.endswith(", all rows")]
MAIN = [name for name in VARIANTS if name not in [*SHAPE[1:], *ALL_ROWS]]


def questions(seeds: list[int]) -> dict[str, list[Run]]:
    return {
        "mean": plan(seeds, [USUAL], MAIN),
        "length": plan(seeds[:1], [USUAL], ["LSFA", "LSFA as printed"], LENGTHS),
        "dial": plan(seeds[:1], DIAL, FEW),
        "shape": plan(seeds[:1], [USUAL], SHAPE),
        "coreset": plan(seeds, [USUAL], ALL_ROWS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--questions", nargs="+", default=QUESTIONS, choices=QUESTIONS)
    arguments = parser.parse_args()
    records = arguments.work / "records"
    for name in arguments.questions:
        measure(LITE, questions(arguments.seeds)[name], arguments.work / "data", records)
    with written_beside(arguments.out) as temporary:
        rows = [json.dumps(record) for record in load(records)]
        temporary.write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()

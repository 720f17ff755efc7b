"""Tests and measurements of book/gpu/check.sh in one JSON; exit code 1 where something failed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

KINDS = ("failure", "error", "skipped")


def outcomes(path: Path) -> dict[str, object]:
    """pytest's XML -> counts, and one entry for each test; what failed with its last lines."""
    if not path.is_file():
        return {
            "passed": 0,
            "failed": 0,
            "skipped": 0,
            "cases": [],
            "error": "pytest wrote nothing",
        }
    cases = []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        said = next((element for element in case if element.tag in KINDS), None)
        row = {
            "test": f"{case.get('classname')}::{case.get('name')}",
            "outcome": "passed" if said is None else said.tag,
            "seconds": float(case.get("time") or 0),
        }
        if said is not None:
            row["message"] = said.get("message")
            row["tail"] = (said.text or "").splitlines()[-25:]
        cases.append(row)
    count = [row["outcome"] for row in cases].count
    failed = count("failure") + count("error")
    return {
        "passed": count("passed"),
        "failed": failed,
        "skipped": count("skipped"),
        "cases": cases,
    }


scratch, device, tests_took, bench_took, out = sys.argv[1:]
tests = outcomes(Path(scratch, "tests.xml"))
measured = Path(scratch, "bench.json")
bench = json.loads(measured.read_text()) if measured.is_file() else {"error": "bench wrote nothing"}
rows = [r for row in bench.get("stages", []) for r in [row, *row.get("references", [])]]
errors = [row["error"] for row in rows if "error" in row]
proven = bool(tests["passed"]) and not tests["failed"] and not errors and bench.get("complete")
report = {
    "device": device,
    "passed": bool(proven),
    "seconds": {"tests": int(tests_took), "bench": int(bench_took)},
    "tests": tests,
    "bench": bench,
}
Path(out).write_text(json.dumps(report, indent=1))
told = {name: tests[name] for name in ("passed", "failed", "skipped")}
print(f"{out}: tests {told}, {len(rows)} measurements, {len(errors)} of them failed")
sys.exit(0 if proven else 1)

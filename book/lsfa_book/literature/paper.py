"""The numbers that the paper prints (arXiv 2401.03145v2), as data: MVTec 3D-AD, its Tables 1 to 9.

Shares between 0 and 1 as in the paper's tables, except Tables 8 and 9, which are in per cent there
and here. A reader's own numbers never land in this file.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

Printed = tuple[float | None, float | None, float | None]  # i_auroc, aupro_30, p_auroc


@cache
def printed() -> dict[str, Any]:
    """ "table1" and "table2": rows with modality, method, categories, mean. "table3_clc_losses" to
    "table9_peft": rows as the paper has them. "hyperparameters", "eyecandies": as in its text.
    """
    path = files("lsfa_book.literature").joinpath("paper.json")
    return json.loads(path.read_text())


def row_of(table: str, **wanted: Any) -> dict[str, Any]:
    """The one row of a table whose fields have these values; KeyError where there is not one."""
    rows = [r for r in printed()[table] if all(r[key] == value for key, value in wanted.items())]
    if len(rows) != 1:
        raise KeyError(f"{table} of the paper has {len(rows)} rows with {wanted}, expected one")
    return rows[0]


def numbers(table: str, **wanted: Any) -> Printed:
    """Image AUROC, AUPRO and pixel AUROC of a row of Tables 3 to 8, as shares."""
    row = row_of(table, **wanted)
    scale = 100 if row["i_auroc"] > 1 else 1
    found = [row.get(key) for key in ("i_auroc", "aupro", "p_auroc")]
    i_auroc, aupro, p_auroc = [None if x is None else round(x / scale, 6) for x in found]
    return i_auroc, aupro, p_auroc


def compared(modality: str, method: str) -> Printed:
    """Means of a row of Tables 1 and 2; None where a table does not have the method."""
    found: list[float | None] = []
    for table in ("table1", "table2"):
        rows = [r for r in printed()[table] if (r["modality"], r["method"]) == (modality, method)]
        found.append(rows[0]["mean"] if rows else None)
    if found == [None, None]:
        raise KeyError(f"the paper has no {method} for {modality}")
    return found[0], found[1], None


def tuned(method: str, modality: str) -> Printed:
    """A row of Table 9, as shares."""
    row = row_of("table9_peft", method=method)
    i_auroc, aupro = (round(row[metric][modality] / 100, 6) for metric in ("i_auroc", "aupro"))
    return i_auroc, aupro, None

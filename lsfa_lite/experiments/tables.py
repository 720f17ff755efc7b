"""The paper's ablations as rows of configurations, beside the numbers that the paper prints.

A row changes the given preset. The paper's numbers (MVTec 3D-AD, RGB + 3D) are image AUROC, AUPRO
up to 30 % and pixel AUROC, as printed; a row that the paper does not have carries none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Printed = tuple[float, float | None, float | None]  # i_auroc, aupro_30, p_auroc


@dataclass(frozen=True)
class Row:
    name: str
    changes: dict[str, Any] = field(default_factory=dict)  # of Config, as Config.change takes them
    paper: Printed | None = None
    shots: int | None = None  # training parts, drawn with the run's seed; None is all
    against: str = "no adaptation"  # the row that it is compared with


NONE = {"adaptation__steps": 0}
WHITENING = NONE | {"adaptation__input": "whiten"}


def losses(
    local_alignment: float = 0,
    global_alignment: float = 0,
    local_compactness: float = 0,
    global_compactness: float = 0,
) -> dict[str, Any]:
    """Weights of the four losses; Eq. 9's lambda stays the preset's."""
    return {
        "adaptation__local_alignment": local_alignment,
        "adaptation__global_alignment": global_alignment,
        "adaptation__local_compactness": local_compactness,
        "adaptation__global_compactness": global_compactness,
    }


# In every table: what costs nothing, and what the paper does not print.
YARDSTICKS = (Row("no adaptation", NONE, (0.929, 0.953, 0.987)), Row("whitening", WHITENING))

TABLES: dict[str, tuple[Row, ...]] = {
    "table3": (
        *YARDSTICKS,
        Row("L_LA", losses(local_alignment=1), (0.949, 0.961, 0.989)),
        Row("L_GA", losses(global_alignment=1), (0.952, 0.961, 0.990)),
        # Table 4 gives 0.957 for the same row: the paper swaps it with the last row of Table 5
        Row("L_LA + L_GA", losses(1, 1), (0.959, 0.964, 0.992)),
    ),
    "table4": (
        *YARDSTICKS,
        Row("CLC", losses(1, 1), (0.957, 0.963, 0.990)),
        Row("IFC", losses(0, 0, 1, 1), (0.959, 0.964, 0.992)),
        Row("IFC + CLC", losses(1, 1, 1, 1), (0.971, 0.968, 0.993)),
    ),
    "table5": (
        *YARDSTICKS,
        Row("L_GC", losses(global_compactness=1), (0.950, 0.960, 0.988)),
        Row("L_LC", losses(local_compactness=1), (0.952, 0.960, 0.989)),
        Row("L_GC + L_LC", losses(0, 0, 1, 1), (0.957, 0.963, 0.990)),
    ),
    "table6": (
        *YARDSTICKS,
        Row("linear", {"adaptation__adaptor": "linear"}, (0.953, 0.959, 0.989)),
        # 0.971 in every other table of the paper
        Row("one encoder layer", {"adaptation__adaptor": "encoder"}, (0.974, 0.968, 0.993)),
        Row("two encoder layers", {"adaptation__adaptor": "encoder2"}, (0.954, 0.963, 0.984)),
        Row("1x1 convolution", {"adaptation__adaptor": "conv1x1"}, (0.951, 0.962, 0.986)),
    ),
    "table7": (
        Row("5 shots", {}, (0.834, 0.936, 0.984), 5, "5 shots, no adaptation"),
        Row("5 shots, no adaptation", NONE, None, 5),
        Row("10 shots", {}, (0.871, 0.943, 0.987), 10, "10 shots, no adaptation"),
        Row("10 shots, no adaptation", NONE, None, 10),
        Row("50 shots", {}, (0.926, 0.962, 0.989), 50, "50 shots, no adaptation"),
        Row("50 shots, no adaptation", NONE, None, 50),
        Row("all parts", {}, (0.971, 0.968, 0.993)),
        Row("no adaptation", NONE, (0.929, 0.953, 0.987)),
    ),
    "fig6": (  # printed as curves, without numbers
        *YARDSTICKS,
        *(
            Row(f"n^L {rows}", {"adaptation__local_bank": rows})
            for rows in (500, 1500, 3000, 12000)
        ),
        *(Row(f"lambda {x}", {"adaptation__consistency": x}) for x in (0.2, 0.4, 0.6, 0.8, 1.0)),
    ),
    "open": (  # what the paper leaves open
        *YARDSTICKS,
        Row("as the preset"),
        *(Row(f"k {k}", {"adaptation__prototypes": k}) for k in (2, 4)),
        *(Row(f"temperature {t}", {"adaptation__temperature": t}) for t in (0.05, 0.5)),
        *(Row(f"softmax {d}", {"adaptation__denominator": d}) for d in ("joint", "symmetric")),
        *(Row(f"fusion {f}", {"scoring__fusion": f}) for f in ("max", "ocsvm")),
        Row("quantile scores", {"scoring__normalise": "quantile"}),
        Row("all rows in the bank", {"scoring__coreset": 1.0}),
    ),
}

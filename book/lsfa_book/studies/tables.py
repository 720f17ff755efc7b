"""The paper's tables as rows of configurations, beside the numbers that the paper prints.

A row changes the given preset. The paper's numbers (MVTec 3D-AD) are image AUROC, AUPRO up to 30 %
and pixel AUROC, as printed; a row that the paper does not have carries none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lsfa_book.literature.paper import Printed, compared, numbers, tuned
from lsfa_book.studies.first_look import SETTINGS
from lsfa_lite.errors import LSFAError


@dataclass(frozen=True)
class Row:
    """A line of a table: what to run, and what the paper prints.

    changes  of the preset, as `Config.change` takes them
    shots    training parts, drawn with the run's seed; None is all
    against  the row that it is compared with
    view     the fused score, or that of one modality
    method   "lsfa", or another of experiments/methods.py
    """

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    paper: Printed | None = None
    shots: int | None = None
    against: str = "no adaptation"
    view: Literal["all", "rgb", "3d"] = "all"
    method: str = "lsfa"


NONE: dict[str, Any] = {"adaptation__steps": 0}
WHITENING = NONE | {"adaptation__input": "whiten"}
POINT_MAE: dict[str, Any] = {"features__points__backbone": "point_mae"}
OCSVM: dict[str, Any] = {"scoring__normalise": "zscore", "scoring__fusion": "ocsvm"}
FPFH: dict[str, Any] = {"features__points__backbone": "fpfh"}


def losses(
    local_alignment: bool = False,
    global_alignment: bool = False,
    local_compactness: bool = False,
    global_compactness: bool = False,
) -> dict[str, Any]:
    """The others off; those that stay, and Eq. 9's lambda, keep the preset's weights."""
    stays = {
        "local_alignment": local_alignment,
        "global_alignment": global_alignment,
        "local_compactness": local_compactness,
        "global_compactness": global_compactness,
    }
    return {f"adaptation__{name}": 0.0 for name, here in stays.items() if not here}


def _clc(ga: bool, la: bool) -> Printed:
    return numbers("table3_clc_losses", ga=ga, la=la)


def _parts(ifc: bool, clc: bool) -> Printed:
    return numbers("table4_components", ifc=ifc, clc=clc)


def _ifc(gc: bool, lc: bool) -> Printed:
    return numbers("table5_ifc_losses", gc=gc, lc=lc)


def _adaptor(name: str) -> Printed:
    return numbers("table6_adaptor", adaptor=name)


def _few(shots: int) -> tuple[Row, ...]:
    paper = numbers("table7_few_shot", shots=shots)
    bare = f"{shots} shots, no adaptation"
    # a bank below the epoch: only where two epochs meet can a patch still find itself
    short = {"adaptation__local_bank": 500, "adaptation__batch_size": 2}
    return (
        Row(f"{shots} shots", {}, paper, shots, bare),
        Row(f"{shots} shots, bank of 500", short, None, shots, bare),
        Row(f"{shots} shots, whitening", WHITENING, None, shots, bare),
        Row(bare, NONE, None, shots, bare),
    )


# Eq. 2 to 9 and section 4.1 word by word, on LITE's networks: a vanilla (post-norm) layer with its
# usual initialisation, inner products without temperature, sums, nothing done to the features.
# Steps and bank sizes, which go with the amount of data, stay LITE's.
PRINTED: dict[str, Any] = {
    "adaptation__input": "none",
    "adaptation__adaptor": "encoder",
    "adaptation__norm": "post",
    "adaptation__zero_init": False,
    "adaptation__cosine": False,
    "adaptation__temperature": 1.0,
    "adaptation__denominator": "joint",
    "adaptation__squared": False,
    "adaptation__reduction": "sum",
    "adaptation__local_alignment": 1.0,
    "adaptation__global_alignment": 1.0,
    "adaptation__local_compactness": 1.0,
    "adaptation__global_compactness": 1.0,
    "adaptation__consistency": 0.6,
    "adaptation__lr": 2e-3,
    "adaptation__clip": 0.0,
}


# In every table: what costs nothing, and what the paper does not print.
YARDSTICKS = (Row("no adaptation", NONE, _parts(False, False)), Row("whitening", WHITENING))

# The three that Fig. 5, the demo and chapter 13 compare.
THREE = (Row("no adaptation", NONE), Row("whitening", WHITENING), Row("LSFA"))

# Tables 1 and 2 ask for the same runs and print different metrics. A star is the paper's: features
# of the networks that LSFA uses. The single modalities are views of the runs with both.
COMPARISON = (
    Row("3D: no adaptation", NONE, None, against="3D: no adaptation", view="3d"),
    Row("3D: FPFH", NONE | FPFH, compared("3d", "FPFH"), None, "3D: no adaptation", "3d"),
    Row(
        "3D: Point-MAE (FPFH*)",
        NONE | POINT_MAE,
        compared("3d", "FPFH*/M3DM"),
        None,
        "3D: no adaptation",
        "3d",
    ),
    Row("3D: whitening", WHITENING, None, None, "3D: no adaptation", "3d"),
    Row("3D: LSFA", {}, compared("3d", "LSFA"), None, "3D: no adaptation", "3d"),
    *(
        Row(f"RGB: {name}", {}, paper, None, "RGB: no adaptation", "rgb", f"peer:{what}")
        for name, what, paper in (
            ("PaDiM", "padim", compared("rgb", "PADiM")),
            ("PatchCore", "patchcore", compared("rgb", "PatchCore")),
            ("STFPM", "stfpm", compared("rgb", "STFPM")),
            ("CS-Flow", "cs_flow", compared("rgb", "CS-Flow")),
        )
    ),
    Row(
        "RGB: no adaptation",
        NONE,
        compared("rgb", "PatchCore*/M3DM"),
        against="RGB: no adaptation",
        view="rgb",
    ),
    Row("RGB: whitening", WHITENING, None, None, "RGB: no adaptation", "rgb"),
    Row("RGB: LSFA", {}, compared("rgb", "LSFA"), None, "RGB: no adaptation", "rgb"),
    Row("no adaptation", NONE),
    Row("PatchCore + FPFH", NONE | FPFH, compared("rgb+3d", "PatchCore + FPFH"), method="joined"),
    Row(
        "double bank (PatchCore* + FPFH*)",
        NONE | POINT_MAE | OCSVM,
        compared("rgb+3d", "PatchCore*+FPFH*"),
    ),
    Row("CFM", {}, None, method="peer:cfm"),
    Row("whitening", WHITENING),
    Row("LSFA", {}, compared("rgb+3d", "LSFA")),
)

# Tables 8 and 9 train the networks themselves, so both rows and yardsticks need one to train.
FROZEN = Row("frozen networks", NONE | POINT_MAE, _parts(False, False), against="frozen networks")
ADAPTORS = Row("adaptors (LSFA)", POINT_MAE, _parts(True, True), against="frozen networks")
WHITENED = Row("whitening", WHITENING | POINT_MAE, against="frozen networks")
VIEWS: tuple[tuple[Literal["all", "rgb", "3d"], str, str], ...] = (
    ("3d", "3D", "3d"),
    ("rgb", "RGB", "rgb"),
    ("all", "RGB + 3D", "rgb+3d"),
)

TABLES: dict[str, tuple[Row, ...]] = {
    "table1": COMPARISON,
    "table2": COMPARISON,
    "table3": (
        *YARDSTICKS,
        Row("L_LA", losses(local_alignment=True), _clc(ga=False, la=True)),
        Row("L_GA", losses(global_alignment=True), _clc(ga=True, la=False)),
        # Table 4 gives 0.957 for the same row: the paper swaps it with the last row of Table 5
        Row("L_LA + L_GA", losses(True, True), _clc(ga=True, la=True)),
    ),
    "table4": (
        *YARDSTICKS,
        Row("CLC", losses(True, True), _parts(ifc=False, clc=True)),
        Row("IFC", losses(False, False, True, True), _parts(ifc=True, clc=False)),
        Row("IFC + CLC", losses(True, True, True, True), _parts(ifc=True, clc=True)),
    ),
    "table5": (
        *YARDSTICKS,
        Row("L_GC", losses(global_compactness=True), _ifc(gc=True, lc=False)),
        Row("L_LC", losses(local_compactness=True), _ifc(gc=False, lc=True)),
        Row("L_GC + L_LC", losses(False, False, True, True), _ifc(gc=True, lc=True)),
    ),
    "table6": (
        *YARDSTICKS,
        Row("linear", {"adaptation__adaptor": "linear"}, _adaptor("linear")),
        # 0.971 in every other table of the paper
        Row("one encoder layer", {"adaptation__adaptor": "encoder"}, _adaptor("one_encoder_layer")),
        Row(
            "two encoder layers",
            {"adaptation__adaptor": "encoder2"},
            _adaptor("two_encoder_layers"),
        ),
        Row("1x1 convolution", {"adaptation__adaptor": "conv1x1"}, _adaptor("conv1x1")),
    ),
    "table7": (
        *(row for shots in (5, 10, 50) for row in _few(shots)),
        Row("all parts", {}, numbers("table7_few_shot", shots="full")),
        Row("whitening", WHITENING),
        Row("no adaptation", NONE, _parts(False, False)),
    ),
    "table8": (
        FROZEN,
        WHITENED,
        ADAPTORS,
        *(
            Row(
                f"{name} blocks trained" if name != "last 1" else "last block trained",
                POINT_MAE,
                numbers("table8_unfrozen_blocks", trained=what),
                None,
                FROZEN.name,
                method=f"finetune:{what}",
            )
            for name, what in (
                ("last 1", "last_1"),
                ("last 2", "last_2"),
                ("last 3", "last_3"),
                ("all", "all"),
            )
        ),
    ),
    "table9": tuple(
        Row(f"{label}: {name}", changes, paper, None, f"{label}: frozen networks", view, method)
        for view, label, key in VIEWS
        for name, changes, paper, method in (
            ("frozen networks", NONE | POINT_MAE, None, "lsfa"),
            ("whitening", WHITENING | POINT_MAE, None, "lsfa"),
            ("adaptors (LSFA)", POINT_MAE, compared(key, "LSFA"), "lsfa"),
            ("LoRA", POINT_MAE, tuned("lora", key), "finetune:lora"),
            ("AdaLoRA", POINT_MAE, tuned("adalora", key), "finetune:adalora"),
        )
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
        Row("fusion max", {"scoring__fusion": "max"}),
        Row("fusion ocsvm", OCSVM),
        Row("quantile scores", {"scoring__normalise": "quantile"}),
        Row("all rows in the bank", {"scoring__coreset": 1.0}),
    ),
    "eyecandies": tuple(  # the paper's text has two numbers, RGB alone; --data converted Eyecandies
        Row(f"{label}: {name}", changes, paper, None, f"{label}: no adaptation", view)
        for view, label, key in VIEWS
        for name, changes, paper in (
            ("no adaptation", NONE, None),
            ("whitening", WHITENING, None),
            ("LSFA", {}, numbers("eyecandies", modality="rgb") if key == "rgb" else None),
        )
    ),
    "earlier": (  # errors of earlier public code, see experiments/earlier.py
        Row("clean", NONE, against="clean"),
        *(
            Row(name.replace("_", " "), NONE, against="clean", method=f"earlier:{name}")
            for name in (
                "swapped_statistics",
                "rgb_bank_1_percent",
                "eight_bit_blur",
                "misaligned_tokens",
                "hundred_thresholds",
            )
        ),
        Row("clean, Point-MAE", NONE | POINT_MAE, against="clean, Point-MAE"),
        Row(
            "batch norm batch",
            NONE | POINT_MAE,
            against="clean, Point-MAE",
            method="earlier:batch_norm_batch",
        ),
        Row("LSFA", against="LSFA"),
        Row("misaligned training", against="LSFA", method="earlier:misaligned_training"),
    ),
}
# The study of chapter 13, on its own settings and dials; `lsfa-lite reproduce all` leaves it out.
ALL_ROWS: dict[str, Any] = {"scoring__coreset": 1.0}  # no luck in which rows the coreset keeps
PRINTED_ROW = Row("LSFA as printed", PRINTED)
LENGTHS = (10, 30, 100, 300)
STUDY: dict[str, tuple[Row, ...]] = {
    "effect": (
        *THREE,
        Row(
            "LSFA, consistency alone",
            {
                "adaptation__local_compactness": 0.0,
                "adaptation__global_compactness": 0.0,
            },
        ),
        Row("LSFA, compactness alone", {"adaptation__consistency": 0.0}),
        PRINTED_ROW,
    ),
    "dial": (*THREE, PRINTED_ROW),
    "length": tuple(
        Row(f"{row.name}, {steps} steps", row.changes | {"adaptation__steps": steps})
        for row in (THREE[-1], PRINTED_ROW)
        for steps in LENGTHS
    ),
    "shape": (  # other networks for the shape, without adaptation
        THREE[0],
        Row("Point-MAE", NONE | POINT_MAE),
        Row(
            "Point-MAE, random weights",
            NONE | POINT_MAE | {"features__points__weights": "random"},
        ),
    ),
    "coreset": tuple(
        Row(f"{row.name}, all rows", row.changes | ALL_ROWS, against="no adaptation, all rows")
        for row in THREE
    ),
}
# On real parts alone; its rows leave nothing to a preset.
FIRST_REAL = "first-real-category"
REAL = {FIRST_REAL: tuple(Row(name, changes) for name, changes in SETTINGS.items())}
# Where letter and released code differ, step by step from the first to the second, with the small
# Point-MAE that comes with LITE; steps, bank sizes and grid stay LITE's. Chapter 19's table; `all`
# leaves it out.
LETTER: dict[str, Any] = PRINTED | {
    "features__points__backbone": "point_mae",
    "features__points__point_norm": "none",
    "features__points__neighbours": None,
    "scoring__normalise": "none",
}
CODE: dict[str, dict[str, Any]] = {
    "three centres": {"features__points__neighbours": 3, "features__points__power": 2.0},
    "batch statistics": {"features__points__batch_norm": "batch"},
    "one-class SVM": OCSVM,
}
CODE_TRAINS = CODE | {
    "pre-norm layer": {"adaptation__norm": "pre"},
    "means in Eq. 5, 6": {"adaptation__reduction": "mean"},
    "cosines, rows and columns": {
        "adaptation__cosine": True,
        "adaptation__denominator": "symmetric",
    },
    "weights": {
        "adaptation__consistency": 1.0,
        "adaptation__local_alignment": 2.0,
        "adaptation__global_alignment": 0.2,
        "adaptation__local_compactness": 0.9,
        "adaptation__global_compactness": 0.36,
    },
    "learning rate": {"adaptation__lr": 3e-4, "adaptation__warmup": 0.5},
    "banks full first": {"adaptation__min_fill": 3000},
}
SPHERE: dict[str, Any] = {"features__points__point_norm": "unit_sphere"}
NEITHER: dict[str, dict[str, Any]] = {  # not the code's either
    "unit sphere": SPHERE,
    "sums in Eq. 2, 3": {"adaptation__alignment_reduction": "sum"},
    "updates in turn": {"adaptation__updates": "successive"},  # Algorithm 1's letter
}


def towards(
    start: dict[str, Any],
    code: dict[str, dict[str, Any]],
    neither: dict[str, dict[str, Any]],
    before: str = "",
) -> tuple[Row, ...]:
    """`start`, each change of it alone, and all those of the code together."""
    whole = {key: value for change in code.values() for key, value in change.items()}
    changes = {"the letter": {}, **code, "the code": whole, **neither}
    first = f"{before}the letter"
    return tuple(
        Row(before + name, start | change, against=first) for name, change in changes.items()
    )


AUDIT: dict[str, tuple[Row, ...]] = {
    "code-or-letter": (
        *towards(LETTER | NONE, CODE, {"unit sphere": SPHERE}, "frozen: "),
        *towards(LETTER, CODE_TRAINS, NEITHER),
    )
}
ON_MINI3D = tuple(name for name in TABLES if name != "eyecandies")


def rows_of(table: str) -> tuple[Row, ...]:
    """Of the paper, of a study of chapter 13 or 19, or on real parts; ValueError for another."""
    known = TABLES | STUDY | AUDIT | REAL
    if table not in known:
        raise LSFAError(f"no table {table}; there are {', '.join(known)}")
    return known[table]

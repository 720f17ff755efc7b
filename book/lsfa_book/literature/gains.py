"""What the gains of the paper's Table 1 are made of: one sense alone, or how two are put together.

Image AUROC of LSFA minus that of the same frozen features, category by category. Which part of a
fused gain is the senses' own and which is repaired fusion is no theorem (the AUROC of a fused
score follows from neither sense's), so a gain is compared with the larger of the two single gains
and with their sum. Above both, the senses alone do not account for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lsfa_book.literature.paper import row_of
from lsfa_lite.report import align

# a sense alone, or both -> the row that has LSFA's features without adaptation
BASELINES = {"rgb": "PatchCore*/M3DM", "3d": "FPFH*/M3DM", "rgb+3d": "PatchCore*+FPFH*"}


class Gain(NamedTuple):
    """Differences of image AUROC, as shares of 1."""

    rgb: float  # LSFA minus the baseline
    depth: float
    fused: float
    single: float  # the larger of rgb and depth
    beyond_single: float  # fused - single: negative where fusion does not pass it all on
    beyond_sum: float  # fused - (rgb + depth)
    short: float  # the baseline's better sense minus its fusion: > 0, two eyes see less than one
    m3dm: float  # M3DM minus the fused baseline: the same two baselines, fused by learning


def gain(before: Mapping[str, float], after: Mapping[str, float], m3dm: float) -> Gain:
    """`before` and `after` adaptation: image AUROC by sense, "rgb", "3d", "rgb+3d"."""
    rgb, depth, fused = (after[sense] - before[sense] for sense in BASELINES)
    single = max(rgb, depth)
    short = max(before["rgb"], before["3d"]) - before["rgb+3d"]
    found = rgb, depth, fused, single, fused - single, fused - rgb - depth, short
    return Gain(*(round(x, 6) for x in (*found, m3dm - before["rgb+3d"])))


def by_category() -> dict[str, Gain]:
    """The ten categories of Table 1, in the paper's order."""
    before = {s: row_of("table1", modality=s, method=m) for s, m in BASELINES.items()}
    after = {s: row_of("table1", modality=s, method="LSFA") for s in BASELINES}
    other = row_of("table1", modality="rgb+3d", method="M3DM")["categories"]
    return {
        name: gain(
            {sense: row["categories"][name] for sense, row in before.items()},
            {sense: row["categories"][name] for sense, row in after.items()},
            other[name],
        )
        for name in other
    }


def mean(found: Iterable[Gain]) -> Gain:
    """Column by column. `single` is then a mean of maxima, not the maximum of two means."""
    columns = list(zip(*found, strict=True))
    return Gain(*(round(sum(column) / len(column), 6) for column in columns))


def shares(found: Mapping[str, Gain]) -> dict[str, float]:
    """The part of the mean fused gain that each category brings; they sum to 1. Largest first."""
    total = sum(g.fused for g in found.values())
    ranked = sorted(found, key=lambda name: -found[name].fused)
    return {name: found[name].fused / total for name in ranked}


def table(found: Mapping[str, Gain]) -> str:
    """Points (1/100), the largest fused gain first, the mean below."""
    head = ("RGB", "3D", "both", "better one", "beyond it", "beyond sum", "short", "M3DM")
    lines: list[tuple[str, ...]] = [("", *head)]
    for name, g in [*((n, found[n]) for n in shares(found)), ("mean", mean(found.values()))]:
        lines.append((name.replace("_", " "), *(f"{100 * x:+.1f}" for x in g)))
    return align(lines)

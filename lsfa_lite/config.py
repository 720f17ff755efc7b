"""A config: all fields (choices.py) together, as text and back, and the presets LITE, FIRST, PAPER
(as the paper's numbers were made) and PAPER_LITERAL (as the paper is printed).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field, replace
from typing import Any

from lsfa_lite.checked import Checked, changed, differences, from_values
from lsfa_lite.choices import SENSES as SENSES
from lsfa_lite.choices import (
    AdaptationConfig,
    FeatureConfig,
    ImageConfig,
    PointConfig,
    ScoringConfig,
    Seed,
    Senses,
)
from lsfa_lite.choices import BackgroundConfig as BackgroundConfig
from lsfa_lite.choices import Modality as Modality
from lsfa_lite.choices import Rim as Rim
from lsfa_lite.errors import SettingError


@dataclass(frozen=True, repr=False)
class Config(Checked):
    name: str = "lite"
    modalities: Senses = ("rgb", "3d")
    seed: Seed = 0
    features: FeatureConfig = field(default_factory=FeatureConfig)
    adaptation: AdaptationConfig = field(default_factory=AdaptationConfig)
    scoring: ScoringConfig = field(default_factory=ScoringConfig)

    def change(self, **values: Any) -> Config:
        """A copy with fields replaced; two underscores step inside: change(adaptation__steps=0)."""
        return changed(self, values)

    def __repr__(self) -> str:
        """The nearest preset, and what differs from it: Config(lite, adaptation.steps=0)."""
        told = {name: differences(preset, self) for name, preset in PRESETS.items()}
        name = min(told, key=lambda name: len(told[name]))
        return self._told(told[name], name)


def to_json(config: Any) -> str:
    """Config -> text; `from_json` reads it back to an equal object."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(text: str, kind: type = Config) -> Any:
    """Text -> config; a field that this version does not know raises ValueError with its name."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{kind.__name__}: no JSON ({error}); write it with to_json") from error
    return from_values(kind, values)


# LITE of the book's first edition: its chapters, and the records that come with it. Chosen on
# generator seed 100, never on the seeds that are reported (book: does-adaptation-help).
# A linear adaptor from the identity and a short training: more of it collapses.
FIRST = Config(
    adaptation=AdaptationConfig(
        steps=60,
        input="scale",
        adaptor="linear",
        cosine=True,
        temperature=0.1,
        denominator="row",
        squared=True,
        reduction="mean",
        local_bank=3000,
        global_bank=200,
        lr=5e-3,
    )
)

# Chosen on made parts of seed 100 (book/scripts/choose_defaults.py; its figures are among the
# book's records), looked at once on the first real category (chapter 12). On made parts the finer
# grid, the mean of ten distances and Fisher's rule are worth as much as what they replace, and a
# map past the rim is worth more. On the real ones the grid, the paper's, decides. In neither place
# was adaptation worth anything: it is off, and adaptation__steps=60 turns it on.
LITE = Config(
    features=FeatureConfig(grid=56),
    adaptation=replace(FIRST.adaptation, steps=0),
    scoring=ScoringConfig(
        neighbours=0,
        image_score="top",
        top_patches=10,
        rim="close",
        normalise="tail",
        calibrate_on="all",
    ),
)

_NETWORKS = FeatureConfig(  # section 4.1, and the code
    grid=56,
    min_foreground=0.0,  # a patch with any point counts (code)
    keep="float16",  # (ours)
    image=ImageConfig(
        backbone="vit_base_patch8_224.dino",
        weights="timm",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    points=PointConfig(
        backbone="point_mae",
        weights="pretrain.pth",
        groups=1024,  # (code)
        group_size=128,  # (code)
        width=384,
        token_hidden=128,
        depth=12,
        layers=(3, 7, 11),
        point_norm="none",  # metres (code)
        max_points=0,
    ),
)

# As the paper's numbers were made: where paper and released code (yuanpengtu/LSFA, commit a8dd6d7)
# differ, the code. It is not the published run, and cannot be. That run
# - loads a Point-MAE fine-tuned on such data, which is not public;
# - trains one adaptor for all ten categories: 40 updates in the 664 batches of two epochs, each by
#   the gradient of one batch of 8 (here 40 batches of one category);
# - takes the negatives of Eq. 2 from the whole batch (here from the image), adds 0.05 of a loss on
#   rotated patches, cuts squared distances off at 50, pulls colour's background patches too;
# - uses half precision, beta_2 = 0.95, and a rate that stays up after its warm-up (here it falls).
# Its errors are left out: swapped statistics and their weights 1 : 0.1, an RGB bank of 1 %,
# eight-bit maps, misplaced RGB tokens, zeros averaged into the rim.
PAPER = Config(
    name="paper",
    features=replace(
        _NETWORKS,
        points=replace(
            _NETWORKS.points,
            batch_norm="batch",  # M3DM; LSFA calls eval(), on the fine-tuned network (see above)
            neighbours=3,  # (code)
            power=2.0,  # (code)
        ),
    ),
    adaptation=AdaptationConfig(
        steps=40,  # updates of its two epochs (code)
        input="none",
        norm="pre",  # (code)
        zero_init=False,
        prototypes=1,  # the mean (code)
        local_alignment=2.0,  # cross-entropy, doubled (code)
        global_alignment=0.2,  # (code)
        local_compactness=0.9,  # (code)
        global_compactness=0.36,  # (code)
        consistency=1.0,  # the weights above are whole (code)
        cosine=True,  # (code)
        denominator="symmetric",  # (code)
        local_bank=60_000,  # (code)
        global_bank=100,  # (code)
        min_fill=59_900,  # (code)
        lr=3e-4,  # (code)
        warmup=0.5,  # one epoch of two (code)
    ),
    scoring=ScoringConfig(fusion="ocsvm"),  # (code)
)

# The letter of arXiv 2401.03145v2; what it leaves open is the classes' default.
PAPER_LITERAL = Config(
    name="paper_literal",
    features=replace(_NETWORKS, points=replace(_NETWORKS.points, neighbours=None)),  # Eq. 1
    adaptation=AdaptationConfig(
        steps=300,  # (ours)
        input="none",
        norm="post",  # "vanilla" (3.1)
        zero_init=False,
        reduction="sum",  # Eq. 5, 6
    ),
    scoring=ScoringConfig(normalise="none", fusion="mean"),  # "averaged" (3.4), nothing before
)

PRESETS = {"lite": LITE, "first": FIRST, "paper": PAPER, "paper_literal": PAPER_LITERAL}

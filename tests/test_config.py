"""The presets, JSON and back, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import re
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import reduce
from math import inf, nan
from multiprocessing import get_context
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

from lsfa_lite import LITE, PAPER, PAPER_LITERAL, Config
from lsfa_lite.adaptation.trainable import FineTuneConfig
from lsfa_lite.cli import main
from lsfa_lite.commands import config_of
from lsfa_lite.config import (
    FIRST,
    PRESETS,
    AdaptationConfig,
    BackgroundConfig,
    PointConfig,
    from_json,
    to_json,
)

# SHA-256 of the presets' JSON: a model folder holds this text; a change is meant, or an accident
TEXTS = {
    LITE: "fa7a592763e41ca3a3cef17f8cfa4a4c9982053b6190f45afc5137c85f1aca53",
    FIRST: "10f28594e0932d4362aff167fa613a78b84dd411104384ef4bcf960b7386bd22",
    PAPER: "8db8d326b9e4c4fd2690f7bddce5f9c8269b3e7968be7b88895a331ee435d31c",
    PAPER_LITERAL: "34887f144e805f63fb0235543a8b61fb5ab0f9d5993bd9add3888fd70e1248f3",
    BackgroundConfig(): "7fb0077d7f7b81e1b96bbbcd3a8d0ea2e895c0c852349aa7b909e045974c1e88",
}


@pytest.mark.parametrize("config", TEXTS, ids=[*PRESETS, "background"])
def test_the_text_of_a_preset_stays_as_it_is(config):
    assert hashlib.sha256(to_json(config).encode()).hexdigest() == TEXTS[config]


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_json_and_back(config):
    assert from_json(to_json(config)) == config


def test_change_steps_inside_and_leaves_the_original_alone():
    changed = LITE.change(adaptation__steps=7, features__points__groups=9, seed=3)
    assert (changed.adaptation.steps, changed.features.points.groups, changed.seed) == (7, 9, 3)
    assert (
        changed.change(
            adaptation__steps=LITE.adaptation.steps,
            features__points__groups=LITE.features.points.groups,
            seed=LITE.seed,
        )
        == LITE
    )


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        LITE.adaptation.steps = 1


@pytest.mark.parametrize(
    ("field", "words"),
    [("magic", "no field 'magic' in Config"), ("adaptation__magic", "in AdaptationConfig")],
)
def test_an_unknown_field_is_named(field, words):
    with pytest.raises(ValueError, match=words):
        LITE.change(**{field: 1})


def test_json_of_another_version_is_refused():
    values = json.loads(to_json(LITE))
    del values["scoring"]["blur"]
    values["scoring"]["glow"] = 1
    words = r"ScoringConfig: unknown fields \['glow'\], missing fields \['blur'\]"
    with pytest.raises(ValueError, match=words):
        from_json(json.dumps(values))
    with pytest.raises(ValueError, match=r"Config = \[\]: expected"):
        from_json("[]")


@pytest.mark.parametrize("modalities", [(), ("depth",), ("3d", "rgb"), ("rgb", "rgb")])
def test_unknown_modalities(modalities):
    with pytest.raises(ValueError, match="expected"):
        LITE.change(modalities=modalities)


def test_a_preset_is_found_by_its_name():
    assert list(PRESETS) == ["lite", "first", "paper", "paper_literal"]
    for name, preset in PRESETS.items():
        assert config_of(Namespace(preset=name, set=[])) == preset
        assert repr(preset.change(seed=3)) == f"Config({name}, seed=3)"


@pytest.mark.parametrize("preset", [PAPER, PAPER_LITERAL], ids=["paper", "paper_literal"])
def test_both_papers_have_its_networks(preset):
    """Section 4.1, and what the code agrees with."""
    features, points = preset.features, preset.features.points
    assert features.image.backbone == "vit_base_patch8_224.dino"
    assert (features.grid, features.image_size) == (56, 224)
    assert (points.groups, points.group_size, points.layers) == (1024, 128, (3, 7, 11))
    assert (points.point_norm, points.max_points) == ("none", 0)
    adaptation = preset.adaptation
    assert (adaptation.projection, adaptation.batch_size, adaptation.heads) == (512, 8, 12)
    assert (adaptation.adaptor, adaptation.input, adaptation.temperature) == ("encoder", "none", 1)
    assert (adaptation.squared, adaptation.zero_init) == (False, False)


def test_paper_is_the_released_code():
    """Facts of commit a8dd6d7, read once more; the weights are those of Eq. 9 as it adds them."""
    points, a = PAPER.features.points, PAPER.adaptation
    assert (points.neighbours, points.power, points.batch_norm) == (3, 2.0, "batch")
    cross_entropy = 2 * 1.0  # its contrastive loss is multiplied by 2 T
    assert a.consistency * a.local_alignment == cross_entropy * 1.0
    assert a.consistency * a.global_alignment == cross_entropy * 0.1
    assert (a.local_compactness, a.global_compactness) == (0.9, pytest.approx(0.9 * 0.4))
    assert (a.alignment_reduction, a.reduction, a.updates) == ("mean", "mean", "joint")
    assert (a.norm, a.cosine, a.denominator, a.prototypes) == ("pre", True, "symmetric", 1)
    assert (a.local_bank, a.global_bank, a.min_fill) == (60_000, 100, 60_000 - 100)
    scans, batch, accumulated, epochs = 2656, 8, 16, 2
    assert a.steps == epochs * (scans // batch // accumulated)
    assert (a.lr, a.warmup) == (3e-4, 1 / epochs)
    assert (PAPER.scoring.coreset, PAPER.scoring.fusion) == (0.1, "ocsvm")


def test_paper_literal_is_the_letter():
    """Eq. 1 to 9, sections 3.1, 3.4 and 4.1, as printed."""
    points, a = PAPER_LITERAL.features.points, PAPER_LITERAL.adaptation
    assert (points.neighbours, points.power, points.batch_norm) == (None, 1.0, "running")
    assert (a.norm, a.cosine, a.denominator) == ("post", False, "joint")
    assert (a.alignment_reduction, a.reduction, a.updates) == ("mean", "sum", "joint")
    weights = a.local_alignment, a.global_alignment, a.local_compactness, a.global_compactness
    assert (*weights, a.consistency) == (1, 1, 1, 1, 0.6)
    assert (a.local_bank, a.lr, a.min_fill) == (50_000, 2e-3, 1)
    assert (PAPER_LITERAL.scoring.normalise, PAPER_LITERAL.scoring.fusion) == ("none", "mean")


def test_the_losses_are_balanced_by_default():
    kinds = AdaptationConfig(), LITE.adaptation
    assert {(a.reduction, a.alignment_reduction) for a in kinds} == {("mean", "mean")}


# every field that is no bool and no free text, and what it must refuse
BAD: dict[str, list[Any]] = {
    "modalities": [[], ["depth"], ["3d", "rgb"], ["rgb", "rgb"], "rgb", 3],
    "seed": [-1, 1.5, True, "1", None],
    "features": [3, [], None],
    "features.image_size": [0, -224, 224.0],
    "features.grid": [0, -1, 225],
    "features.min_foreground": [-0.1, 1.1, nan],
    "features.image.stages": [[], [3, 2], [2, 2], [-1], [1.0], 2, "23"],
    "features.image.mean": [[0.5, 0.5], [0.5, 0.5, nan], [0.5, 0.5, "0.5"], 0.5],
    "features.image.std": [[0.5, 0.5, 0], [0.5, 0.5, 0.5, 0.5], [inf, 1, 1]],
    "features.image.smooth": [0, 2, -1, True],
    "features.points.backbone": ["pointnet", 1, ["fpfh"], None],
    "features.points.groups": [0, -1],
    "features.points.group_size": [0, -1],
    "features.points.width": [0, 97],
    "features.points.token_hidden": [0],
    "features.points.depth": [0, 5],
    "features.points.heads": [0, 5],
    "features.points.layers": [[], [1, 6], [3, 1], [-1], 3],
    "features.points.point_norm": ["sphere"],
    "features.points.batch_norm": ["off"],
    "features.points.neighbours": [0, 1.5, "all"],
    "features.points.power": [-1, inf],
    "features.points.max_points": [-1],
    "features.points.fpfh_radius": [0, -0.1],
    "features.points.fpfh_neighbours": [0],
    "adaptation": [3, "linear"],
    "adaptation.steps": [-5, 1.5, "abc", "5", True, None],
    "adaptation.input": ["center"],
    "adaptation.adaptor": ["mlp"],
    "adaptation.norm": ["maybe"],
    "adaptation.heads": [0],
    "adaptation.projection": [0],
    "adaptation.prototypes": [0],
    "adaptation.local_alignment": [-1],
    "adaptation.global_alignment": [-0.5],
    "adaptation.local_compactness": [-1],
    "adaptation.global_compactness": [inf],
    "adaptation.consistency": [-0.6, nan],
    "adaptation.temperature": [0, -0.1],
    "adaptation.denominator": ["column"],
    "adaptation.alignment_reduction": ["none", None],
    "adaptation.reduction": [""],
    "adaptation.updates": ["both", 3],
    "adaptation.local_bank": [0, -3],
    "adaptation.global_bank": [0],
    "adaptation.bank_policy": ["lifo"],
    "adaptation.min_fill": [0],
    "adaptation.batch_size": [0],
    "adaptation.lr": [-1e-3, "fast", nan, inf, False, 10**400],
    "adaptation.weight_decay": [-0.01],
    "adaptation.warmup": [9, -0.1],
    "adaptation.clip": [-1],
    "scoring": [None],
    "scoring.coreset": [7, -1, 0],
    "scoring.coreset_rows": [-1, 0.1],
    "scoring.coreset_projection": [0],
    "scoring.search": ["faiss", True],
    "scoring.neighbours": [-1],
    "scoring.image_score": ["mean"],
    "scoring.top_patches": [0],
    "scoring.blur": [-4],
    "scoring.rim": ["blur", None, True],
    "scoring.normalise": ["minmax"],
    "scoring.fusion": ["median"],
    "scoring.false_positive_rate": [0, 1, -0.05],
    "scoring.calibrate_on": ["train", None],
    # bool and text
    "name": [3, None],
    "features.image.weights": [3],
    "features.compute": ["float16", "half"],
    "features.keep": ["bfloat16", 16],
    "features.cache": [1, "yes"],
    "adaptation.cosine": [0, None],
}
CASES = [(field, value) for field, values in BAD.items() for value in values]


def refusals(field: str, value: Any) -> Iterator[str]:
    """What code (as a whole, and on the way), JSON and the command line say."""
    *path, last = field.split(".")
    node = attrgetter(".".join(path))(LITE) if path else LITE
    values = json.loads(to_json(LITE))
    reduce(lambda inner, key: inner[key], path, values)[last] = value
    arguments = Namespace(preset="lite", set=[f"{field}={json.dumps(value)}"])
    for enter in (
        lambda: dataclasses.replace(node, **{last: value}),
        lambda: LITE.change(**{field.replace(".", "__"): value}),
        lambda: from_json(json.dumps(values)),
        lambda: config_of(arguments),
    ):
        with pytest.raises(ValueError, match="expected") as caught:
            enter()
        yield str(caught.value)


@pytest.mark.parametrize(("field", "value"), CASES)
def test_a_bad_value_is_refused_at_every_entrance_in_the_same_words(field, value):
    first, *others = refusals(field, value)
    assert set(others) == {first}
    assert re.fullmatch(r"\w+Config\.\w+ = .+: expected .+|Config\.\w+ = .+: expected .+", first)
    assert field.split(".")[-1] in first


def test_no_field_but_flags_and_text_is_without_a_bound():
    def leaves(values: dict[str, Any], before: str = "") -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{before}{name}.")
            elif not isinstance(value, bool):
                yield before + name

    text = {"features.image.backbone", "features.points.weights"}
    assert set(leaves(dataclasses.asdict(LITE))) - text <= set(BAD)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (BackgroundConfig, "border", 0),  # xyz[0:-0] would be no strip, but everything
        (BackgroundConfig, "border_share", 1.1),
        (BackgroundConfig, "ransac_distance", 0),
        (BackgroundConfig, "ransac_points", 2),
        (BackgroundConfig, "ransac_iterations", 0),
        (BackgroundConfig, "plane_distance", 0),
        (BackgroundConfig, "cluster_radius", nan),
        (BackgroundConfig, "cluster_points", 0),
        (BackgroundConfig, "keep", "all"),
        (BackgroundConfig, "sizeable", 0),
        (BackgroundConfig, "pad", 1),
        (BackgroundConfig, "seed", -1),
        (FineTuneConfig, "steps", 0),
        (FineTuneConfig, "batch_size", 0),
        (FineTuneConfig, "lr", -1),
        (FineTuneConfig, "rank", 0),
        (FineTuneConfig, "scale", 0.5),
        (FineTuneConfig, "start_rank", 0),
        (FineTuneConfig, "orthogonality", -1),
    ],
)
def test_the_configs_outside_of_config_are_checked_too(kind, field, value):
    words = re.escape(f"{kind.__name__}.{field} = {value!r}: expected ")
    with pytest.raises(ValueError, match=words):
        kind(**{field: value})
    with pytest.raises(ValueError, match=words):
        from_json(json.dumps(json.loads(to_json(kind())) | {field: value}), kind)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("adaptation__norm", "maybe", "AdaptationConfig.norm = 'maybe': expected 'pre' or 'post'"),
        ("adaptation__steps", "abc", "AdaptationConfig.steps = 'abc': expected int >= 0"),
        ("adaptation__cosine", 1, "AdaptationConfig.cosine = 1: expected bool"),
        ("adaptation__lr", "fast", "AdaptationConfig.lr = 'fast': expected float >= 0"),
        ("scoring__coreset", 7, "ScoringConfig.coreset = 7: expected float above 0, at most 1"),
        ("features__points__neighbours", 1.5, "= 1.5: expected int >= 1 or None"),
        ("features__points__layers", 3, "layers = 3: expected ascending ints >= 0"),
        ("features__points__layers", (1, 6), "layers = (1, 6): expected blocks 0..5 (depth)"),
        ("features__points__heads", 5, "heads = 5: expected a divisor of width = 96"),
        ("features__image__std", (1, 1), "std = (1, 1): expected (float > 0, float > 0, float > 0"),
        ("features__image_size", 27, "FeatureConfig.grid = 56: expected at most image_size = 27"),
        ("adaptation", 3, "Config.adaptation = 3: expected AdaptationConfig"),
        ("seed__x", 3, "no field 'x' in int; it has no fields"),
    ],
)
def test_a_refusal_says_what_is_expected(field, value, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        LITE.change(**{field: value})


@pytest.mark.parametrize("item", ["adaptation.steps=-5", "adaptation.stepz=5", "modalities=[]"])
def test_the_command_line_says_it_in_one_line(item, tmp_path, capsys):
    assert main(["fit", str(tmp_path), "ring", "--out", str(tmp_path / "m"), "--set", item]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lsfa-lite: ")
    assert item.split("=")[0].split(".")[-1] in line


@pytest.mark.parametrize(
    ("field", "values"),
    [
        *((f"adaptation__{name}", [0]) for name in ("steps", "lr", "clip", "consistency")),
        *((f"adaptation__local_{name}", [0]) for name in ("alignment", "compactness")),
        ("adaptation__warmup", [0, 1]),
        ("scoring__blur", [0]),
        ("scoring__neighbours", [0]),
        ("scoring__coreset", [1, 1e-6]),
        ("features__min_foreground", [0, 1]),
        ("features__grid", [1, 224]),
        ("features__points__max_points", [0]),
        ("features__points__power", [0, 2]),
        ("features__points__neighbours", [None, 1]),
        ("features__points__layers", [(0,), [0, 5]]),
        ("modalities", [("rgb",), ["3d"]]),
    ],
)
def test_zeros_and_ends_that_mean_something(field, values):
    for value in values:
        got = attrgetter(field.replace("__", "."))(LITE.change(**{field: value}))
        assert got == (tuple(value) if isinstance(value, list) else value)


def test_fields_that_bind_each_other_change_together():
    small = LITE.change(features__image_size=16, features__grid=8)
    assert small == LITE.change(features__grid=8, features__image_size=16)
    points = PointConfig(depth=12, layers=(3, 7, 11))
    changed = LITE.change(features__points__layers=(1, 2), features__points=points)
    assert changed.features.points == dataclasses.replace(points, layers=(1, 2))


def test_numbers_of_numpy_and_ints_for_floats_become_pythons():
    changed = LITE.change(
        seed=np.int64(3),
        adaptation__lr=np.float32(0.5),
        adaptation__local_alignment=1,
        features__points__layers=[np.int32(1)],
    )
    assert changed == from_json(to_json(changed))
    adaptation = changed.adaptation
    kinds = [type(x) for x in (changed.seed, adaptation.lr, adaptation.local_alignment)]
    assert kinds == [int, float, float]
    for odd in (np.bool_(True), np.float64(3), np.ones(2), np.str_("3")):
        with pytest.raises(ValueError, match=r"Config.seed = .*expected int >= 0"):
            LITE.change(seed=odd)


def test_a_config_is_a_key_also_in_another_process():
    again = pickle.loads(pickle.dumps(LITE))
    assert {LITE: "lite", PAPER: "paper"}[again] == "lite"
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(to_json, PAPER).result() == to_json(PAPER)
        assert pool.submit(dataclasses.replace, PAPER).result() == PAPER


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (LITE, "Config(lite)"),
        (LITE.change(adaptation__steps=9), "Config(lite, adaptation.steps=9)"),
        (FIRST.change(adaptation__steps=0), "Config(first, adaptation.steps=0)"),
        (
            PAPER.change(name="mine", features__points__layers=(1, 2)),
            "Config(paper, name='mine', features.points.layers=(1, 2))",
        ),
        (FIRST.scoring, "ScoringConfig()"),
        (FIRST.change(features__image__smooth=3).features, "FeatureConfig(image.smooth=3)"),
    ],
)
def test_a_config_is_told_by_what_differs(config, words):
    assert repr(config) == words
    assert len(repr(Config())) < 400

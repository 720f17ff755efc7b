"""The presets, JSON and back, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from lsfa_lite import LITE, PAPER
from lsfa_lite.config import from_json, to_json


@pytest.mark.parametrize("config", [LITE, PAPER])
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
    with pytest.raises(ValueError, match=r"missing fields \['blur'\]"):
        from_json(json.dumps(values))
    values = json.loads(to_json(LITE))
    values["scoring"]["fusion"] = "median"
    with pytest.raises(ValueError, match="'median' is not one of"):
        from_json(json.dumps(values))


@pytest.mark.parametrize("modalities", [(), ("depth",), ("3d", "rgb"), ("rgb", "rgb")])
def test_unknown_modalities(modalities):
    with pytest.raises(ValueError, match="expected"):
        LITE.change(modalities=modalities)


def test_paper_is_the_paper():
    """Section 4.1 and 4.3, as printed."""
    assert PAPER.features.image.backbone == "vit_base_patch8_224.dino"
    assert (PAPER.features.grid, PAPER.features.image_size) == (56, 224)
    assert (PAPER.features.points.groups, PAPER.features.points.layers) == (1024, (3, 7, 11))
    assert PAPER.features.points.neighbours is None
    adaptation = PAPER.adaptation
    assert (adaptation.projection, adaptation.local_bank) == (512, 50_000)
    assert (adaptation.lr, adaptation.batch_size, adaptation.consistency) == (2e-3, 8, 0.6)
    assert (adaptation.denominator, adaptation.reduction) == ("joint", "sum")
    assert not adaptation.squared
    assert not adaptation.cosine


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("adaptation__norm", "maybe", "AdaptationConfig.norm = 'maybe': expected 'pre' or 'post'"),
        ("adaptation__steps", "abc", "steps = 'abc': expected int"),
        ("adaptation__steps", True, "expected int"),
        ("adaptation__cosine", 1, "expected bool"),
        ("adaptation__lr", "fast", "expected float"),
        ("features__points__neighbours", 1.5, "expected int or NoneType"),
        ("features__points__layers", 3, "layers = 3: expected"),
        ("adaptation", 3, "Config.adaptation = 3: expected AdaptationConfig"),
        ("seed__x", 3, "no field 'x' in int"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_refused(field, value, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        LITE.change(**{field: value})


def test_whole_numbers_and_none_where_they_mean_something():
    changed = LITE.change(adaptation__local_alignment=1, features__points__neighbours=None)
    assert changed.adaptation.local_alignment == 1.0
    assert changed.features.points.neighbours is None

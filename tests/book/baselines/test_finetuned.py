"""Tables 8 and 9: the trained backbones are measured as any other row is."""

from __future__ import annotations

import pytest
from conftest import without

from lsfa_book.baselines.finetuned import run
from lsfa_lite.adaptation.finetune import FineTuneConfig

SETTINGS = FineTuneConfig(steps=2, batch_size=2)


@pytest.fixture(scope="module")
def config(quick):
    return quick.change(features__points__backbone="point_mae")


def test_same_seed_same_table(config, rings):
    parts = rings["train"], rings["validation"], rings["test"]
    first, second = (run("last_1", config, *parts, settings=SETTINGS) for _ in range(2))
    assert first == second
    assert {"all", "modalities", "defects"} <= set(first)
    assert set(first["modalities"]) == {"rgb", "3d"}


def test_colour_alone(quick, rings):
    parts = [[without(s, "xyz") for s in rings[name]] for name in ("train", "validation", "test")]
    table = run("last_1", quick.change(modalities=("rgb",)), *parts, settings=SETTINGS)
    assert list(table["modalities"]) == ["rgb"]


def test_unknown_name(config, rings):
    with pytest.raises(ValueError, match=r"'last_4'.*last_1, last_2"):
        run("last_4", config, rings["train"], rings["validation"], rings["test"])

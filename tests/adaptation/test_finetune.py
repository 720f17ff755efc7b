"""Backbones in training: which weights move, how many there are, and that nothing else does."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch
from conftest import without
from torch import nn

from lsfa_lite.adaptation.finetune import (
    WHAT,
    FineTuneConfig,
    fine_tune,
    parameters,
    trainable,
)
from lsfa_lite.adaptation.trainable import make_trainable, orthogonality
from lsfa_lite.adaptation.views import describe, look
from lsfa_lite.config import Config, ImageConfig, PointConfig
from lsfa_lite.features.cache import cache_folder
from lsfa_lite.features.extract import FeatureExtractor
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.point_network import PointMAE

needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="needs peft")
EACH = [pytest.param(what, marks=needs_peft if what.endswith("lora") else []) for what in WHAT]
SETTINGS = FineTuneConfig(steps=4, batch_size=2, lr=1e-3, rank=2, start_rank=3)


def settings(what: str) -> FineTuneConfig:
    """AdaLoRA starts from products of three small numbers: more has to move before one sees it."""
    return replace(SETTINGS, lr=0.1) if what == "adalora" else SETTINGS


# EfficientNet-Lite0 up to the stages of LITE: its inverted residuals, from the published table
LITE0 = [  # name, width in, expanded, width out, kernel
    ("1.0", 16, 96, 24, 3),
    ("1.1", 24, 144, 24, 3),
    ("2.0", 24, 144, 40, 5),
    ("2.1", 40, 240, 40, 5),
    ("3.0", 40, 240, 80, 3),
    ("3.1", 80, 480, 80, 3),
    ("3.2", 80, 480, 80, 3),
    ("4.0", 80, 480, 112, 5),
    ("4.1", 112, 672, 112, 5),
    ("4.2", 112, 672, 112, 5),
]
POINT_LAYERS = {
    "attn.qkv": (96, 288),
    "attn.proj": (96, 96),
    "mlp.fc1": (96, 384),
    "mlp.fc2": (384, 96),
}
LAST = {"last_1": 1, "last_2": 2, "last_3": 3}


@pytest.fixture(scope="module")
def config(quick) -> Config:
    return quick.change(
        features__points__backbone="point_mae",
        features__points__groups=48,
        features__points__group_size=16,
        # no more than the batch before: other parts, in the last step of an epoch
        adaptation__local_bank=60,
        adaptation__global_bank=2,
    )


@pytest.fixture(scope="module")
def frozen(config) -> FeatureExtractor:
    return FeatureExtractor(config.features, seed=config.seed)


@pytest.fixture(scope="module")
def tuned(config, rings):
    """what -> FineTuned, each made once."""
    made = {}

    def make(what):
        if what not in made:
            made[what] = fine_tune(what, config, rings["train"], settings=settings(what))
        return made[what]

    return make


def counter(name: str) -> bool:
    return name.endswith(("running_mean", "running_var", "num_batches_tracked"))


def named(what: str, modality: str, names: list[str]) -> set[str]:
    """The weights that `what` promises to train, written down by hand."""
    if what == "all":
        behind = ("network.blocks.5.", "network.blocks.6.")  # after the last stage that is taken
        return {n for n in names if not counter(n) and not n.startswith(behind)}
    if what in LAST:
        if modality == "3d":
            starts = [f"blocks.blocks.{5 - i}." for i in range(LAST[what])]
        else:
            starts = [f"network.blocks.{row[0]}." for row in LITE0[-LAST[what] :]]
        return {n for n in names if n.startswith(tuple(starts)) and not counter(n)}
    if modality == "3d":
        return {f"blocks.blocks.{i}.{layer}.weight" for i in range(6) for layer in POINT_LAYERS}
    layers = {
        f"network.blocks.{row[0]}.{conv}.weight"
        for row in LITE0
        for conv in ("conv_pw", "conv_pwl")
    }
    return layers | {"network.blocks.0.0.conv_pw.weight"}


@pytest.mark.parametrize("what", EACH)
def test_exactly_the_named_weights_change(what, tuned, frozen):
    for modality in ("rgb", "3d"):
        old = frozen.network(modality).state_dict()
        new = tuned(what).extractor.network(modality).state_dict()
        assert list(old) == list(new)  # also: nothing of peft is left
        changed = {name for name in old if not torch.equal(old[name], new[name])}
        expected = named(what, modality, list(old))
        assert expected <= set(old)
        if what == "adalora":  # a layer that is pruned to rank 0 stays as it was
            assert changed
            assert changed <= expected
        else:
            assert changed == expected


@needs_peft
@pytest.mark.parametrize("what", ["lora", "adalora"])
def test_the_change_has_low_rank(what, tuned, frozen):
    for modality in ("rgb", "3d"):
        old = frozen.network(modality).state_dict()
        new = tuned(what).extractor.network(modality).state_dict()
        layers = named(what, modality, list(old))
        ranks = []
        for name in layers:
            singular = torch.linalg.svdvals((new[name] - old[name]).flatten(1).double())
            noise = 1e-6 * torch.linalg.svdvals(old[name].flatten(1).double())[0]  # of the sum
            ranks.append(int((singular > noise).sum()))
        if what == "lora":
            assert set(ranks) == {SETTINGS.rank}
        else:
            assert max(ranks) <= SETTINGS.start_rank
            assert 0 < sum(ranks) <= SETTINGS.rank * len(layers)


def test_counts_of_whole_blocks(config):
    """Weights of convolutions and matrices, and two numbers per channel of each norm."""
    points = sum(a * b for a, b in POINT_LAYERS.values()) + 96 + 384 + 96 + 2 * 2 * 96
    colour = [i * e + e * k * k + e * o + 2 * (e + e + o) for _, i, e, o, k in LITE0]
    for what, count in LAST.items():
        assert parameters(what, config) == {"rgb": sum(colour[-count:]), "3d": count * points}
    stem_and_first = 27 * 32 + 2 * 32 + 9 * 32 + 32 * 16 + 2 * (32 + 16)
    tokens = 3 * 64 + 64 + 64 * 128 + 128 + 256 * 256 + 256 + 256 * 96 + 96 + 2 * (64 + 256)
    position = 3 * 128 + 128 + 128 * 96 + 96
    whole = {"rgb": stem_and_first + sum(colour), "3d": tokens + position + 6 * points + 2 * 96}
    assert parameters("all", config) == whole


@needs_peft
def test_counts_of_low_rank(config):
    wide = [w for _, i, e, o, _ in LITE0 for w in (i + e, e + o)] + [32 + 16]
    deep = [a + b for a, b in POINT_LAYERS.values()] * 6
    counts = parameters("lora", config, SETTINGS)
    assert counts == {"rgb": 2 * sum(wide), "3d": 2 * sum(deep)}
    counts = parameters("adalora", config, SETTINGS)  # one more: the singular value
    assert counts == {"rgb": 3 * sum(w + 1 for w in wide), "3d": 3 * sum(w + 1 for w in deep)}


def test_trainable_counts_what_asks_for_a_gradient():
    layer = nn.Linear(3, 4)
    layer.bias.requires_grad_(False)
    assert trainable(layer) == 12


@pytest.mark.parametrize("what", EACH)
def test_the_start_is_the_frozen_network(what, config, frozen, rings):
    """What the loop sees before its first step is what the extractor says."""
    part = rings["train"][0]
    row = frozen(part)
    networks = {m: deepcopy(frozen.network(m)) for m in ("rgb", "3d")}
    for network in networks.values():
        make_trainable(what, network, SETTINGS)
    views = look(networks, part, row.foreground, config.features, "cpu")
    for modality, network in networks.items():
        expected = row.features[modality][row.foreground]
        described = describe(network, views[modality])
        assert described.requires_grad
        assert (described - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_cloud_is_thinned_in_training_as_in_scoring(config, rings):
    config = config.change(features__points__max_points=200, features__cache=False)
    views = []
    for seed in (0, 1):
        extractor, part = FeatureExtractor(config.features, seed=seed), rings["train"][0]
        row, network = extractor(part, ["3d"]), extractor.network("3d")
        view = look({"3d": network}, part, row.foreground, config.features, "cpu", seed)["3d"]
        expected = row.features["3d"][row.foreground]
        assert (describe(network, view) - expected).abs().max() < 1e-5 * expected.abs().max()
        views.append(view)
    assert not torch.equal(views[0].patches, views[1].patches)


@pytest.mark.parametrize("what", EACH)
def test_training_and_scoring_see_the_same_features(what, tuned, frozen, rings):
    """The loop's features at the end against the extractor that scores, with merged networks."""
    result, part = tuned(what), rings["train"][1]
    before, after = frozen(part), result.extractor(part)
    for modality in ("rgb", "3d"):
        loop = result.features.features[modality][1][before.foreground]
        scoring = after.features[modality][before.foreground]
        size = scoring.abs().max()
        assert (loop - scoring).abs().max() < 1e-5 * size
        assert (scoring - before.features[modality][before.foreground]).abs().max() > 1e-3 * size


@needs_peft
@pytest.mark.parametrize("what", ["lora", "adalora"])
def test_low_rank_additions_are_merged_exactly(what, config, frozen, rings):
    """With matrices that are not zero, before and after they become part of the weights."""
    row = frozen(rings["train"][0])
    for modality in ("rgb", "3d"):
        network = deepcopy(frozen.network(modality))
        view = look({modality: network}, rings["train"][0], row.foreground, config.features, "cpu")
        model = make_trainable(what, network, SETTINGS)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in network.parameters():
                if p.requires_grad:
                    p.copy_(0.3 * torch.randn(p.shape, generator=generator))
            apart = describe(network, view[modality])
            model.merge_and_unload()
            merged = describe(network, view[modality])
        size = float(apart.abs().max())
        assert (apart - row.features[modality][row.foreground]).abs().max() > 0.1 * size
        torch.testing.assert_close(apart, merged, rtol=0, atol=1e-4 * size)


@needs_peft
def test_orthogonality():
    layer = nn.Module()
    layer.lora_A = nn.Parameter(torch.tensor([[3.0, 0.0], [0.0, 1.0]]))  # AA' - I = diag(8, 0)
    layer.lora_B = nn.Parameter(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))  # B'B - I = swap
    layer.other = nn.Parameter(torch.full((2, 2), 100.0))
    assert orthogonality(layer).item() == pytest.approx((8 + 2**0.5) / 2)


def files() -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in cache_folder().rglob("*") if p.is_file()}


def test_the_cache_is_not_touched(config, rings, tmp_path, monkeypatch):
    monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
    stack = FeatureExtractor(config.features, seed=config.seed).stack(rings["train"])
    kept = files()
    assert len(kept) == 2 * len(rings["train"])
    fine_tune("last_1", config, rings["train"], settings=SETTINGS)
    assert files() == kept
    again = FeatureExtractor(config.features, seed=config.seed).stack(rings["train"])
    assert all(torch.equal(again.features[m], stack.features[m]) for m in stack.features)


@needs_peft
def test_same_seed_same_features(config, rings, tuned):
    again = fine_tune("adalora", config, rings["train"], settings=settings("adalora"))
    once = tuned("adalora")
    for modality in ("rgb", "3d"):
        assert torch.equal(again.features.features[modality], once.features.features[modality])


@needs_peft
def test_the_seed_draws_the_low_rank_matrices(frozen):
    def drawn(seed):
        network = deepcopy(frozen.network("3d"))
        make_trainable("lora", network, SETTINGS, seed)
        return [p for p in network.parameters() if p.requires_grad]

    first = drawn(0)
    torch.rand(3)  # the caller's random numbers play no part
    assert all(torch.equal(a, b) for a, b in zip(first, drawn(0), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, drawn(1), strict=True))


@pytest.mark.parametrize("what", ["last_3", "all"])
def test_compactness_goes_down(what, config, rings, still):
    """Compactness alone, so that no head helps, against the same batches without training."""
    alone = config.change(adaptation__consistency=0.0)
    moved = fine_tune(what, alone, rings["train"], settings=replace(SETTINGS, steps=6)).history
    assert moved[1]["total"] == pytest.approx(still[1]["total"], rel=1e-4)
    assert moved[-1]["total"] < 0.95 * still[-1]["total"]


@pytest.fixture(scope="module")
def still(config, rings):
    alone = config.change(adaptation__consistency=0.0)
    how = replace(SETTINGS, steps=6, lr=0.0)
    history = fine_tune("last_1", alone, rings["train"], settings=how).history
    assert history[-1]["total"] > 1.0
    return history


@pytest.mark.parametrize("what", EACH)
def test_alignment_goes_down(what, tuned):
    history = tuned(what).history
    assert history[-1]["local_alignment"] < 0.98 * history[0]["local_alignment"]


@needs_peft
def test_colour_alone(quick, rings):
    """FPFH is no matter then. The first step has no loss, since the banks are empty."""
    parts = [without(s, "xyz") for s in rings["train"]]
    one = quick.change(modalities=("rgb",))
    result = fine_tune("adalora", one, parts, settings=settings("adalora"))
    assert list(result.features.features) == ["rgb"]


@needs_peft
def test_parts_without_colour_train_the_shape_alone(config, frozen, rings):
    parts = [without(s, "rgb") for s in rings["train"]]
    result = fine_tune("adalora", config, parts, settings=settings("adalora"))
    assert list(result.features.features) == ["3d"]
    old = frozen.network("3d").state_dict()
    new = result.extractor.network("3d").state_dict()
    assert any(not torch.equal(old[name], new[name]) for name in old)


def test_recomputing_changes_nothing_but_memory(config, rings, tuned):
    saving = replace(SETTINGS, recompute=True)
    a = fine_tune("all", config, rings["train"], settings=saving).features.features
    for modality in ("rgb", "3d"):
        values = tuned("all").features.features[modality]
        torch.testing.assert_close(
            a[modality], values, rtol=0, atol=1e-3 * float(values.abs().max())
        )


def asks(network: nn.Module) -> set[str]:
    return {name for name, p in network.named_parameters() if p.requires_grad}


@needs_peft
def test_a_vit():
    config = ImageConfig(backbone="vit_tiny_patch16_224", weights="random")
    network = ImageBackbone(config, image_size=32, grid=2)
    make_trainable("last_2", network)
    assert {name.split(".")[2] for name in asks(network)} == {"10", "11"}
    make_trainable("all", network)
    assert asks(network) == {name for name, _ in network.named_parameters()}
    make_trainable("lora", network, SETTINGS)
    assert trainable(network) == 12 * 2 * (192 + 576 + 192 + 192 + 2 * (192 + 768))


def test_another_cnn_stops_at_the_last_stage_taken():
    config = ImageConfig(backbone="resnet18", weights="random", stages=(1, 2))
    network = ImageBackbone(config, image_size=64, grid=4)
    make_trainable("last_2", network)
    assert {name.split(".")[1] + name.split(".")[2] for name in asks(network)} == {
        "layer20",
        "layer21",
    }


def test_point_blocks_behind_the_last_layer_taken_are_left_alone():
    network = PointMAE(PointConfig(width=12, heads=2, depth=4, layers=(0, 2)))
    make_trainable("last_1", network)
    assert {name.split(".")[2] for name in asks(network)} == {"2"}
    make_trainable("all", network)
    assert not any(name.startswith("blocks.blocks.3") for name in asks(network))


def test_unknown_name(config, rings):
    with pytest.raises(ValueError, match=r"'last_4'.*last_1, last_2, last_3, all, lora, adalora"):
        fine_tune("last_4", config, rings["train"])


def test_fpfh_has_nothing_to_train(quick, rings):
    with pytest.raises(ValueError, match="point_mae"):
        fine_tune("last_1", quick, rings["train"])


def test_fewer_blocks_than_asked_for():
    network = PointMAE(PointConfig(width=12, heads=2, depth=2, layers=(1,)))
    with pytest.raises(ValueError, match="has 2 blocks"):
        make_trainable("last_3", network)


@needs_peft
@pytest.mark.parametrize("bad", [{"steps": 2}, {"rank": 6}])
def test_adalora_must_have_something_to_prune(bad):
    network = PointMAE(PointConfig(width=12, heads=2, depth=2, layers=(1,)))
    with pytest.raises(ValueError, match="start_rank"):
        make_trainable("adalora", network, FineTuneConfig(**bad))

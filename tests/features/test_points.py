"""Point-MAE against a forward pass by hand, its loading, and the cloud around it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Pretend
from safetensors.torch import save_file
from scipy.special import erf
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.config import PAPER, PointConfig
from lsfa_lite.features import point_weights
from lsfa_lite.features.point_weights import PACKAGE_WEIGHTS, published_weights
from lsfa_lite.features.points import (
    PointMAE,
    describe_clouds,
    describe_points,
    group,
    load_point_mae,
    thin,
    to_unit_sphere,
)

TINY = PointConfig(
    weights="random",
    groups=6,
    group_size=5,
    width=8,
    token_hidden=4,
    depth=3,
    heads=2,
    layers=(0, 2),
)


def cloud(points: int = 200, seed: int = 0) -> torch.Tensor:
    """A piece of a sphere half a metre away, in metres."""
    generator = torch.Generator().manual_seed(seed)
    xy = 0.04 * (torch.rand(points, 2, generator=generator) - 0.5)
    return torch.cat([xy, 0.5 + (xy**2).sum(dim=1, keepdim=True) * 10], dim=1)


def shaken(config: PointConfig = TINY, seed: int = 3) -> PointMAE:
    """A model in which no parameter and no running statistic has its neutral value."""
    model = load_point_mae(config)
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            noise = torch.randn(value.shape, generator=generator)
            value.copy_(0.5 + noise.abs() if "running_var" in name else value + 0.3 * noise)
    return model


# ---- the network, by hand: loops and float64, written from the architecture ----


def by_hand(
    model: PointMAE, config: PointConfig, groups: np.ndarray, centres: np.ndarray
) -> np.ndarray:
    """One cloud, groups (G,K,3), centres (G,3) -> (G,D')."""
    p = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        weight = p[f"{name}.weight"]
        out = x @ weight.reshape(weight.shape[0], -1).T
        return out + p[f"{name}.bias"] if f"{name}.bias" in p else out

    def batch_norm(x: np.ndarray, name: str) -> np.ndarray:  # x (G,K,C)
        if config.batch_norm == "batch":
            mean, variance = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
        else:
            mean, variance = p[f"{name}.running_mean"], p[f"{name}.running_var"]
        return (x - mean) / np.sqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def layer_norm(x: np.ndarray, name: str) -> np.ndarray:
        mean, variance = x.mean(axis=1, keepdims=True), x.var(axis=1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return x * (1 + erf(x / np.sqrt(2))) / 2

    def attention(x: np.ndarray, name: str) -> np.ndarray:
        width = config.width // config.heads
        query, key, value = np.split(linear(x, f"{name}.qkv"), 3, axis=1)
        out = np.zeros_like(x)
        for head in range(config.heads):
            own = slice(head * width, (head + 1) * width)
            for i in range(len(x)):
                score = np.array([query[i, own] @ key[j, own] for j in range(len(x))])
                weight = np.exp(score / np.sqrt(width))
                out[i, own] = (weight / weight.sum()) @ value[:, own]
        return linear(out, f"{name}.proj")

    local = np.maximum(
        batch_norm(linear(groups, "encoder.first_conv.0"), "encoder.first_conv.1"), 0
    )
    local = linear(local, "encoder.first_conv.3")
    whole = np.repeat(local.max(axis=1, keepdims=True), groups.shape[1], axis=1)
    both = linear(np.concatenate([whole, local], axis=2), "encoder.second_conv.0")
    both = linear(np.maximum(batch_norm(both, "encoder.second_conv.1"), 0), "encoder.second_conv.3")
    x = both.max(axis=1)
    position = linear(gelu(linear(centres, "pos_embed.0")), "pos_embed.2")
    chosen = []
    for i in range(config.depth):
        name = f"blocks.blocks.{i}"
        x = x + position
        x = x + attention(layer_norm(x, f"{name}.norm1"), f"{name}.attn")
        hidden = gelu(linear(layer_norm(x, f"{name}.norm2"), f"{name}.mlp.fc1"))
        x = x + linear(hidden, f"{name}.mlp.fc2")
        if i in config.layers:
            chosen.append(layer_norm(x, "norm"))
    return np.concatenate(chosen, axis=1)


@pytest.mark.parametrize("kind", ["running", "batch"])
def test_forward_agrees_with_a_forward_by_hand(kind: str) -> None:
    config = dataclasses.replace(TINY, batch_norm=kind)
    """In double precision: another epsilon of a norm, timm's own say, would be seen."""
    model = shaken(config).double()
    sphere = to_unit_sphere(cloud()).double()
    groups, centres, _ = group(sphere, config.groups, config.group_size)
    got = model(groups[None], centres[None])[0]
    expected = by_hand(model, config, groups.numpy(), centres.numpy())
    assert got.shape == (6, 16)
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-9, atol=1e-9)


def test_running_statistics_keep_the_clouds_of_a_batch_apart_and_batch_ones_do_not() -> None:
    pairs = [group(to_unit_sphere(cloud(seed=s)), 6, 5)[:2] for s in (0, 1)]
    groups, centres = (torch.stack(column) for column in zip(*pairs, strict=True))
    for kind, apart in (("running", True), ("batch", False)):
        model = shaken(dataclasses.replace(TINY, batch_norm=kind))
        alone, together = model(groups[:1], centres[:1]), model(groups, centres)[:1]
        assert torch.allclose(alone, together, atol=1e-5) == apart


def test_batch_statistics_do_not_move_the_running_ones() -> None:
    model = shaken(dataclasses.replace(TINY, batch_norm="batch"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    describe_points(model, cloud(), TINY)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_groups_do_not_depend_on_the_order_of_their_points() -> None:
    model = shaken()
    groups, centres, _ = group(to_unit_sphere(cloud()), 6, 5)
    turned = model(groups.flip(1)[None], centres[None])
    torch.testing.assert_close(turned, model(groups[None], centres[None]))


def test_bad_architectures_are_refused() -> None:
    with pytest.raises(ValueError, match="heads = 3: expected a divisor of width = 8"):
        dataclasses.replace(TINY, heads=3)
    with pytest.raises(ValueError, match=r"layers = \(1, 3\): expected blocks 0..2"):
        dataclasses.replace(TINY, layers=(1, 3))


# ---- from a cloud to features ----


def test_centres_are_points_of_the_cloud_in_metres() -> None:
    points = cloud()
    centres, features = describe_points(shaken(), points, TINY)
    assert features.shape == (6, 16)
    assert torch.isfinite(features).all()
    assert not features.requires_grad
    assert all((points == centre).all(dim=1).any() for centre in centres)


def test_unit_sphere_makes_features_blind_to_size_and_place() -> None:
    model, points = shaken(), cloud()
    other = 3 * points + torch.tensor([0.1, -0.2, 0.3])
    _, features = describe_points(model, points, TINY)
    torch.testing.assert_close(
        describe_points(model, other, TINY)[1], features, atol=1e-3, rtol=1e-3
    )
    metres = dataclasses.replace(TINY, point_norm="none")
    _, raw = describe_points(model, points, metres)
    assert not torch.allclose(describe_points(model, other, metres)[1], raw, atol=1e-2)


def test_unit_sphere_touches_one_and_survives_a_single_place() -> None:
    normalised = to_unit_sphere(cloud())
    torch.testing.assert_close(normalised.norm(dim=1).max(), torch.tensor(1.0))
    torch.testing.assert_close(normalised.mean(dim=0), torch.zeros(3), atol=1e-5, rtol=0)
    assert torch.isfinite(to_unit_sphere(torch.full((4, 3), 0.5))).all()


def test_large_clouds_are_thinned_the_same_way_each_time() -> None:
    points = cloud(500)
    fewer = thin(points, 100, seed=1)
    assert len(fewer) == 100
    assert torch.equal(fewer, thin(points, 100, seed=1))
    assert not torch.equal(fewer, thin(points, 100, seed=2))
    assert torch.equal(thin(points, 0), points)
    assert torch.equal(thin(points, 500), points)
    limited = dataclasses.replace(TINY, max_points=100)
    centres, _ = describe_points(shaken(), points, limited)
    kept = thin(points, 100)
    assert all((kept == centre).all(dim=1).any() for centre in centres)


def test_the_callers_random_numbers_stay_as_they_were() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    describe_points(load_point_mae(TINY), cloud(), dataclasses.replace(TINY, max_points=50))
    assert torch.equal(torch.rand(1), expected)


def test_bad_clouds_are_refused() -> None:
    model = shaken()
    with pytest.raises(ValueError, match="4 points cannot give 6 centres"):
        describe_points(model, cloud(4), TINY)
    for bad in (torch.nan, torch.inf):
        points = cloud()
        points[3, 1] = bad
        with pytest.raises(ValueError, match="NaN or Inf"):
            describe_points(model, points, TINY)


@pytest.mark.parametrize("norm", ["none", "unit_sphere"])
@pytest.mark.parametrize("kind", ["running", "batch"])
@pytest.mark.parametrize("sizes", [(200, 40, 90), (200, 150), (7,)])
def test_clouds_at_once_are_described_as_each_alone(norm, kind, sizes) -> None:
    """Some are thinned, some filled up; a cloud's batch statistics are its own."""
    config = dataclasses.replace(TINY, point_norm=norm, batch_norm=kind, max_points=100)
    model = shaken(config)
    clouds = [cloud(size, seed) * (seed + 1) for seed, size in enumerate(sizes)]
    together = describe_clouds(model, clouds, config, seed=4)
    assert len(together) == len(clouds)
    for points, (centres, features) in zip(clouds, together, strict=True):
        expected = describe_points(model, points, config, seed=4)
        assert torch.equal(centres, expected[0])
        torch.testing.assert_close(features, expected[1], rtol=1e-4, atol=1e-5)


def test_a_bad_cloud_of_several_is_named() -> None:
    model, bad = shaken(), cloud()
    bad[3, 1] = torch.nan
    with pytest.raises(ValueError, match="cloud 1: points has NaN or Inf"):
        describe_clouds(model, [cloud(), bad], TINY)
    with pytest.raises(ValueError, match="cloud 0: 4 points cannot give 6 centres"):
        describe_clouds(model, [cloud(4), cloud(5)], TINY)
    few = dataclasses.replace(TINY, groups=3)
    with pytest.raises(ValueError, match="b: 4 points cannot give 5 neighbours"):
        describe_clouds(model, [cloud(), cloud(4)], few, names=["a", "b"])


def test_several_clouds_take_little_more_than_the_launches_of_one() -> None:
    config = dataclasses.replace(TINY, groups=64, max_points=150)
    model, clouds = shaken(config), [cloud(100 + 20 * seed, seed) for seed in range(8)]
    with Pretend() as device:
        model.to(DEVICE)
        moved = [points.to(DEVICE) for points in clouds]
        device.forget()
        describe_points(model, moved[0], config)
        alone = device.launches
        device.forget()
        describe_clouds(model, moved, config)
        assert device.launches < 2 * alone
        assert device.counts()["waits"] == 1  # are they finite?


@pytest.mark.parametrize("norm", ["none", "unit_sphere"])
@pytest.mark.parametrize("kind", ["running", "batch"])
def test_the_whole_path_runs_on_the_device_of_the_cloud(norm: str, kind: str) -> None:
    config = dataclasses.replace(TINY, point_norm=norm, batch_norm=kind)
    with FakeTensorMode(allow_non_fake_inputs=False):
        with torch.device("cuda"):
            model = PointMAE(config).eval()
        groups, centres = (
            torch.empty(1, 6, 5, 3, device="cuda"),
            torch.empty(1, 6, 3, device="cuda"),
        )
        features = model(groups, centres)
        assert features.device.type == "cuda"
        assert features.shape == (1, 6, 16)
        points = to_unit_sphere(torch.empty(50, 3, device="cuda"))
        assert all(part.device.type == "cuda" for part in group(points, 6, 5))
        with pytest.raises(RuntimeError, match="device"):
            model(groups.cpu(), centres)


# ---- weights ----


def published(config: PointConfig, prefix: str = "", seed: int = 0) -> dict:
    """A checkpoint in the layout of Point-MAE's release, encoder and decoder, by name and shape."""
    width, hidden, generator = (
        config.width,
        config.token_hidden,
        torch.Generator().manual_seed(seed),
    )
    shapes: dict[str, tuple[int, ...]] = {}
    for conv, sizes in (("first", (3, 1, 2)), ("second", (4, 4, None))):
        start = sizes[0] if conv == "first" else 4 * hidden
        middle = sizes[1] * hidden
        end = 2 * hidden if conv == "first" else width
        name = f"MAE_encoder.encoder.{conv}_conv"
        shapes |= {f"{name}.0.weight": (middle, start, 1), f"{name}.0.bias": (middle,)}
        shapes |= {
            f"{name}.1.{k}": (middle,) for k in ("weight", "bias", "running_mean", "running_var")
        }
        shapes |= {f"{name}.1.num_batches_tracked": ()}
        shapes |= {f"{name}.3.weight": (end, middle, 1), f"{name}.3.bias": (end,)}
    for place in ("MAE_encoder.pos_embed", "decoder_pos_embed"):
        shapes |= {f"{place}.0.weight": (128, 3), f"{place}.0.bias": (128,)}
        shapes |= {f"{place}.2.weight": (width, 128), f"{place}.2.bias": (width,)}
    stacks = [f"MAE_encoder.blocks.blocks.{i}" for i in range(config.depth)]
    for name in [*stacks, "MAE_decoder.blocks.0"]:
        for norm in ("norm1", "norm2"):
            shapes |= {f"{name}.{norm}.weight": (width,), f"{name}.{norm}.bias": (width,)}
        shapes |= {f"{name}.attn.qkv.weight": (3 * width, width)}
        shapes |= {f"{name}.attn.proj.weight": (width, width), f"{name}.attn.proj.bias": (width,)}
        shapes |= {
            f"{name}.mlp.fc1.weight": (4 * width, width),
            f"{name}.mlp.fc1.bias": (4 * width,),
        }
        shapes |= {f"{name}.mlp.fc2.weight": (width, 4 * width), f"{name}.mlp.fc2.bias": (width,)}
    for name in ("MAE_encoder.norm", "MAE_decoder.norm"):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    shapes |= {"mask_token": (1, 1, width)}
    shapes |= {"increase_dim.0.weight": (3 * 32, width, 1), "increase_dim.0.bias": (3 * 32,)}
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        whole_number = name.endswith("num_batches_tracked")
        random = torch.rand(shape, generator=generator) + 0.1
        tensors[prefix + name] = torch.tensor(7) if whole_number else random
    return {"base_model": tensors, "epoch": 300}


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_published_layout_loads(tmp_path: Path, prefix: str) -> None:
    checkpoint = published(TINY, prefix)
    torch.save(checkpoint, tmp_path / "pretrain.pth")
    config = dataclasses.replace(TINY, weights=str(tmp_path / "pretrain.pth"))
    model = load_point_mae(config)
    for name, value in model.state_dict().items():
        assert torch.equal(value, checkpoint["base_model"][f"{prefix}MAE_encoder.{name}"]), name
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert torch.isfinite(describe_points(model, cloud(), config)[1]).all()


def test_the_layout_at_the_size_of_the_paper_has_the_published_shapes() -> None:
    config = PAPER.features.points
    with torch.device("meta"):
        model = PointMAE(config)
    given = published_weights(published(config))
    assert {k: v.shape for k, v in given.items()} == {
        k: v.shape for k, v in model.state_dict().items()
    }
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(21.8e6, rel=0.005)
    assert model.width == 1152


def refused(tmp_path: Path, checkpoint: object) -> str:
    path = tmp_path / "pretrain.pth"
    torch.save(checkpoint, path)
    with pytest.raises(ValueError, match=r"pretrain\.pth") as error:
        load_point_mae(dataclasses.replace(TINY, weights=str(path)))
    return str(error.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    checkpoint = published(TINY, "module.")
    for name in ("norm.bias", "blocks.blocks.1.attn.qkv.weight"):
        del checkpoint["base_model"][f"module.MAE_encoder.{name}"]
    message = refused(tmp_path, checkpoint)
    assert "missing: blocks.blocks.1.attn.qkv.weight, norm.bias" in message


def test_an_unexpected_key_is_named(tmp_path: Path) -> None:
    checkpoint = published(TINY)
    checkpoint["base_model"]["MAE_encoder.cls_token"] = torch.zeros(1)
    assert "unexpected: cls_token" in refused(tmp_path, checkpoint)
    checkpoint = published(TINY, "module.")
    checkpoint["base_model"]["module.cls_head_finetune.0.weight"] = torch.zeros(1)
    assert "unexpected: cls_head_finetune.0.weight" in refused(tmp_path, checkpoint)


def test_a_wrong_shape_is_named(tmp_path: Path) -> None:
    message = refused(tmp_path, published(dataclasses.replace(TINY, width=16)))
    assert "encoder.second_conv.3.weight has shape (16, 16, 1), expected (8, 16, 1)" in message
    deeper = refused(tmp_path, published(dataclasses.replace(TINY, depth=4)))
    assert "unexpected: blocks.blocks.3.norm1.weight" in deeper


def test_other_checkpoints_are_refused(tmp_path: Path) -> None:
    assert '"base_model"' in refused(tmp_path, {"model": {}})
    assert "refused" in refused(
        tmp_path, {"base_model": {}, "options": TINY}
    )  # needs code to unpickle
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 half of a file")
    with pytest.raises(ValueError, match=r"cut\.pth.*download it again"):
        load_point_mae(dataclasses.replace(TINY, weights=str(tmp_path / "cut.pth")))
    with pytest.raises(FileNotFoundError, match=r"none\.pth.*Point-MAE/releases"):
        load_point_mae(dataclasses.replace(TINY, weights=str(tmp_path / "none.pth")))


def test_a_bare_name_is_found_from_everywhere(tmp_path: Path, monkeypatch) -> None:
    """PAPER's "pretrain.pth": where one stands, else in the folder of weights; else an error."""
    mine, here = tmp_path / "weights", tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("LSFA_WEIGHTS", str(mine))
    monkeypatch.chdir(here)
    assert point_weights.weights_folder() == mine
    config = dataclasses.replace(TINY, weights="own.safetensors")
    with pytest.raises(FileNotFoundError) as error:
        load_point_mae(config)
    for words in ("own.safetensors and ", str(mine), "download_weights.py point-mae"):
        assert words in str(error.value)
    mine.mkdir()
    save_file(shaken().state_dict(), mine / "own.safetensors")
    expected = shaken().state_dict()["norm.bias"]
    assert torch.equal(load_point_mae(config).norm.bias, expected)
    save_file(shaken(seed=4).state_dict(), here / "own.safetensors")
    assert not torch.equal(load_point_mae(config).norm.bias, expected)
    assert point_weights.find_weights(str(mine / "own.safetensors")) == mine / "own.safetensors"


def test_the_folder_of_weights_is_the_users(monkeypatch) -> None:
    monkeypatch.delenv("LSFA_WEIGHTS", raising=False)
    assert point_weights.weights_folder().is_absolute()
    assert point_weights.weights_folder().parts[-2:] == ("lsfa-lite", "weights")


def test_safetensors_load_and_must_fit(tmp_path: Path) -> None:
    model = shaken()
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    config = dataclasses.replace(TINY, weights=str(tmp_path / "own.safetensors"))
    loaded = load_point_mae(config)
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    with pytest.raises(
        ValueError, match=r"own\.safetensors does not fit .*missing: blocks\.blocks\.3"
    ):
        load_point_mae(dataclasses.replace(config, depth=4))


def test_random_weights_come_from_the_seed() -> None:
    first, again, other = (load_point_mae(TINY, seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["pos_embed.0.weight"], other["pos_embed.0.weight"])


def test_the_weights_of_the_package_fit_the_default_and_know_their_origin() -> None:
    model = load_point_mae(PointConfig())
    assert PACKAGE_WEIGHTS.stat().st_size < 4e6
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    card = json.loads(PACKAGE_WEIGHTS.with_suffix(".json").read_text())
    assert card["command"].startswith("python data_scripts/pretrain_point_mae.py")
    assert isinstance(card["seed"], int)
    losses = [row[1] for row in card["curve"]["rows"]]
    assert losses[-1] < 0.8 * losses[0]

"""The frozen colour network: real weights recognise real pictures, tokens fit the grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.config import PAPER, ImageConfig
from lsfa_lite.features import image
from lsfa_lite.features.image import ImageBackbone, package_weights, smooth, to_grid


def tiny(weights: str = "random", backbone: str = "vit_tiny_patch16_224", **other) -> ImageConfig:
    return ImageConfig(backbone=backbone, weights=weights, **other)


def picture(name: str) -> torch.Tensor:
    """A photograph inside scikit-image's wheel: short side to 256, bicubic, centre 224, 0..1."""
    photo = Image.fromarray(getattr(data, name)())
    scale = 256 / min(photo.size)
    width, height = (round(side * scale) for side in photo.size)
    photo = photo.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - 224) // 2, (height - 224) // 2
    array = np.array(photo.crop((left, top, left + 224, top + 224)), dtype=np.float32) / 255
    return torch.from_numpy(array).permute(2, 0, 1)[None]


# Real weights --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classifier() -> torch.nn.Module:
    network = timm.create_model("tf_efficientnet_lite0")
    report = network.load_state_dict(package_weights(), strict=False)
    assert not report.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in report.missing_keys)
    return network.eval()


@pytest.mark.parametrize(
    ("name", "classes", "expected"),
    [("coffee", {967}, 0.951), ("chelsea", {281, 282, 285}, 0.909), ("rocket", {657}, 0.298)],
    ids=["espresso", "tabby, tiger or Egyptian cat", "missile"],
)
@torch.no_grad()
def test_package_weights_recognise(
    classifier: torch.nn.Module, name: str, classes: set[int], expected: float
) -> None:
    probability = classifier((picture(name) - 0.5) / 0.5).softmax(dim=1)[0]
    assert int(probability.argmax()) in classes
    assert probability[list(classes)].sum().item() == pytest.approx(expected, abs=0.01)


def test_package_weights_are_complete() -> None:
    assert len(package_weights()) == 247


@torch.no_grad()
def test_features_are_those_of_the_classifier(classifier: torch.nn.Module) -> None:
    """The stages of the feature network, from the classifier's own blocks; normalised inside."""
    colour = picture("coffee")
    backbone = ImageBackbone(ImageConfig(stages=(2, 3), smooth=1), 224, grid=28)
    x = classifier.bn1(classifier.conv_stem((colour - 0.5) / 0.5))
    stages = {}
    for number, block in enumerate(classifier.blocks):
        x = block(x)
        stages[number] = x
    fine, coarse = stages[2], stages[4]
    assert fine.shape == (1, 40, 28, 28)
    assert coarse.shape == (1, 112, 14, 14)
    got = backbone(colour)
    assert got.shape == (1, 784, 152)
    assert backbone.width == 152
    # row-major: patch row * 28 + column
    torch.testing.assert_close(got[0, 5 * 28 + 9, :40], fine[0, :, 5, 9], rtol=1e-4, atol=1e-4)
    # the coarse stage lies between four of its cells: 28 -> 14 puts patch 5 at cell 2.25
    near = coarse[0, :, 2:4, 4:6]
    mixed = torch.einsum("dvu,v,u->d", near, torch.tensor([0.75, 0.25]), torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(got[0, 5 * 28 + 9, 40:], mixed, rtol=1e-4, atol=1e-4)


def test_mean_and_std_come_from_the_config() -> None:
    colour = torch.rand(1, 3, 64, 64)
    config = dict(backbone="resnet18", weights="random", stages=(1,), smooth=1)
    plain = ImageBackbone(ImageConfig(**config, mean=(0, 0, 0), std=(1, 1, 1)), 64, 16)
    scaled = ImageBackbone(ImageConfig(**config, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7)), 64, 16)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.6, 0.7])
    by_hand = (colour - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(scaled(colour), plain(by_hand))


# Tokens and stages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backbone", "prefix", "size", "side"),
    [
        ("vit_tiny_patch16_224", 1, 224, 14),
        ("vit_tiny_patch16_224", 1, 64, 4),
        ("deit_tiny_distilled_patch16_224", 2, 64, 4),
        ("vit_small_patch14_reg4_dinov2", 5, 56, 4),
        ("vit_medium_patch16_gap_256", 0, 64, 4),
    ],
)
@torch.no_grad()
def test_prefix_tokens_are_dropped(backbone: str, prefix: int, size: int, side: int) -> None:
    phi = ImageBackbone(tiny(backbone=backbone, smooth=1), size, grid=side)
    assert phi.transformer
    assert phi.network.num_prefix_tokens == prefix
    colour = torch.rand(2, 3, size, size)
    tokens = phi.network.forward_features((colour - 0.5) / 0.5)
    assert tokens.shape[1] == prefix + side * side
    assert torch.equal(phi(colour), tokens[:, prefix:])


def test_dino_vit_gives_784_tokens_of_768() -> None:
    config = ImageConfig(backbone=PAPER.features.image.backbone, weights="random", smooth=1)
    with torch.device("meta"):  # the paper's network in full, shapes only
        phi = ImageBackbone(config, 224, grid=56)
        colour = torch.empty(2, 3, 224, 224)
        assert phi.network.forward_features(colour).shape == (2, 785, 768)
        assert phi(colour).shape == (2, 3136, 768)
    assert phi.network.patch_embed.grid_size == (28, 28)
    assert phi.width == 768


@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "tf_efficientnet_lite0"])
def test_stays_on_its_device(backbone: str) -> None:
    phi = ImageBackbone(tiny(backbone=backbone, stages=(2, 3)), 64, grid=8)
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        tensors = {**dict(phi.named_parameters()), **dict(phi.named_buffers())}
        on_gpu = {name: mode.from_tensor(t).to("cuda") for name, t in tensors.items()}
        colour = torch.empty(2, 3, 64, 64, device="cuda")
        features = torch.func.functional_call(phi, on_gpu, colour)
    assert features.shape == (2, 64, phi.width)
    assert features.device.type == "cuda"


@torch.no_grad()
def test_the_final_norm_is_applied() -> None:
    """LayerNorm as it is initialised (scale 1, shift 0): each token has mean 0 and variance 1."""
    features = ImageBackbone(tiny(smooth=1), 64, grid=4)(torch.rand(1, 3, 64, 64))
    torch.testing.assert_close(features.mean(dim=-1), torch.zeros(1, 16), rtol=0, atol=1e-4)
    torch.testing.assert_close(
        features.var(dim=-1, correction=0), torch.ones(1, 16), rtol=1e-3, atol=0
    )


@torch.no_grad()
def test_56_is_28_with_each_token_four_times() -> None:
    phi, fine = (ImageBackbone(tiny(smooth=1), 64, grid) for grid in (4, 8))
    colour = torch.rand(1, 3, 64, 64)
    tokens = phi(colour).reshape(4, 4, -1)
    expected = tokens.repeat_interleave(2, 0).repeat_interleave(2, 1).reshape(1, 64, -1)
    torch.testing.assert_close(fine(colour), expected)


def test_a_finer_stage_is_averaged() -> None:
    maps = torch.rand(1, 2, 8, 8)
    expected = maps.reshape(1, 2, 4, 2, 4, 2).mean(dim=(3, 5))
    for nearest in (True, False):
        torch.testing.assert_close(to_grid(maps, 4, nearest), expected)
        assert torch.equal(to_grid(maps, 8, nearest), maps)


def test_a_coarser_stage_is_bilinear() -> None:
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert to_grid(ramp, 8, nearest=False)[0, 0, 0].tolist() == [
        0.0,
        0.25,
        0.75,
        1.25,
        1.75,
        2.25,
        2.75,
        3.0,
    ]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_smooth_is_the_mean_of_the_neighbours_that_exist(size: int) -> None:
    maps = torch.rand(1, 2, 6, 7)
    got = smooth(maps, size)
    reach = size // 2
    for v in range(6):
        for u in range(7):
            rows = slice(max(v - reach, 0), v + reach + 1)
            columns = slice(max(u - reach, 0), u + reach + 1)
            expected = maps[0, :, rows, columns].mean(dim=(1, 2))
            torch.testing.assert_close(got[0, :, v, u], expected)


@torch.no_grad()
def test_smooth_three_is_used_by_the_backbone() -> None:
    colour = torch.rand(1, 3, 64, 64)
    plain, smoothed = (ImageBackbone(tiny(smooth=s), 64, grid=4)(colour) for s in (1, 3))
    corner = plain.reshape(4, 4, -1)[:2, :2].mean(dim=(0, 1))
    torch.testing.assert_close(smoothed[0, 0], corner)


# Seeded and frozen ---------------------------------------------------------------------------


def test_random_weights_are_seeded_and_leave_the_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, same, other = (ImageBackbone(tiny(), 64, 4, seed=s).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[name], same[name]) for name in one)
    name = "network.patch_embed.proj.weight"
    assert not torch.equal(one[name], other[name])


@torch.no_grad()
def test_frozen_even_after_train() -> None:
    phi = ImageBackbone(ImageConfig(stages=(2, 3)), 64, grid=8)
    assert not any(p.requires_grad for p in phi.parameters())
    before = {name: t.clone() for name, t in phi.state_dict().items()}
    colour = torch.rand(4, 3, 64, 64)
    expected = phi(colour)
    torch.nn.Sequential(phi).train()
    assert not any(module.training for module in phi.modules())
    torch.testing.assert_close(phi(colour), expected, rtol=0, atol=0)
    assert all(torch.equal(before[name], t) for name, t in phi.state_dict().items())


# Weights from files --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("backbone", ["vit_tiny_patch16_224", "convnext_atto"])
@torch.no_grad()
def test_a_file_of_the_whole_network_is_read(tmp_path: Path, suffix: str, backbone: str) -> None:
    torch.manual_seed(3)
    whole = timm.create_model(backbone).eval()  # with classifier and all stages
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in whole.state_dict().items()}}, path)
    else:
        save_file(whole.state_dict(), path)
    size = 224
    phi = ImageBackbone(tiny(str(path), backbone, stages=(1,), smooth=1), size, grid=14)
    colour = torch.rand(1, 3, size, size)
    normalised = (colour - 0.5) / 0.5
    if phi.transformer:
        expected = whole.forward_features(normalised)[:, 1:]
    else:
        x = whole.stages[1](whole.stages[0](whole.stem(normalised)))
        expected = to_grid(x, 14, nearest=False).flatten(2).transpose(1, 2)
    torch.testing.assert_close(phi(colour), expected)


def test_missing_unexpected_and_odd_tensors_are_named(tmp_path: Path) -> None:
    state = timm.create_model("vit_tiny_patch16_224").state_dict()
    del state["norm.weight"]
    state["extra.weight"] = torch.ones(1)
    state["cls_token"] = torch.ones(1, 1, 7)
    path = tmp_path / "broken.safetensors"
    save_file(state, path)
    with pytest.raises(ValueError, match="broken") as caught:
        ImageBackbone(tiny(str(path)), 224, 14)
    for part in ("missing: norm.weight", "unexpected: extra.weight", "odd: cls_token has shape"):
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors", "list.pth"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "list.pth":
        torch.save([1, 2], path)
    else:
        path.write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=name):
        ImageBackbone(tiny(str(path)), 224, 14)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "code.pth"
    torch.save({"state_dict": Path}, path)  # a class: what weights_only refuses
    with pytest.raises(ValueError, match=r"code\.pth"):
        ImageBackbone(tiny(str(path)), 224, 14)


def test_what_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ImageBackbone(tiny("nowhere.pth"), 224, 14)
    with pytest.raises(ValueError, match="no_such_network"):
        ImageBackbone(tiny(backbone="no_such_network"))
    with pytest.raises(ValueError, match="not of vit_tiny_patch16_224"):
        ImageBackbone(tiny("package"))
    with pytest.raises(ValueError, match="smooth = 2"):
        ImageBackbone(tiny(smooth=2))
    with pytest.raises(ValueError, match="100 pixels do not split"):
        ImageBackbone(tiny(), image_size=100)
    with pytest.raises(ValueError, match="no stages"):
        ImageBackbone(tiny(backbone="resnet18", stages=(1, 9)))
    with pytest.raises(ValueError, match="swin_tiny_patch4_window7_224: neither"):
        ImageBackbone(tiny(backbone="swin_tiny_patch4_window7_224"))
    monkeypatch.setattr(image, "PACKAGE", "a_wheel_that_is_not_there")
    with pytest.raises(FileNotFoundError, match="pip install"):
        ImageBackbone(ImageConfig())


def test_wrong_input_is_named() -> None:
    phi = ImageBackbone(tiny(), 64, 4)
    with pytest.raises(ValueError, match=r"expected float in 0\.\.1, \(B, 3, 64, 64\)"):
        phi(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match=r"torch\.uint8"):
        phi(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))

"""Weights of a ViT that was trained on pictures of another size."""

from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from safetensors import SafetensorError
from timm.models.vision_transformer import checkpoint_filter_fn

from lsfa_lite.config import FIRST
from lsfa_lite.features import weight_files
from lsfa_lite.features.image import ImageBackbone

VIT = "vit_tiny_patch16_224"


@pytest.mark.parametrize(("saved", "size"), [(64, 96), (96, 64), (224, 64), (64, 64)])
@pytest.mark.parametrize("name", [VIT, "deit3_small_patch16_224"])
def test_places_are_resampled_as_timm_does_it(tmp_path, name, saved, size):
    """deit3 has no place for its class token: no_embed_class."""
    torch.manual_seed(0)
    whole = timm.create_model(name, img_size=saved)
    torch.save(whole.state_dict(), tmp_path / "a.pth")
    config = replace(FIRST.features.image, backbone=name, weights=str(tmp_path / "a.pth"))
    ours = ImageBackbone(config, image_size=size, grid=4)
    target = timm.create_model(name, img_size=size, num_classes=0)
    filtered = checkpoint_filter_fn(whole.state_dict(), target)
    expected = filtered["pos_embed"]
    assert torch.equal(ours.network.pos_embed, expected)
    assert torch.equal(ours.network.blocks[0].attn.qkv.weight, whole.blocks[0].attn.qkv.weight)


def test_another_width_still_does_not_fit(tmp_path):
    torch.save(
        timm.create_model("vit_small_patch16_224", img_size=64).state_dict(), tmp_path / "a.pth"
    )
    config = replace(FIRST.features.image, backbone=VIT, weights=str(tmp_path / "a.pth"))
    with pytest.raises(ValueError, match=r"a\.pth does not fit vit_tiny"):
        ImageBackbone(config, image_size=96, grid=4)


def test_a_full_disk_is_an_error_of_the_disk_and_leaves_nothing(tmp_path, monkeypatch):
    """safetensors has a kind of its own for it, which no caller knows."""

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(weight_files, "save_file", full)
    with pytest.raises(OSError, match=r"a\.safetensors: cannot be written .*No space left"):
        weight_files.write_file(tmp_path / "a.safetensors", {"x": torch.zeros(3)})
    assert not list(tmp_path.iterdir())

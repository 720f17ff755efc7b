"""Adaptors: shape, identity at the start, blindness to background, and the encoder by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.adaptation.adaptors import largest_divisor, make_adaptor
from lsfa_lite.config import AdaptationConfig

KINDS = ("encoder", "encoder2", "linear", "conv1x1", "identity")
PRE = AdaptationConfig(norm="pre", zero_init=True)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def make(kind: str, width: int = 12, **values) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return make_adaptor(replace(PRE, adaptor=kind, **values), width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("evaluate", [False, True])
@torch.no_grad()
def test_zero_init_starts_as_the_identity(kind, evaluate):
    adaptor = make(kind).train(not evaluate)
    x, foreground = draw(2, 9, 12), torch.arange(18).reshape(2, 9) % 4 > 0
    assert torch.equal(adaptor(x, foreground), x)
    assert torch.equal(adaptor(x), x)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_without_zero_init_it_does_not(kind):
    x = draw(2, 9, 12)
    assert not torch.allclose(make(kind, zero_init=False)(x), x, atol=1e-2)


def test_post_norm_cannot_start_as_the_identity():
    x = draw(2, 9, 12)
    out = make("encoder", norm="post", zero_init=True)(x).detach()
    once = torch.nn.functional.layer_norm(x, (12,))
    assert not torch.allclose(out, x, atol=1e-2)
    torch.testing.assert_close(out, torch.nn.functional.layer_norm(once, (12,)))


@pytest.mark.parametrize("kind", ["encoder", "encoder2"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_background_never_influences_the_part(kind, norm):
    adaptor = make(kind, norm=norm, zero_init=False)
    x, foreground = draw(2, 9, 12), torch.arange(18).reshape(2, 9) % 4 > 0
    other = torch.where(foreground[..., None], x, 1e3 * draw(2, 9, 12, seed=1))
    torch.testing.assert_close(
        adaptor(x, foreground)[foreground], adaptor(other, foreground)[foreground]
    )
    free = adaptor(x)[foreground]
    assert not torch.allclose(adaptor(other)[foreground], free, atol=1e-3)  # the mask does it


@pytest.mark.parametrize("kind", KINDS)
def test_patches_are_a_set(kind):
    adaptor, x = make(kind, zero_init=False), draw(1, 9, 12)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(adaptor(x[:, order]), adaptor(x)[:, order])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("evaluate", [False, True])
@torch.no_grad()
def test_a_sample_without_foreground_is_finite(kind, evaluate):
    adaptor = make(kind, zero_init=False).train(not evaluate)
    foreground = torch.tensor([[False] * 9, [True] * 9])
    assert torch.isfinite(adaptor(draw(2, 9, 12), foreground)).all()


def encoder_oracle(layer, x, heads, pre_norm):
    """One vanilla transformer encoder layer on x (N, D), from its definition, in NumPy."""
    p = {key: value.detach().double().numpy() for key, value in layer.named_parameters()}
    n, width = x.shape
    size = width // heads

    def norm(v, name):
        mean, var = v.mean(1, keepdims=True), v.var(1, keepdims=True)
        return (v - mean) / np.sqrt(var + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]

    def attend(v):
        qkv = v @ p["self_attn.in_proj_weight"].T + p["self_attn.in_proj_bias"]
        q, k, u = np.split(qkv, 3, axis=1)
        out = np.zeros((n, width))
        for h in range(heads):
            part = slice(h * size, (h + 1) * size)
            for i in range(n):
                weights = np.exp([q[i, part] @ k[j, part] / math.sqrt(size) for j in range(n)])
                out[i, part] = (weights / weights.sum()) @ u[:, part]
        return out @ p["self_attn.out_proj.weight"].T + p["self_attn.out_proj.bias"]

    def mlp(v):
        hidden = v @ p["linear1.weight"].T + p["linear1.bias"]
        hidden = hidden * 0.5 * (1 + erf(hidden / math.sqrt(2)))  # GELU
        return hidden @ p["linear2.weight"].T + p["linear2.bias"]

    if pre_norm:
        x = x + attend(norm(x, "norm1"))
        return x + mlp(norm(x, "norm2"))
    x = norm(x + attend(x), "norm1")
    return norm(x + mlp(x), "norm2")


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_encoder_is_a_vanilla_transformer_layer(norm):
    adaptor, x = make("encoder", norm=norm, zero_init=False, heads=4), draw(1, 6, 12)
    (layer,) = adaptor.layers
    expected = encoder_oracle(layer, x[0].double().numpy(), 4, norm == "pre")
    np.testing.assert_allclose(adaptor(x)[0].detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    assert layer.linear1.out_features == 4 * 12


def test_conv1x1_is_the_same_map_on_every_patch():
    adaptor, x = make("conv1x1", zero_init=False), draw(1, 6, 12)
    w1, w2 = (c.weight.detach().double().numpy()[:, :, 0] for c in (adaptor.first, adaptor.second))
    b1, b2 = (c.bias.detach().double().numpy() for c in (adaptor.first, adaptor.second))
    for patch, given in zip(x[0].double().numpy(), adaptor(x)[0].detach().numpy(), strict=True):
        expected = patch + w2 @ np.maximum(w1 @ patch + b1, 0) + b2
        np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-5)


def test_attention_never_holds_all_weights():
    """The largest allocation on the way must be smaller than one N x N matrix."""
    from torch.profiler import ProfilerActivity, profile

    adaptor = make("encoder", width=8, heads=4).eval()
    foreground = torch.arange(4096)[None] % 5 > 0
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as run:
        adaptor(draw(1, 4096, 8), foreground)
    largest = max(event.cpu_memory_usage for event in run.events())
    assert 4096 * 8 * 4 <= largest < 4096 * 4096 * 4


def test_heads_divide_the_width():
    assert largest_divisor(768, 12) == 12
    assert largest_divisor(1152, 12) == 12
    assert largest_divisor(152, 12) == 8
    assert largest_divisor(33, 12) == 11
    assert largest_divisor(7, 12) == 7
    assert largest_divisor(13, 12) == 1


def test_sizes_and_unknown_names():
    def count(kind):
        return sum(p.numel() for p in make(kind, width=768).parameters())

    assert count("linear") == 768 * 768 + 768
    assert count("encoder") == 7_087_872  # 12 D^2 + 13 D
    assert count("encoder2") == 2 * count("encoder")
    assert count("identity") == 0
    with pytest.raises(ValueError, match="adaptor"):
        make("mlp")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_adaptors_stay_on_the_device(kind, norm):
    with FakeTensorMode(allow_non_fake_inputs=False):
        with torch.device("cuda"):
            adaptor = make_adaptor(replace(PRE, adaptor=kind, norm=norm), 12)
        x = torch.empty(2, 9, 12, device="cuda")
        foreground = torch.empty(2, 9, dtype=torch.bool, device="cuda")
        for adaptor_ in (adaptor, adaptor.eval()):
            assert adaptor_(x, foreground).device.type == "cuda"
            with torch.no_grad():
                assert adaptor_(x).device.type == "cuda"

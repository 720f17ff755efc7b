"""Eq. 2 to 6, 8 and 9 against slow NumPy loops written from the paper, and their edges."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.adaptation import losses


def draw(*shape: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pair_oracle(rgb, points, mask, temperature=1.0, cosine=False, denominator="joint"):
    """-log(exp<I_j, P_j> / sum of exp over the named pairs), mean over j and i; loops, float64."""
    out = []
    for i in range(len(rgb)):
        index = [j for j in range(rgb.shape[1]) if mask[i, j]]

        def product(t, k, i=i):
            a, b = rgb[i, t].astype(float), points[i, k].astype(float)
            if cosine:
                a, b = a / math.sqrt(sum(a * a)), b / math.sqrt(sum(b * b))
            return sum(a * b) / temperature

        for j in index:
            up = math.exp(product(j, j))
            row = sum(math.exp(product(j, k)) for k in index)
            column = sum(math.exp(product(t, j)) for t in index)
            joint = sum(math.exp(product(t, k)) for t in index for k in index)
            if denominator == "symmetric":
                out.append(-(math.log(up / row) + math.log(up / column)) / 2)
            else:
                out.append(-math.log(up / {"joint": joint, "row": row}[denominator]))
    return sum(out) / len(out)


VARIANTS = [
    {},
    {"temperature": 0.3},
    {"cosine": True, "temperature": 0.5},
    {"denominator": "row"},
    {"denominator": "symmetric", "cosine": True},
]


@pytest.mark.equation("eq-2")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("masked", [False, True])
def test_local_alignment_is_equation_2(variant, masked):
    rgb, points = draw(2, 5, 3, seed=1), draw(2, 5, 3, seed=2)
    mask = torch.ones(2, 5, dtype=torch.bool)
    if masked:
        mask[0, 1] = mask[1, 3] = mask[1, 4] = False
    expected = pair_oracle(rgb.numpy(), points.numpy(), mask.numpy(), **variant)
    given = losses.local_alignment(rgb, points, mask if masked else None, **variant)
    assert given.shape == ()
    assert given.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.equation("eq-3")
@pytest.mark.parametrize("variant", VARIANTS)
def test_global_alignment_is_equation_3(variant):
    rgb, points = draw(6, 4, seed=3), draw(6, 4, seed=4)
    everything = np.ones((1, 6), dtype=bool)
    expected = pair_oracle(rgb.numpy()[None], points.numpy()[None], everything, **variant)
    assert losses.global_alignment(rgb, points, **variant).item() == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("masked", [False, True])
def test_large_images_give_the_loss_and_gradient_of_small_ones(variant, masked, monkeypatch):
    """The third image has no foreground; large inputs are as finite."""
    for scale in (1.0, 1e3):
        given = [draw(3, 9, 4, seed=s, scale=scale).double().requires_grad_() for s in (1, 2)]
        mask = torch.rand(3, 9, generator=torch.Generator().manual_seed(0)) > 0.4
        mask[2] = False
        found = []
        for large in (9, 8):
            monkeypatch.setattr(losses, "LARGE", large)
            loss = losses.local_alignment(*given, mask if masked else None, **variant)
            found.append([loss, *torch.autograd.grad(3 * loss, given)])
        for one, other in zip(*found, strict=True):
            torch.testing.assert_close(one, other)
        assert not masked or not found[1][1][~mask].any()


@pytest.mark.parametrize("large", [losses.LARGE, 0])
def test_a_sum_is_the_mean_times_the_patches_that_count(large, monkeypatch):
    monkeypatch.setattr(losses, "LARGE", large)
    rgb, points = draw(2, 5, 3, seed=1), draw(2, 5, 3, seed=2)
    mask = torch.tensor([[True] * 5, [True, False, True, False, False]])
    mean, total = (
        losses.local_alignment(rgb, points, mask, reduction=how).item() for how in ("mean", "sum")
    )
    assert total == pytest.approx(7 * mean)
    mean, total = (
        losses.global_alignment(rgb[0], points[0], reduction=how).item() for how in ("mean", "sum")
    )
    assert total == pytest.approx(5 * mean)


@pytest.mark.parametrize("denominator", ["joint", "row", "symmetric"])
def test_the_gradient_of_large_images_is_that_of_differences(denominator, monkeypatch):
    monkeypatch.setattr(losses, "LARGE", 0)
    given = [draw(2, 4, 3, seed=s).double().requires_grad_() for s in (1, 2)]
    mask = torch.tensor([[True, True, False, True], [False] * 4])
    assert torch.autograd.gradcheck(
        lambda rgb, points: losses.local_alignment(rgb, points, mask, 0.5, True, denominator), given
    )


def test_known_values_of_alignment():
    same = torch.zeros(1, 4, 2)
    assert losses.local_alignment(same, same).item() == pytest.approx(math.log(16))  # N * N pairs
    row = losses.local_alignment(same, same, denominator="row")
    assert row.item() == pytest.approx(math.log(4))  # N pairs
    assert losses.global_alignment(draw(1, 3), draw(1, 3)).item() == pytest.approx(0.0, abs=1e-6)


def test_background_features_change_neither_loss_nor_gradient():
    mask = torch.tensor([[True, True, False, True], [True, False, True, True]])
    gradients, values = [], []
    for filler in (0.0, 37.0):
        rgb, points = draw(2, 4, 3, seed=5), draw(2, 4, 3, seed=6)
        rgb[~mask], points[~mask] = filler, -filler
        rgb.requires_grad_()
        for kind in ("joint", "row", "symmetric"):
            loss = losses.local_alignment(rgb, points, mask, denominator=kind)
            (gradient,) = torch.autograd.grad(loss, rgb)
            assert not gradient[~mask].any()
            gradients.append(gradient)
            values.append(loss.item())
    assert values[:3] == values[3:]
    for one, other in zip(gradients[:3], gradients[3:], strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("denominator", ["joint", "row", "symmetric"])
def test_an_image_without_foreground_adds_nothing(denominator):
    rgb, points = draw(2, 4, 3, seed=5).requires_grad_(), draw(2, 4, 3, seed=6)
    mask = torch.tensor([[True] * 4, [False] * 4])
    loss = losses.local_alignment(rgb, points, mask, denominator=denominator)
    alone = losses.local_alignment(rgb[:1], points[:1], denominator=denominator)
    assert loss.item() == pytest.approx(alone.item())
    loss.backward()
    assert torch.isfinite(rgb.grad).all()
    assert not rgb.grad[1].any()


@pytest.mark.parametrize("denominator", ["joint", "row", "symmetric"])
def test_alignment_is_finite_for_inputs_scaled_by_1000(denominator):
    rgb, points = draw(2, 6, 64, scale=1e3).requires_grad_(), draw(2, 6, 64, seed=1, scale=1e3)
    local = losses.local_alignment(rgb, points, denominator=denominator)
    whole = losses.global_alignment(rgb[:, 0], points[:, 0], denominator=denominator)
    (local + whole).backward()
    assert torch.isfinite(local)
    assert torch.isfinite(whole)
    assert torch.isfinite(rgb.grad).all()
    double = losses.local_alignment(rgb.double(), points.double(), denominator=denominator)
    assert local.item() == pytest.approx(double.item(), rel=1e-5)


def test_unequal_widths_and_unknown_names_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        losses.local_alignment(draw(1, 4, 3), draw(1, 4, 5))
    with pytest.raises(ValueError, match="denominator"):
        losses.local_alignment(draw(1, 4, 3), draw(1, 4, 3), denominator="rows")
    with pytest.raises(ValueError, match="reduction"):
        losses.local_alignment(draw(1, 4, 3), draw(1, 4, 3), reduction="none")
    with pytest.raises(ValueError, match="reduction"):
        losses.local_compactness(draw(4, 3), draw(4, 3), reduction="none")
    with pytest.raises(ValueError, match="empty"):
        losses.local_compactness(draw(4, 3), draw(0, 3))
    with pytest.raises(ValueError, match="no rows"):
        losses.local_compactness(draw(0, 3), draw(4, 3))


def compactness_oracle(features, bank, reduction, squared):
    terms = []
    for f in features.astype(float):
        distance = min(math.sqrt(sum((f - q) ** 2)) for q in bank.astype(float))
        terms.append(distance**2 if squared else distance)
    return sum(terms) if reduction == "sum" else sum(terms) / len(terms)


@pytest.mark.equation("eq-5")
@pytest.mark.equation("eq-6")
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("chunk", [1, 3, 512])
@pytest.mark.parametrize("function", [losses.local_compactness, losses.global_compactness])
def test_compactness_is_equation_5_and_6(function, chunk, reduction, squared):
    features, bank = draw(7, 4, seed=7), draw(11, 4, seed=8)
    expected = compactness_oracle(features.numpy(), bank.numpy(), reduction, squared)
    given = function(features, bank, reduction=reduction, squared=squared, chunk=chunk)
    assert given.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("function", [losses.local_compactness, losses.global_compactness])
def test_compactness_is_literal_by_default(function):
    features, bank = torch.tensor([[0.0, 0.0], [10.0, 0.0]]), torch.tensor([[3.0, 4.0]])
    expected = 5.0 + math.sqrt(49 + 16)  # a sum of unsquared norms
    assert function(features, bank).item() == pytest.approx(expected)


def test_compactness_gradient_points_from_the_nearest_row():
    features = torch.tensor([[1.0, 0.0], [0.0, 5.0], [2.0, 2.0]], requires_grad=True)
    bank = torch.tensor([[0.0, 0.0], [0.0, 6.0], [2.0, 2.0]], requires_grad=True)
    losses.local_compactness(features, bank).backward()
    expected = torch.tensor([[1.0, 0.0], [0.0, -1.0], [0.0, 0.0]])  # unit vectors, zero on the row
    torch.testing.assert_close(features.grad, expected)
    assert bank.grad is None


@pytest.mark.parametrize("squared", [False, True])
def test_compactness_is_finite_for_inputs_scaled_by_1000(squared):
    features, bank = draw(9, 64, scale=1e3).requires_grad_(), draw(5, 64, seed=1, scale=1e3)
    loss = losses.local_compactness(features, bank, squared=squared)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(features.grad).all()
    expected = compactness_oracle(features.detach().numpy(), bank.numpy(), "sum", squared)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


PEAK = """
import resource, torch
from lsfa_lite.adaptation.losses import local_compactness
torch.set_num_threads(1)
features = torch.rand({queries}, 768, requires_grad=True)
bank = torch.rand(50_000, 768)
local_compactness(features[:8], bank, chunk=8).backward()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
local_compactness(features, bank, chunk=32).backward()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux")
def test_a_full_size_bank_never_holds_the_full_distance_matrix():
    queries = 320
    script = PEAK.format(queries=queries)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    full = queries * 50_000 * 4 / 2**20  # MiB: 61
    assert float(done.stdout) < 0.5 * full


@pytest.mark.equation("eq-4")
@pytest.mark.equation("eq-8")
@pytest.mark.equation("eq-9")
def test_sums():
    la, ga, lc, gc = (torch.tensor(v) for v in (1.5, 0.25, 7.0, 2.0))
    assert losses.consistency(la, ga).item() == 1.5 + 0.25
    assert losses.compactness(lc, gc).item() == 7.0 + 2.0
    assert losses.total(torch.tensor(9.0), torch.tensor(1.75)).item() == pytest.approx(
        9.0 + 0.6 * 1.75
    )
    assert losses.total(torch.tensor(9.0), torch.tensor(1.75), 2.0).item() == 12.5


@pytest.mark.parametrize("large", [0, 1024])
def test_all_losses_stay_on_the_device(large, monkeypatch):
    monkeypatch.setattr(losses, "LARGE", large)
    with FakeTensorMode(allow_non_fake_inputs=False):
        rgb, points = (torch.empty(2, 5, 3, device="cuda") for _ in range(2))
        mask = torch.empty(2, 5, dtype=torch.bool, device="cuda")
        bank = torch.empty(9, 3, device="cuda")
        for kind in ("joint", "row", "symmetric"):
            for given in (mask, None):
                out = losses.local_alignment(rgb, points, given, cosine=True, denominator=kind)
                assert out.device.type == "cuda"
        assert losses.global_alignment(rgb[:, 0], points[:, 0]).device.type == "cuda"
        assert losses.local_compactness(rgb.flatten(0, 1), bank, chunk=4).device.type == "cuda"
        assert losses.global_compactness(rgb[:, 0], bank).device.type == "cuda"

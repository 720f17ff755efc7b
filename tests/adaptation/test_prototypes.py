"""Prototypes against Lloyd's algorithm by hand, and their edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.adaptation.prototypes import assign, cluster_means


def prototypes(features, foreground, k: int = 1, seed: int = 0) -> torch.Tensor:
    """(N, D), (N,) -> (k, D): one sample's patches assigned, and the means of the clusters."""
    labels = assign(features[None], foreground[None], k, seed)
    return cluster_means(features[None], foreground[None], labels, k)[0]


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def everywhere(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


def blobs(seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    labels = np.repeat(np.arange(3), 20)
    return torch.tensor(centres[labels], dtype=torch.float32) + 0.1 * draw(60, 2, seed=seed), labels


def test_one_prototype_is_the_mean_of_the_foreground():
    features, foreground = draw(10, 4), torch.arange(10) % 3 > 0
    expected = features.numpy()[foreground.numpy()].mean(0)
    np.testing.assert_allclose(prototypes(features, foreground)[0], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_separate_blobs_are_found(seed):
    features, labels = blobs(seed)
    centres = prototypes(features, everywhere(60), 3, seed).numpy()
    means = np.stack([features.numpy()[labels == i].mean(0) for i in range(3)])
    order = sorted(
        itertools.permutations(range(3)), key=lambda p: np.abs(centres[list(p)] - means).max()
    )[0]
    np.testing.assert_allclose(centres[list(order)], means, rtol=1e-4, atol=1e-5)


def test_assignment_is_a_fixed_point_of_lloyds_algorithm():
    features, foreground = draw(1, 40, 3), everywhere(1, 40)
    labels = assign(features, foreground, 4, seed=1, iterations=50)
    x, label = features[0].numpy(), labels[0].numpy()
    centres = np.stack([x[label == i].mean(0) for i in range(4)])
    for i in range(40):
        assert label[i] == np.argmin([((x[i] - c) ** 2).sum() for c in centres])


def test_background_moves_no_prototype():
    features, _ = blobs()
    foreground = torch.arange(60) % 2 == 0
    near = prototypes(features, foreground, 3)
    features[~foreground] = 1e6
    torch.testing.assert_close(prototypes(features, foreground, 3), near)


def test_gradient_is_that_of_the_means():
    features, _ = blobs()
    features.requires_grad_()
    prototypes(features, everywhere(60), 3).sum().backward()
    torch.testing.assert_close(features.grad, torch.full((60, 2), 1 / 20))


def test_more_prototypes_than_patches_are_finite():
    features = draw(6, 3).requires_grad_()
    foreground = torch.tensor([True, False, True, False, False, False])
    centres = prototypes(features, foreground, 5)
    assert centres.shape == (5, 3)
    some = {tuple(np.round(row, 5)) for row in centres.detach().numpy()}
    pair = features.detach().numpy()[[0, 2]]
    expected = {tuple(np.round(row, 5)) for row in [pair[0], pair[1], pair.mean(0)]}
    assert some == expected
    centres.sum().backward()
    assert torch.isfinite(features.grad).all()


def test_equal_patches_and_no_foreground_are_finite():
    same = torch.ones(5, 3)
    assert torch.equal(prototypes(same, everywhere(5), 3), torch.ones(3, 3))
    assert torch.isfinite(prototypes(draw(5, 3), torch.zeros(5, dtype=torch.bool), 2)).all()


def test_seeded_and_each_sample_for_itself():
    features, foreground = draw(3, 30, 4), everywhere(3, 30)
    foreground[1, 10:] = False
    labels = assign(features, foreground, 3, seed=5)
    assert torch.equal(labels, assign(features, foreground, 3, seed=5))
    other = features.clone()
    other[0] += 100 * draw(30, 4, seed=9)
    assert torch.equal(labels[1:], assign(other, foreground, 3, seed=5)[1:])


def test_another_seed_starts_elsewhere():
    """In a shapeless cloud where k-means ends is where it began."""
    features, foreground = draw(1, 60, 4), everywhere(1, 60)
    assigned = {tuple(assign(features, foreground, 4, s, 1)[0].tolist()) for s in range(5)}
    assert len(assigned) == 5
    found = {prototypes(features[0], foreground[0], 4, s).numpy().tobytes() for s in range(5)}
    assert len(found) > 1


def test_one_assignment_serves_both_modalities():
    rgb, points = draw(2, 12, 3), draw(2, 12, 5, seed=1)
    labels = assign(rgb, everywhere(2, 12), 3)
    centres = cluster_means(points, everywhere(2, 12), labels, 3)
    for b in range(2):
        for i in range(3):
            expected = points[b].numpy()[labels[b].numpy() == i].mean(0)
            np.testing.assert_allclose(centres[b, i], expected, rtol=1e-5, atol=1e-6)


def test_the_start_follows_k_means_plus_plus():
    """The second centre is drawn with probability d^2 / sum of d^2 (Arthur and Vassilvitskii)."""
    from lsfa_lite.adaptation.prototypes import _plus_plus

    line = torch.tensor([[[0.0], [1.0], [3.0]]])
    pairs: dict[tuple[float, float], int] = {}
    for seed in range(3000):
        first, second = _plus_plus(line, everywhere(1, 3), 2, seed).flatten().tolist()
        pairs[first, second] = pairs.get((first, second), 0) + 1
    expected = {(0, 1): 1 / 10, (0, 3): 9 / 10, (1, 0): 1 / 5, (1, 3): 4 / 5, (3, 0): 9 / 13}
    for (first, second), share in expected.items():
        assert pairs[first, second] / 3000 == pytest.approx(share / 3, abs=0.035)


def test_bad_k_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        prototypes(draw(4, 2), everywhere(4), 0)


@pytest.mark.parametrize("k", [1, 3])
def test_prototypes_stay_on_the_device(k):
    with FakeTensorMode(allow_non_fake_inputs=False):
        features = torch.empty(9, 4, device="cuda")
        foreground = torch.empty(9, dtype=torch.bool, device="cuda")
        assert prototypes(features, foreground, k).device.type == "cuda"

"""Input transforms against their statistics, and their edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.adaptation.whitening import InputTransform


def features(rows: int = 400, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(5, 5)) * np.array([10, 3, 1, 0.3, 0.1])
    return torch.tensor(rng.normal(size=(rows, 5)) @ mix + 7.0, dtype=torch.float32)


def test_none_gives_back_the_very_same_numbers():
    x = features()
    assert torch.equal(InputTransform.fit(x, "none")(x), x)


@pytest.mark.parametrize("kind", ["layer_norm", "unit"])
def test_a_patch_alone_gets_one_scale_and_a_blank_one_stays_blank(kind):
    x = features()
    x[3], x[4] = 0, 7
    transform = InputTransform.fit(x, kind)
    out = transform(x)
    expected = x - x.mean(1, keepdim=True) if kind == "layer_norm" else x
    expected = expected / expected.norm(dim=1, keepdim=True)
    length = 5**0.5 if kind == "layer_norm" else 1.0
    np.testing.assert_allclose(out[5:], length * expected[5:], rtol=1e-4, atol=1e-5)
    assert not out[3].any()
    assert torch.isfinite(out).all()
    assert torch.equal(transform(x[7:8]), out[7:8])  # whatever the others are


def test_centre_keeps_all_differences():
    x = features()
    out = InputTransform.fit(x, "centre")(x).numpy()
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(out[0] - out[1], (x[0] - x[1]).numpy(), atol=1e-4)


def test_standardise_gives_unit_variance_and_leaves_a_constant_alone():
    x = features()
    x[:, 2] = 3.0
    out = InputTransform.fit(x, "standardise")(x).numpy()
    np.testing.assert_allclose(out.std(0)[[0, 1, 3, 4]], 1, rtol=1e-4)
    np.testing.assert_allclose(out[:, 2], 0)


def test_whiten_gives_the_identity_covariance():
    x = features()
    out = InputTransform.fit(x, "whiten", shrinkage=0.0)(x).numpy()
    np.testing.assert_allclose(np.cov(out.T, bias=True), np.eye(5), atol=2e-2)


def test_whiten_distance_is_mahalanobis_of_the_shrunk_covariance():
    x, shrinkage = features(), 0.05
    transform = InputTransform.fit(x, "whiten", shrinkage)
    a = x.double().numpy()
    c = np.cov(a.T, bias=True)
    c = (1 - shrinkage) * c + shrinkage * np.trace(c) / 5 * np.eye(5)
    d = a[3] - a[8]
    expected = np.sqrt(d @ np.linalg.inv(c) @ d)
    y = transform(x)
    assert torch.dist(y[3], y[8]).item() == pytest.approx(expected, rel=1e-4)
    matrix = transform.matrix.numpy()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)  # ZCA, not PCA


def test_fewer_rows_than_width_and_equal_rows_stay_finite():
    x = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    for kind in ("centre", "standardise", "whiten"):
        assert torch.isfinite(InputTransform.fit(x, kind)(x)).all()
        same = torch.ones(6, 4)
        assert torch.equal(InputTransform.fit(same, kind)(same), torch.zeros(6, 4))


@pytest.mark.parametrize("kind", ["none", "centre", "standardise", "whiten"])
def test_state_dict_round_trip(kind):
    x = features()
    fitted, empty = InputTransform.fit(x, kind), InputTransform(5, kind)
    empty.load_state_dict(fitted.state_dict())
    assert torch.equal(fitted(x), empty(x))


def test_chunks_of_rows_do_not_change_the_covariance():
    from lsfa_lite.adaptation.whitening import covariance

    x = features()
    mean = x.mean(0, dtype=torch.float64)
    expected = np.cov(x.double().numpy().T, bias=True)
    np.testing.assert_allclose(covariance(x, mean, chunk=7).numpy(), expected, rtol=1e-6, atol=1e-8)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="kind"):
        InputTransform(4, "pca")
    with pytest.raises(ValueError, match="at least one row"):
        InputTransform.fit(torch.empty(0, 4), "centre")
    with pytest.raises(ValueError, match="finite"):
        InputTransform.fit(torch.full((3, 4), torch.nan), "whiten")


@pytest.mark.parametrize("kind", ["none", "centre", "standardise", "whiten"])
def test_transforms_stay_on_the_device(kind):
    with FakeTensorMode(allow_non_fake_inputs=False):
        out = InputTransform(4, kind).to("cuda")(torch.empty(2, 9, 4, device="cuda"))
        assert out.device.type == "cuda"

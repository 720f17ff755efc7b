"""From a scan to patch features: squaring, foreground, cache."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from conftest import QUICK, without

from lsfa_lite import LITE, Sample
from lsfa_lite.config import to_json
from lsfa_lite.features import cache
from lsfa_lite.features.extract import FeatureExtractor, patch_share, square_pixels

SMALL_POINTS = dataclasses.replace(
    LITE.features.points, backbone="point_mae", groups=24, group_size=8
)


@pytest.fixture(scope="module")
def extractor():
    return FeatureExtractor(QUICK.features)


def test_both_modalities_on_one_grid(extractor, rings):
    row = extractor(rings["test"][0])
    patches = QUICK.features.grid**2
    assert row.features["rgb"].shape[0] == row.features["3d"].shape[0] == patches
    assert row.foreground.shape == (patches,)
    assert row.foreground.dtype == torch.bool
    assert 0 < row.foreground.sum() < patches


@pytest.mark.parametrize("shape", [(90, 40), (60, 80), (50, 50)])
def test_squaring_pads_the_middle_and_keeps_the_places(shape):
    """A marked pixel is found again where the centred square puts it."""
    height, width = shape
    xyz = np.zeros((*shape, 3), dtype=np.float32)
    xyz[30, 20] = (0.1, 0.2, 0.5)
    rgb = np.zeros((*shape, 3), dtype=np.uint8)
    side = max(shape)
    _, square = square_pixels(Sample(rgb, xyz), side)
    row, column = 30 + (side - height) // 2, 20 + (side - width) // 2
    assert np.allclose(square[row, column], (0.1, 0.2, 0.5))
    assert (square != 0).any(-1).sum() == 1


def test_xyz_is_never_averaged():
    """Two depths side by side: no point in between may appear."""
    xyz = np.ones((10, 10, 3), dtype=np.float32)
    xyz[:, 5:] = 2
    _, square = square_pixels(Sample(None, xyz), 224)
    assert set(np.unique(square)) == {1.0, 2.0}


def cubic(before: int, after: int) -> np.ndarray:
    """(after, before) weights of Keys' cubic kernel, a = -1/2, as wide as an output pixel."""
    scale = before / after
    width = max(scale, 1.0)
    middle = (np.arange(after)[:, None] + 0.5) * scale - 0.5
    x = np.abs(np.arange(before) - middle) / width
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(("before", "after"), [(12, 30), (30, 12)])
def test_colour_is_bicubic(before, after):
    rgb = np.random.default_rng(0).integers(64, 192, (before, before, 3), dtype=np.uint8)
    colour, _ = square_pixels(Sample(rgb, None), after)
    weights = cubic(before, after)
    expected = np.einsum("iv,vuc,ju->ijc", weights, rgb / 255, weights)
    assert colour.dtype == np.float32
    assert np.abs(colour - expected).max() < 2 / 255  # bytes in between


def test_patch_share_against_a_double_loop():
    rng = np.random.default_rng(0)
    pixels = rng.random((30, 30)) < 0.4
    expected = np.zeros((7, 7))
    count = np.zeros((7, 7))
    for v in range(30):
        for u in range(30):
            expected[v * 7 // 30, u * 7 // 30] += pixels[v, u]
            count[v * 7 // 30, u * 7 // 30] += 1
    share = patch_share(torch.from_numpy(pixels), 7).numpy()
    assert np.allclose(share, (expected / count).ravel())


def test_a_point_lands_in_the_patch_of_its_pixel(rings):
    """Dent the cloud at one place: only 3D features around that place change."""
    sample = rings["test"][0]
    extractor = FeatureExtractor(QUICK.features)
    rows, columns = np.nonzero(sample.valid)
    row, column = rows[len(rows) // 3], columns[len(rows) // 3]
    xyz = sample.xyz.copy()
    near = np.zeros(sample.shape, dtype=bool)
    near[row - 3 : row + 4, column - 3 : column + 4] = True
    xyz[near & sample.valid, 2] += 0.002
    before = extractor(sample).features["3d"]
    after = extractor(dataclasses.replace(sample, xyz=xyz)).features["3d"]
    changed = (before - after).norm(dim=1).reshape(14, 14)
    peak = np.unravel_index(int(changed.argmax()), (14, 14))
    scale = 14 / sample.shape[0]
    assert abs(peak[0] - row * scale) <= 2
    assert abs(peak[1] - column * scale) <= 2


def test_a_sample_with_one_modality_has_one(extractor, rings):
    assert list(extractor(without(rings["test"][0], "xyz")).features) == ["rgb"]
    assert list(extractor(without(rings["test"][0], "rgb")).features) == ["3d"]


def test_a_stack_is_its_rows_in_what_they_share(extractor, rings):
    parts = [*rings["test"][:2], without(rings["test"][2], "rgb")]
    rows = [extractor(part) for part in parts]
    stacked = extractor.stack(parts)
    assert list(stacked.features) == ["3d"]
    for index, row in enumerate(rows):
        one = stacked.sample(index)
        assert torch.equal(one.features["3d"], row.features["3d"])
        assert torch.equal(one.foreground, row.foreground)


def test_what_is_not_asked_for_is_not_described(rings, monkeypatch):
    extractor = FeatureExtractor(dataclasses.replace(QUICK.features, cache=False))
    monkeypatch.setattr(extractor, "_point_features", None)  # would fail if it were called
    assert list(extractor.stack(rings["test"][:1], ["rgb"]).features) == ["rgb"]


def test_a_speck_is_not_a_part(extractor):
    xyz = np.zeros((64, 64, 3), dtype=np.float32)
    xyz[3, 3] = 1
    with pytest.raises(ValueError, match=r"speck\.tiff.*no patch"):
        extractor(Sample(None, xyz, path="speck.tiff"))


def test_half_precision_where_it_is_asked_for(extractor, rings, tmp_path, monkeypatch):
    """Kept in half, features are the same to 11 bits; computed in half, to a few percent."""
    monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
    whole = extractor(rings["test"][0])
    kept = dataclasses.replace(QUICK.features, keep="float16")
    twice = [FeatureExtractor(kept)(rings["test"][0]) for _ in range(2)]
    stack = FeatureExtractor(kept).stack(rings["test"][:2])
    computed = dataclasses.replace(QUICK.features, compute="bfloat16", cache=False)
    rough = FeatureExtractor(computed)(rings["test"][0])
    for name, expected in whole.features.items():
        made, read = (row.features[name] for row in twice)
        assert torch.equal(made, read)
        assert made.dtype == torch.float32
        assert stack.features[name].dtype == torch.float16
        assert torch.equal(stack.features[name][0].float(), made)
        torch.testing.assert_close(made, expected, rtol=2**-10, atol=1e-6)
    apart = (rough.features["rgb"] - whole.features["rgb"]).norm() / whole.features["rgb"].norm()
    assert 1e-4 < apart < 0.1
    assert torch.equal(rough.features["3d"], whole.features["3d"])  # FPFH has no network


class TestCache:
    def test_the_second_time_comes_from_disk_with_the_same_bits(self, rings, tmp_path, monkeypatch):
        monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
        first = FeatureExtractor(QUICK.features)(rings["test"][0])
        fresh = FeatureExtractor(QUICK.features)
        monkeypatch.setattr(fresh, "_describe_images", None)  # would fail if it were called
        monkeypatch.setattr(fresh, "_point_features", None)
        again = fresh(rings["test"][0])
        uncached = FeatureExtractor(dataclasses.replace(QUICK.features, cache=False))
        written = sorted(tmp_path.rglob("*"))
        plain = uncached(rings["test"][0])
        for name in ("rgb", "3d"):
            assert torch.equal(first.features[name], again.features[name])
            assert torch.equal(first.features[name], plain.features[name])
        assert sorted(tmp_path.rglob("*")) == written

    def test_other_content_or_other_choices_are_other_keys(self, rings, tmp_path, monkeypatch):
        monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
        extractor = FeatureExtractor(QUICK.features)
        extractor(rings["test"][0], ["rgb"])
        extractor(rings["test"][1], ["rgb"])
        image = dataclasses.replace(QUICK.features.image, smooth=3)
        FeatureExtractor(dataclasses.replace(QUICK.features, image=image))(
            rings["test"][0], ["rgb"]
        )
        assert len(list(tmp_path.rglob("*.safetensors"))) == 3

    def test_the_seed_enters_where_it_thins_the_cloud_and_nowhere_else(
        self, rings, tmp_path, monkeypatch
    ):
        """Caches of before, all made with seed 0's thinning, stay right for seed 0 only."""
        monkeypatch.setenv("LSFA_CACHE", str(tmp_path))

        def described(seed: int, limit: int) -> torch.Tensor:
            points = dataclasses.replace(SMALL_POINTS, max_points=limit)
            config = dataclasses.replace(QUICK.features, points=points)
            return FeatureExtractor(config, seed=seed)(rings["test"][0], ["3d"]).features["3d"]

        assert not torch.equal(described(0, 300), described(1, 300))
        assert torch.equal(described(1, 300), described(1, 300))
        assert len(list(tmp_path.rglob("*.safetensors"))) == 2
        for limit in (0, 10**6):
            assert torch.equal(described(0, limit), described(1, limit))
        names = {path.stem for path in tmp_path.rglob("*.safetensors")}
        assert len(names) == 4
        _, xyz = square_pixels(rings["test"][0], 112)
        told = to_json(dataclasses.replace(SMALL_POINTS, max_points=300, weights=""))
        weights = FeatureExtractor(QUICK.change(features__points=SMALL_POINTS).features)
        parts = (told, weights.fingerprint("3d"), "112 14 cpu 2")
        assert cache.content_key(xyz, *parts) in names

    def test_other_weights_are_another_key(self, rings, tmp_path, monkeypatch):
        """The same choices and the same scan, but networks drawn from other seeds."""
        monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
        config = QUICK.change(
            features__image__weights="random", features__points__weights="random"
        ).change(features__points__backbone="point_mae", features__points__groups=64)
        drawn = [FeatureExtractor(config.features, seed=s)(rings["test"][0]) for s in (0, 1, 0)]
        for name in ("rgb", "3d"):
            first, other, again = (row.features[name] for row in drawn)
            assert torch.equal(first, again)
            assert not torch.allclose(first, other)

    def test_a_damaged_file_is_made_anew(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LSFA_CACHE", str(tmp_path))
        made = cache.cached("abcd", lambda: {"features": torch.arange(3.0)})
        path = next(tmp_path.rglob("*.safetensors"))
        path.write_bytes(b"half a fi")
        again = cache.cached("abcd", lambda: {"features": torch.arange(3.0)})
        assert torch.equal(made["features"], again["features"])
        assert path.stat().st_size > 20

    def test_keys_tell_shape_type_and_content_apart(self):
        arrays = [np.zeros(6), np.zeros((2, 3)), np.zeros(6, dtype=np.float32), np.ones(6)]
        assert len({cache.content_key(a) for a in arrays}) == 4

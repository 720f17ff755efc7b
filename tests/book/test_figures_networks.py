"""Features as colours: one basis for all, equal colours for equal features; the likeness maps."""

from __future__ import annotations

import numpy as np
import torch

from lsfa_book.figures import clouds
from lsfa_book.figures.networks import FeatureColours, likeness, painted, patch_picture


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_axes_are_those_of_a_singular_value_decomposition():
    rows = draw(200, 6) * torch.tensor([9.0, 5.0, 3.0, 0.3, 0.2, 0.1])
    basis = FeatureColours.fit(rows)
    centred = (rows - rows.mean(dim=0)).double().numpy()
    _, lengths, right = np.linalg.svd(centred)
    assert np.allclose(np.abs(right[:3] @ basis.axes.numpy()), np.eye(3), atol=1e-6)
    assert np.isclose(basis.share, (lengths[:3] ** 2).sum() / (lengths**2).sum())


def test_the_first_axis_is_lightness_and_its_sign_does_not_depend_on_the_order():
    rows = torch.zeros(101, 4)
    rows[:, 0] = torch.linspace(-1, 1, 101)
    basis, turned = FeatureColours.fit(rows), FeatureColours.fit(rows.flip(0))
    light = basis(rows).astype(int).sum(axis=1)
    assert (np.diff(light) >= 0).all()
    assert light[-1] > light[0] + 200
    assert np.array_equal(basis(rows), turned(rows))


def test_patch_picture_is_clear_off_the_part():
    foreground = torch.tensor([True, False, False, True])
    picture = patch_picture(np.full((4, 3), 7, dtype=np.uint8), foreground)
    assert picture.shape == (2, 2, 4)
    assert picture[..., 3].tolist() == [[255, 0], [0, 255]]


def test_painted_puts_each_colour_on_its_own_point():
    xyz = np.zeros((2, 2, 3), dtype=np.float32)
    xyz[0, 1], xyz[1, 0] = (0, 0, 1), (0.1, 0, 1)
    sample = painted(xyz, np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8))
    assert sample.rgb is not None
    assert sample.rgb[0, 1].tolist() == [1, 2, 3]
    assert sample.rgb[1, 0].tolist() == [4, 5, 6]
    assert len(clouds([sample], "rgb").data[0].x) == 2


def test_likeness_marks_the_nearest_patch_of_every_part():
    features = draw(3, 16, 5)
    foreground = torch.ones(3, 16, dtype=torch.bool)
    foreground[:, 0] = False
    queries = [("a", 5), ("b", 6)]
    figure = likeness({"net": features}, foreground, queries, ["q", "1", "2"], "maps of likeness")
    assert len(figure.data) == 2 * 3 * 2
    marks = [t for t in figure.data if t.type == "scatter"]
    for mark, (query, part) in zip(marks, [(q, p) for q in (5, 6) for p in range(3)], strict=True):
        gaps = np.linalg.norm(features[part].numpy() - features[0, query].numpy(), axis=1)
        gaps[0] = np.inf
        wanted = query if part == 0 else int(gaps.argmin())
        assert (mark.y[0] * 4 + mark.x[0]) == wanted
    assert [t.visible for t in figure.data] == [True] * 6 + [False] * 6
    assert figure.data[0].z[0, 0] == 0, "off the part it is clear"


def test_likeness_shows_only_rows_and_columns_with_a_part():
    foreground = torch.zeros(2, 25, dtype=torch.bool)
    foreground[:, [6, 7, 11, 12, 17]] = True
    figure = likeness(
        {"net": draw(2, 25, 3)}, foreground, [("a", 6)], ["q", "1"], "maps of likeness"
    )
    heat = figure.data[0]
    assert (heat.z.shape, heat.x0, heat.y0) == ((3, 2), 1, 1)
    assert list(figure.layout.yaxis.range) == [3.5, 0.5]

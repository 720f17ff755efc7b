"""Fig. 5: a part of every kind of defect, on the scale of each detector's own threshold."""

from __future__ import annotations

import numpy as np
import pytest

from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.studies.fig5 import THREE, compare, turning, verdicts
from lsfa_book.studies.reproduce import Parts
from lsfa_lite.config import LITE

FAST = LITE.change(adaptation__steps=2, adaptation__batch_size=2)
SMALL = Mini3DConfig(train=4, validation=2, test_good=2, test_per_defect=2)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    parts = Parts(tmp_path_factory.mktemp("fig5") / "data", SMALL).category("ring", 0)
    return parts, dict(compare(FAST, parts))


def test_every_kind_of_defect_has_one_part_and_every_detector_its_map(found):
    parts, examples = found
    assert set(examples) == {s.defect for s in parts.test if s.label == 1}
    for defect, example in examples.items():
        assert example.sample.defect == defect
        assert list(example.maps) == [row.name for row in THREE]
        for values in example.maps.values():
            assert values.shape == example.sample.shape
            assert np.isfinite(values).all()
            assert (values[~example.sample.foreground] == 0).all()


def test_a_map_is_in_units_of_its_threshold(found):
    """A good validation part stays near 1; so does the largest value of any weak defect."""
    for example in found[1].values():
        for values in example.maps.values():
            assert 0.1 < values.max() < 100


def test_the_figures_show_all_maps_on_one_scale(found):
    example = next(iter(found[1].values()))
    figure = verdicts(example)
    titles = [axis.get_title() for axis in figure.axes[:5]]
    assert titles == ["picture", "label", *(row.name for row in THREE)]
    turned = turning(example, points=900)
    assert len(turned.data) == len(THREE)
    colours = np.concatenate([np.asarray(t.marker.color, dtype=float) for t in turned.data])
    assert colours.min() >= 0.5
    assert colours.max() <= 1.5


def test_several_parts_stand_below_one_another(found):
    examples = list(found[1].values())[:2]
    axes = verdicts(*examples).axes[:-1]  # without the colour bar
    assert len(axes) == 2 * (2 + len(THREE))
    rows = (axes[0], axes[len(axes) // 2])
    assert [row.get_ylabel() for row in rows] == [
        e.sample.defect.replace("_", " ") for e in examples
    ]

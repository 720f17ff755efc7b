"""Fig. 5: a part of every kind of defect, on the scale of each detector's own threshold."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from lsfa_book.mini3d import Mini3DConfig
from lsfa_book.studies.fig5 import THREE, compare, turning, verdicts
from lsfa_book.studies.reproduce import Parts
from lsfa_lite.config import FIRST
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored

FAST = FIRST.change(adaptation__steps=2, adaptation__batch_size=2)
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


class Ruler:
    """A detector whose maps and thresholds are known; its scores tell which scan it was given."""

    def __init__(self, config, device):
        self.threshold = {0: 4.0, FIRST.adaptation.steps: 8.0}[config.adaptation.steps]

    def fit(self, train, validation):
        return self

    def score(self, samples):
        anomaly = np.full((2, 2), float(samples[0].path), np.float32)
        return [Scored(0.0, anomaly, {}, {}, 99.0, self.threshold, False, "")]


def test_a_map_is_the_middle_parts_in_units_of_its_own_threshold(monkeypatch):
    def scan(path: str, defect: str) -> Sample:
        return Sample(np.ones((2, 2, 3)), None, None, int(defect != "good"), defect, path)

    test = [scan("1", "good"), *(scan(path, "hole") for path in "234"), scan("16", "dent")]
    parts = SimpleNamespace(train=[], validation=[], test=test)
    monkeypatch.setattr("lsfa_book.studies.fig5.LSFADetector", Ruler)
    found = dict(compare(FIRST, parts))
    assert {defect: example.sample.path for defect, example in found.items()} == {
        "hole": "3",
        "dent": "16",
    }
    for example in found.values():
        score = float(example.sample.path)
        assert [float(values[0, 0]) for values in example.maps.values()] == [
            score / 4,  # no adaptation
            score / 4,  # whitening
            score / 8,  # LSFA
        ]


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

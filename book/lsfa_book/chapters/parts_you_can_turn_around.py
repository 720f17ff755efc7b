"""Chapter "Parts you can turn around"."""

from __future__ import annotations

import numpy as np

from lsfa_book.checking import Exercise
from lsfa_book.mini3d import Mini3DConfig, make_sample
from lsfa_lite.data.sample import Sample


def steps(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Metres from each pixel to its right neighbour (H, W - 1, 3), and where both were seen."""
    assert sample.xyz is not None
    both = sample.valid[:, 1:] & sample.valid[:, :-1]
    return np.diff(sample.xyz, axis=1), both


def pitch(sample: Sample) -> float:
    difference, both = steps(sample)
    return float(1000 * np.median(np.linalg.norm(difference, axis=-1)[both]))


def with_empty_pixels(sample: Sample) -> float:
    return float(1000 * np.median(np.linalg.norm(steps(sample)[0], axis=-1)))


def mean_instead(sample: Sample) -> float:
    difference, both = steps(sample)
    return float(1000 * np.linalg.norm(difference, axis=-1)[both].mean())


def only_x(sample: Sample) -> float:
    difference, both = steps(sample)
    return float(1000 * np.median(np.abs(difference[..., 0])[both]))


SCANS = ("handle", "test/good", 0), ("bracket", "test/good", 1)

EXERCISES = {
    "pitch": Exercise(
        cases=tuple((make_sample(*scan, Mini3DConfig()),) for scan in SCANS),
        solution=pitch,
        drawn=lambda seed: ((make_sample("handle", "test/good", 0, Mini3DConfig(seed=seed)),),),
        mistakes={
            "this is in metres.": lambda sample: pitch(sample) / 1000,
            "this is the mean; jumps to the table pull it up. Take the median.": mean_instead,
            "empty pixels are in it. Both must be sample.valid.": with_empty_pixels,
            "this is x alone. A distance has three coordinates.": only_x,
        },
    )
}

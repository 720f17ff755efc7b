"""The whole path on real sensors: a depth camera's scans of boxes, and a stereo frame.

Neither set has defects: what is checked is that the path holds, not that something is found.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import SCANS

from lsfa_lite import LITE, LSFADetector, Sample
from lsfa_lite.config import BackgroundConfig
from lsfa_lite.data import files
from lsfa_lite.data.background import remove_background
from lsfa_lite.data.depth import read_cloud
from lsfa_lite.data.folder import Folder, Intrinsics

# pixels lie 2 mm apart or more, not a quarter of a millimetre: a wider radius of the descriptor
COARSE = LITE.change(
    features__points__fpfh_radius=0.03,
    adaptation__steps=3,
    adaptation__batch_size=4,
    adaptation__local_bank=2000,
    scoring__rim="cut",
)


@pytest.mark.skipif(not SCANS.is_dir(), reason="no real scans; set LSFA_REAL_SCANS to their folder")
def test_kinect_fit_on_five_and_score_the_sixth():
    config = BackgroundConfig(plane_distance=0.01, cluster_radius=0.02, keep="sizeable")
    scans, labels = [], []
    for folder in sorted(SCANS.glob("*/")):
        label = files.read_ids(folder / "label.png")
        rgb, xyz = files.read_rgb(folder / "rgb.png"), read_cloud(folder / "xyz.tiff")
        scans.append(remove_background(Sample(rgb, xyz, label > 1, path=folder.name), config))
        labels.append(label)
    detector = LSFADetector(COARSE).fit(scans[:5])
    scored = detector.score(scans[5:])[0]
    assert detector.modalities == ("rgb", "3d")
    assert np.isfinite(scored.anomaly_map).all()
    assert np.isfinite(scored.image_score)
    kept = scans[5].foreground
    assert scored.anomaly_map.shape == labels[5].shape
    assert (scored.anomaly_map[~kept] == 0).all()  # nothing on what was removed as table
    assert (scored.anomaly_map[kept] > 0).mean() > 0.9  # and a score almost everywhere else
    table = labels[5] == 1
    assert (scored.anomaly_map[table] > 0).mean() < 0.02


def test_stereo_frame_through_the_depth_loader(tmp_path):
    data = pytest.importorskip("skimage.data")  # the frame lies in scikit-image's wheel
    left, _, disparity = data.stereo_motorcycle()
    focal, cx, cy, shift, baseline = 994.978, 311.193, 254.877, 31.086, 0.193001
    with np.errstate(divide="ignore"):
        depth = baseline * focal / (disparity + shift)  # metres
    files.write_png(tmp_path / "frame.png", left)
    np.save(tmp_path / "frame_depth.npy", depth)
    frame = Folder(tmp_path, Intrinsics(focal, focal, cx, cy, depth_scale=1.0))[0]

    def crop(top: int, first: int) -> Sample:
        rows, columns = slice(top, top + 400), slice(first, first + 500)
        return dataclasses.replace(
            frame, rgb=frame.rgb[rows, columns], xyz=frame.xyz[rows, columns], path=f"{top} {first}"
        )

    config = COARSE.change(
        features__points__fpfh_radius=0.06, features__image_size=112, features__grid=14
    )
    detector = LSFADetector(config).fit([crop(0, 0), crop(100, 0), crop(0, 240), crop(50, 120)])
    scored = detector.score([crop(100, 240)])[0]
    assert scored.anomaly_map.shape == (400, 500)
    assert np.isfinite(scored.anomaly_map).all()
    assert (scored.anomaly_map[scored.anomaly_map > 0]).size > 50_000

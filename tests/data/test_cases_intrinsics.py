"""One camera in the forms in which recorders and calibrations write it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from lsfa_lite.data import files
from lsfa_lite.data.folder import Folder
from lsfa_lite.data.intrinsics import Intrinsics

FX, FY, CX, CY = 500.0, 510.0, 4.5, 3.5
SIZE = {"width": 8, "height": 6}
ROWS, COLUMNS = [FX, 0, CX, 0, FY, CY, 0, 0, 1], [FX, 0, 0, 0, FY, 0, CX, CY, 1]
PLAIN = {"fx": FX, "fy": FY, "cx": CX, "cy": CY}
REALSENSE = {"fx": FX, "fy": FY, "ppx": CX, "ppy": CY}
STRAIGHT = {"model": "distortion.brown_conrady", "coeffs": [0, 0, 0, 0, 0]}
NESTED = np.reshape(ROWS, (3, 3)).tolist()
FORMS = {
    "plain": PLAIN,
    "plain, sized": PLAIN | SIZE | {"depth_scale": 0.001},
    "realsense": REALSENSE | SIZE | STRAIGHT,
    "realsense, more": REALSENSE | SIZE | STRAIGHT | {"depth_units": 0.001, "fov": [60, 40]},
    "open3d": SIZE | {"intrinsic_matrix": COLUMNS},
    "open3d, by rows": SIZE | {"intrinsic_matrix": ROWS},
    "open3d, recorder": SIZE | {"intrinsic_matrix": COLUMNS, "depth_scale": 1000.0, "fps": 30},
    "open3d, camera": {"extrinsic": [1] * 16, "intrinsic": SIZE | {"intrinsic_matrix": COLUMNS}},
    "ros": SIZE | {"K": ROWS, "D": [0.0] * 5, "distortion_model": "plumb_bob", "header": {}},
    "ros 2": SIZE | {"k": ROWS, "d": [], "p": [FX, 0, CX, 0, 0, FY, CY, 0, 0, 0, 1, 0]},
    "opencv": {"camera_matrix": NESTED, "dist_coeffs": [[0, 0, 0, 0, 0]]},
}
ROS_FILE = {
    "image_width": 8,
    "image_height": 6,
    "camera_matrix": {"rows": 3, "cols": 3, "data": ROWS},
    "distortion_coefficients": {"rows": 1, "cols": 5, "data": [0.0] * 5},
}


def same(camera: Intrinsics) -> bool:
    values = (camera.fx, camera.fy, camera.cx, camera.cy, camera.depth_scale)
    return values == (FX, FY, CX, CY, 0.001) and (camera.width, camera.height) in {
        (8, 6),
        (None,) * 2,
    }


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", FORMS)
def test_forms_and_byte_order_marks(tmp_path, form, encoding, caplog):
    (tmp_path / "a.json").write_text(json.dumps(FORMS[form]), encoding)
    assert same(Intrinsics.from_json(tmp_path / "a.json"))
    assert not caplog.records


@pytest.mark.parametrize("values", [PLAIN, FORMS["ros"], ROS_FILE])
def test_yaml(tmp_path, values):
    (tmp_path / "camera_info.yaml").write_text(yaml.safe_dump(values))
    assert same(Intrinsics.in_folder(tmp_path))


@pytest.mark.parametrize(
    "bent",
    [
        REALSENSE | {"coeffs": [0.1, 0, 0, 0, 0]},
        FORMS["ros"] | {"D": [0, 0, 0, 0, 1e-3]},
        ROS_FILE | {"distortion_coefficients": {"data": [0, -0.2, 0, 0]}},
        PLAIN | {"distortion": [0.1]},
    ],
)
def test_distortion_is_warned_of(tmp_path, bent, caplog):
    (tmp_path / "a.json").write_text(json.dumps(bent))
    assert same(Intrinsics.from_json(tmp_path / "a.json"))
    (record,) = caplog.records
    assert "a.json: lens distortion" in record.getMessage()
    assert "not undone" in record.getMessage()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"fx": 1}, "no fy, cx, cy"),
        ({}, "no fx, fy, cx, cy"),
        (PLAIN | {"depth_scal": 0.0001}, "unknown depth_scal"),
        (PLAIN | {"fx": 0}, r"fx = 0: expected float > 0"),
        (PLAIN | {"fx": "500"}, r"fx = '500'"),
        (PLAIN | {"depth_scale": 1000}, "metres per unit"),
        ({"K": ROWS[:8]}, "8 numbers instead of 9"),
        ({"K": [FX, 3, CX, 0, FY, CY, 0, 0, 1]}, "camera matrix that is not"),
        ({"K": [1] * 9}, "camera matrix that is not"),
        ({"K": ["a"] * 9}, "could not convert"),
        ({"K": {}}, "camera matrix|float"),
        ([1], "holds a list"),
        (None, "holds a NoneType"),
    ],
)
def test_what_is_no_camera_is_said_without_a_python_signature(tmp_path, values, words):
    (tmp_path / "a.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=words) as error:
        Intrinsics.from_json(tmp_path / "a.json")
    assert str(tmp_path / "a.json") in str(error.value)
    assert "RealSense" in str(error.value)
    assert "__init__" not in str(error.value)


def test_intrinsics_of_another_size_are_refused(tmp_path):
    files.write_png(tmp_path / "a_depth.png", np.full((12, 16), 500, np.uint16))
    (tmp_path / "intrinsics.json").write_text(json.dumps(FORMS["realsense"]))
    with pytest.raises(ValueError, match=r"a_depth\.png: 16 x 12 pixels of depth.*those of 8 x 6"):
        Folder(tmp_path)[0]

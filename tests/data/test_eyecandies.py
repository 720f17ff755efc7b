"""Eyecandies: a rendered scene in exactly that layout, whose belt and ball are known in space.

The scene is traced in the world's frame (height z above the belt, in documented metres) by rays
of unit length; the reader works in the camera's frame with a pinhole. Only the scene is shared.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from lsfa_lite.cli import main
from lsfa_lite.data import eyecandies
from lsfa_lite.data import eyecandies_camera as camera
from lsfa_lite.data.background import clean_folder, remove_background
from lsfa_lite.data.doctor import examine
from lsfa_lite.data.eyecandies import Eyecandies, convert
from lsfa_lite.data.eyecandies_camera import EyecandiesConfig
from lsfa_lite.data.mvtec3d import MVTec3D

SIDE = 128
FOCAL = 711.11 / 4  # the camera of 512 x 512 pixels, four times coarser
CONFIG = EyecandiesConfig(focal=FOCAL)
WHOLE = replace(CONFIG, scale=1.0, half_width=np.inf, length=np.inf)
STEP = 3.0 / 65535  # metres, no depth below is stored more coarsely
DOWN = np.radians(40)
EYE = np.array([0.0, 0.0, 1.2])
RIGHT = np.array([1.0, 0.0, 0.0])
FORWARD = np.array([0.0, np.cos(DOWN), -np.sin(DOWN)])
BELOW = np.array([0.0, -np.sin(DOWN), -np.cos(DOWN)])  # down in the picture
BALL, RADIUS = np.array([0.2, 1.3, 0.2]), 0.25
WALL, EDGE, DROP = 2.8, 0.7, -0.3  # the wall behind; the belt's edges, and the floor beside it
POSE = np.block([[np.stack([RIGHT, BELOW, FORWARD], 1), EYE[:, None]], [np.eye(4)[3:]]])


def trace(u: float, v: float, side: int = SIDE, focal: float = FOCAL) -> tuple[float, str]:
    """One pixel: the distance along the optical axis, and what is seen there."""
    direction = (u - side / 2) * RIGHT + (v - side / 2) * BELOW + focal * FORWARD
    direction = direction / np.linalg.norm(direction)
    hits = {"wall": (WALL - EYE[1]) / direction[1] if direction[1] > 0 else np.inf}
    hits["belt"] = -EYE[2] / direction[2]
    if abs((EYE + hits["belt"] * direction)[0]) > EDGE:
        hits["floor"] = (DROP - EYE[2]) / direction[2]
        del hits["belt"]
    offset = EYE - BALL
    half, rest = offset @ direction, offset @ offset - RADIUS**2
    if half**2 >= rest:
        hits["ball"] = -half - np.sqrt(half**2 - rest)
    what = min(hits, key=hits.__getitem__)
    return float(hits[what] * (direction @ FORWARD)), what


def scene(side: int = SIDE, focal: float = FOCAL, step: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) depth and (H, W) names; `step` traces every so many pixels and repeats them."""
    rows = range(0, side, step)
    seen = [[trace(u, v, side, focal) for u in rows] for v in rows]
    depth = np.array([[d for d, _ in row] for row in seen]).repeat(step, 0).repeat(step, 1)
    return depth, np.array([[w for _, w in row] for row in seen]).repeat(step, 0).repeat(step, 1)


DEPTH, WHAT = scene()
KINDS = ("bumps", "dents", "colors", "normals")


def png(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write(data: Path, stem: str, marks: dict[str, int] | None = None, depth=DEPTH) -> None:
    """The 17 items of one sample; `marks` are {kind: row of the one marked pixel}."""
    low, high = float(depth.min()), float(depth.max())
    png(data / f"{stem}_depth.png", np.round((depth - low) / (high - low) * 65535).astype("u2"))
    info = {"normalization": {"max": high, "min": low}}
    (data / f"{stem}_info_depth.yaml").write_text(yaml.safe_dump(info))
    np.savetxt(data / f"{stem}_pose.txt", POSE)
    for light in range(6):
        png(data / f"{stem}_image_{light}.png", np.full((*depth.shape, 3), 10 + light, np.uint8))
    png(data / f"{stem}_normals.png", np.full((*depth.shape, 3), 127, np.uint8))
    (data / f"{stem}_metadata.yaml").write_text(f"anomalous: {int(bool(marks))}\n")
    (data / f"{stem}_obj_params.yaml").write_text("scene: {min: 7}\n")
    union = np.zeros(depth.shape, np.uint8)
    for kind in KINDS:
        mask = np.zeros(depth.shape, np.uint8)
        if kind in (marks or {}):
            mask[marks[kind], 70] = 255
        union |= mask
        png(data / f"{stem}_{kind}_mask.png", mask)
    png(data / f"{stem}_mask.png", union)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Three digits in train, two in test_public, as in the real set."""
    root = tmp_path_factory.mktemp("eyecandies")
    for stem in ("010", "000"):
        write(root / "GummyBear/train/data", stem)
    write(root / "GummyBear/val/data", "000")
    public = root / "GummyBear/test_public/data"
    write(public, "00")
    write(public, "01", {"dents": 60})
    write(public, "02", {kind: 50 + i for i, kind in enumerate(KINDS)})
    (root / "GummyBear/test_private/data").mkdir(parents=True)
    (root / "notes").mkdir()
    for name in ("._000_depth.png", ".000_depth.png"):
        (root / "GummyBear/train/data" / name).write_bytes(b"left by another system")
    return root


@pytest.fixture
def root(made, tmp_path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(made, tmp_path / "set"))


def test_depth_along_the_axis(made):
    """Against rays meeting the belt, the ball and the walls, one by one, in the world's frame."""
    path = made / "GummyBear/train/data/000_depth.png"
    xyz = camera.read_cloud(path, WHOLE)
    assert (xyz.dtype, xyz.shape) == (np.float32, (SIDE, SIDE, 3))
    np.testing.assert_allclose(xyz[..., 2], DEPTH, atol=STEP)
    for v, u in np.random.default_rng(0).integers(0, SIDE, (200, 2)):
        depth, _ = trace(u, v)
        right, below, forward = xyz[v, u]
        world = EYE + right * RIGHT + below * BELOW + forward * FORWARD
        ray = world - EYE
        assert forward == pytest.approx(depth, abs=STEP)
        assert ray @ RIGHT / (ray @ FORWARD) == pytest.approx((u - SIDE / 2) / FOCAL, abs=1e-5)
        assert ray @ BELOW / (ray @ FORWARD) == pytest.approx((v - SIDE / 2) / FOCAL, abs=1e-5)


def test_the_ball_is_where_it_was_put(made):
    """Metres and orientation: x right, y down, z away; its radius and centre are known."""
    xyz = camera.read_cloud(made / "GummyBear/train/data/000_depth.png", WHOLE)
    ball = xyz[WHAT == "ball"].astype(np.float64)
    centre = np.array([(BALL - EYE) @ axis for axis in (RIGHT, BELOW, FORWARD)])
    radii = np.linalg.norm(ball - centre, axis=1)
    np.testing.assert_allclose(radii, RADIUS, atol=2 * STEP)
    assert centre[0] > 0
    assert np.argwhere(WHAT == "ball")[:, 1].mean() > SIDE / 2  # on the right
    assert (np.diff(xyz[:, 64, 1]) > 0).all()  # y grows down the picture


@pytest.mark.parametrize("scale", [1.0, 0.1])
@pytest.mark.parametrize("sense", ["camera_to_world", "world_to_camera"])
def test_world_frame(made, scale, sense):
    """The belt has height 0, the wall its distance, whichever way round the pose is written."""
    path = made / "GummyBear/train/data/000_depth.png"
    xyz = camera.read_cloud(path, replace(WHOLE, scale=scale)).copy()
    xyz[0, 0] = 0
    pose = POSE if sense == "camera_to_world" else np.linalg.inv(POSE)
    world = camera.to_world(xyz, pose, sense, scale)
    np.testing.assert_allclose(world[WHAT == "belt"][:, 2], 0, atol=2 * STEP * scale)
    assert not world[0, 0].any()
    wall = world[1:][WHAT[1:] == "wall"]
    np.testing.assert_allclose(wall[:, 1], WALL * scale, atol=2 * STEP * scale)
    other = {"camera_to_world": "world_to_camera", "world_to_camera": "camera_to_world"}[sense]
    wrong = camera.to_world(xyz, pose, other, scale)
    assert np.abs(wrong[WHAT == "belt"][:, 2]).max() > 0.1 * scale  # the two do disagree


def test_scale_is_a_tenth_by_default(made):
    path = made / "GummyBear/train/data/000_depth.png"
    small, large = camera.read_cloud(path, CONFIG), camera.read_cloud(path, WHOLE)
    np.testing.assert_allclose(small, large / 10, rtol=1e-6)


def test_the_real_camera_is_the_default(tmp_path):
    """512 x 512 pixels, focal length 711.11: the corner's ray, by hand."""
    depth, _ = scene(512, 711.11, step=8)
    write(tmp_path, "000", depth=depth)
    xyz = camera.read_cloud(tmp_path / "000_depth.png")
    assert xyz.shape == (512, 512, 3)
    x, y, z = xyz[0, 0].astype(np.float64)
    assert (x / z, y / z) == pytest.approx((-256 / 711.11, -256 / 711.11), abs=1e-6)
    assert z == pytest.approx(0.1 * depth[0, 0], abs=STEP)


@pytest.mark.parametrize(("low", "seen"), [(0.5, True), (0.0, False)])
def test_stored_zero_is_the_nearest_pixel_and_depth_zero_a_hole(tmp_path, low, seen):
    stored = np.full((4, 6), 65535, np.uint16)
    stored[1, 2], stored[2, 3] = 0, 13107  # a fifth
    png(tmp_path / "000_depth.png", stored)
    (tmp_path / "000_info_depth.yaml").write_text(f"normalization:\n  max: 2.0\n  min: {low}\n")
    xyz = camera.read_cloud(tmp_path / "000_depth.png", WHOLE)
    assert xyz[1, 2].any() == seen
    assert xyz[1, 2, 2] == pytest.approx(low)
    assert xyz[2, 3, 2] == pytest.approx(low + 0.2 * (2 - low), abs=1e-6)
    assert xyz[0, 0, 2] == pytest.approx(2)


@pytest.mark.parametrize(
    "text",
    [
        "normalization:\n  max: 2.5\n  min: 1.25\n",
        "normalization:\n    min: 1.25  # metres\n    max: 2.5e+0\n",
        "normalization: {max: 2.5, min: 1.25}\n",
        "# normalization:\n#   min: 9\nnormalization:\n  # min: 9\n  min: 1.25\n  max: 2.5\n",
        "other:\n  min: 9\nnormalization:\n  min: 1.25\n  max: 2.5\nmin: 8\n",
        '{"normalization": {"min": 1.25, "max": 2.5}}',
        "normalization: {min: 125e-2, max: '2.5'}",  # to YAML 1.1, both are words
        "dtype: uint16\r\nnormalization:\r\n  max: 2.5\r\n  min: 1.25\r\nmax: 7\r\n",
    ],
)
def test_numbers_of_the_block_that_was_asked_for(tmp_path, text):
    path = tmp_path / "000_info_depth.yaml"
    path.write_bytes(text.encode())
    assert camera.yaml_number(path, "normalization.min") == 1.25
    assert camera.yaml_number(path, "normalization.max") == 2.5


def test_splits(made):
    data = Eyecandies(made, "GummyBear", CONFIG)
    assert eyecandies.categories(made) == ["GummyBear"]
    assert (len(data.train), len(data.validation), len(data.test)) == (2, 1, 3)
    assert [Path(sample.path).name for sample in data.train] == [
        "000_image_4.png",
        "010_image_4.png",
    ]
    assert data.train.labels == [0, 0]
    assert data.test.labels == [0, 1, 1]
    assert data.test.defects == ["good", "dents", "combined"]
    assert data.defects == ["combined", "dents"]
    assert "train 2, validation 1, test 3" in repr(data)
    assert len(data.test[1:]) == 2
    assert data.test[1:][0].defect == "dents"


@pytest.mark.parametrize("light", range(6))
def test_six_lights(made, light):
    sample = Eyecandies(made, "GummyBear", replace(CONFIG, light=light)).train[0]
    assert (sample.rgb == 10 + light).all()


def test_mask_is_the_union_of_the_annotations(root):
    """Also where the union picture is missing, or has less than the single ones."""
    public = root / "GummyBear/test_public/data"
    rows = {50, 51, 52, 53}
    for spoil in ("nothing", "a part", "gone"):
        if spoil == "a part":
            png(public / "02_mask.png", np.zeros((SIDE, SIDE), np.uint8))
        if spoil == "gone":
            (public / "02_mask.png").unlink()
        good, dent, combined = Eyecandies(root, "GummyBear", CONFIG).test
        assert set(np.flatnonzero(combined.mask[:, 70])) == rows
        assert combined.mask.sum() == 4
        assert (dent.mask.sum(), dent.mask[60, 70]) == (1, True)
        assert not good.mask.any()


def test_labels_are_the_metadata_s(root):
    """A defect that no pixel shows is still one; without metadata the masks decide."""
    public = root / "GummyBear/test_public/data"
    (public / "00_metadata.yaml").write_text("anomalous: true\n")
    (public / "01_metadata.yaml").unlink()
    test = Eyecandies(root, "GummyBear", CONFIG).test
    assert test.labels == [1, 1, 1]
    assert test.defects == ["bad", "dents", "combined"]
    (public / "02_metadata.yaml").write_text("anomalous: 0\n")
    with pytest.raises(ValueError, match=r"02_metadata\.yaml: says good, but bumps are marked"):
        Eyecandies(root, "GummyBear", CONFIG).test  # noqa: B018


def test_lazy(root):
    train = root / "GummyBear/train/data"
    (train / "010_depth.png").write_bytes(b"no picture")
    (root / "GummyBear/test_public/data/01_mask.png").write_bytes(b"no picture")
    (train / "000_pose.txt").unlink()  # not needed in the camera's frame
    data = Eyecandies(root, "GummyBear", CONFIG)
    assert data.train[0].shape == (SIDE, SIDE)
    with pytest.raises(ValueError, match=r"010_depth\.png.*damaged"):
        data.train[1]
    with pytest.raises(ValueError, match=r"01_mask\.png.*damaged"):
        data.test  # noqa: B018


def test_cut_takes_what_is_beside_and_behind_the_belt(made):
    """The limits, computed in the world's frame: 1.8 m from where the lower edge sees the belt."""
    path = made / "GummyBear/train/data/000_depth.png"
    config = replace(CONFIG, half_width=0.6)
    out = camera.cut(camera.read_cloud(path, config), config)
    raw = camera.read_cloud(path, WHOLE)
    world = EYE + raw @ np.stack([RIGHT, BELOW, FORWARD])
    steepest = DOWN + np.arctan((SIDE / 2 - 1) / FOCAL)
    start = EYE[2] / np.tan(steepest)
    inside = (np.abs(world[..., 0]) <= 0.6) & (world[..., 1] <= start + 1.8)
    near = np.abs(world[..., 1] - start - 1.8) < 0.005  # the plane is fitted, not known
    assert (out.any(axis=-1) == inside)[~near].all()
    assert not out[WHAT == "wall"].any()
    assert not out[WHAT == "floor"].any()
    assert out[WHAT == "ball"].any(axis=-1).all()
    np.testing.assert_allclose(out[inside & ~near], 0.1 * raw[inside & ~near], rtol=1e-5)
    assert np.array_equal(camera.cut(raw, WHOLE), raw)  # inf: no cut
    alone = np.where((WHAT == "ball")[..., None], raw, 0)
    assert np.array_equal(camera.cut(alone, CONFIG), alone)  # no belt, no cut
    with pytest.raises(ValueError, match="raise half_width and length"):
        camera.cut(0.1 * raw + np.float32([1, 0, 0]), CONFIG)


def test_background_leaves_the_ball(made):
    """All of it that is more than 2 cm (documented) above the belt, and nothing else."""
    sample = Eyecandies(made, "GummyBear", CONFIG).train[0]
    cleaned = remove_background(sample, CONFIG.background)
    height = EYE[2] + (10 * sample.xyz) @ np.stack([RIGHT, BELOW, FORWARD])[:, 2]  # (H, W)
    ball = WHAT == "ball"
    assert cleaned.valid[ball & (height > 0.022)].all()
    assert not cleaned.valid[~ball].any()
    assert not cleaned.valid[height < 0.018].any()


def test_convert_then_read_clean_and_examine(made, tmp_path):
    out = convert(made, tmp_path / "out", "GummyBear", config=CONFIG)
    names = {str(path.relative_to(out)) for path in out.rglob("*.*")}
    assert names == {
        *(f"{split}/good/{kind}" for split in ("train", "validation") for kind in
          ("rgb/000.png", "xyz/000.tiff")),
        "train/good/rgb/010.png", "train/good/xyz/010.tiff",
        *(f"test/{kind}" for folder, stem in (("good", "000"), ("dents", "001"),
          ("combined", "002")) for kind in (f"{folder}/rgb/{stem}.png",
          f"{folder}/xyz/{stem}.tiff", f"{folder}/gt/{stem}.png")),
    }  # fmt: skip
    assert out.stat().st_mode & 0o555 == 0o555  # others may read it
    data, source = MVTec3D(tmp_path / "out", "GummyBear"), Eyecandies(made, "GummyBear", CONFIG)
    ours = {Path(s.path).stem: s for s in data.test}
    for theirs in source.test:
        sample = ours["0" + Path(theirs.path).name[:2]]
        assert (sample.label, sample.defect) == (theirs.label, theirs.defect)
        for name in ("rgb", "xyz", "mask"):
            assert np.array_equal(getattr(sample, name), getattr(theirs, name))
    assert examine(tmp_path / "out").ok
    assert clean_folder(tmp_path / "out", tmp_path / "clean", CONFIG.background) == 6
    report = examine(tmp_path / "clean")
    assert report.ok
    assert "table is still there" in str(examine(tmp_path / "out"))
    assert "table is still there" not in str(report)
    with pytest.raises(FileExistsError, match="GummyBear is not empty"):
        convert(made, tmp_path / "out", "GummyBear", config=CONFIG)


def test_a_failed_conversion_leaves_nothing(root, tmp_path):
    (root / "GummyBear/val/data/000_info_depth.yaml").unlink()
    with pytest.raises(FileNotFoundError, match=r"val.data.000_info_depth\.yaml"):
        convert(root, tmp_path / "out", "GummyBear", config=CONFIG)
    assert not list((tmp_path / "out").iterdir())


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "info gone": ("info_depth.yaml", Path.unlink, "no such file; expected YAML"),
    "depth cut short": ("depth.png", halve, "damaged or cut short: copy or export it again"),
    "image cut short": ("image_4.png", halve, "damaged or cut short"),
    "8 bit": ("depth.png", lambda p: png(p, np.ones((SIDE, SIDE), np.uint8)), "16 bit"),
    "sizes": ("image_4.png", lambda p: png(p, np.ones((9, 9, 3), np.uint8)), "same size"),
    "no block": (
        "info_depth.yaml",
        lambda p: p.write_text("min: 1\nmax: 2\n"),
        r"no normalization\.min",
    ),
    "no max": (
        "info_depth.yaml",
        lambda p: p.write_text("normalization:\n  min: 1\n"),
        r"no normalization\.max",
    ),
    "binary": ("info_depth.yaml", lambda p: p.write_bytes(b"\xff\xfe\x00"), "cannot be read"),
    "no mapping": (
        "info_depth.yaml",
        lambda p: p.write_text("- min\n- max\n"),
        r"no normalization\.min",
    ),
    "code": (
        "info_depth.yaml",
        lambda p: p.write_text("normalization: !!python/object/apply:os.getcwd []\n"),
        "cannot be read as YAML",
    ),
    "word": (
        "info_depth.yaml",
        lambda p: p.write_text("normalization:\n  min: near\n  max: 2\n"),
        "could not convert.*'near'",
    ),
    "NaN": (
        "info_depth.yaml",
        lambda p: p.write_text("normalization:\n  min: nan\n  max: 2\n"),
        "min is nan; expected a finite number",
    ),
    "YAML's own NaN": (
        "info_depth.yaml",
        lambda p: p.write_text("normalization: {min: 1, max: .nan}"),
        "max is nan; expected a finite number",
    ),
    "turned round": (
        "info_depth.yaml",
        lambda p: p.write_text("normalization: {min: 2, max: 1}"),
        "0 <= min <= max: unpack",
    ),
    "millimetres": (
        "info_depth.yaml",
        lambda p: p.write_text("normalization: {min: 900, max: 2000}"),
        "cannot be metres",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_with_its_cure(root, kind):
    name, spoil, words = DAMAGE[kind]
    path = root / "GummyBear/train/data" / f"000_{name}"
    spoil(path)
    named = "000_depth.png" if kind == "millimetres" else path.name
    with pytest.raises((ValueError, FileNotFoundError), match=f"(?s){named}.*{words}"):
        Eyecandies(root, "GummyBear", CONFIG).train[0]


def test_an_unknown_sense_of_the_pose():
    with pytest.raises(ValueError, match="sense 'upside down'"):
        camera.to_world(np.ones((2, 2, 3)), POSE, "upside down")


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("train/data/010_depth.png", r"010_image_4\.png|no 3D file of the same stem '010'"),
        ("train/data/010_image_4.png", r"010_depth\.png: has no rgb file"),
        ("train/data/*_image_4.png", r"no \*_image_4\.png.*choose another light"),
        ("train/data/*_depth.png", r"no \*_depth\.png; unpack"),
        ("train/data/*", "train.data: no scans; expected 000_depth.png"),
        ("test_public/data/00_*mask.png", r"00_mask\.png: no such file, nor one of bumps"),
    ],
)
def test_missing_files_are_named(root, gone, words):
    for path in (root / "GummyBear").glob(gone):
        path.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        Eyecandies(root, "GummyBear", CONFIG).test  # noqa: B018


def test_masks_of_two_sizes(root):
    png(root / "GummyBear/test_public/data/01_dents_mask.png", np.ones((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"01_mask\.png.*differ in size"):
        Eyecandies(root, "GummyBear", CONFIG).test  # noqa: B018


def test_wrong_addresses_and_settings(made):
    with pytest.raises(ValueError, match="no Eyecandies category 'gummy'; there are GummyBear"):
        Eyecandies(made, "gummy")
    with pytest.raises(ValueError, match=r"expected CandyCane/train/data/000_depth\.png"):
        Eyecandies(made / "GummyBear", "GummyBear")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Eyecandies(made / "nowhere", "GummyBear")
    with pytest.raises(ValueError, match=r"light = 6: .*0 all spots, .*5 global"):
        EyecandiesConfig(light=6)
    for field, value in {"scale": 0.0, "focal": np.nan, "length": -1.0, "half_width": 0}.items():
        with pytest.raises(ValueError, match=f"EyecandiesConfig.{field} = .*expected"):
            EyecandiesConfig(**{field: value})
    with pytest.raises(ValueError, match=r"scale = 1000\.0: expected float above 0, at most 1"):
        EyecandiesConfig(scale=1000.0)


def test_command_converts_every_category(made: Path, tmp_path: Path, capsys):
    assert main(["data", "eyecandies", str(made), str(tmp_path / "out")]) == 0
    assert len(MVTec3D(tmp_path / "out", "GummyBear").train) > 0
    assert main(["data", "eyecandies", str(made)]) == 2
    assert "eyecandies SRC OUT" in capsys.readouterr().err

"""The colour half as an ONNX file: onnxruntime says what the detector says."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sys
import warnings

import numpy as np
import pytest
import torch
from conftest import QUICK, ROOT, without

from lsfa_lite.bridges import onnx as bridge
from lsfa_lite.bridges.onnx import ColourHalf, export, map_threshold
from lsfa_lite.cli import main
from lsfa_lite.config import LITE
from lsfa_lite.data.files import write_png
from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import LSFADetector
from lsfa_lite.features.extract import square_pixels
from lsfa_lite.scoring.maps import unsquare

NEAR = 3e-5  # of distances up to 30: what float32 rounds on the way through sixty layers
LITTLE = {"features__image_size": 64, "features__grid": 16, "modalities": ("rgb",)}
FIRST = QUICK.change(**LITTLE | {"features__grid": 8})
CONFIGS = {
    # top of ten, Fisher's tails, closed rim; grid twice as fine as the finest stage
    "lite": LITE.change(**LITTLE),
    # maximum, re-weighted, z-scores, linear adaptor
    "first": FIRST,
    "encoder": FIRST.change(
        adaptation__adaptor="encoder", adaptation__steps=2, scoring__blur=0.0, scoring__rim="fade"
    ),
    "whitened": FIRST.change(adaptation__input="whiten", adaptation__steps=0),
    "smoothed": FIRST.change(features__image__smooth=3, scoring__normalise="quantile"),
    "uneven": FIRST.change(features__grid=9, features__min_foreground=0.0, scoring__neighbours=5),
    "one row": FIRST.change(scoring__coreset_rows=1, scoring__normalise="none"),
    "a vit": FIRST.change(
        features__image__backbone="vit_tiny_patch16_224", features__image__weights="random"
    ),
}


def fit(config, rings, gone=None):
    parts = [[without(s, gone) if gone else s for s in rings[k]] for k in ("train", "validation")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one sense is missing
        return LSFADetector(config).fit(*parts)


def inputs(samples, size):
    """picture (B, 3, S, S) and part (B, S, S), as the export's limits ask for them."""
    squares = [square_pixels(sample, size) for sample in samples]
    pictures = np.stack([colour.transpose(2, 0, 1) for colour, _ in squares])
    return pictures, np.stack([xyz.any(-1) for _, xyz in squares])


def agrees(detector, samples, found):
    """Every output against the detector, part by part."""
    for sample, distances, score, drawn, normalised, anomalous in zip(samples, *found, strict=True):
        said = detector.score(sample, ["rgb"])
        row = detector.extractor(sample, ["rgb"])
        close = {"abs": NEAR, "rel": NEAR}
        seen = detector.score_features(row)["rgb"].distances
        assert np.abs(seen.numpy() - distances).max() <= NEAR * max(1, float(seen.max()))
        assert score == pytest.approx(said.modality_scores["rgb"], **close)
        shown = unsquare(torch.from_numpy(drawn), sample.shape).numpy()
        if detector.config.scoring.rim == "cut":
            shown = shown * sample.foreground
        theirs = said.modality_maps["rgb"]
        assert np.abs(shown - theirs).max() <= NEAR * max(1, theirs.max())
        assert normalised == pytest.approx(said.image_score, rel=1e-4, abs=1e-4)
        assert bool(anomalous) is said.is_anomalous


# a quarter of a minute for each; all of them: make exports
EXPORTED = list(CONFIGS) if os.environ.get("LSFA_EVERY_EXPORT") else ["lite"]


@pytest.fixture(scope="module", params=EXPORTED)
def exported(request, rings, tmp_path_factory):
    """A fitted detector, the file that the command makes of it, its session, and what was said."""
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason="needs the extra onnx: pip install 'lsfa-lite[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="pip install onnxruntime")
    detector = fit(CONFIGS[request.param], rings)
    path, said = tmp_path_factory.mktemp("onnx") / "half.onnx", io.StringIO()
    model = tmp_path_factory.mktemp("models") / "model"
    detector.save(model)
    with contextlib.redirect_stdout(said):
        assert main(["export", str(model), str(path)]) == 0
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return detector, path, session, said.getvalue()


def run(session, pictures, part):
    return session.run(None, {"picture": pictures, "part": part})


def test_onnxruntime_says_what_the_detector_says(exported, rings):
    detector, _, session, _ = exported
    agrees(detector, rings["test"], run(session, *inputs(rings["test"], 64)))


def test_the_recipe_of_the_book_needs_neither_torch_nor_us(exported, rings, tmp_path, monkeypatch):
    """A picture alone, not square, as a file."""
    detector, path, _, _ = exported
    page = (ROOT / "book" / "bridges.md").read_text().split("## ONNX")[1]
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "torch" not in code
    assert "lsfa" not in code
    whole = rings["test"][2]
    sample = Sample(np.rint(whole.colour * 255).astype(np.uint8)[20:], None)
    write_png(tmp_path / "part.png", sample.rgb)
    shutil.copy(path, tmp_path / "part.onnx")
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(code, found)
    said = detector.score(sample)
    assert found["normalised"][0] == pytest.approx(said.image_score, rel=1e-4, abs=1e-4)
    assert bool(found["anomalous"][0]) is said.is_anomalous
    at = float(found["about"]["map_threshold"])
    assert np.array_equal(found["hot"], found["heat"][0] > at)
    theirs = unsquare(torch.from_numpy(found["heat"][0]), sample.shape).numpy()
    off = 1 if detector.config.scoring.rim != "cut" else sample.foreground
    assert np.abs(theirs * off - said.modality_maps["rgb"]).max() < 1e-3


def test_a_batch_of_any_size_and_no_part_at_all(exported, rings):
    _, _, session, _ = exported
    pictures, part = inputs(rings["test"], 64)
    every = run(session, pictures, part)
    for i in range(len(pictures)):
        alone = run(session, pictures[i : i + 1], part[i : i + 1])
        for one, all_of in zip(alone, every, strict=True):
            assert one[0] == pytest.approx(all_of[i], abs=NEAR, rel=NEAR)
    distances, score, drawn, normalised, anomalous = run(session, pictures, np.zeros_like(part))
    assert np.isinf(score).all()
    assert np.isinf(normalised).all()
    assert anomalous.all()
    assert not distances.any()
    assert not drawn.any()


def test_the_file_says_what_it_is_and_what_it_does_not_do(exported):
    detector, path, session, said = exported
    about = session.get_modelmeta().custom_metadata_map
    assert float(about["threshold"]) == detector.calibration.thresholds["rgb"].value
    assert float(about["map_threshold"]) == pytest.approx(map_threshold(detector))
    assert about["weights"] == detector.extractor.fingerprint("rgb")
    assert about["backbone"] == detector.config.features.image.backbone
    assert about["image_size"] == "64"
    limits = " ".join(json.loads(about["limits"]))
    for word in ("colour alone", "background removed", "infinity", "float32"):
        assert word in limits
    assert [x.name for x in session.get_inputs()] == list(bridge.INPUTS)
    assert [x.name for x in session.get_outputs()] == list(bridge.OUTPUTS)
    assert [p.name for p in path.parent.iterdir()] == ["half.onnx"]  # in one piece
    assert said.startswith(f"{path}: picture, part -> distances, ")
    for limit in bridge.LIMITS:
        assert limit in said


@pytest.mark.parametrize("what", CONFIGS)
def test_the_module_that_is_exported_says_what_the_detector_says(what, rings):
    detector = fit(CONFIGS[what], rings)
    learns = [p.requires_grad for p in detector.adaptation.parameters()]
    pictures, part = inputs(rings["test"], 64)
    with torch.no_grad():
        found = ColourHalf(detector)(torch.from_numpy(pictures), torch.from_numpy(part))
    agrees(detector, rings["test"], [values.numpy() for values in found])
    assert [p.requires_grad for p in detector.adaptation.parameters()] == learns  # left as it was


def test_a_part_of_fewer_patches_than_the_score_asks_for(rings):
    """Three patches, and the mean of ten largest distances: of these three."""
    detector = fit(CONFIGS["lite"], rings)
    picture = torch.from_numpy(inputs(rings["test"], 64)[0][:1])
    part = torch.zeros(1, 64, 64, dtype=torch.bool)
    part[0, 20:24, 8:20] = True  # patches of four pixels
    with torch.no_grad():
        distances, score, *_ = ColourHalf(detector)(picture, part)
        features = detector.extractor.network("rgb")(picture)
    on = torch.zeros(256, dtype=torch.bool)
    on[5 * 16 + 2 : 5 * 16 + 5] = True
    adapted = detector.adaptation.adapt("rgb", features)[0]
    expected = detector.banks["rgb"].score(adapted, on)
    assert float(score) == pytest.approx(expected.image_score, abs=NEAR)
    assert torch.allclose(distances[0], expected.distances, atol=NEAR)


def test_the_bank_is_searched_in_pieces_as_in_one(rings, monkeypatch):
    detector = fit(CONFIGS["lite"], rings)
    pictures, part = map(torch.from_numpy, inputs(rings["test"], 64))
    with torch.no_grad():
        whole = ColourHalf(detector)(pictures, part)
        monkeypatch.setattr(bridge, "ROWS", 7)
        pieces = ColourHalf(detector)(pictures, part)
    for one, other in zip(whole, pieces, strict=True):
        assert torch.allclose(one.float(), other.float(), atol=NEAR)


@pytest.mark.parametrize("name", ["lite", "first"])
def test_the_threshold_of_a_map_is_told_on_the_maps_own_scale(name, rings):
    detector = fit(CONFIGS[name], rings)
    at = map_threshold(detector)
    scale = detector.calibration.fusion
    below, above = (
        float(scale.fuse_maps({"rgb": torch.tensor(at + step, dtype=torch.float64)}))
        for step in (-1e-6, 1e-6)
    )
    assert below <= detector.calibration.map_thresholds["rgb"].value < above


def test_what_cannot_be_exported_is_refused(rings, tmp_path, monkeypatch):
    out = tmp_path / "half.onnx"
    with pytest.raises(ValueError, match=r"fit\(\) or load\(\) first"):
        ColourHalf(LSFADetector(CONFIGS["lite"]))
    deep = fit(QUICK.change(adaptation__steps=0), rings, gone="rgb")
    with pytest.raises(ValueError, match="fitted on 3d: it has no colour half"):
        ColourHalf(deep)
    detector = fit(CONFIGS["lite"], rings)
    with pytest.raises(ValueError, match=r"half.pt: expected a name that ends in .onnx"):
        export(detector, tmp_path / "half.pt")
    out.write_bytes(b"")
    with pytest.raises(FileExistsError, match="is there already"):
        export(detector, out)
    out.unlink()
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    with monkeypatch.context() as patch:
        patch.setattr(bridge, "LARGEST", 1e5)
        with pytest.raises(ValueError, match=r"0.0 GB of constants.*scoring.coreset"):
            export(detector, out)
    detector.extractor = Other()
    with pytest.raises(ValueError, match="Other describes the pictures"):
        ColourHalf(detector)
    assert list(tmp_path.iterdir()) == []


class Other:
    """An extractor that is no FeatureExtractor."""


def test_without_onnx_the_extra_is_named(rings, tmp_path, monkeypatch, capsys):
    detector = fit(CONFIGS["lite"], rings)
    detector.save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(tmp_path / "model"), str(tmp_path / "half.onnx")]) == 2
    assert "pip install 'lsfa-lite[onnx]'" in capsys.readouterr().err
    assert main(["export", str(tmp_path / "none"), str(tmp_path / "half.onnx")]) == 2
    assert "missing; expected the folder" in capsys.readouterr().err

"""anomalib's data sets and predictions as ours, held against the anomalib that is installed."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import sys

import numpy as np
import pytest
import torch
from conftest import QUICK, without

from lsfa_book import mini3d
from lsfa_lite.bridges.anomalib import (
    AnomalibCategory,
    from_anomalib,
    half_way,
    to_anomalib,
)
from lsfa_lite.data.folder import Intrinsics
from lsfa_lite.data.mvtec3d import MVTec3D
from lsfa_lite.detector import LSFADetector, Scored
from lsfa_lite.evaluation import evaluate

WHY = "needs anomalib: pip install 'lsfa-lite[anomalib]'"
TINY = mini3d.Mini3DConfig(seed=7, train=4, validation=2, test_good=3, test_per_defect=2, size=64)
QUIET = {"num_workers": 0, "train_batch_size": 4, "eval_batch_size": 4}
KINDS = ("contamination", "dent", "hole", "stain")


@pytest.fixture(scope="module")
def library():
    return pytest.importorskip("anomalib.data", reason=WHY)


@pytest.fixture(scope="module")
def metrics():
    return pytest.importorskip("anomalib.metrics", reason=WHY)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    mini3d.write(folder, TINY, ["ring"])
    return folder


@pytest.fixture(scope="module")
def fitted(rings):
    """The test parts, and what our own detector says of them."""
    detector = LSFADetector(QUICK.change(adaptation__steps=0)).fit(rings["train"])
    return rings["test"], detector.score(rings["test"])


def pictures(library, root, **options):
    """A Folder datamodule on our layout: pictures alone."""
    kinds = {"abnormal_dir": [f"test/{kind}/rgb" for kind in KINDS]}
    kinds |= {"mask_dir": [f"test/{kind}/gt" for kind in KINDS]}
    good = {"normal_dir": "train/good/rgb", "normal_test_dir": "test/good/rgb"}
    return library.Folder("ring", root=root / "ring", **good, **kinds, **QUIET, **options)


# --- its data sets in -------------------------------------------------------------------------


def test_mvtec_3d_gives_the_samples_that_our_own_reader_gives(library, root, caplog):
    with caplog.at_level(logging.WARNING):
        found = AnomalibCategory(library.MVTec3D(root=root, category="ring", **QUIET))
    ours = MVTec3D(root, "ring")
    assert list(found.train) == list(ours.train)
    assert list(found.test) == list(ours.test)
    assert (found.category, found.defects) == ("ring", ours.defects)
    # anomalib validates on the test split, and never opens validation/
    assert len(found.validation) == 0
    assert "of the test split: left out" in caplog.text


def test_a_mask_is_what_anomalib_reads(library, root, tmp_path):
    """That of a good part is empty, whatever its file says."""
    shutil.copytree(root / "ring", tmp_path / "ring")
    gt = tmp_path / "ring" / "test"
    shutil.copy(gt / "hole" / "gt" / "000.png", gt / "good" / "gt" / "000.png")
    module = library.MVTec3D(root=tmp_path, category="ring", **QUIET)
    category = AnomalibCategory(module)
    for item, sample in zip(module.test_data, category.test, strict=True):
        assert np.array_equal(item.gt_mask.numpy(), sample.mask)
        assert bool(item.gt_label) == bool(sample.label)
        assert np.array_equal(item.depth_map.numpy(), np.moveaxis(sample.xyz, -1, 0))


@pytest.fixture
def plain(root, tmp_path):
    """Folder3D's layout: a folder each of pictures, clouds and masks, good and bad."""
    for split, name in (("train/good", "good"), ("test/hole", "bad")):
        for kind in ("rgb", "xyz", "gt"):
            shutil.copytree(root / "ring" / split / kind, tmp_path / f"{name}_{kind}")
    return tmp_path


def folder_3d(library, plain):
    names = {"normal_dir": "good_rgb", "abnormal_dir": "bad_rgb", "mask_dir": "bad_gt"}
    depth = {"normal_depth_dir": "good_xyz", "abnormal_depth_dir": "bad_xyz"}
    splits = {"test_split_mode": "from_dir", "val_split_mode": "none"}
    return library.Folder3D("mine", root=plain, **names, **depth, **splits, **QUIET)


def test_folder_3d_gives_pictures_clouds_and_masks(library, root, plain):
    found = AnomalibCategory(folder_3d(library, plain))
    test = [sample for sample in found.test if sample.label == 1]
    ours = [sample for sample in MVTec3D(root, "ring").test if sample.defect == "hole"]
    for one, other in zip(test, ours, strict=True):
        assert one == dataclasses.replace(other, path=one.path, defect="bad_rgb")
    assert {sample.label for sample in found.train} == {0}
    assert all(sample.xyz is not None for sample in found.train)


def test_files_that_anomalib_pairs_wrongly_are_refused(library, plain):
    """It pairs by order, and compares the names of bad parts alone."""
    (plain / "good_xyz" / "000.tiff").rename(plain / "good_xyz" / "900.tiff")
    module = folder_3d(library, plain)
    with pytest.raises(ValueError, match=r"000.png: anomalib pairs it with .*001.tiff"):
        AnomalibCategory(module)


def test_what_is_no_datamodule_is_refused(root):
    with pytest.raises(ValueError, match="str: expected a datamodule of anomalib"):
        AnomalibCategory(str(root))
    unlabelled = type("Module", (), {"setup": print, "category": "x", "test_data": root})
    unlabelled.train_data = unlabelled.val_data = root
    with pytest.raises(ValueError, match="Path: expected a labelled dataset of anomalib"):
        AnomalibCategory(unlabelled())


def test_depth_of_one_channel_needs_the_camera(library, root, plain):
    tifffile = pytest.importorskip("tifffile")
    for path in plain.glob("*_xyz/*.tiff"):
        tifffile.imwrite(path, tifffile.imread(path)[..., 2])
    module = folder_3d(library, plain)
    with pytest.raises(ValueError, match="which needs the camera"):
        AnomalibCategory(module).train[0]
    camera = Intrinsics(60, 60, 32, 32, depth_scale=1.0)
    sample = AnomalibCategory(module, camera).train[0]
    seen = MVTec3D(root, "ring").train[0].xyz
    assert sample.path.endswith("good_rgb/000.png")
    assert np.array_equal(sample.xyz[..., 2], seen[..., 2])


def test_pictures_alone_and_good_parts_held_out_of_the_test_split(library, root, caplog):
    module = pictures(library, root, val_split_mode="from_test", val_split_ratio=0.6, seed=1)
    with caplog.at_level(logging.WARNING):
        found = AnomalibCategory(module)
    assert [sample.xyz for sample in found.train] == [None] * 4
    assert {sample.label for sample in found.validation} == {0}
    assert len(found.validation) + len(found.test) < len(MVTec3D(root, "ring").test)
    assert not {e.path for e in found.validation.entries} & {e.path for e in found.test.entries}
    assert "defective parts left out" in caplog.text


# --- its predictions in -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged(library, metrics, root, tmp_path_factory):
    """An anomalib model, fitted and tested by anomalib: its numbers, and its predictions."""
    from anomalib.engine import Engine
    from anomalib.models import Padim

    score, pixel = ["pred_score", "gt_label"], ["anomaly_map", "gt_mask"]
    asked = [
        metrics.AUROC(fields=score, prefix="i_"),
        metrics.AUROC(fields=pixel, prefix="p_"),
        metrics.AUPRO(fields=pixel, prefix="p_"),
    ]
    parts = {"pre_processor": Padim.configure_pre_processor((64, 64))}
    parts |= {"evaluator": metrics.Evaluator(test_metrics=asked), "visualizer": False}
    network = {"backbone": "resnet18", "layers": ["layer1"], "pre_trained": False}
    torch.manual_seed(0)
    model, out = Padim(**network, n_features=20, **parts), tmp_path_factory.mktemp("engine")
    module = pictures(library, root, val_split_mode="same_as_test")
    still = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    engine = Engine(default_root_dir=out, accelerator="cpu", **still)
    engine.fit(model, datamodule=module)
    (numbers,) = engine.test(model, datamodule=module, verbose=False)
    return numbers, engine.predict(model, datamodule=module)


def test_our_evaluation_of_an_anomalib_model_gives_anomalibs_numbers(judged):
    numbers, batches = judged
    samples, scored = from_anomalib(batches)
    ours = evaluate(scored, samples)
    assert ours["all"]["i_auroc"] == pytest.approx(numbers["i_AUROC"], abs=1e-6)
    assert ours["all"]["p_auroc"] == pytest.approx(numbers["p_AUROC"], abs=1e-6)
    assert ours["all"]["aupro_30"] == pytest.approx(numbers["p_AUPRO"], abs=1e-6)
    assert set(ours["defects"]) == set(KINDS)
    assert 0 < ours["all"]["p_auroc"] < 1


def test_samples_of_predictions_are_the_parts_that_they_came_from(judged, root):
    samples, scored = from_anomalib(judged[1])
    theirs = {sample.path: sample for sample in MVTec3D(root, "ring").test}
    for sample, said in zip(samples, scored, strict=True):
        other = theirs[sample.path]
        # the preprocessor has normalised the picture: that is undone
        assert np.abs(sample.rgb - other.colour).max() < 1e-5
        assert np.array_equal(sample.mask, other.mask)
        assert (sample.label, sample.defect) == (other.label, other.defect)
        assert said.anomaly_map.shape == sample.shape
        assert said.is_anomalous == (said.image_score > 0.5)


def test_dictionaries_of_version_1_are_read_too(judged):
    """Their keys as anomalib 1.2 has them; its maps are (B, 1, H, W)."""
    old = [
        {
            "image": batch.image,
            "image_path": batch.image_path,
            "label": batch.gt_label.int(),
            "mask": batch.gt_mask.float(),
            "anomaly_maps": batch.anomaly_map[:, None],
            "pred_scores": batch.pred_score.squeeze(),
            "pred_labels": batch.pred_label.squeeze(),
        }
        for batch in judged[1]
    ]
    samples, scored = from_anomalib(old)
    others, said = from_anomalib(judged[1])
    assert samples == others
    assert evaluate(scored, samples) == evaluate(said, others)


def test_items_single_batches_and_lists_of_loaders_are_the_same(judged):
    batches = judged[1]
    samples, _ = from_anomalib(batches)
    assert from_anomalib([batches[:1], batches[1:]])[0] == samples
    assert from_anomalib([item for batch in batches for item in batch])[0] == samples
    assert from_anomalib(batches[0])[0] == samples[: len(batches[0])]


def item(**values):
    """A prediction as a plain object: from_anomalib asks for names only."""
    usual = {"image": torch.full((3, 8, 8), 0.5), "anomaly_map": torch.zeros(8, 8)}
    usual |= {"pred_score": torch.tensor(0.7), "image_path": "parts/hole/rgb/3.png"}
    return type("Item", (), usual | values)()


def test_a_cloud_is_kept_where_it_lies_on_the_picture():
    cloud = torch.rand(3, 8, 8) + 0.1
    (sample,), _ = from_anomalib(item(depth_map=cloud))
    assert np.array_equal(sample.xyz, cloud.permute(1, 2, 0).numpy())
    assert from_anomalib(item(depth_map=torch.rand(3, 16, 16)))[0][0].xyz is None
    depth = torch.full((1, 8, 8), 0.4)
    assert from_anomalib(item(depth_map=depth))[0][0].xyz is None
    camera = Intrinsics(10, 10, 4, 4, depth_scale=1.0)
    ((sample,), _) = from_anomalib(item(depth_map=depth), intrinsics=camera)
    assert sample.xyz[0, 0].tolist() == pytest.approx([-0.16, -0.16, 0.4])


def test_what_is_missing_is_what_anomalib_takes_in_its_place():
    values = torch.zeros(8, 8)
    values[2, 3] = 0.9
    _, (said,) = from_anomalib(item(anomaly_map=values, pred_score=None))
    assert said.image_score == pytest.approx(0.9)
    assert said.is_anomalous
    assert not from_anomalib(item(), threshold=0.8)[1][0].is_anomalous
    assert from_anomalib(item(pred_label=torch.tensor(False)))[1][0].is_anomalous is False
    ((good,), _) = from_anomalib(item(gt_label=torch.tensor(False)))
    assert (good.label, good.defect, good.mask.any()) == (0, "good", False)
    ((bad,), _) = from_anomalib(item(gt_mask=torch.ones(1, 8, 8)))
    assert (bad.label, bad.defect, bad.mask.all()) == (1, "hole", True)
    assert from_anomalib(item())[0][0].label is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (item(anomaly_map=None), "3.png: no anomaly_map.*image_auroc"),
        (item(anomaly_map=torch.zeros(4, 4)), r"map is \(4, 4\), the picture \(8, 8\)"),
        (item(gt_mask=torch.zeros(4, 4)), "ground truth must have the size of the picture"),
        (item(image=torch.full((3, 8, 8), 9.0)), r"normalised=\(mean, std\)"),
        (item(image=torch.full((3, 8, 8), torch.nan)), r"normalised=\(mean, std\)"),
        (item(image=None), r"image is none, expected \(3, H, W\)"),
        (item(depth_map=torch.full((3, 8, 8), torch.nan)), "xyz has NaN"),
        ({"image": torch.zeros(8, 8)}, r"image is \(8, 8\)"),
        ("predictions.pt", "str: expected batches"),
        ([3], "int: expected batches"),
    ],
)
def test_bad_predictions_are_refused_with_the_reason(given, words):
    with pytest.raises(ValueError, match=words):
        from_anomalib(given)


# --- where the definitions part ---------------------------------------------------------------


def test_anomalibs_auroc_takes_scores_beyond_1_for_logits(metrics):
    """A sigmoid in float32: from about 17 on every score is 1. Ours keeps the order."""
    labels, values = torch.tensor([0, 0, 1, 1]), torch.tensor([20.0, 25.0, 30.0, 35.0])
    auroc = metrics.AUROC(fields=["pred_score", "gt_label"], strict=False)
    auroc.update(type("B", (), {"pred_score": values, "gt_label": labels})())
    assert float(auroc.compute()) == 0.5
    marked = torch.eye(8)
    parts = [
        item(gt_label=label.bool(), pred_score=value, gt_mask=marked * label)
        for label, value in zip(labels, values, strict=True)
    ]
    samples, scored = from_anomalib(parts)
    assert evaluate(scored, samples)["all"]["i_auroc"] == 1


# --- our predictions out ----------------------------------------------------------------------


def test_anomalibs_metrics_of_our_detector_are_our_own(library, metrics, fitted):
    samples, scored = fitted
    batch = to_anomalib(samples, scored)
    assert isinstance(batch, library.DepthBatch)
    ours = evaluate(scored, samples)["all"]
    for fields, value in (
        (["pred_score", "gt_label"], ours["i_auroc"]),
        (["anomaly_map", "gt_mask"], ours["p_auroc"]),
    ):
        auroc = metrics.AUROC(fields=fields)
        auroc.update(batch)
        assert float(auroc.compute()) == pytest.approx(value, abs=1e-5)
    pro = metrics.AUPRO(fields=["anomaly_map", "gt_mask"])
    pro.update(batch)
    assert float(pro.compute()) == pytest.approx(ours["aupro_30"], abs=1e-5)


def test_items_carry_the_verdict_and_the_scan(library, fitted):
    samples, scored = fitted
    for one, sample, said in zip(to_anomalib(samples, scored), samples, scored, strict=True):
        assert bool(one.pred_label) is said.is_anomalous is bool(one.pred_score > 0.5)
        assert np.array_equal(one.pred_mask.numpy(), said.anomaly_map > said.map_threshold)
        assert np.array_equal(one.image.permute(1, 2, 0).numpy(), sample.colour)
        assert np.array_equal(one.depth_map.permute(1, 2, 0).numpy(), sample.xyz)
        assert np.array_equal(one.gt_mask.numpy(), sample.mask)
        assert one.image_path is None  # these scans are no files


def test_what_goes_out_comes_back(library, fitted, root):
    samples, scored = fitted
    back, said = from_anomalib(to_anomalib(samples, scored))
    assert [s.label for s in back] == [s.label for s in samples]
    assert evaluate(said, back)["all"] == pytest.approx(evaluate(scored, samples)["all"], abs=1e-5)
    assert [s.is_anomalous for s in said] == [s.is_anomalous for s in scored]
    file = MVTec3D(root, "ring").test[0]
    zeros = np.zeros(file.shape, np.float32)
    batch = to_anomalib([file], [Scored(0.1, zeros, {}, {}, 0.5, 0.5, False, file.path)])
    assert from_anomalib(batch)[0][0].path == file.path


def test_without_a_cloud_it_is_an_image_batch_and_without_a_picture_nothing(library, fitted):
    samples, scored = fitted
    flat = [without(sample, "xyz") for sample in samples]
    assert isinstance(to_anomalib(flat, scored), library.ImageBatch)
    with pytest.raises(ValueError, match="no picture; an item of anomalib needs one"):
        to_anomalib([without(samples[0], "rgb")], scored[:1])


def test_half_way_keeps_the_order_and_puts_the_threshold_at_one_half():
    values = np.array([-np.inf, -80, -1, 0, 3, 3.001, 60, 61, np.inf])
    found = half_way(values, 3.0)
    assert found.dtype == np.float32
    assert (np.diff(found) > 0).all()
    assert (found[0], found[4], found[-1]) == (0, 0.5, 1)


def test_without_anomalib_the_extra_is_named(monkeypatch, rings):
    monkeypatch.setitem(sys.modules, "anomalib.data", None)
    monkeypatch.setitem(sys.modules, "anomalib", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lsfa-lite\[anomalib\]'"):
        to_anomalib(rings["test"], [])

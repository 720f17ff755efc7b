"""The detector as a user holds it: fit, score, save, load, and what it says of bad input."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from conftest import without
from safetensors import SafetensorError

from lsfa_lite import PAPER, LSFADetector, model_folder
from lsfa_lite.config import LITE, BackgroundConfig
from lsfa_lite.data.background import padded
from lsfa_lite.features import weight_files
from lsfa_lite.features.extract import FeatureExtractor
from lsfa_lite.features.patches import PatchStack
from lsfa_lite.scoring.calibration import calibrate
from lsfa_lite.scoring.patchcore import PatchCore
from lsfa_lite.scoring.threshold import Threshold


@pytest.fixture(scope="module")
def fitted(rings, quick):
    return LSFADetector(quick).fit(rings["train"], rings["validation"])


def same(one, other) -> bool:
    return (
        one.image_score == other.image_score
        and np.array_equal(one.anomaly_map, other.anomaly_map)
        and one.modality_scores == other.modality_scores
        and one.is_anomalous == other.is_anomalous
    )


def test_score_has_the_promised_shape(fitted, rings):
    sample = rings["test"][2]
    scored = fitted.score([sample])[0]
    assert scored.anomaly_map.shape == sample.shape
    assert scored.anomaly_map.dtype == np.float32
    assert set(scored.modality_scores) == set(scored.modality_maps) == {"rgb", "3d"}
    assert np.isfinite(scored.anomaly_map).all()
    assert (scored.anomaly_map[~sample.foreground] == 0).all()
    assert (scored.anomaly_map >= 0).all()
    assert scored.is_anomalous == (scored.image_score > scored.threshold)


def test_one_sample_gives_one_verdict_and_predict_a_label_each(fitted, rings):
    one = fitted.score(rings["test"][2])
    assert same(one, fitted.score(rings["test"])[2])
    labels = fitted.predict(rings["test"])
    assert labels.tolist() == [int(s.is_anomalous) for s in fitted.score(rings["test"])]
    assert labels.dtype == int


def test_it_says_itself_in_a_line(fitted, rings, quick):
    assert repr(LSFADetector(quick)) == "LSFADetector(lite, cpu, not fitted)"
    rows = len(fitted.banks["rgb"].bank)
    assert repr(fitted).startswith(f"LSFADetector(lite, cpu, banks rgb: {rows} rows, 3d:")
    one = fitted.score(rings["test"][2])
    assert repr(one).startswith(f"Scored(anomalous: {one.image_score:.3f}, threshold ")
    assert len(repr(one)) < 200
    assert (one == fitted.score(rings["test"][2])) in (True, False)  # arrays inside, yet no error


def test_three_steps_make_a_fit(fitted, rings, quick):
    detector = LSFADetector(quick)
    parts = detector.extractor.stack(rings["train"])
    held_out = detector.extractor.stack(rings["validation"])
    detector.adapt_to(parts).remember(parts).calibrate(parts, held_out)
    assert same(detector.score(rings["test"][2]), fitted.score(rings["test"][2]))


def test_calibration_is_an_argument(rings, quick):
    def twice(*arguments):
        found = calibrate(*arguments)
        double = {
            n: Threshold(2 * t.value, t.false_positive_rate) for n, t in found.thresholds.items()
        }
        return dataclasses.replace(found, thresholds=double)

    plain = LSFADetector(quick).fit(rings["train"], rings["validation"])
    strict = LSFADetector(quick, calibration=twice).fit(rings["train"], rings["validation"])
    one, other = plain.score(rings["test"][0]), strict.score(rings["test"][0])
    assert other.threshold == 2 * one.threshold
    assert other.image_score == one.image_score


class Halved(FeatureExtractor):
    """Describes as the usual one and keeps every second number."""

    def fingerprint(self, modality):
        return "halved " + super().fingerprint(modality)

    def __call__(self, sample, modalities=("rgb", "3d")):
        row = super().__call__(sample, modalities)
        return dataclasses.replace(row, features={m: f[:, ::2] for m, f in row.features.items()})


def test_the_extractor_is_an_argument(rings, quick, tmp_path):
    halved = Halved(quick.features, seed=quick.seed)
    detector = LSFADetector(quick, extractor=halved).fit(rings["train"], rings["validation"])
    assert detector.adaptation.widths["3d"] == 17  # of 33
    detector.save(tmp_path / "model")
    with pytest.raises(ValueError, match="other weights of the rgb backbone"):
        LSFADetector.load(tmp_path / "model")
    loaded = LSFADetector.load(tmp_path / "model", extractor=halved)
    assert same(loaded.score(rings["test"][2]), detector.score(rings["test"][2]))


def test_how_the_parts_were_cleaned_is_remembered(fitted, rings, quick, tmp_path):
    how = BackgroundConfig(plane_distance=0.007, pad=True)  # as earlier models have it
    detector = LSFADetector(quick, background=how).fit(rings["train"], rings["validation"])
    detector.save(tmp_path / "model")
    assert LSFADetector.load(tmp_path / "model").background == how
    fitted.save(tmp_path / "raw")
    assert LSFADetector.load(tmp_path / "raw").background is None


def test_a_sample_of_a_stack_is_the_sample_described_alone(fitted, rings):
    stack = fitted.extractor.stack(rings["test"])
    assert len(stack) == len(rings["test"])
    for i, sample in enumerate(rings["test"]):
        one, alone = stack.sample(i), fitted.extractor(sample)
        assert all(torch.equal(one.features[m], alone.features[m]) for m in ("rgb", "3d"))
        assert torch.equal(one.foreground, alone.foreground)
        assert torch.equal(one.pixels, alone.pixels)
        assert one.path == alone.path == sample.path != ""


def test_the_preset_for_real_parts_finds_the_hole_and_shows_it_past_the_rim(rings, tmp_path):
    """LITE as `fit` takes it: fine patches, Fisher's rule, all good parts, nothing trained."""
    detector = LSFADetector(LITE).fit(rings["train"], rings["validation"])
    assert not detector.adaptation.history
    good, other, hole = detector.score(rings["test"])
    assert hole.image_score > max(good.image_score, other.image_score)
    assert good.promised == pytest.approx(1 / 8)  # four training parts, three of validation
    assert min(good.image_score, other.image_score) > 0  # a sum of -log p
    off = ~rings["test"][2].foreground
    assert hole.anomaly_map[off].max() > 0
    assert hole.anomaly_map.min() == 0
    detector.save(tmp_path / "m")
    again = LSFADetector.load(tmp_path / "m").score(rings["test"][2])
    assert again.image_score == hole.image_score
    np.testing.assert_array_equal(again.anomaly_map, hole.anomaly_map)


def test_an_obvious_hole_stands_out(fitted, rings):
    good, other, hole = fitted.score(rings["test"])
    assert hole.image_score > max(good.image_score, other.image_score)
    assert hole.is_anomalous
    sample = rings["test"][2]
    inside = sample.mask & sample.foreground  # the bottom of a hole may go with the table
    around = sample.foreground & ~sample.mask
    assert hole.anomaly_map[inside].mean() > 1.2 * hole.anomaly_map[around].mean()


def test_a_score_does_not_depend_on_its_neighbours(fitted, rings):
    together = fitted.score(rings["test"])
    alone = [fitted.score([sample])[0] for sample in rings["test"]]
    assert all(same(a, b) for a, b in zip(together, alone, strict=True))


@pytest.mark.parametrize("cut", [np.s_[20:109, :], np.s_[:, 30:100]])
def test_padding_on_disk_changes_neither_features_nor_scores(fitted, rings, cut):
    """The extractor pads by itself, and maps come back in the sample's own pixels."""
    whole = rings["test"][2]
    arrays = {name: getattr(whole, name)[cut] for name in ("rgb", "xyz", "mask")}
    recorded = dataclasses.replace(whole, **arrays)
    wide = padded(recorded)
    assert wide.shape == (128, 128)
    one, other = fitted.extractor(recorded), fitted.extractor(wide)
    assert all(torch.equal(one.features[m], other.features[m]) for m in ("rgb", "3d"))
    assert torch.equal(one.foreground, other.foreground)
    one, other = fitted.score([recorded, wide])
    assert one.anomaly_map.shape == recorded.shape
    top, left = ((128 - side) // 2 for side in recorded.shape)
    inside = np.s_[top : top + recorded.shape[0], left : left + recorded.shape[1]]
    assert not np.delete(other.anomaly_map, np.r_[inside[0]], axis=0).any()
    cropped = dataclasses.replace(other, anomaly_map=other.anomaly_map[inside])
    assert same(one, cropped)
    for modality, values in one.modality_maps.items():
        np.testing.assert_array_equal(values, other.modality_maps[modality][inside])


def test_fitting_twice_gives_the_same_detector(fitted, rings, quick):
    again = LSFADetector(quick).fit(rings["train"], rings["validation"])
    assert all(
        same(a, b)
        for a, b in zip(fitted.score(rings["test"]), again.score(rings["test"]), strict=True)
    )


def test_the_seed_matters(fitted, rings, quick):
    other = LSFADetector(quick.change(seed=1)).fit(rings["train"], rings["validation"])
    assert not same(fitted.score(rings["test"][:1])[0], other.score(rings["test"][:1])[0])


def test_a_loaded_detector_scores_the_same_to_the_last_bit(fitted, rings, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = LSFADetector.load(tmp_path / "model")
    assert loaded.config == fitted.config
    assert all(
        same(a, b)
        for a, b in zip(fitted.score(rings["test"]), loaded.score(rings["test"]), strict=True)
    )
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "detector.json",
        "detector.safetensors",
    ]


def test_recalibration_takes_the_new_lamp_for_granted_and_trains_nothing(fitted, rings, tmp_path):
    fitted.save(tmp_path / "model")
    detector = LSFADetector.load(tmp_path / "model")
    dim = np.array([0.6, 0.8, 1.0])
    good = [
        dataclasses.replace(s, rgb=np.round(s.rgb * dim).astype(np.uint8))
        for s in [*rings["train"], *rings["validation"]]
    ]
    before = detector.score(good)
    assert detector.recalibrate(good) is detector
    after = detector.score(good)
    assert [s.modality_scores for s in after] == [s.modality_scores for s in before]
    scores = sorted(s.image_score for s in after)
    threshold, promised = detector.calibration.thresholds["rgb+3d"]
    assert detector.calibration.good["rgb+3d"] == pytest.approx(scores)
    assert threshold != fitted.calibration.thresholds["rgb+3d"].value
    assert threshold == pytest.approx(scores[-1])  # seven parts promise no more than one in eight
    assert promised == 1 / 8
    colour = np.array([s.modality_scores["rgb"] for s in after])
    scale = detector.calibration.fusion.normalisers["rgb"].image
    assert (scale.centre, scale.spread) == pytest.approx((colour.mean(), colour.std()), rel=1e-5)
    detector.save(tmp_path / "new")
    assert same(LSFADetector.load(tmp_path / "new").score(good[0]), after[0])


def test_recalibration_needs_two_whole_samples_and_a_fit(fitted, rings, quick):
    for few in (rings["train"][:1], rings["train"][0]):
        with pytest.raises(ValueError, match="two good samples are the least"):
            fitted.recalibrate(few)
    with pytest.raises(ValueError, match=r"no 3d in .* fitted on rgb, 3d; scan them with both"):
        fitted.recalibrate([rings["train"][0], without(rings["train"][1], "xyz")])
    with pytest.raises(ValueError, match="seen no training data"):
        LSFADetector(quick).recalibrate(rings["train"])


@pytest.mark.parametrize("modality", ["rgb", "3d"])
def test_either_modality_alone(fitted, rings, modality):
    scored = fitted.score(rings["test"][:1], [modality])[0]
    assert list(scored.modality_scores) == [modality]
    assert scored.threshold == fitted.calibration.thresholds[modality].value
    other = "xyz" if modality == "rgb" else "rgb"
    blind = without(rings["test"][0], other)  # the same from a scan that has nothing else
    if modality == "3d":
        assert same(fitted.score([blind])[0], scored)
    assert list(fitted.score([blind])[0].modality_scores) == [modality]


def test_the_point_network_is_one_field_away(rings, quick):
    config = quick.change(features__points__backbone="point_mae")
    detector = LSFADetector(config).fit(rings["train"], rings["validation"])
    layers, width = config.features.points.layers, config.features.points.width
    assert detector.adaptation.widths["3d"] == len(layers) * width
    assert np.isfinite(detector.score(rings["test"])[2].image_score)


def test_data_without_depth_is_fitted_on_colour_and_says_so(rings, quick):
    pictures = [without(s, "xyz") for s in rings["train"]]
    with pytest.warns(UserWarning, match="no 3d .* without the consistency losses"):
        detector = LSFADetector(quick).fit(pictures)
    assert detector.modalities == ("rgb",)
    assert not any("alignment" in term for term in detector.adaptation.history[-1])
    assert np.isfinite(detector.score([without(rings["test"][0], "xyz")])[0].image_score)
    with pytest.raises(ValueError, match="fitted on rgb"):
        detector.score(rings["test"], ["3d"])


def test_without_validation_training_parts_are_left_out_one_by_one(rings, quick):
    detector = LSFADetector(quick).fit(rings["train"])
    assert detector.calibration.thresholds["rgb+3d"].value > 0
    scored = detector.score(rings["train"][:1])[0]  # its own patches are in the bank
    assert scored.image_score < detector.calibration.thresholds["rgb+3d"].value


def made(count: int, seed: int, patches: int = 10) -> PatchStack:
    """Features without pictures: parts that differ as a whole, and in each patch."""
    generator = torch.Generator().manual_seed(seed)

    def some(width: int) -> torch.Tensor:
        own = torch.randn(count, 1, width, generator=generator)
        return own + torch.randn(count, patches, width, generator=generator)

    foreground = torch.rand(count, patches, generator=generator) < 0.8
    paths = tuple(f"good/{i:03d}.png" for i in range(count))
    return PatchStack({"rgb": some(6), "3d": some(4)}, foreground, None, paths)


def zscored(values: list[float]) -> np.ndarray:
    return (np.array(values) - np.mean(values)) / np.std(values)


def test_all_good_parts_set_scales_and_thresholds(quick):
    config = quick.change(adaptation__steps=0, scoring__calibrate_on="all")
    parts, held_out = made(24, 0), made(9, 1, patches=13)
    detector = LSFADetector(config).fit_features(parts, held_out)
    raw, highest = {}, {}
    for m, core in detector.banks.items():
        pairs = []
        for i in range(24):  # a bank made anew for each of them
            features = detector.adapted(parts).sample(i).features[m]
            rest = PatchCore(core.bank[core.samples != i])
            pairs.append(rest.score(features, parts.foreground[i]))
        pairs += [detector.score_features(held_out.sample(i))[m] for i in range(9)]
        raw[m] = [s.image_score for s in pairs]
        rows = torch.cat([*parts.foreground, *held_out.foreground])
        patches = torch.cat([s.distances for s in pairs])[rows]
        highest[m] = [float(s.distances.max() / patches.double().std(correction=0)) for s in pairs]
    calibration = detector.calibration
    rank = 33 - 1  # ceil(34 * 0.95) = 33rd of 33
    fused = (zscored(raw["rgb"]) + zscored(raw["3d"])) / 2
    for name, values in {"rgb": zscored(raw["rgb"]), "rgb+3d": fused}.items():
        found = calibration.thresholds[name]
        assert found.value == pytest.approx(np.sort(values)[rank], rel=1e-5)
        assert found.false_positive_rate == pytest.approx(1 / 34)
    assert calibration.map_thresholds["3d"].value == pytest.approx(max(highest["3d"]), rel=1e-5)


def test_without_validation_both_settings_are_one(quick):
    parts, config = made(24, 0), quick.change(adaptation__steps=0)
    alone, both = (
        LSFADetector(config.change(scoring__calibrate_on=on)).fit_features(parts).calibration
        for on in ("held_out", "all")
    )
    assert alone == both
    held_out = LSFADetector(config).fit_features(parts, made(9, 1)).calibration
    assert held_out.thresholds["rgb"].false_positive_rate == 0.1  # nine validation parts alone


@pytest.mark.parametrize(("count", "folds"), [(23, 5), (3, 3)])
def test_folds_are_scored_by_detectors_of_the_other_parts(quick, count, folds):
    """steps=0 and a layer norm: nothing but the bank differs, which is that of a fit as long."""
    config = quick.change(
        adaptation__steps=0,
        adaptation__input="layer_norm",
        scoring__calibrate_on="folds",
        scoring__coreset=0.4,
        seed=3,
    )
    parts, held_out, seen = made(count, 0), made(9, 1, patches=13), {}

    def looked_at(scores, foreground, *rest):
        seen.update(scores)
        return calibrate(scores, foreground, *rest)

    detector = LSFADetector(config, calibration=looked_at).fit_features(parts, held_out)
    order = np.array(torch.randperm(count, generator=torch.Generator().manual_seed(3)))
    for fold in np.array_split(order, folds):
        others = [i for i in range(count) if i not in fold]
        rows = len(detector.banks["rgb"].bank)
        assert rows == round(0.4 * int(parts.foreground.sum()))
        some = {m: values[others] for m, values in parts.features.items()}
        rest = LSFADetector(config.change(scoring__coreset_rows=rows))
        rest.fit_features(PatchStack(some, parts.foreground[others]))
        for i in fold:
            for m, expected in rest.score_features(parts.sample(i)).items():
                assert seen[m][i].image_score == expected.image_score
                assert torch.equal(seen[m][i].distances[:10], expected.distances)
                assert not seen[m][i].distances[10:].any()
    for i in range(9):
        expected = detector.score_features(held_out.sample(i))["3d"]
        assert seen["3d"][count + i].image_score == expected.image_score
    rate = detector.calibration.thresholds["rgb+3d"].false_positive_rate
    assert rate == pytest.approx(1 / (count + 10))


def test_a_detector_of_folds_is_saved_and_scores_alike(rings, quick, tmp_path):
    config = quick.change(scoring__calibrate_on="folds")
    detector = LSFADetector(config).fit(rings["train"], rings["validation"])
    detector.save(tmp_path / "model")
    again = LSFADetector.load(tmp_path / "model")
    assert again.config == config
    assert again.calibration == detector.calibration
    assert again.score(rings["test"][0]).image_score == detector.score(rings["test"][0]).image_score


def test_an_odd_part_among_the_good_ones_is_named(quick, caplog):
    parts, held_out = made(24, 0), made(9, 1)
    parts.features["3d"][17] += 40
    held_out.features["rgb"][4] += 40
    config = quick.change(adaptation__steps=0, scoring__calibrate_on="all")
    LSFADetector(config).fit_features(parts, held_out)
    first, second = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    assert first.startswith("training part good/017.png looks odd among the good ones (3d score ")
    assert second.startswith("validation part good/004.png looks odd")
    assert "rgb score" in second
    assert "3d score" not in second
    caplog.clear()
    LSFADetector(config).fit_features(made(24, 0), made(9, 1))
    assert not caplog.records


def test_no_adaptation_is_the_input_transform_alone(rings, quick):
    detector = LSFADetector(quick.change(adaptation__steps=0)).fit(rings["train"])
    row = detector.extractor(rings["test"][0])
    train = detector.extractor.stack(rings["train"])
    patches = train.features["rgb"][train.foreground]
    spread = (patches - patches.mean(0)).square().mean().sqrt()
    expected = (row.features["rgb"] - patches.mean(0)) / spread
    adapted = detector.adaptation.adapt("rgb", row.features["rgb"][None], row.foreground[None])[0]
    assert torch.allclose(adapted[row.foreground], expected[row.foreground], atol=1e-4)


class TestErrors:
    def test_not_fitted(self, rings, tmp_path):
        with pytest.raises(ValueError, match=r"call fit\(\)"):
            LSFADetector().score(rings["test"])
        with pytest.raises(ValueError, match=r"call fit\(\)"):
            LSFADetector().save(tmp_path / "model")

    def test_too_few_samples(self, rings):
        with pytest.raises(ValueError, match="at least two"):
            LSFADetector().fit(rings["train"][:1])
        with pytest.raises(ValueError, match="1 training samples; at least two"):
            LSFADetector().fit(rings["train"][0])

    def test_a_cloud_smaller_than_the_groups(self, rings, quick):
        sample = rings["train"][0]
        xyz = np.zeros_like(sample.xyz)
        rows = slice(60, 70)
        xyz[rows, rows] = (0.1, 0.1, 0.5) + np.random.default_rng(0).normal(size=(10, 10, 3)) / 100
        few = dataclasses.replace(sample, xyz=xyz.astype(np.float32), path="few.tiff")
        with pytest.raises(ValueError, match=r"few\.tiff.*(groups|group)"):
            LSFADetector(quick.change(features__points__backbone="point_mae")).fit([few, few])

    def test_no_modality_in_common(self, rings, quick):
        mixed = [without(rings["train"][0], "xyz"), without(rings["train"][1], "rgb")]
        with pytest.raises(ValueError, match="share none"):
            LSFADetector(quick).fit(mixed)

    def test_another_version(self, fitted, tmp_path):
        fitted.save(tmp_path / "model")
        path = tmp_path / "model" / model_folder.DESCRIPTION
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99}))
        with pytest.raises(ValueError, match=r"model: model format 99.*fit the model again"):
            LSFADetector.load(tmp_path / "model")

    def test_an_unknown_field_of_the_config(self, fitted, tmp_path):
        fitted.save(tmp_path / "model")
        path = tmp_path / "model" / model_folder.DESCRIPTION
        description = json.loads(path.read_text())
        description["config"]["scoring"]["magic"] = 1
        path.write_text(json.dumps(description))
        with pytest.raises(ValueError, match=r"magic.*another version"):
            LSFADetector.load(tmp_path / "model")

    def test_other_backbone_weights(self, fitted, tmp_path):
        fitted.save(tmp_path / "model")
        path = tmp_path / "model" / model_folder.DESCRIPTION
        description = json.loads(path.read_text())
        description["config"]["features"]["image"]["weights"] = "random"
        path.write_text(json.dumps(description))
        with pytest.raises(ValueError, match="other weights of the rgb backbone"):
            LSFADetector.load(tmp_path / "model")

    @pytest.mark.parametrize("name", [model_folder.DESCRIPTION, model_folder.TENSORS])
    def test_missing_and_damaged_files(self, fitted, tmp_path, name):
        fitted.save(tmp_path / "model")
        path = tmp_path / "model" / name
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(ValueError, match=f"{name}.*damaged"):
            LSFADetector.load(tmp_path / "model")
        path.unlink()
        with pytest.raises(FileNotFoundError, match=f"{name}: missing"):
            LSFADetector.load(tmp_path / "model")

    def test_a_folder_that_is_there(self, fitted, tmp_path):
        (tmp_path / "model").mkdir()
        with pytest.raises(FileExistsError, match="name a new folder"):
            fitted.save(tmp_path / "model")

    def test_a_full_disk_leaves_nothing(self, fitted, tmp_path, monkeypatch):
        def full(*_):
            raise SafetensorError("I/O error: No space left on device")

        monkeypatch.setattr(weight_files, "save_file", full)
        with pytest.raises(OSError, match="No space"):
            fitted.save(tmp_path / "model")
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_papers_sizes_run_end_to_end(rings, tmp_path):
    """PAPER with random weights on two parts: 224 pixels, 3136 patches of 768 and 1152."""
    config = PAPER.change(
        features__image__weights="random",
        features__points__weights="random",
        features__cache=False,
        adaptation__steps=2,
        adaptation__batch_size=2,
        scoring__coreset=0.01,
    )
    detector = LSFADetector(config).fit(rings["train"][:2])
    assert detector.adaptation.widths == {"rgb": 768, "3d": 1152}
    scored = detector.score(rings["test"][2:])[0]
    assert scored.anomaly_map.shape == rings["test"][2].shape
    assert np.isfinite(scored.anomaly_map).all()
    assert np.isfinite(scored.image_score)

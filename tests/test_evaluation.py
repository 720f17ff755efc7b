"""The table of metrics against scikit-learn, on scores made up for samples made up."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from lsfa_lite.data.sample import Sample
from lsfa_lite.detector import Scored
from lsfa_lite.evaluation import evaluate
from lsfa_lite.report import evaluation_table
from lsfa_lite.scoring.metrics import aupro, pixel_auroc

DEFECTS = ("good", "good", "good", "hole", "hole", "stain", "stain")
CALLED = (False, True, False, True, True, False, True)  # one false alarm in three, one miss in four


class Scans(list):
    """Counts how often a sample is taken, as reading a scan from disk is slow."""

    taken = 0

    def __getitem__(self, index):
        self.taken += 1
        return super().__getitem__(index)

    def __iter__(self):
        return (self[i] for i in range(len(self)))


@pytest.fixture
def samples() -> Scans:
    def sample(index: int, defect: str) -> Sample:
        mask = np.zeros((8, 8), dtype=bool)
        mask[index % 4 : index % 4 + 3, 2:5] = True
        bad = defect != "good"
        scan = Sample(np.ones((8, 8, 3)), np.ones((8, 8, 3)), label=int(bad), defect=defect)
        return dataclasses.replace(scan, mask=mask if bad else None)

    return Scans(sample(i, defect) for i, defect in enumerate(DEFECTS))


@pytest.fixture
def scored() -> list[Scored]:
    rng = np.random.default_rng(0)

    def one(called: bool) -> Scored:
        maps = {name: rng.random((8, 8), dtype=np.float32) for name in ("rgb", "3d")}
        both = {name: float(rng.random()) for name in maps}
        return Scored(float(rng.random()), maps["rgb"], both, maps, 0.5, 0.5, called, "", 0.04)

    return [one(called) for called in CALLED]


def test_every_part_of_the_table_is_what_sklearn_says(scored, samples):
    table = evaluate(scored, samples)
    labels = np.array([d != "good" for d in DEFECTS])
    scores = np.array([s.image_score for s in scored])
    assert table["samples"] == 7
    assert table["promised"] == 0.04
    assert table["false_alarms"] == pytest.approx(1 / 3)
    assert table["misses"] == pytest.approx(1 / 4)
    assert table["all"]["i_auroc"] == pytest.approx(roc_auc_score(labels, scores))
    for name in ("rgb", "3d"):
        alone = [s.modality_scores[name] for s in scored]
        assert table["modalities"][name]["i_auroc"] == pytest.approx(roc_auc_score(labels, alone))
    assert list(table["defects"]) == ["hole", "stain"]
    for defect, metrics in table["defects"].items():
        rows = [i for i, d in enumerate(DEFECTS) if d in ("good", defect)]
        truth = [samples[i].mask if labels[i] else np.zeros((8, 8), bool) for i in rows]
        maps = [scored[i].anomaly_map for i in rows]
        assert metrics["i_auroc"] == pytest.approx(roc_auc_score(labels[rows], scores[rows]))
        assert metrics["p_auroc"] == pytest.approx(roc_auc_score(np.ravel(truth), np.ravel(maps)))
        assert metrics["aupro_30"] == aupro(maps, truth, 0.3)
        assert metrics["aupro_1"] == aupro(maps, truth, 0.01)


def by_every_threshold(maps: list, masks: list, limit: float) -> float:
    """AUPRO where each mask holds at most one region: every threshold tried alone."""
    good = np.concatenate([m[~mask] for m, mask in zip(maps, masks, strict=True)])
    bad = [m[mask] for m, mask in zip(maps, masks, strict=True) if mask.any()]
    levels = np.unique(np.concatenate([good, *bad]))[::-1]
    rates = np.array([0, *(np.mean(good >= t) for t in levels)])
    overlaps = np.array([0, *(np.mean([np.mean(b >= t) for b in bad]) for t in levels)])
    below = rates < limit
    x = np.append(rates[below], limit)
    y = np.append(overlaps[below], np.interp(limit, rates, overlaps))
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2 / limit)


def test_padded_frames_flatter_and_recorded_ones_are_what_is_counted():
    """900 : 400, a part in the middle that is half found: zeros above and below are easy."""
    tables, around = [], ((25, 25), (0, 0))
    part, defect = np.zeros((2, 40, 90), dtype=bool)
    part[10:30, :], defect[12:20, 40:60] = True, True
    for pad in (False, True):
        scored, samples, maps, masks = [], [], [], []
        rng = np.random.default_rng(0)
        for bad in (False, False, True, True):
            values = ((rng.random((40, 90)) + 0.4 * (bad & defect)) * part).astype(np.float32)
            mask = defect & bad
            if pad:
                values, mask = np.pad(values, around), np.pad(mask, around)
            top = float(values.max())
            scored.append(Scored(top, values, {"3d": top}, {"3d": values}, 1.0, 1.0, bad, ""))
            xyz = np.ones((*mask.shape, 3))
            samples.append(Sample(None, xyz, mask, int(bad), "hole" if bad else "good"))
            maps.append(values)
            masks.append(mask)
        tables.append(evaluate(scored, samples)["all"])
        for name, limit in (("aupro_30", 0.3), ("aupro_1", 0.01)):
            assert tables[-1][name] == pytest.approx(by_every_threshold(maps, masks, limit))
        auroc = roc_auc_score(np.ravel(masks), np.ravel(maps))
        assert tables[-1]["p_auroc"] == pytest.approx(auroc)
    recorded, padded = tables
    assert recorded["i_auroc"] == padded["i_auroc"]
    for name in ("p_auroc", "aupro_30", "aupro_1"):
        assert padded[name] > recorded[name] + 0.01


def test_aupro_goes_as_far_as_its_name_says(scored, samples, monkeypatch):
    monkeypatch.setattr("lsfa_lite.evaluation.aupro", lambda *_, limit: limit)
    for metrics in evaluate(scored, samples)["modalities"].values():
        assert (metrics["aupro_30"], metrics["aupro_1"]) == (0.3, 0.01)


@pytest.mark.parametrize("levels", [1, 5, 1000])
def test_one_pass_gives_what_the_plain_metrics_give(scored, samples, levels):
    def coarse(seen: np.ndarray) -> np.ndarray:
        return np.round(seen * levels) / levels  # many equal scores

    samples[0] = dataclasses.replace(samples[0], mask=np.zeros((8, 8), bool))
    for one in scored:
        one.modality_maps.update({m: coarse(x) for m, x in one.modality_maps.items()})
    scored = [dataclasses.replace(s, anomaly_map=coarse(s.anomaly_map)) for s in scored]
    table = evaluate(scored, samples)
    masks = [np.zeros((8, 8), bool) if s.mask is None else s.mask for s in samples]

    def plain(maps: list[np.ndarray], rows: list[int]) -> dict[str, float]:
        chosen = [maps[i] for i in rows], [masks[i] for i in rows]
        areas = {"aupro_30": aupro(*chosen, 0.3), "aupro_1": aupro(*chosen, 0.01)}
        return {"p_auroc": pixel_auroc(*chosen), **areas}

    every = list(range(len(DEFECTS)))
    fused = [s.anomaly_map for s in scored]
    expected = [(table["all"], plain(fused, every))]
    for name, found in table["modalities"].items():
        expected.append((found, plain([s.modality_maps[name] for s in scored], every)))
    for defect, found in table["defects"].items():
        expected.append((found, plain(fused, [i for i in every if DEFECTS[i] in ("good", defect)])))
    assert len(expected) == 5
    for found, alone in expected:
        assert list(found) == ["i_auroc", "p_auroc", "aupro_30", "aupro_1"]
        assert {k: found[k] for k in alone} == alone


def test_damaged_maps_are_named(scored, samples):
    scored[5].modality_maps["3d"][2, 2] = np.nan
    with pytest.raises(ValueError, match=r"maps\[5\] holds NaN"):
        evaluate(scored, samples)


def test_each_scan_is_read_once(scored, samples):
    evaluate(scored, samples)
    assert samples.taken == len(samples)


def test_a_sample_without_label_is_named(scored, samples):
    samples[4:5] = [dataclasses.replace(samples[4], path="x.png", label=None)]
    with pytest.raises(ValueError, match=r"x\.png: .*no label"):
        evaluate(scored, samples)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("gone", [[5], [3], [3, 4], [3, 4, 5, 6]])
def test_what_needs_masks_is_left_out_where_there_are_none(scored, samples, gone, empty):
    """DEFECTS[3:5] are holes, 5 and 6 stains; the oracle: an evaluation without those samples."""
    whole = evaluate(scored, samples)
    for i in gone:
        mask = np.zeros((8, 8), bool) if empty else None
        samples[i] = dataclasses.replace(samples[i], mask=mask)
    table = evaluate(scored, samples)
    left = [i for i in range(len(DEFECTS)) if i not in gone]
    assert table["all"]["i_auroc"] == whole["all"]["i_auroc"]
    hole = sum(i in (3, 4) for i in gone)
    stain = len(gone) - hole
    assert table["unmarked"] == {k: (n, 2) for k, n in (("hole", hole), ("stain", stain)) if n}
    for views in ("modalities", "defects"):
        for name, found in table[views].items():
            assert found["i_auroc"] == whole[views][name]["i_auroc"]
    assert (table["defects"]["hole"]["aupro_30"] is None) == (hole == 2)
    assert (table["defects"]["stain"]["p_auroc"] is None) == (stain == 2)
    if len(gone) == 4:
        assert table["all"]["p_auroc"] is table["modalities"]["3d"]["aupro_1"] is None
    else:
        fewer = evaluate([scored[i] for i in left], [samples[i] for i in left])
        for metric in ("p_auroc", "aupro_30", "aupro_1"):
            assert table["all"][metric] == fewer["all"][metric]
            assert table["modalities"]["rgb"][metric] == fewer["modalities"]["rgb"][metric]
    text = evaluation_table(table)
    assert ("n/a" in text) == (len(gone) > 1)
    assert ", ".join(f"{k} ({n} of 2)" for k, (n, _) in table["unmarked"].items()) in text

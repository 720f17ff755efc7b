"""Features made ahead in several processes: those of one process, found in the cache."""

from __future__ import annotations

import pytest
import torch
from conftest import QUICK

from lsfa_lite.data.folder import Folder
from lsfa_lite.data.mvtec3d import write_sample
from lsfa_lite.features import ahead
from lsfa_lite.features.extract import FeatureExtractor

CONFIG = QUICK.features
SEVERAL = {"workers": 2, "seed": 3}


@pytest.fixture
def folder(rings, tmp_path, monkeypatch):
    monkeypatch.setenv("LSFA_CACHE", str(tmp_path / "cache"))  # workers have it too
    for index, sample in enumerate(rings["train"][:3]):
        write_sample(tmp_path / "scans", f"{index:03d}", sample)
    return tmp_path / "scans"


def test_all_splits_are_found_in_the_cache_to_the_last_bit(folder, monkeypatch):
    scans = Folder(folder)
    alone = FeatureExtractor(QUICK.change(features__cache=False).features, seed=3)
    expected = alone.stack(scans)
    ahead.describe_ahead(CONFIG, [scans[:2], scans[2:]], **SEVERAL)
    extractor = FeatureExtractor(CONFIG, seed=3)
    for name in ("_describe_images", "_describe_clouds"):
        monkeypatch.setattr(extractor, name, lambda *_: pytest.fail("described once more"))
    found = extractor.stack(scans)
    for modality in ("rgb", "3d"):
        assert torch.equal(found.features[modality], expected.features[modality])


def test_one_worker_leaves_it_to_the_detector(folder):
    ahead.describe_ahead(CONFIG, [Folder(folder)])
    assert not (folder.parent / "cache").exists()


def test_a_bad_scan_is_told_as_the_extractor_tells_it(folder):
    cloud = folder / "xyz/001.tiff"
    cloud.write_bytes(cloud.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"001\.tiff: cannot be read as a TIFF") as alone:
        FeatureExtractor(CONFIG).stack(Folder(folder))
    with pytest.raises(ValueError, match=r"001\.tiff") as error:
        ahead.describe_ahead(CONFIG, [Folder(folder)[1:2]], **SEVERAL)
    assert str(error.value) == str(alone.value)


def test_what_cannot_be_done_ahead_is_refused():
    with pytest.raises(ValueError, match="workers = 2 on cuda: there the networks see a batch"):
        ahead.describe_ahead(CONFIG, [], workers=2, device="cuda")
    with pytest.raises(ValueError, match=r"features\.cache = False: what"):
        ahead.describe_ahead(QUICK.change(features__cache=False).features, [], workers=2)
    with pytest.raises(ValueError, match="workers = 0"):
        ahead.describe_ahead(CONFIG, [], workers=0)

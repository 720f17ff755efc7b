"""Peers on tiny rings. What needs anomalib is passed over where it is not installed."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import QUICK, without
from einops import rearrange

from lsfa_book.baselines.peers import CUT, PUBLISHED, WHAT, banks, cfm, library, make_peer, run
from lsfa_book.baselines.peers import peer as peer_module
from lsfa_lite.config import PAPER, Config
from lsfa_lite.data.sample import Sample
from lsfa_lite.features.extract import FeatureExtractor, square_pixels
from lsfa_lite.features.image import ImageBackbone, package_weights

TINY = dataclasses.replace(
    CUT, stfpm_epochs=20, stfpm_batch=2, flow_epochs=15, flow_batch=2, flow_hidden=8, cfm_epochs=10
)


@pytest.fixture
def anomalib():
    return pytest.importorskip("anomalib")


@pytest.fixture
def tiny(monkeypatch) -> None:
    monkeypatch.setattr(peer_module, "CUT", TINY)


def broken(sample: Sample) -> Sample:
    """The part with a square in a colour that no good part has, and two centimetres lower."""
    assert sample.rgb is not None
    assert sample.xyz is not None
    rgb, xyz = sample.rgb.copy(), sample.xyz.copy()
    rows, columns = np.nonzero(sample.foreground)
    top, left = rows[len(rows) // 3], columns[len(rows) // 3]
    square = np.zeros(sample.shape, dtype=bool)
    square[top : top + 28, left : left + 28] = True
    square &= sample.foreground
    rgb[square] = np.array([255, 0, 255]) if rgb.dtype == np.uint8 else np.array([1.0, 0.0, 1.0])
    xyz[square] += np.array([0, 0, 0.02], dtype=xyz.dtype) * (np.arange(square.sum())[:, None] % 2)
    return dataclasses.replace(sample, rgb=rgb, xyz=xyz, mask=square, label=1, defect="square")


@pytest.mark.parametrize("installed", [True, False])
def test_an_unknown_peer_is_refused_with_the_names_there_are(installed, monkeypatch):
    monkeypatch.setattr(library, "find_spec", lambda name: installed or None)
    with pytest.raises(ValueError, match=r"no peer 'winclip'.*padim, patchcore, stfpm"):
        run("winclip", QUICK, [], [], [])


@pytest.mark.parametrize("what", WHAT)
def test_without_anomalib_the_extra_is_named(what, monkeypatch):
    monkeypatch.setattr(library, "find_spec", lambda name: None)
    assert not library.available()
    with pytest.raises(ValueError, match=r"pip install 'lsfa-lite\[peers\]'"):
        run(what, QUICK, [], [], [])


def test_an_anomalib_without_cfm_is_told_the_version_that_has_it(monkeypatch):
    older = {"anomalib": object()}
    monkeypatch.setattr(library, "find_spec", older.get)
    with pytest.raises(ValueError, match=r"2\.5\.0 and later"):
        make_peer("cfm", QUICK)


@pytest.mark.parametrize("what", WHAT)
def test_maps_scores_and_verdicts(what, rings, anomalib, tiny, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    narrow = dataclasses.replace(  # not square
        rings["test"][1],
        **{k: getattr(rings["test"][1], k)[:, 10:] for k in ("rgb", "xyz", "mask")},
    )
    samples = [*rings["test"][:2], broken(rings["test"][0]), narrow]
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        peer = make_peer(what, QUICK).fit(rings["train"], rings["validation"])
        scored = peer.score(samples)
        again = make_peer(what, QUICK).fit(rings["train"], rings["validation"]).score(samples[::-1])
    for one, sample, other in zip(scored, samples, again[::-1], strict=True):
        assert one.anomaly_map.shape == sample.shape
        assert one.anomaly_map.dtype == np.float32
        assert np.isfinite(one.anomaly_map).all()
        assert not one.anomaly_map[~sample.foreground].any()
        assert one.anomaly_map[sample.foreground].any()
        assert one.is_anomalous == (one.image_score > one.threshold)
        assert one.path == sample.path
        assert other.image_score == one.image_score  # also in another order
        np.testing.assert_array_equal(other.anomaly_map, one.anomaly_map)
    first, second, defective = (one.image_score for one in scored[:3])
    assert defective > max(first, second)
    held_out = [one.image_score for one in peer.score(rings["validation"])]
    assert scored[0].threshold == max(held_out)  # three parts promise no better
    assert torch.equal(torch.get_rng_state(), state)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_the_map_is_highest_on_the_defect(rings, anomalib):
    part = broken(rings["test"][0])
    peer = make_peer("patchcore", QUICK).fit(rings["train"], rings["validation"])
    found = peer.score([part])[0].anomaly_map
    assert part.mask is not None
    assert found[part.mask].mean() > 1.5 * found[part.foreground & ~part.mask].mean()


def test_run_measures_with_our_metrics(rings, anomalib):
    table = run("patchcore", QUICK, rings["train"], rings["validation"], rings["test"])
    assert table["samples"] == 3
    assert set(table["all"]) == {"i_auroc", "p_auroc", "aupro_30", "aupro_1"}
    assert table["modalities"]["rgb"] == table["all"]
    assert set(table["defects"]) == {"hole"}


def pictures(peer: peer_module.Peer, sample: Sample) -> torch.Tensor:
    """(1, 3, H, W) in 0..1, as our own network takes it."""
    colour, _ = square_pixels(sample, peer.size)
    return rearrange(torch.as_tensor(colour), "h w c -> 1 c h w")


def test_patchcore_sees_the_features_that_we_see(rings, anomalib):
    sample = rings["test"][0]
    peer = make_peer("patchcore", QUICK)
    seen = peer.model.feature_extractor(peer._inputs(sample)[0][None])
    fine, coarse = seen.values()
    coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear")
    theirs = rearrange(torch.cat([fine, coarse], dim=1), "b d h w -> b (h w) d")
    ours = ImageBackbone(QUICK.features.image, QUICK.features.image_size, QUICK.features.grid)
    torch.testing.assert_close(theirs, ours(pictures(peer, sample)))


@pytest.mark.parametrize("what", ["padim", "patchcore", "stfpm", "cs_flow"])
def test_the_weights_are_the_packages(what, anomalib):
    model = make_peer(what, QUICK).model
    holder = model.teacher_model if what == "stfpm" else model.feature_extractor
    network = holder.network if what == "cs_flow" else holder.feature_extractor
    expected = {name.replace(".", "_"): tensor for name, tensor in package_weights().items()}
    compared = 0
    for name, tensor in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            assert torch.equal(tensor, expected[name.replace(".", "_")])
            compared += 1
    assert compared > 50
    assert not any(parameter.requires_grad for parameter in network.parameters())
    if what == "stfpm":
        student = model.student_model.feature_extractor.state_dict()
        assert not torch.equal(
            student["conv_stem.weight"], network.state_dict()["conv_stem.weight"]
        )


def test_cfm_sees_the_features_that_we_see(rings, anomalib):
    sample = rings["test"][0]
    peer = make_peer("cfm", QUICK)
    rgb, xyz = peer.model.extract_features(*(x[None] for x in peer._inputs(sample)))
    ours = FeatureExtractor(QUICK.features)(sample).features
    torch.testing.assert_close(rearrange(rgb, "1 d h w -> (h w) d"), ours["rgb"])
    torch.testing.assert_close(rearrange(xyz, "1 d h w -> (h w) d"), ours["3d"])


def test_the_frugal_coreset_is_anomalibs(anomalib):
    patches = torch.randn(300, 20, generator=torch.Generator().manual_seed(0))
    sampler = library.anomalib("patchcore").KCenterGreedy
    chosen = []
    for kind in (sampler, banks.frugal(sampler)):
        made = kind(patches, 0.1)
        made.model.random_state = np.random.RandomState(3)
        torch.manual_seed(3)
        chosen.append(made.select_coreset_idxs())
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0])) == 30


def test_cfm_compares_nothing_where_there_are_no_points(anomalib):
    real, predicted = torch.randn(2, 2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    real[:, :, :2] = 0
    generator = library.anomalib("cfm").CFMAnomalyMapGenerator
    found = cfm.on_points(generator).compute_distance(real, predicted)
    assert not found[:, :2].any()
    unit = [x / x.norm(dim=1, keepdim=True) for x in (real[:, :, 2:], predicted[:, :, 2:])]
    torch.testing.assert_close(found[:, 2:], (unit[0] - unit[1]).norm(dim=1))


def test_training_is_cut_for_lite_alone(anomalib):
    assert make_peer("padim", QUICK).training == CUT
    assert make_peer("padim", QUICK.change(name="longer")).training == PUBLISHED


@pytest.mark.parametrize(("what", "gone"), [("padim", "rgb"), ("cfm", "xyz")])
def test_a_part_without_the_modality_is_named(what, gone, rings, anomalib):
    bare = dataclasses.replace(without(rings["train"][0], gone), path="scan-7.png")
    with pytest.raises(ValueError, match=r"scan-7\.png: has no"):
        make_peer(what, QUICK).fit([bare], rings["validation"])


def test_no_validation_parts_is_an_error(rings, anomalib):
    with pytest.raises(ValueError, match="validation"):
        make_peer("padim", QUICK).fit(rings["train"], [])


def test_a_transformer_is_refused(anomalib):
    vit = QUICK.change(
        features__image__backbone="vit_tiny_patch16_224", features__image__weights="random"
    )
    with pytest.raises(ValueError, match="need a CNN"):
        make_peer("padim", vit)


def own(monkeypatch) -> Config:
    """A config with which peers take their own networks; instead of fetched, weights are random."""
    import timm

    create = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda *a, **k: create(*a, **(k | {"pretrained": False}))
    )
    b5 = library.anomalib("csflow").efficientnet_b5
    monkeypatch.setattr(library.anomalib("csflow"), "efficientnet_b5", lambda weights: b5())
    monkeypatch.setattr(
        peer_module, "PUBLISHED", dataclasses.replace(TINY, stfpm_epochs=1, flow_epochs=1)
    )
    return PAPER.change(features__image_size=64)


@pytest.mark.parametrize(
    ("what", "width"), [("padim", 448), ("patchcore", 1536), ("stfpm", 448), ("cs_flow", 304)]
)
def test_the_papers_preset_takes_the_peers_own_network(what, width, rings, anomalib, monkeypatch):
    peer = make_peer(what, own(monkeypatch))
    model = peer.model
    if what == "cs_flow":
        assert model.feature_extractor(torch.zeros(1, 3, 128, 128))[0].shape == (1, width, 4, 4)
    else:
        extractor = model.teacher_model if what == "stfpm" else model.feature_extractor
        assert sum(extractor.out_dims) == width
    assert (peer.mean, peer.std) == peer_module.IMAGENET
    scored = peer.fit(rings["train"][:2], rings["validation"][:1]).score(rings["test"][:1])[0]
    assert scored.anomaly_map.shape == rings["test"][0].shape
    assert np.isfinite(scored.anomaly_map).all()
    assert np.isfinite(scored.image_score)


def test_an_unreachable_hub_is_said_with_a_cure(anomalib, monkeypatch):
    import timm

    def unreachable(*_, **__):
        raise ConnectionError("no network")

    monkeypatch.setattr(timm, "create_model", unreachable)
    with pytest.raises(FileNotFoundError, match=r"no network.*weights='package'"):
        make_peer("padim", PAPER)


def test_cfm_of_the_paper_never_fetches_point_mae_by_itself(anomalib, tmp_path):
    missing = str(tmp_path / "pretrain.pth")
    with pytest.raises(FileNotFoundError, match=r"pretrain\.pth"):
        make_peer("cfm", PAPER.change(features__points__weights=missing))

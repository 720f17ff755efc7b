"""The plan's arithmetic against what PyTorch counts on the real modules, and real banks."""

from __future__ import annotations

import inspect
import math
import tracemalloc
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lsfa_book import costs, counts
from lsfa_book.bench import inputs
from lsfa_book.costs import MVTEC3D, Images, Stage, added, plan, reproduction, table
from lsfa_book.devices import DEVICES, Device, Host, measure_cpu, measure_host
from lsfa_lite.adaptation.adaptors import make_adaptor
from lsfa_lite.adaptation.batches import held
from lsfa_lite.adaptation.train import train
from lsfa_lite.config import FIRST, PAPER, AdaptationConfig
from lsfa_lite.evaluation import evaluate
from lsfa_lite.features import extract
from lsfa_lite.features.image import ImageBackbone
from lsfa_lite.features.nearest import nearest
from lsfa_lite.features.point_network import PointMAE
from lsfa_lite.features.projection import interpolate
from lsfa_lite.scoring.coreset import greedy_coreset
from lsfa_lite.scoring.patchcore import PatchCore

T4 = DEVICES["T4"]
HOST = Host(clean=1e-6, fpfh=1e-5, metrics=1e-7)
BAGEL = MVTEC3D["bagel"]
WIDE = PAPER.change(features__keep="float32")
TINY = PAPER.change(features__grid=7, features__image_size=56, adaptation__steps=4)


def counted(work) -> float:
    """FLOPs that PyTorch counts; attention taken apart into products that it knows."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        work()
    return counter.get_total_flops()


def by_name(stages: list[Stage]) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages}


# --- FLOPs against the real modules -------------------------------------------------------


def test_a_vision_transformer_is_counted_as_the_chapter_s_equation_says():
    """Patches of 16 x 16 x 3 become tokens; twelve layers on them and the class token."""
    work, _, width, depth = counts.image_facts("vit_tiny_patch16_224", (0,), 224)
    by_hand = 2 * 196 * 768 * 192 + 12 * (24 * 197 * 192**2 + 4 * 197**2 * 192)
    assert (work, width, depth) == (by_hand, 192, 12)
    assert counts.encoder_flops(197, 192) == 24 * 197 * 192**2 + 4 * 197**2 * 192


def test_the_papers_image_network_has_the_cards_macs_but_for_attention():
    """timm's card says 66.9 GMACs and 85.8 M parameters: without the products of attention."""
    flops, parameters, width, depth = counts.image_facts("vit_base_patch8_224.dino", (0,), 224)
    attention = depth * 4 * 785**2 * width
    assert (flops - attention) / 2 == pytest.approx(66.9e9, rel=0.005)
    assert attention / flops == pytest.approx(0.145, abs=0.005)
    assert parameters == pytest.approx(85.8e6, rel=0.001)


def test_a_convolutional_network_is_counted_by_pytorch_itself():
    image = FIRST.features.image
    network = ImageBackbone(replace(image, weights="random"), 224, 28)
    with torch.no_grad():
        real = counted(lambda: network(torch.rand(1, 3, 224, 224)))
    assert counts.image_facts(image.backbone, image.stages, 224)[0] == pytest.approx(real, rel=0.01)
    assert counts.width_of(FIRST.features, "rgb") == network.width


@pytest.mark.parametrize("changes", [{}, {"depth": 3, "layers": (0, 2), "width": 96}])
def test_point_mae_is_counted_as_by_hand(changes):
    config = replace(PAPER.features.points, groups=64, group_size=16, **changes)
    h, width = config.token_hidden, config.width
    a_point = 3 * h + h * 2 * h + 4 * h * 4 * h + 4 * h * width  # multiply-adds
    tokens = 2 * 64 * (16 * a_point + 3 * 128 + 128 * width)
    layer = 24 * 64 * width**2 + 4 * 64**2 * width
    assert counts.point_mae_flops(config) == tokens + config.depth * layer
    features = replace(PAPER.features, points=config)
    assert counts.width_of(features, "3d") == PointMAE(config).width


@pytest.mark.parametrize("adaptor", ["encoder", "encoder2", "linear", "conv1x1"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_adaptors_forward_and_backward(adaptor, norm):
    config = AdaptationConfig(adaptor=adaptor, norm=norm, zero_init=False)
    module = make_adaptor(config, 96)
    features = torch.rand(2, 50, 96)
    assert counts.adaptor_parameters(config, 96) == sum(p.numel() for p in module.parameters())
    forward = counted(lambda: module(features))
    assert 2 * counts.adaptor_flops(config, 50, 96) == pytest.approx(forward, rel=0.03)
    both = counted(lambda: module(features).sum().backward())
    assert 2 * counts.adaptor_training_flops(config, 50, 96) == pytest.approx(both, rel=0.03)


@pytest.mark.filterwarnings("ignore::lsfa_lite.adaptation.diagnostics.CollapseWarning")
@pytest.mark.parametrize("changes", [{}, {"adaptation__adaptor": "linear"}])
def test_a_whole_training(changes):
    config = TINY.change(adaptation__local_bank=60, adaptation__batch_size=4, **changes)
    widths = {"rgb": 96, "3d": 144}
    features = {m: torch.rand(8, 49, w) for m, w in widths.items()}
    foreground = torch.ones(8, 49, dtype=torch.bool)
    real = counted(lambda: train(features, foreground, config.adaptation))
    stage = costs.adaptation(config, Images(8, 0, 0, foreground=1.0), T4, widths)
    assert stage.flops == pytest.approx(real, rel=0.1)  # it also takes the rank of the features


def test_equation_1_with_all_centres_and_the_search_in_a_bank():
    points, centres, features = torch.rand(500, 3), torch.rand(64, 3), torch.rand(64, 96)
    assert counted(lambda: interpolate(points, centres, features)) == 2 * 500 * 64 * 96
    assert counted(lambda: nearest(torch.rand(100, 96), torch.rand(300, 96))) == 2 * 100 * 300 * 96


def test_the_coreset_s_products(monkeypatch):
    """All but those of the last choices, of which no other row has to hear."""
    monkeypatch.setattr("lsfa_lite.scoring.coreset.SHORTLIST", 32)
    rows, width, kept = 3000, 40, 300
    real = counted(lambda: greedy_coreset(torch.rand(rows, width), kept))
    config = PAPER.change(features__grid=10, scoring__coreset=kept / rows)
    stage = costs.coreset(config, Images(30, 0, 0, foreground=1.0), T4, {"rgb": width})
    assert stage.flops == pytest.approx(real, rel=0.1)


# --- memory -------------------------------------------------------------------------------


def test_an_evaluation_takes_what_the_plan_says():
    scored, samples = inputs.verdicts(40, 200)
    bad = [i for i, sample in enumerate(samples) if sample.label]
    chosen = bad + [i for i, sample in enumerate(samples) if not sample.label][:5]  # four in five
    some = [scored[i] for i in chosen], [samples[i] for i in chosen]
    evaluate(*some)  # what is made once is there
    tracemalloc.start()
    evaluate(*some)
    peak = tracemalloc.get_traced_memory()[1] / (len(chosen) * 200**2)
    tracemalloc.stop()
    assert costs.METRIC_BYTES * 0.8 < peak < costs.METRIC_BYTES * 1.15


def test_features_by_hand():
    """244 bagels of 3136 patches, 768 and 1152 numbers of four bytes: 5.9 GB."""
    whole = 244 * 3136 * (768 + 1152) * 4
    assert costs.feature_bytes(WIDE, 244) == whole
    assert costs.feature_bytes(WIDE, 244, 0.4) == pytest.approx(0.4 * whole)
    half = PAPER.change(features__keep="float16", modalities=("3d",))
    assert costs.feature_bytes(half, 244) == whole * 0.6 / 2


def test_features_move_to_the_device_as_long_as_they_fit():
    widths = {"rgb": 768, "3d": 1152}
    few, many, more = (
        costs.adaptation(WIDE, replace(BAGEL, train=n), T4, widths).bytes for n in (200, 300, 600)
    )
    assert many - few == pytest.approx(costs.feature_bytes(WIDE, 100, 0.4))
    assert more == pytest.approx(few - costs.feature_bytes(WIDE, 200, 0.4))  # from the host
    assert inspect.signature(held).parameters["limit"].default == costs.ON_DEVICE


def test_a_fixed_number_of_rows():
    fixed = PAPER.change(scoring__coreset_rows=20_000)
    twice = replace(BAGEL, train=2 * 244)
    assert costs.bank_rows(fixed, BAGEL) == costs.bank_rows(fixed, twice) == 20_000
    assert costs.bank_rows(fixed, Images(2, 1, 1, foreground=0.5)) == 3136
    once, double = (by_name(plan(fixed, i, T4))["coreset"] for i in (BAGEL, twice))
    assert double.flops == pytest.approx(2 * once.flops, rel=1e-3)


def test_all_rows_are_kept_without_a_choice():
    every = PAPER.change(scoring__coreset=1.0)
    assert by_name(plan(every, BAGEL, T4))["coreset"].flops == 0


def test_a_gpu_sees_as_many_scans_together_as_the_extractor_gives_it():
    assert costs.AT_ONCE == extract.AT_ONCE


def test_bank_is_as_large_as_a_real_one():
    config = TINY.change(scoring__coreset=0.2)
    images = Images(6, 2, 3, foreground=0.5)
    foreground = torch.zeros(6, 49, dtype=torch.bool)
    foreground[:, :24] = True
    bank = PatchCore.fit(torch.rand(6, 49, 96), foreground, config.scoring).bank
    assert costs.bank_rows(config, images) == pytest.approx(len(bank), abs=1)
    stage = costs.scoring(config, images, T4, {"rgb": 96})
    once = bank.numel() * bank.element_size()
    assert stage.bytes == pytest.approx(2 * once + 4 * len(bank) * costs.SEARCH, rel=0.03)


def test_a_published_bank():
    """M3DM's for bagel, background and all: 76,518 rows of 1152 numbers, 353 MB."""
    rows = costs.bank_rows(PAPER, replace(BAGEL, foreground=1.0))
    assert rows == pytest.approx(76_518, rel=1e-3)
    assert rows * 1152 * 4 == pytest.approx(353e6, rel=2e-3)


def test_features_on_the_host_are_as_large_as_a_real_stack():
    held = by_name(plan(WIDE, BAGEL, T4))["coreset"].host_bytes
    one = 4 * 0.4 * 56**2 * (768 + 1152)
    assert held == pytest.approx(one * (244 + 22))


# --- what grows with what -----------------------------------------------------------------


def test_twice_the_images():
    twice = replace(BAGEL, train=2 * 244, validation=2 * 22, test=2 * 110)
    once, double = (by_name(plan(PAPER, i, T4, HOST)) for i in (BAGEL, twice))
    ratio = {name: double[name].flops / once[name].flops for name in once if once[name].flops}
    for name in ("image network", "point network", "adapted features"):
        assert ratio[name] == 2
    assert ratio["adaptation"] == 1  # steps are steps
    assert ratio["scoring"] == pytest.approx(4, rel=1e-3)  # more scans against a larger bank
    assert 3.5 < ratio["coreset"] < 4.001  # more choices among more rows
    for name in ("background", "metrics"):
        assert double[name].seconds == pytest.approx(2 * once[name].seconds)
    assert double["coreset"].host_bytes == pytest.approx(2 * once["coreset"].host_bytes)


def test_twice_the_steps_and_a_bank_that_fills():
    short, long = (
        costs.adaptation(PAPER.change(adaptation__steps=n), BAGEL, T4, {"rgb": 768, "3d": 1152})
        for n in (300, 600)
    )
    assert 2 < long.flops / short.flops < 2.05  # the bank is not full in the first steps
    assert long.bytes == short.bytes


def test_a_bank_is_not_searched_before_it_is_as_full_as_asked():
    how = {"adaptation__steps": 40, "adaptation__local_bank": 60_000}
    late, early = (
        costs.adaptation(PAPER.change(**how, adaptation__min_fill=n), BAGEL, T4, {"rgb": 768})
        for n in (60_000, 1)
    )
    queries = 8 * BAGEL.foreground * 56**2
    skipped = sum(step * queries for step in range(40) if step * queries < 60_000)
    assert early.flops - late.flops == pytest.approx(2 * queries * 768 * skipped)


def test_no_adaptation_has_no_training_and_one_modality_half_the_stages():
    bare = by_name(plan(PAPER.change(adaptation__steps=0), BAGEL, T4))
    assert not {"adaptation", "adapted features"} & bare.keys()
    colour = by_name(plan(PAPER.change(modalities=("rgb",)), BAGEL, T4))
    assert "point network" not in colour
    assert colour["scoring"].flops == pytest.approx(bare["scoring"].flops * 768 / 1920)


# --- time ---------------------------------------------------------------------------------


def test_time_is_the_slower_of_computing_and_reading():
    device = Device("toy", 1e12, 1e9, 1e9, "made up", utilisation=0.5, launch=0.1)
    assert device.seconds(1e12) == 2
    assert device.seconds(1e12, 4e9) == 8
    assert device.seconds(0, 0, 30) == pytest.approx(3)
    slow = replace(device, double=1e11)
    assert slow.parts(1e12, 4e9, 30, double=True) == pytest.approx((20, 8, 3))
    for card in DEVICES.values():
        assert card.double < card.flops
        for stage in plan(PAPER, BAGEL, card):
            compute, move, start = stage.parts
            assert math.isnan(stage.seconds) or stage.seconds == max(compute, move) + start


def test_faster_devices_are_faster_and_what_is_not_known_is_said():
    times = [costs.seconds(plan(PAPER, BAGEL, device)) for device in DEVICES.values()]
    assert times == sorted(times, reverse=True)
    stages = by_name(plan(FIRST, BAGEL, T4))
    for name in ("background", "FPFH", "metrics"):  # the host's
        assert stages[name].kind == "not known"
        assert math.isnan(stages[name].seconds)
    assert not any(math.isnan(s.seconds) for s in plan(FIRST, BAGEL, T4, HOST))
    assert all(d.source.startswith("NVIDIA") for d in DEVICES.values())


def test_this_machine_is_measured():
    cpu, host = measure_cpu(), measure_host()
    assert cpu.source == "measured"
    assert 1e8 < cpu.flops < 1e13
    assert 1e8 < cpu.bandwidth < 1e12
    assert 1e-9 < host.clean < 1e-3
    assert 1e-9 < host.metrics < 1e-3
    stages = by_name(plan(FIRST, Images(4, 2, 4), cpu, host))
    assert stages["background"].kind == "measured rate"


# --- sums ---------------------------------------------------------------------------------


def test_the_data_set_is_complete():
    """Totals of the data set's paper."""
    assert len(MVTEC3D) == 10
    totals = [sum(getattr(i, name) for i in MVTEC3D.values()) for name in Images.__annotations__][
        :3
    ]
    assert totals == [2656, 294, 249 + 948]
    assert sum(images.test_good for images in MVTEC3D.values()) == 249


def test_a_table_describes_its_scans_once_and_trains_once_a_run():
    two = {name: MVTEC3D[name] for name in ("bagel", "rope")}
    whole = by_name(reproduction(["table4"], PAPER, T4, two, seeds=3, host=HOST))
    parts = [by_name(plan(PAPER, images, T4, HOST)) for images in two.values()]
    for name in ("background", "image network", "point network"):
        assert whole[name].seconds == pytest.approx(sum(p[name].seconds for p in parts))
    # table 4: no adaptation, whitening, CLC, IFC, both: five banks and scorings, three trainings
    assert whole["scoring"].flops == pytest.approx(15 * sum(p["scoring"].flops for p in parts))
    full = sum(p["adaptation"].flops for p in parts)
    assert 2 * 3 * full < whole["adaptation"].flops < 3 * 3 * full  # CLC alone needs no search
    both = reproduction(["table4", "table4"], PAPER, T4, two, seeds=3, host=HOST)
    assert costs.seconds(both) == pytest.approx(costs.seconds(whole.values()))


def test_one_scan_is_its_share_of_the_category():
    one, whole = costs.of_a_scan(PAPER, BAGEL, T4), by_name(plan(PAPER, BAGEL, T4))
    assert one["point network"] * BAGEL.all == pytest.approx(whole["point network"].seconds)
    assert one["scoring"] * (22 + 110) == pytest.approx(whole["scoring"].seconds)
    assert "coreset" not in one
    assert "point network" not in costs.of_a_scan(FIRST, BAGEL, T4)  # FPFH is the host's


def test_text():
    stages = plan(PAPER, BAGEL, T4)
    lines = table(stages).splitlines()
    assert len(lines) == len(stages) + 2
    assert lines[1].split()[0] == "background"
    assert "?" in lines[1]
    assert "estimate" in lines[2]
    assert lines[-1].startswith("all")
    (one,) = added([stages[1], stages[1]])
    assert one.flops == 2 * stages[1].flops
    assert one.bytes == stages[1].bytes
    assert [costs.duration(s) for s in (5, 600, 7200)] == ["5.0 s", "10.0 min", "2.0 h"]

"""Losses, banks, prototypes, adaptors and Algorithm 1 on a GPU give the CPU's numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from on_device import GPU, MARKS, agrees, close, normal, same

from lsfa_lite.adaptation import losses
from lsfa_lite.adaptation.adaptors import make_adaptor
from lsfa_lite.adaptation.memory import MemoryBank
from lsfa_lite.adaptation.prototypes import assign, cluster_means
from lsfa_lite.adaptation.train import train
from lsfa_lite.adaptation.whitening import InputTransform
from lsfa_lite.config import PAPER_LITERAL, PRESETS, AdaptationConfig

pytestmark = MARKS
SEEN = torch.arange(3 * 40).reshape(3, 40) % 4 != 0  # (B, N)
LOSSES = {
    "local_alignment": lambda x, y, seen, how: losses.local_alignment(x, y, seen, denominator=how),
    "global_alignment": lambda x, y, _, how: losses.global_alignment(
        x[:, 0], y[:, 0], denominator=how
    ),
    "local_compactness": lambda x, y, seen, _: losses.local_compactness(x[seen], y.flatten(0, 1)),
    "global_compactness": lambda x, y, *_: losses.global_compactness(x[:, 0], y.flatten(0, 1)),
}


@pytest.mark.parametrize("how", ["joint", "row", "symmetric"])
@pytest.mark.parametrize("name", LOSSES)
def test_the_four_losses_and_their_gradients(name, how, device):
    rgb, points = normal(3, 40, 24), normal(3, 40, 24, seed=1)

    def gradient(rgb, points, seen):
        rgb = rgb.clone().requires_grad_(True)
        return torch.autograd.grad(LOSSES[name](rgb, points, seen, how), rgb)[0]

    agrees(lambda *given: LOSSES[name](*given, how), device, rgb, points, SEEN)
    agrees(gradient, device, rgb, points, SEEN)


@pytest.mark.parametrize("policy", ["fifo", "reservoir"])
def test_banks_keep_the_same_rows(policy, device):
    def rows(features, what):
        bank = MemoryBank(50, 8, policy).to(features.device)
        for part in features.split(17):
            bank.enqueue(part)
        return getattr(bank, what)()

    same(lambda features: rows(features, "rows"), device, normal(120, 8))
    same(lambda features: rows(features, "ages"), device, normal(120, 8))


@pytest.mark.parametrize("k", [1, 3])
def test_prototypes(k, device):
    features = normal(3, 40, 8) + 10 * torch.arange(40)[:, None].remainder(k)  # k heaps
    same(lambda f, seen: assign(f, seen, k), device, features, SEEN)
    labels = assign(features, SEEN, k)
    agrees(lambda *given: cluster_means(*given, k), device, features, SEEN, labels)


@pytest.mark.parametrize("kind", ["none", "centre", "scale", "standardise", "whiten"])
def test_input_transforms(kind, device):
    agrees(lambda rows: InputTransform.fit(rows, kind)(rows), device, normal(500, 12) * 3 + 5)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("adaptor", ["encoder", "encoder2", "linear", "conv1x1", "identity"])
def test_adaptors(adaptor, norm, device):
    torch.manual_seed(0)
    made = make_adaptor(AdaptationConfig(adaptor=adaptor, norm=norm, zero_init=False), 24)
    features = normal(3, 40, 24)
    expected = made(features, SEEN)[SEEN]
    found = made.to(device)(features.to(device), SEEN.to(device))[SEEN.to(device)]
    close(found, expected, 5e-3 if adaptor == "conv1x1" else 1e-4)  # TF32


def parts(samples, patches, widths):
    features = {m: normal(samples, patches, width, seed=i) for i, (m, width) in enumerate(widths)}
    return features, torch.arange(samples * patches).reshape(samples, patches) % 2 == 0


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_algorithm_one_sees_the_same_losses(preset, device):
    """AdamW divides by the gradient's size: what is rounding at first grows with every step."""
    features, seen = parts(6, 60, [("rgb", 24), ("3d", 36)])
    config = replace(preset.adaptation, steps=5, projection=16, local_bank=200, batch_size=3)
    expected = train(features, seen, config)
    found = train(features, seen, config, device=device)
    assert found.get_parameter("heads.rgb.weight").device.type == device.type
    for step, (one, other) in enumerate(zip(found.history, expected.history, strict=True)):
        assert one.keys() == other.keys()
        for name, value in other.items():
            assert one[name] == pytest.approx(value, rel=1e-3 * (step + 1), abs=1e-4), (step, name)
    for name in features:
        close(
            found.adapt(name, features[name], seen),
            expected.adapt(name, features[name], seen),
            0.02,
        )


def test_an_adaptation_of_the_papers_length_and_size(device):
    """300 steps on eight parts with half of 56 x 56 patches on each; three small ones on a CPU."""
    steps, patches = (300, 56 * 56) if GPU else (3, 14 * 14)
    features, seen = parts(8, patches, [("rgb", 768), ("3d", 1152)])
    config = replace(PAPER_LITERAL.adaptation, steps=steps)
    adaptation = train(features, seen, config, device=device)
    assert len(adaptation.history) == steps
    assert all(math.isfinite(value) for record in adaptation.history for value in record.values())
    last = adaptation.history[-1]
    assert {"local_alignment", "global_alignment", "local_compactness/3d"} < last.keys()
    assert last["local_fill/rgb"] == min(1.0, steps * 8 * patches / 2 / 50_000)

"""Algorithm 1 against a hand-differentiated NumPy version, and what a training must promise."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from pretend_device import DEVICE, Pretend
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.adaptation import losses
from lsfa_lite.adaptation.batches import Batch, draw, pack
from lsfa_lite.adaptation.diagnostics import CollapseWarning, effective_rank, variance
from lsfa_lite.adaptation.model import Adaptation
from lsfa_lite.adaptation.train import (
    learning_rate,
    loss_terms,
    objective,
    shared_prototypes,
    start,
    train,
)
from lsfa_lite.config import AdaptationConfig

SMALL = AdaptationConfig(
    steps=6, heads=2, projection=5, local_bank=40, global_bank=5, batch_size=3, lr=1e-2,
    reduction="sum",
)  # fmt: skip


def data(samples: int = 7, patches: int = 8, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    features = {
        "rgb": torch.randn(samples, patches, 4, generator=generator) + 1.0,
        "3d": torch.randn(samples, patches, 6, generator=generator),
    }
    foreground = torch.rand(samples, patches, generator=generator) > 0.3
    foreground[:, 0] = True
    return features, foreground


def same_state(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


# --- Algorithm 1 by hand -------------------------------------------------------------------------


class ByHand:
    """Algorithm 1 in NumPy (float64): linear adaptors, k = 1, gradients written out, AdamW.

    One step on Eq. 9, or three in turn: L_CLC, L_IFC of colour, L_IFC of shape.
    F = X A^T + a, F' = F H^T + h, G = mean of F over the foreground, G' = G H^T + h. Background is
    left out of every sum. Banks are lists of rows.
    """

    def __init__(self, model: Adaptation, config: AdaptationConfig) -> None:
        self.config, self.round = config, 0
        self.p, self.local, self.whole = {}, {}, {}
        for m in model.widths:
            linear, head = model.adaptors[m].linear, model.heads[m]
            for name, layer in (("A", linear), ("H", head)):
                self.p[m, name] = layer.weight.detach().double().numpy().copy()
                self.p[m, name + "b"] = layer.bias.detach().double().numpy().copy()
            self.local[m], self.whole[m] = [], []
        self.m = {key: np.zeros_like(value) for key, value in self.p.items()}
        self.v = {key: np.zeros_like(value) for key, value in self.p.items()}
        self.t = dict.fromkeys(self.p, 0)  # steps that a weight has made

    def align(self, a: np.ndarray, b: np.ndarray, share: float):
        """share * sum over j of -log softmax over all pairs at (j, j); its gradients."""
        s = a @ b.T
        e = np.exp(s - s.max())
        n = len(s)
        loss = share * sum(math.log(e.sum()) + s.max() - s[j, j] for j in range(n))
        ds = share * (n * e / e.sum() - np.eye(n))
        return loss, ds @ b, ds.T @ a

    def pull(self, rows: np.ndarray, bank: list[np.ndarray]):
        """Sum of distances to the nearest bank row, and the unit vectors away from it."""
        loss, gradient = 0.0, np.zeros_like(rows)
        for i, row in enumerate(rows):
            distances = [np.sqrt(((row - q) ** 2).sum()) for q in bank]
            best = int(np.argmin(distances))
            loss += distances[best]
            gradient[i] = (row - bank[best]) / distances[best]
        return loss, gradient

    def step(self, x: dict[str, list[np.ndarray]]) -> dict[str, float]:
        joint, c = self.config.updates == "joint", self.config
        clc, *ifc = [("clc", *x)] if joint else [("clc",), *((m,) for m in x)]
        out, grad, f, g = self.losses(x, clc)
        out["gradient_norm"] = norm(grad)
        self.adamw(grad)
        later = {}
        for what in ifc:
            (m,) = what
            more, grad, fresh, whole = self.losses(x, what)
            f[m], g[m], later = fresh[m], whole[m], later | grad
            self.adamw(grad)
            out |= more | {"total": out["total"] + more["total"]}
        out["gradient_norm"] += norm(later)
        self.round += 1
        for m in x:  # Eq. 7, after the step
            self.local[m] = (self.local[m] + [row for fi in f[m] for row in fi])[-c.local_bank :]
            self.whole[m] = (self.whole[m] + list(g[m]))[-c.global_bank :]
        return out

    def losses(self, x: dict[str, list[np.ndarray]], what: tuple[str, ...]):
        """The terms of Eq. 9 that `what` names, the gradients of what they move, F and G."""
        c, p, names = self.config, self.p, list(x)
        f = {m: [xi @ p[m, "A"].T + p[m, "Ab"] for xi in x[m]] for m in names}
        g = {m: np.stack([fi.mean(0) for fi in f[m]]) for m in names}
        df = {m: [np.zeros_like(fi) for fi in f[m]] for m in names}
        dg = {m: np.zeros_like(g[m]) for m in names}
        grad = {key: np.zeros_like(value) for key, value in p.items()}
        out: dict[str, float] = {}
        count = sum(len(fi) for fi in f["rgb"])

        def head(m, v):
            return v @ p[m, "H"].T + p[m, "Hb"]

        def head_back(m, v, dv):
            grad[m, "H"] += dv.T @ v
            grad[m, "Hb"] += dv.sum(0)
            return dv @ p[m, "H"]

        clc = ifc = 0.0
        if "clc" in what:
            out["local_alignment"] = 0.0
            for i in range(len(f["rgb"])):  # Eq. 2
                a, b = f["rgb"][i], f["3d"][i]
                loss, da, db = self.align(head("rgb", a), head("3d", b), 1 / count)
                out["local_alignment"] += loss
                df["rgb"][i] += head_back("rgb", a, c.consistency * da)
                df["3d"][i] += head_back("3d", b, c.consistency * db)
            a, b = g["rgb"], g["3d"]  # Eq. 3
            loss, da, db = self.align(head("rgb", a), head("3d", b), 1 / len(a))
            out["global_alignment"] = loss
            dg["rgb"] += head_back("rgb", a, c.consistency * da)
            dg["3d"] += head_back("3d", b, c.consistency * db)
            clc = out["local_alignment"] + loss
        for m in names:  # Eq. 5, 6
            if m in what and self.local[m]:
                for i, fi in enumerate(f[m]):
                    loss, d = self.pull(fi, self.local[m])
                    key = f"local_compactness/{m}"
                    out[key] = out.get(key, 0.0) + loss
                    df[m][i] += d
                loss, d = self.pull(g[m], self.whole[m])
                out[f"global_compactness/{m}"] = loss
                dg[m] += d
                ifc += out[f"local_compactness/{m}"] + loss
        out["total"] = ifc + c.consistency * clc  # Eq. 9
        for m in names:
            for i, xi in enumerate(x[m]):
                d = df[m][i] + dg[m][i] / len(xi)  # G is the mean
                grad[m, "A"] += d.T @ xi
                grad[m, "Ab"] += d.sum(0)
        moved = {
            (m, name)
            for m in names
            for name in ("A", "Ab", "H", "Hb")
            if "clc" in what or (m in what and self.local[m] and name[0] == "A")
        }
        return out, {key: grad[key] for key in moved}, f, g

    def adamw(self, grad: dict) -> None:
        c, warm = self.config, round(self.config.warmup * self.config.steps)
        if self.round < warm:
            lr = c.lr * (self.round + 1) / warm
        else:
            lr = c.lr * (1 + math.cos(math.pi * (self.round - warm) / (c.steps - warm))) / 2
        for key, g in grad.items():
            self.t[key] += 1
            self.p[key] = self.p[key] * (1 - lr * c.weight_decay)
            self.m[key] = 0.9 * self.m[key] + 0.1 * g
            self.v[key] = 0.999 * self.v[key] + 0.001 * g * g
            m = self.m[key] / (1 - 0.9 ** self.t[key])
            v = self.v[key] / (1 - 0.999 ** self.t[key])
            self.p[key] = self.p[key] - lr * m / (np.sqrt(v) + 1e-8)


def norm(grad: dict) -> float:
    return math.sqrt(sum((v**2).sum() for v in grad.values()))


@pytest.mark.equation("alg-1")
@pytest.mark.parametrize("updates", ["joint", "successive"])
@pytest.mark.parametrize("zero_init", [True, False])
def test_training_is_algorithm_1(zero_init, updates):
    config = replace(SMALL, adaptor="linear", zero_init=zero_init, warmup=0.34, local_bank=30)
    config = replace(config, updates=updates)
    features, foreground = data()
    model = start(features, foreground, config, seed=4)
    hand = ByHand(model, config)
    trained = train(features, foreground, config, seed=4)
    means = {m: v[foreground].double().numpy().mean(0) for m, v in features.items()}  # "centre"
    for step, record in enumerate(trained.history):
        order = np.random.default_rng([4, step // 2]).permutation(7)  # 2 batches of 3 an epoch
        chosen = order[step % 2 * 3 : step % 2 * 3 + 3]
        x = {
            m: [v[i][foreground[i]].double().numpy() - means[m] for i in chosen]
            for m, v in features.items()
        }
        expected = hand.step(x)
        given = {key: value for key, value in record.items() if key in expected}
        assert given.keys() == expected.keys()
        assert given == pytest.approx(expected, rel=2e-4)
    assert len(trained.history) == 6
    for m in features:
        given = trained.adaptors[m].linear.weight.detach().numpy()
        np.testing.assert_allclose(given, hand.p[m, "A"], rtol=1e-3, atol=2e-4)
        rows = np.stack(hand.local[m])
        bank = trained.local_bank(m).rows().numpy()
        assert len(bank) == len(rows) == 30
        np.testing.assert_allclose(np.sort(bank, 0), np.sort(rows, 0), rtol=1e-3, atol=2e-4)


def test_updates_in_turn_without_a_second_half_are_one_step():
    features, foreground = data()
    alone = replace(SMALL, local_compactness=0.0, global_compactness=0.0)
    one, other = (
        train(features, foreground, replace(alone, updates=updates))
        for updates in ("joint", "successive")
    )
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(one.history, other.history, strict=True):
        assert all(a[key] == b[key] for key in a if not key.startswith(("variance", "effective")))


def test_the_first_step_has_no_compactness_and_the_second_has():
    features, foreground = data()
    first, second = train(features, foreground, SMALL).history[:2]
    assert not any(key.startswith(("local_compact", "global_compact")) for key in first)
    assert second["local_compactness/rgb"] > 0
    assert second["global_compactness/3d"] > 0
    assert first["local_fill/rgb"] > 0


@pytest.mark.equation("eq-9")
def test_objective_weights_the_terms():
    config = replace(SMALL, consistency=0.5, local_alignment=2.0, global_compactness=3.0)
    terms = {
        "local_alignment": 1.0,
        "global_alignment": 10.0,
        "local_compactness/rgb": 100.0,
        "local_compactness/3d": 200.0,
        "global_compactness/3d": 1000.0,
    }
    total = objective({key: torch.tensor(value) for key, value in terms.items()}, config)
    assert total.item() == 0.5 * (2 * 1 + 10) + 100 + 200 + 3 * 1000


def test_every_choice_of_the_config_reaches_its_losses():
    features, foreground = data()
    choices = {"temperature": 0.3, "cosine": True, "denominator": "row"}
    pull = {"reduction": "mean", "squared": True}
    config = replace(SMALL, **choices, **pull, alignment_reduction="sum")
    model, choices = start(features, foreground, config, 0), choices | {"reduction": "sum"}
    batch = draw(features, foreground, 0, 3, 0, "cpu")
    adapted = {m: model(m, x, batch.foreground) for m, x in batch.features.items()}
    globals_ = shared_prototypes(adapted, batch.foreground, 2, 0)
    expected = {}
    rgb, points = (model.heads[m](adapted[m]) for m in ("rgb", "3d"))
    local = losses.local_alignment(rgb, points, batch.foreground, **choices)
    expected["local_alignment"] = local
    rgb, points = (model.heads[m](globals_[m].flatten(0, 1)) for m in ("rgb", "3d"))
    expected["global_alignment"] = losses.global_alignment(rgb, points, **choices)
    for m, seed in (("rgb", 1), ("3d", 2)):
        bank = torch.randn(4, model.widths[m], generator=torch.Generator().manual_seed(seed))
        model.local_bank(m).enqueue(bank)
        model.global_bank(m).enqueue(2 * bank)
        rows, whole = adapted[m][batch.foreground], globals_[m].flatten(0, 1)
        expected[f"local_compactness/{m}"] = losses.local_compactness(rows, bank, **pull)
        expected[f"global_compactness/{m}"] = losses.global_compactness(whole, 2 * bank, **pull)
    terms = loss_terms(model, adapted, globals_, batch)
    assert terms.keys() == expected.keys()
    for name, value in terms.items():
        torch.testing.assert_close(value, expected[name], msg=name)


@pytest.mark.parametrize("clip", [0.0, 0.5, 1e9])
def test_the_gradient_is_as_long_as_clip_allows(clip):
    features, foreground = data()
    model = train(features, foreground, replace(SMALL, clip=clip))
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    before, after = model.history[-1]["gradient_norm"], torch.cat(gradients).norm().item()
    assert before > 0.5
    assert after == pytest.approx(0.5 if clip == 0.5 else before, rel=1e-4)


def test_every_step_starts_k_means_from_a_seed_of_its_own(monkeypatch):
    seeds = []

    def spy(adapted, foreground, k, seed):
        seeds.append((k, seed))
        return shared_prototypes(adapted, foreground, k, seed)

    monkeypatch.setattr("lsfa_lite.adaptation.train.shared_prototypes", spy)
    features, foreground = data()
    train(features, foreground, replace(SMALL, steps=3, prototypes=2), seed=5)
    assert seeds == [(2, 5), (2, 6), (2, 7)]
    some = [shared_prototypes(features, foreground, 3, seed)["3d"] for seed in (5, 5, 6)]
    assert torch.equal(some[0], some[1])
    assert not torch.equal(some[0], some[2])


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("local_alignment", "local_alignment"),
        ("global_alignment", "global_alignment"),
        ("local_compactness", "local_compactness/rgb"),
        ("global_compactness", "global_compactness/3d"),
    ],
)
def test_a_loss_of_weight_zero_is_not_computed(field, key):
    features, foreground = data()
    with_it = train(features, foreground, SMALL).history[-1]
    without = train(features, foreground, replace(SMALL, **{field: 0.0})).history[-1]
    assert key in with_it
    assert not any(name.startswith(field) for name in without)


@pytest.mark.parametrize("updates", ["joint", "successive"])
@pytest.mark.parametrize("modality", ["rgb", "3d"])
def test_one_modality_alone_trains_without_consistency(modality, updates):
    features, foreground = data()
    one = {modality: features[modality]}
    model = train(one, foreground, replace(SMALL, updates=updates))
    assert f"local_compactness/{modality}" in model.history[-1]
    assert not any("alignment" in key for key in model.history[-1])
    out = model.adapt(modality, one[modality], foreground)
    assert not torch.allclose(out, start(one, foreground, SMALL, 0).adapt(modality, one[modality]))
    other = "3d" if modality == "rgb" else "rgb"
    with pytest.raises(ValueError, match="no adaptor"):
        model.adapt(other, features[other], foreground)


@pytest.mark.parametrize("adaptor", ["encoder", "encoder2", "linear", "conv1x1", "identity"])
def test_every_adaptor_trains(adaptor):
    features, foreground = data()
    config = replace(SMALL, adaptor=adaptor, prototypes=2, cosine=True, denominator="symmetric")
    model = train(features, foreground, config)
    begin = start(features, foreground, config, 0)
    for name, values in features.items():
        before = begin.adapt(name, values, foreground)[foreground]
        after = model.adapt(name, values, foreground)[foreground]
        assert torch.isfinite(after).all()
        assert torch.allclose(before, after) == (adaptor == "identity")


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("kind", ["none", "centre", "standardise", "whiten"])
def test_no_steps_is_the_input_transform_alone(norm, kind):
    features, foreground = data()
    config = replace(SMALL, steps=0, norm=norm, zero_init=False, input=kind)
    model = train(features, foreground, config)
    for name, values in features.items():
        out = model.adapt(name, values, foreground)
        assert torch.equal(out, model.inputs[name](values))
        if kind == "none":
            assert torch.equal(out, values)
        if kind == "centre":
            mean = values[foreground].double().numpy().mean(0)
            np.testing.assert_allclose(out.numpy(), values.numpy() - mean, atol=1e-5)


def test_same_seed_same_result_and_global_state_is_left_alone():
    features, foreground = data()
    torch.manual_seed(1)
    one = train(features, foreground, SMALL, seed=3)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))
    torch.manual_seed(2)
    again = train(features, foreground, SMALL, seed=3)
    other = train(features, foreground, SMALL, seed=4)
    assert same_state(one, again)
    assert one.history == again.history
    assert not same_state(one, other)


@pytest.mark.parametrize("updates", ["joint", "successive"])
@pytest.mark.parametrize("policy", ["fifo", "reservoir"])
def test_an_interrupted_training_gives_the_same_result(tmp_path, policy, updates):
    features, foreground = data()
    config = replace(SMALL, prototypes=2, bank_policy=policy, updates=updates)
    whole = train(features, foreground, config, seed=1)
    path = tmp_path / "deep" / "training.safetensors"

    def interrupt(step, _):
        if step == 5:
            raise KeyboardInterrupt

    keep = {"checkpoint": path, "checkpoint_every": 2}
    with pytest.raises(KeyboardInterrupt):
        train(features, foreground, config, seed=1, callback=interrupt, **keep)
    steps = []
    resumed = train(
        features, foreground, config, seed=1, callback=lambda step, _: steps.append(step), **keep
    )
    assert steps == [5, 6]  # step 4 was the last one saved
    assert same_state(whole, resumed)
    assert whole.history == resumed.history
    finished = train(features, foreground, config, seed=1, callback=interrupt, **keep)
    assert same_state(whole, finished)
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # nothing left beside it


def test_a_checkpoint_of_another_training_or_a_broken_one_is_refused(tmp_path):
    features, foreground = data()
    path = tmp_path / "training.safetensors"
    train(features, foreground, SMALL, checkpoint=path)
    changed = {"rgb": features["rgb"] * 1.001, "3d": features["3d"]}
    for arguments in (
        (features, foreground, replace(SMALL, lr=1e-3), 0),
        (features, foreground, SMALL, 1),
        (changed, foreground, SMALL, 0),
    ):
        with pytest.raises(ValueError, match="other data, config or seed"):
            train(*arguments, checkpoint=path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        train(features, foreground, SMALL, checkpoint=path)


def test_a_failed_save_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    from safetensors import SafetensorError

    from lsfa_lite.adaptation import checkpoint
    from lsfa_lite.features import weight_files

    features, foreground = data()
    path = tmp_path / "training.safetensors"
    train(features, foreground, SMALL, checkpoint=path)
    before = path.read_bytes()

    def full_disk(tensors, file, metadata):
        file.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(weight_files, "save_file", full_disk)
    model = start(features, foreground, SMALL, 0)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(path, "x", model, torch.optim.AdamW(model.parameters()), [])
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_the_checkpoint_holds_plain_numbers_only(tmp_path):
    from safetensors import safe_open

    features, foreground = data()
    train(features, foreground, SMALL, checkpoint=tmp_path / "c")
    with safe_open(tmp_path / "c", framework="pt") as file:
        names = set(file.keys())
        history = json.loads(file.metadata()["history"])
    assert [record["step"] for record in history] == [1, 2, 3, 4, 5, 6]
    assert "model/local_banks.rgb.storage" in names
    assert any(name.endswith("exp_avg_sq") for name in names)


def test_adapt_does_not_depend_on_the_rest_of_the_batch_or_on_background():
    features, foreground = data()
    model = train(features, foreground, replace(SMALL, zero_init=False))
    for name, values in features.items():
        together = model.adapt(name, values, foreground)
        for i in range(len(values)):
            alone = model.adapt(name, values[i : i + 1], foreground[i : i + 1])
            assert torch.equal(alone[0], together[i])
        chunked = model.adapt(name, values, foreground, chunk=4)
        torch.testing.assert_close(chunked[foreground], together[foreground])
        noise = torch.where(foreground[..., None], values, 50.0)
        torch.testing.assert_close(
            model.adapt(name, noise, foreground)[foreground], together[foreground]
        )
        assert not together.requires_grad


def test_background_never_reaches_the_training():
    features, foreground = data()
    config = replace(SMALL, prototypes=2, zero_init=False)
    noise = {m: torch.where(foreground[..., None], v, 50.0) for m, v in features.items()}
    one, other = train(features, foreground, config), train(noise, foreground, config)
    assert same_state(one, other)


def test_packing_keeps_each_samples_foreground():
    features, foreground = data()
    packed, mask = pack(features, foreground)
    assert mask.shape[1] == foreground.sum(1).max() < foreground.shape[1]
    for i in range(len(foreground)):
        assert torch.equal(packed["3d"][i][mask[i]], features["3d"][i][foreground[i]])
        assert mask[i].sum() == foreground[i].sum()


def test_batches_cover_an_epoch_without_repeats():
    features, foreground = {"rgb": torch.arange(7.0)[:, None, None]}, torch.ones(7, 1).bool()

    def epoch(number: int, seed: int) -> list[float]:
        steps = (2 * number, 2 * number + 1)  # one sample of seven is left over
        batches = [draw(features, foreground, step, 3, seed, "cpu") for step in steps]
        return [x for batch in batches for x in batch.features["rgb"].flatten().tolist()]

    orders = [epoch(number, seed) for seed in (0, 1) for number in range(3)]
    assert [len(set(order)) for order in orders] == [6] * 6
    assert len({tuple(order) for order in orders}) == 6
    assert len(draw(features, foreground, 0, 30, 0, "cpu").foreground) == 7


def test_learning_rate_warms_up_and_falls_to_zero():
    config = replace(SMALL, steps=100, warmup=0.1, lr=2e-3)
    rates = [learning_rate(step, config) for step in range(100)]
    np.testing.assert_allclose(rates[:10], 2e-3 * np.arange(1, 11) / 10)
    assert rates[10] == 2e-3
    assert rates[55] == pytest.approx(1e-3)
    assert np.all(np.diff(rates[10:]) < 0)
    assert 0 < rates[-1] < 1e-5
    assert learning_rate(0, replace(config, warmup=0.0)) == 2e-3
    assert learning_rate(0, replace(config, steps=1)) == 2e-3


def test_history_is_complete_and_callback_counts():
    features, foreground = data()
    steps = []
    model = train(features, foreground, SMALL, callback=lambda s, m: steps.append((s, type(m))))
    assert steps == [(s, Adaptation) for s in range(1, 7)]
    record = model.history[-1]
    for key in ("step", "lr", "gradient_norm", "total", "local_alignment", "variance/rgb"):
        assert math.isfinite(record[key])
    assert 1 <= record["effective_rank/3d"] <= 6
    assert record["global_fill/rgb"] == 1.0


def test_diagnostics_against_their_definitions():
    x = torch.randn(60, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [9.0, 3.0, 1.0, 0.3, 0.1]
    )
    centred = x.numpy() - x.numpy().mean(0)
    assert variance(x).item() == pytest.approx((centred**2).sum() / 60, rel=1e-5)
    share = np.linalg.svd(centred, compute_uv=False)
    share = share / share.sum()
    expected = math.exp(-(share * np.log(share)).sum())
    assert effective_rank(x).item() == pytest.approx(expected, rel=1e-3)
    assert effective_rank(x.T).item() < 5  # fewer rows than columns
    assert effective_rank(torch.eye(100) - 0.01).item() == pytest.approx(99, rel=1e-2)
    line = torch.arange(9.0)[:, None] * torch.ones(3)
    assert effective_rank(line).item() == pytest.approx(1, rel=1e-3)
    assert effective_rank(torch.ones(4, 3)).item() == 0


def test_collapse_is_warned_about_by_name():
    features, foreground = data(samples=8, patches=20)
    config = replace(SMALL, adaptor="linear", consistency=0.0, steps=150, lr=2e-2, warmup=0.0)
    with pytest.warns(CollapseWarning, match=r"variance/rgb fell from .* at step") as caught:
        model = train(features, foreground, config)
    messages = [str(w.message).split()[0] for w in caught]
    assert len(messages) == len(set(messages))  # once each
    assert model.history[-1]["variance/rgb"] < 0.5 * model.history[0]["variance/rgb"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        train(features, foreground, replace(config, adaptor="identity", steps=20))


def test_a_loss_that_is_not_finite_is_named():
    features, foreground = data()
    huge = {name: 1e30 * values for name, values in features.items()}
    with pytest.raises(ValueError, match=r"step 1: the loss local_alignment is (nan|inf)"):
        train(huge, foreground, replace(SMALL, adaptor="linear"))
    alone = replace(SMALL, adaptor="linear", consistency=0.0, squared=True)
    with pytest.raises(ValueError, match=r"step 2: the loss local_compactness/rgb is inf"):
        train(huge, foreground, alone)


def test_features_that_do_not_fit_are_refused():
    features, foreground = data()
    cases = [
        (({}, foreground), "keys"),
        (({"depth": features["rgb"], "rgb": features["rgb"]}, foreground), "keys"),
        ((features, foreground[:3]), "as the foreground"),
        ((features, foreground.float()), "bool"),
        (({"rgb": features["rgb"][:0]}, foreground[:0]), "at least one training sample"),
        (({"rgb": features["rgb"] / 0}, foreground), "NaN or Inf"),
        (({"rgb": features["rgb"][0]}, foreground), "expected"),
        ((features, foreground & (torch.arange(7) != 2)[:, None]), r"\[2\] have no foreground"),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            train(*arguments, SMALL)
    with pytest.raises(ValueError, match="expected \\(B, N, 4\\)"):
        train(features, foreground, SMALL).adapt("rgb", features["3d"], foreground)


def test_the_trained_state_round_trips_and_can_be_slimmed():
    features, foreground = data()
    model = train(features, foreground, replace(SMALL, input="whiten"))
    other = Adaptation(model.widths, model.config)
    other.load_state_dict(model.state_dict())
    expected = model.adapt("rgb", features["rgb"], foreground)
    assert torch.equal(other.adapt("rgb", features["rgb"], foreground), expected)
    slim = other.drop_training_state()
    assert torch.equal(slim.adapt("rgb", features["rgb"], foreground), expected)
    assert all(key.startswith(("inputs.", "adaptors.")) for key in slim.state_dict())
    fresh = Adaptation(model.widths, model.config).drop_training_state()
    fresh.load_state_dict(slim.state_dict())
    assert torch.equal(fresh.adapt("rgb", features["rgb"], foreground), expected)


def test_one_sample_is_enough():
    features, foreground = data(samples=1)
    model = train(features, foreground, SMALL)
    assert model.history[0]["global_alignment"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("adaptor", ["encoder", "linear", "conv1x1"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_steps_forward_pass_and_adapt_stay_on_the_device(adaptor, norm):
    config = replace(SMALL, adaptor=adaptor, norm=norm, prototypes=2, input="whiten")
    with FakeTensorMode(allow_non_fake_inputs=False):
        with torch.device("cuda"):
            model = Adaptation({"rgb": 4, "3d": 6}, config)
            features = {"rgb": torch.empty(3, 8, 4), "3d": torch.empty(3, 8, 6)}
            mask = torch.empty(3, 8, dtype=torch.bool)
            batch = Batch(features, mask, torch.arange(0, 24, 2))
        adapted = {m: model(m, x, mask) for m, x in features.items()}
        globals_ = shared_prototypes(adapted, mask, 2, seed=0)
        for m in features:
            model.local_bank(m).enqueue(adapted[m].flatten(0, 1)[batch.rows])
            model.global_bank(m).enqueue(globals_[m].flatten(0, 1))
        terms = loss_terms(model, adapted, globals_, batch)
        assert len(terms) == 6
        assert {value.device.type for value in terms.values()} == {"cuda"}
        assert objective(terms, config).device.type == "cuda"
        on_cpu = torch.empty(3, 8, 4, device="cpu")
        assert model.adapt("rgb", on_cpu, mask.to("cpu")).device.type == "cpu"


def test_an_accelerators_steps_are_read_many_at_a_time():
    """As on the CPU, step by step, but for the rank, which stands until it is taken again."""
    features, foreground = data()
    config = replace(SMALL, steps=30)
    expected = train(features, foreground, config).history
    with Pretend():
        given = train(features, foreground, config, device=DEVICE).history
        huge = {name: 1e30 * values for name, values in features.items()}
        with pytest.raises(ValueError, match=r"step 1: the loss local_alignment is (nan|inf)"):
            train(huge, foreground, config, device=DEVICE)
    assert [record.keys() for record in given] == [record.keys() for record in expected]
    for step, (one, other) in enumerate(zip(given, expected, strict=True)):
        taken = expected[0 if step < 24 else 24 if step < 29 else 29]
        for key, value in one.items():
            wanted = taken if key.startswith("effective_rank/") else other
            assert value == pytest.approx(wanted[key], rel=1e-4), (step, key)

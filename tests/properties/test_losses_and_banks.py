"""Losses against loops, banks against lists, coresets against a choice in whole numbers."""

from __future__ import annotations

import math
from collections import deque

import numpy as np
import torch
from drawn import counts, places, seeds, some, table
from hypothesis import given
from hypothesis import strategies as st

from lsfa_lite.adaptation.losses import local_alignment, local_compactness
from lsfa_lite.adaptation.memory import MemoryBank
from lsfa_lite.scoring.coreset import greedy_coreset, k_centres, k_centres_in_blocks, on_a_grid

KINDS = st.sampled_from(["joint", "row", "symmetric"])


def by_loops(rgb, points, mask, denominator: str, temperature: float) -> float:
    """Eq. 2 of one image, in Python's numbers."""
    on = [j for j in range(len(mask)) if mask[j]]
    logits = (rgb.double() @ points.double().T / temperature).tolist()

    def log_sum(values) -> float:
        values = list(values)
        return max(values) + math.log(sum(math.exp(x - max(values)) for x in values))

    terms = []
    for j in on:
        row = log_sum(logits[j][k] for k in on)
        column = log_sum(logits[t][j] for t in on)
        joint = log_sum(logits[t][k] for t in on for k in on)
        log = {"joint": joint, "row": row, "symmetric": (row + column) / 2}[denominator]
        terms.append(log - logits[j][j])
    return sum(terms) / max(1, len(terms))


@given(st.data(), counts, st.integers(1, 3), KINDS, st.sampled_from([0.1, 1.0]))
def test_alignment_is_the_loop_and_minds_neither_order_nor_background(
    data, patches, width, denominator, temperature
):
    rgb, points = data.draw(table(patches, width, places)), data.draw(table(patches, width, places))
    mask = torch.from_numpy(data.draw(some(patches)))
    how = {"temperature": temperature, "denominator": denominator}
    loss = float(local_alignment(rgb[None], points[None], mask[None], **how))
    assert loss >= -1e-5
    assert math.isclose(
        loss, by_loops(rgb, points, mask, denominator, temperature), abs_tol=1e-3, rel_tol=1e-4
    )
    order = torch.from_numpy(np.random.default_rng(patches).permutation(patches))
    moved = local_alignment(rgb[order][None], points[order][None], mask[order][None], **how)
    assert math.isclose(loss, float(moved), abs_tol=1e-3, rel_tol=1e-4)
    rgb[~mask] = 1e6
    assert math.isclose(
        loss, float(local_alignment(rgb[None], points[None], mask[None], **how)), abs_tol=1e-6
    )
    if denominator != "row":
        turned = local_alignment(points[None], rgb[None], mask[None], **how)
        assert math.isclose(loss, float(turned), abs_tol=1e-3, rel_tol=1e-4)


@given(st.data(), counts, counts, st.booleans(), st.sampled_from(["sum", "mean"]))
def test_compactness_is_the_nearest_distance_and_never_grows_with_the_bank(
    data, patches, rows, squared, reduction
):
    features, bank = data.draw(table(patches, 2)), data.draw(table(rows, 2))
    how = {"squared": squared, "reduction": reduction}
    loss = float(local_compactness(features, bank, **how))
    every = (features[:, None].double() - bank.double()).norm(dim=2).amin(1)
    every = every**2 if squared else every
    assert math.isclose(loss, float(every.sum() if reduction == "sum" else every.mean()),
                        rel_tol=1e-5, abs_tol=1e-5)  # fmt: skip
    assert float(local_compactness(features, torch.cat([bank, features[:1]]), **how)) <= loss + 1e-5
    assert float(local_compactness(bank, bank, **how)) == 0


@given(st.integers(1, 7), st.lists(st.integers(0, 12), max_size=8))
def test_a_fifo_bank_is_a_list_that_forgets_its_oldest(capacity, calls):
    bank, kept, number = MemoryBank(capacity, 1), deque(maxlen=capacity), 0
    for call, n in enumerate(calls):
        rows = torch.arange(number, number + n, dtype=torch.float32)[:, None]
        bank.enqueue(rows)
        kept.extend((number + i, call) for i in range(n))
        number += n
    ages = [len(calls) - 1 - call for _, call in kept]
    found = sorted(zip(bank.rows()[:, 0].tolist(), bank.ages().tolist(), strict=True))
    assert found == sorted((float(row), age) for (row, _), age in zip(kept, ages, strict=True))
    assert bank.fill == len(kept) / capacity


@given(st.integers(1, 7), st.lists(st.integers(0, 12), max_size=8), seeds,
       st.sampled_from(["fifo", "reservoir"]))  # fmt: skip
def test_a_bank_keeps_rows_that_it_was_given_once_and_goes_on_from_its_state(
    capacity, calls, seed, policy
):
    one, number = MemoryBank(capacity, 1, policy, seed), 0
    for n in calls:
        one.enqueue(torch.arange(number, number + n, dtype=torch.float32)[:, None])
        number += n
    rows = one.rows()[:, 0].tolist()
    assert len(set(rows)) == len(rows) == min(number, capacity)
    assert all(0 <= row < number for row in rows)
    other = MemoryBank(capacity, 1, policy, seed)
    other.load_state_dict(one.state_dict())
    for bank in (one, other):
        bank.enqueue(torch.full((3, 1), -1.0))
    assert torch.equal(one.storage, other.storage)


@given(st.data(), st.integers(2, 24), st.integers(1, 3), seeds)
def test_a_coreset_is_the_greedy_choice_and_covers_ever_better(data, rows, width, seed):
    features = data.draw(table(rows, width))
    count = 1 + seed % rows
    whole = [[int(x) for x in row] for row in on_a_grid(features.float()).tolist()]
    chosen = [0]
    while len(chosen) < count:  # whole numbers of Python: nothing is rounded
        far = [
            -1 if i in chosen else min(
                sum((a - b) ** 2 for a, b in zip(row, whole[c], strict=True)) for c in chosen
            )
            for i, row in enumerate(whole)
        ]  # fmt: skip
        chosen.append(far.index(max(far)))
    assert k_centres(features.float(), count).tolist() == chosen
    assert k_centres_in_blocks(features.float(), count).tolist() == chosen
    kept = greedy_coreset(features, count).tolist()
    assert kept == (list(range(rows)) if count == rows else chosen)
    gaps = torch.cdist(features, features[chosen])
    radii = [float(gaps[:, : i + 1].amin(1).max()) for i in range(count)]
    assert radii == sorted(radii, reverse=True)

"""Memory banks (Eq. 7) against a plain Python list."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lsfa_lite.adaptation.memory import MemoryBank


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def as_set(rows) -> set[tuple[float, ...]]:
    return {tuple(row) for row in np.asarray(rows).tolist()}


@pytest.mark.equation("eq-7")
@pytest.mark.parametrize("sizes", [[3, 3, 3, 3], [1, 5, 2, 4, 7, 1], [10, 2, 23, 1], [0, 4, 0]])
def test_the_bank_holds_the_last_rows(sizes):
    bank, queue = MemoryBank(7, 2), []
    for call, n in enumerate(sizes):
        x = draw(n, 2, seed=call)
        bank.enqueue(x)
        queue = (queue + [tuple(row) for row in x.tolist()])[-7:]  # M u {F}, the oldest leave
        assert len(bank) == len(queue)
        assert as_set(bank.rows()) == set(queue)
        assert bank.fill == len(queue) / 7


def test_more_rows_than_fit_keep_the_last_ones():
    bank = MemoryBank(3, 1)
    bank.enqueue(torch.arange(8.0)[:, None])
    assert sorted(bank.rows().flatten().tolist()) == [5.0, 6.0, 7.0]
    bank.enqueue(torch.tensor([[8.0]]))
    assert sorted(bank.rows().flatten().tolist()) == [6.0, 7.0, 8.0]


def test_ages_count_calls():
    bank = MemoryBank(4, 1)
    for value in (0.0, 1.0, 2.0):
        bank.enqueue(torch.full((2, 1), value))
    age = dict(zip(bank.rows().flatten().tolist(), bank.ages().tolist(), strict=True))
    assert age == {1.0: 1, 2.0: 0}


def test_no_gradient_enters_and_later_changes_do_not_reach_it():
    bank, x = MemoryBank(4, 2), draw(2, 2).requires_grad_()
    bank.enqueue(x)
    before = bank.rows().clone()
    assert not bank.rows().requires_grad
    with torch.no_grad():
        x.zero_()
    assert torch.equal(bank.rows(), before)


def test_the_banks_search_sees_only_the_filled_part():
    bank = MemoryBank(100, 3)
    bank.enqueue(5 + draw(4, 3).abs())  # unused zeros would be nearer to the origin
    distances, indices = bank.nearest(torch.zeros(2, 3))
    assert (distances > 5).all()
    assert (indices < 4).all()


@pytest.mark.parametrize("policy", ["fifo", "reservoir"])
def test_state_dict_round_trip_goes_on_identically(policy):
    one, other = (MemoryBank(5, 2, policy, seed=3) for _ in range(2))
    for call in range(3):
        one.enqueue(draw(3, 2, seed=call))
    other.load_state_dict(one.state_dict())
    for call in range(3, 8):
        one.enqueue(draw(3, 2, seed=call))
        other.enqueue(draw(3, 2, seed=call))
        assert torch.equal(one.rows(), other.rows())
        assert torch.equal(one.ages(), other.ages())


def test_state_is_tensors_only():
    assert all(isinstance(value, torch.Tensor) for value in MemoryBank(5, 2).state_dict().values())


def test_a_reservoir_is_a_uniform_sample_of_all_rows():
    counts = np.zeros(40)
    for seed in range(600):
        bank = MemoryBank(8, 1, "reservoir", seed)
        for start in range(0, 40, 10):
            bank.enqueue(torch.arange(start, start + 10.0)[:, None])
        rows = bank.rows().flatten().long().tolist()
        assert len(set(rows)) == 8  # never the same row twice
        counts[rows] += 1
    expected = 600 * 8 / 40  # 120, standard deviation 9.8
    assert abs(counts - expected).max() < 4.5 * 9.8
    assert abs(counts[:10].mean() - counts[-10:].mean()) < 20


def test_a_reservoir_is_seeded():
    banks = [MemoryBank(8, 1, "reservoir", seed) for seed in (1, 1, 2)]
    for bank in banks:
        bank.enqueue(torch.arange(100.0)[:, None])
    assert torch.equal(banks[0].rows(), banks[1].rows())
    assert not torch.equal(banks[0].rows(), banks[2].rows())


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        MemoryBank(0, 3)
    with pytest.raises(ValueError, match="policy"):
        MemoryBank(3, 3, "lifo")
    bank = MemoryBank(3, 3)
    with pytest.raises(ValueError, match="empty"):
        bank.nearest(draw(2, 3))
    with pytest.raises(ValueError, match="expected"):
        bank.enqueue(draw(2, 4))
    bank.enqueue(draw(2, 3))
    with pytest.raises(ValueError, match="same D"):
        bank.nearest(draw(2, 4))


@pytest.mark.parametrize("policy", ["fifo", "reservoir"])
def test_the_bank_stays_on_the_device(policy):
    with FakeTensorMode(allow_non_fake_inputs=False):
        bank = MemoryBank(6, 3, policy).to("cuda")
        for n in (4, 4, 9):
            bank.enqueue(torch.empty(n, 3, device="cuda"))
        distances, indices = bank.nearest(torch.empty(5, 3, device="cuda"), chunk=2)
        assert {bank.rows().device.type, distances.device.type, indices.device.type} == {"cuda"}
        assert bank.ages().device.type == "cuda"

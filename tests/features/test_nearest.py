"""The search for the nearest row against all pairs in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from lsfa_lite.features.nearest import nearest


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def tensor(array):
    return torch.tensor(array, dtype=torch.float32)


@pytest.mark.parametrize("chunk", [1, 7, 512])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_equals_all_pairs(chunk, offset):
    queries, bank = random(40, 9) + offset, random(60, 9, seed=1) + offset
    distances, indices = nearest(tensor(queries), tensor(bank), chunk)
    pairs = np.linalg.norm(queries[:, None] - bank[None], axis=2)
    assert indices.tolist() == pairs.argmin(axis=1).tolist()
    np.testing.assert_allclose(distances, pairs.min(axis=1), rtol=2e-4 if offset else 1e-5)


def test_equal_rows_are_at_exactly_zero():
    bank = tensor(random(300, 200) * 30 + 1000)
    distances, indices = nearest(bank[50:90], bank)
    assert (distances == 0).all()
    assert indices.tolist() == list(range(50, 90))


@pytest.mark.parametrize("rows", [100, 256, 1000, 9000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_long_banks_are_searched_in_parts_and_the_first_of_equals_is_found(
    rows, dtype, monkeypatch
):
    monkeypatch.setattr("lsfa_lite.features.nearest.ROWS", rows)
    bank = tensor(random(2100, 5)).to(dtype)
    bank[[300, 1400, 2050]] = bank[20].clone()
    bank[[2099, 1701]] = bank[1700].clone()
    queries = torch.cat(
        [tensor(random(60, 5, seed=1)).to(dtype), bank[[20, 300, 2050, 1700, 2099]]]
    )
    distances, indices = nearest(queries, bank, 32)
    pairs = (queries.double()[:, None] - bank.double()[None]).norm(dim=2)
    assert indices.tolist() == pairs.argmin(1).tolist()
    assert indices[-5:].tolist() == [20, 20, 20, 1700, 1700]
    torch.testing.assert_close(distances.double(), pairs.amin(1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [64, 4096])
def test_rows_that_are_left_out_are_as_good_as_not_there(rows, monkeypatch):
    monkeypatch.setattr("lsfa_lite.features.nearest.ROWS", rows)
    bank, queries = tensor(random(300, 7)), tensor(random(40, 7, seed=1))
    queries[:5] = bank[:5]
    left_out = torch.arange(300) % 3 == 0
    left_out[64:200] = True  # whole parts of the search, too
    distances, indices = nearest(queries, bank, 16, left_out)
    kept = (~left_out).nonzero()[:, 0]
    expected, among = nearest(queries, bank[kept], 16)
    assert torch.equal(indices, kept[among])
    assert torch.equal(distances, expected)
    assert (distances[:5] > 0).tolist() == left_out[:5].tolist()
    with pytest.raises(ValueError, match="empty"):
        nearest(queries, bank, left_out=torch.ones(300, dtype=torch.bool))


def test_edges():
    one = torch.zeros(1, 3)
    distances, indices = nearest(one, one)
    assert (distances.tolist(), indices.tolist()) == ([0.0], [0])
    distances, indices = nearest(torch.zeros(0, 3), one)
    assert (distances.shape, indices.shape, indices.dtype) == ((0,), (0,), torch.long)


def test_far_from_the_origin_and_on_a_row():
    bank = tensor(1e4 + random(50, 8))
    distances, indices = nearest(bank.flip(0), bank)
    assert indices.tolist() == list(range(49, -1, -1))
    assert distances.tolist() == [0.0] * 50


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="empty"):
        nearest(torch.zeros(2, 3), torch.zeros(0, 3))
    for queries in (torch.zeros(2, 4), torch.zeros(3)):
        with pytest.raises(ValueError, match="same D"):
            nearest(queries, torch.zeros(5, 3))


def test_the_search_stays_on_the_device():
    with FakeTensorMode(allow_non_fake_inputs=False):
        queries, bank = torch.empty(50, 30, device="cuda"), torch.empty(70, 30, device="cuda")
        distances, indices = nearest(queries, bank, chunk=16)
        assert (distances.device.type, indices.device.type) == ("cuda", "cuda")
        assert (distances.shape, indices.shape) == ((50,), (50,))


class Coarse(TorchDispatchMode):
    """Products as TF32 makes them: the operands are rounded to 10 bits, the sums are exact."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in ("mm", "addmm", "bmm", "baddbmm"):
            first = 1 if "add" in func.overloadpacket.__name__ else 0
            args = (*args[:first], *(self.rounded(x) for x in args[first:]))
        return func(*args, **(kwargs or {}))

    @staticmethod
    def rounded(x):
        bits = x.contiguous().view(torch.int32)
        return ((bits + (1 << 12)) & -(1 << 13)).view(torch.float32)


@pytest.fixture
def coarse():
    torch.set_float32_matmul_precision("high")
    with Coarse():
        yield
    torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("far", [0.0, 30.0])
def test_products_of_tf32_find_the_same_rows(coarse, far):
    """Two clusters, `far` from their common centre on either side."""
    side = np.where(np.arange(400) % 2, far, -far)[:, None]
    bank = random(400, 64) + side
    queries = random(100, 64, seed=1) + side[:100]
    pairs = np.linalg.norm(queries[:, None] - bank[None], axis=2)
    centred = [tensor(x - bank.mean(0)) for x in (queries, bank)]
    plain = torch.addmm(centred[1].square().sum(1), centred[0], centred[1].T, alpha=-2).argmin(1)
    assert far == 0 or plain.tolist() != pairs.argmin(axis=1).tolist()  # the rounding bites
    distances, indices = nearest(tensor(queries), tensor(bank))
    assert indices.tolist() == pairs.argmin(axis=1).tolist()
    np.testing.assert_allclose(distances, pairs.min(axis=1), rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_and_half_precision_do_not_blur_the_search(dtype):
    queries, bank = tensor(random(50, 64) + 5).to(dtype), tensor(random(300, 64, seed=1)).to(dtype)
    pairs = (queries.double()[:, None] - bank.double()[None]).norm(dim=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        distances, indices = nearest(queries, bank)
        single = nearest(queries.float(), bank.float())
    assert indices.tolist() == single[1].tolist() == pairs.argmin(1).tolist()
    torch.testing.assert_close(distances.double(), pairs.amin(1), rtol=1e-5, atol=1e-5)

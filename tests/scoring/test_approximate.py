"""The index of a bank against the exact search."""

from __future__ import annotations

import sys

import pytest
import torch

from lsfa_lite.features.nearest import nearest
from lsfa_lite.scoring.approximate import HELD_OUT, ApproximateSearch


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def surface(count, width, seed):
    """Rows near a surface of three dimensions, as features of similar parts are."""
    return (draw(count, 3, seed=seed) @ draw(3, width)).tanh() + 0.01 * draw(count, width, seed=9)


@pytest.mark.parametrize("width", [30, 120])
def test_nearly_all_nearest_rows_are_found(width):
    pytest.importorskip("faiss")
    bank, queries = surface(8000, width, seed=1), surface(700, width, seed=2)
    search = ApproximateSearch(bank)
    assert 0 < search.cells < 20
    distances, indices = search(queries)
    exact, rows = nearest(queries, bank)
    assert (indices == rows).float().mean() >= 0.98
    torch.testing.assert_close(distances, (queries - bank[indices]).norm(dim=1))
    assert (distances >= exact - 1e-5).all()
    again = ApproximateSearch(bank)(queries)
    assert torch.equal(again[0], distances)
    assert torch.equal(again[1], indices)
    held_out = search.order[-HELD_OUT:]  # they join the index
    assert (search(bank[held_out])[0] == 0).all()


def test_where_no_index_can_win_the_search_is_exact(caplog):
    pytest.importorskip("faiss")
    for rows, said in ((8000, True), (500, False)):
        bank, queries = draw(rows, 60), draw(40, 60, seed=1)
        caplog.clear()
        search = ApproximateSearch(bank)
        assert search.cells == 0
        assert ("exact search" in caplog.text) == said
        for one, other in zip(search(queries), nearest(queries, bank), strict=True):
            assert torch.equal(one, other)


def test_bad_queries_are_refused_and_none_are_no_error():
    pytest.importorskip("faiss")
    search = ApproximateSearch(surface(8000, 30, seed=1))
    with pytest.raises(ValueError, match="same D"):
        search(draw(4, 31))
    assert [len(found) for found in search(draw(0, 30))] == [0, 0]


def test_where_faiss_is_missing_the_error_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ModuleNotFoundError, match="pip install faiss-cpu"):
        ApproximateSearch(draw(20, 3))

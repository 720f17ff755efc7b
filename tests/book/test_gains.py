"""What the paper's gains are made of, against the table as it was typed a second time."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from lsfa_book.chapters.the_paper_under_audit import split_gains
from lsfa_book.literature.gains import by_category, gain, mean, shares, table

# Table 1, typed from the paper's text and not taken from the book's paper.json
TYPED = """\
modality,method,bagel,cable_gland,carrot,cookie,dowel,foam,peach,potato,rope,tire,mean
3d,FPFH*/M3DM,0.941,0.651,0.965,0.969,0.905,0.760,0.880,0.974,0.926,0.765,0.874
3d,LSFA,0.986,0.669,0.973,0.990,0.950,0.802,0.961,0.964,0.967,0.944,0.921
rgb,PatchCore*/M3DM,0.944,0.918,0.896,0.749,0.959,0.767,0.919,0.648,0.938,0.767,0.850
rgb,LSFA,0.951,0.920,0.911,0.762,0.961,0.770,0.930,0.675,0.938,0.787,0.861
rgb+3d,PatchCore*+FPFH*,0.981,0.831,0.980,0.985,0.960,0.905,0.936,0.964,0.967,0.780,0.929
rgb+3d,M3DM,0.994,0.909,0.972,0.976,0.960,0.942,0.973,0.899,0.972,0.850,0.945
rgb+3d,LSFA,1.000,0.939,0.982,0.989,0.961,0.951,0.983,0.962,0.989,0.951,0.971
"""
LINES = list(csv.reader(io.StringIO(TYPED)))
NAMES = LINES[0][2:12]
(FPFH, LSFA_3D, PATCHCORE, LSFA_RGB, DOUBLE, M3DM, LSFA) = (
    np.array(line[2:12], dtype=float) for line in LINES[1:]
)


def test_every_category_is_a_difference_of_the_table():
    found = by_category()
    assert list(found) == NAMES
    columns = np.array([*found.values()]).T
    rgb, depth, fused = LSFA_RGB - PATCHCORE, LSFA_3D - FPFH, LSFA - DOUBLE
    larger = np.where(rgb > depth, rgb, depth)
    expected = (
        *(rgb, depth, fused, larger, fused - larger, fused - (rgb + depth)),
        *(np.maximum(PATCHCORE, FPFH) - DOUBLE, M3DM - DOUBLE),
    )
    np.testing.assert_allclose(columns, expected, atol=1e-9)
    np.testing.assert_allclose(mean(found.values()), np.mean(expected, axis=1), atol=1e-6)


def test_two_categories_by_hand():
    gland, tire = (by_category()[name] for name in ("cable_gland", "tire"))
    assert (gland.rgb, gland.depth, gland.fused) == (0.002, 0.018, 0.108)
    assert (gland.beyond_single, gland.beyond_sum) == (0.09, 0.088)
    assert (gland.short, gland.m3dm) == (0.087, 0.078)  # fused .831, colour .918, M3DM .909
    assert (tire.rgb, tire.depth, tire.fused) == (0.02, 0.179, 0.171)
    assert (tire.beyond_single, tire.beyond_sum) == (-0.008, -0.028)
    assert (tire.short, tire.m3dm) == (-0.013, 0.07)


def test_where_both_senses_lose_the_smaller_loss_is_the_better():
    before = {"rgb": 0.9, "3d": 0.8, "rgb+3d": 0.95}
    after = {"rgb": 0.88, "3d": 0.75, "rgb+3d": 0.94}
    found = gain(before, after, 0.95)
    assert found == (-0.02, -0.05, -0.01, -0.02, 0.01, 0.06, -0.05, 0.0)


def test_shares_sum_to_one_and_two_categories_carry_two_thirds():
    found = shares(by_category())
    assert sum(found.values()) == pytest.approx(1)
    assert list(found)[:2] == ["tire", "cable_gland"]
    assert sum(list(found.values())[:2]) == pytest.approx((0.171 + 0.108) / 0.418)
    assert mean(by_category().values()).fused == pytest.approx(0.0418)  # printed: .971 - .929


def test_the_table_is_in_points_and_ends_with_the_mean():
    lines = table(by_category()).splitlines()
    assert " ".join(lines[2].split()) == "cable gland +0.2 +1.8 +10.8 +1.8 +9.0 +8.8 +8.7 +7.8"
    assert lines[-1].split()[:4] == ["mean", "+1.0", "+4.7", "+4.2"]
    assert len(lines) == 12


def test_the_bars_end_where_the_gain_is():
    found = by_category()
    (axis,) = split_gains(found).axes
    assert [t.get_text() for t in axis.get_xticklabels()][:2] == ["tire", "cable gland"]
    bars = {c.get_label(): {round(b.get_center()[0]): b for b in c} for c in axis.containers}
    rest = bars["beyond it: gained in fusion"] | bars["short of it: lost in fusion"]
    assert len(rest) == 11
    assert sorted(bars["beyond it: gained in fusion"]) == [1, 3]  # cable gland and foam
    assert sorted(bars["the larger single gain: colour"]) == [7, 9]  # carrot and potato
    marks = {line.get_label(): line.get_ydata() for line in axis.lines}
    wanted = [100 * found[n].fused for n in shares(found)] + [4.18]
    np.testing.assert_allclose(marks["both senses: LSFA's gain"], wanted, atol=1e-9)
    ends = [rest[i].get_y() + rest[i].get_height() for i in range(11)]
    np.testing.assert_allclose(ends, wanted, atol=1e-9)

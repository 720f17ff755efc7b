"""The ledger has every number of the paper once, and says of ours only what records say."""

from __future__ import annotations

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from lsfa_book.ledger import NO_CODE, NOT_RUN, OURS, claims, ledger, on_real
from lsfa_book.literature.paper import compared, numbers, printed, row_of, tuned
from lsfa_book.studies.records import row_key, shipped, shipped_table
from lsfa_book.studies.tables import COMPARISON, TABLES
from lsfa_lite.config import PAPER


@pytest.fixture(scope="module")
def entries():
    return ledger()


def test_every_number_of_tables_1_and_2_is_there_once(entries):
    for table, title in (("table1", "Table 1"), ("table2", "Table 2")):
        expected = [
            value
            for line in printed()[table]
            for value in [line["mean"], *line["categories"].values()]
        ]
        assert [e.paper for e in entries if e.where == title] == expected


@pytest.mark.parametrize(
    ("title", "count"),
    # rows times metrics; the paper's bare rows of Tables 3 to 6 and 8 are one yardstick each
    [("Table 3", 12), ("Table 4", 12), ("Table 5", 12), ("Table 6", 15), ("Table 7", 15)],
)
def test_every_number_of_the_ablations_is_there(entries, title: str, count: int):
    assert len([e for e in entries if e.where == title]) == count


def test_table_9_is_in_shares_and_in_every_modality(entries):
    lora = [e for e in entries if e.where == "Table 9" and "LoRA" in e.row]
    assert len(lora) == 2 * 3 * 2
    assert {e.paper for e in lora} >= {0.9106, 0.8543, 0.9391, 0.9217, 0.9398}


def test_ours_is_what_the_records_say(entries):
    (entry,) = [e for e in entries if (e.where, e.row, e.metric) == ("Table 4", "IFC", "aupro_30")]
    values = list(shipped_table("table4", "aupro_30")["IFC"].values())
    (ours,) = entry.ours
    assert ours.mean == pytest.approx(np.mean(values))
    assert ours.n == len(values)
    assert ours.low < ours.mean < ours.high
    assert ours.hardware
    assert entry.command == "lsfa-lite reproduce table4"


def test_what_was_not_run_says_so(entries):
    by_row = {(e.where, e.row, e.category): e for e in entries}
    assert by_row["Table 1", "RGB+3D: AST", "mean"].status == NO_CODE
    real = by_row["Table 1", "RGB+3D: LSFA", "bagel"]
    assert real.status == NOT_RUN
    assert real.ours == ()  # a category of MVTec 3D-AD never gets a number from mini3d


def seeds(setting: str, metric: str, view: str = "all") -> list[float]:
    """Of the shipped file itself, found by the setting's name and not by a key."""
    metrics = [r["metrics"] for r in shipped("first-real-category") if r["setting"] == setting]
    return [(m["all"] if view == "all" else m["modalities"][view])[metric] for m in metrics]


@pytest.mark.parametrize(
    ("where", "row", "category", "metric", "view", "settings"),
    [
        ("Table 1", "RGB+3D: LSFA", "cable_gland", "i_auroc", "all", ["LITE's adaptation"] * 2),
        ("Table 2", "RGB: LSFA", "cable_gland", "aupro_30", "rgb", ["LITE's adaptation"] * 2),
        ("Table 1", "3D: FPFH", "cable_gland", "i_auroc", "3d", ["no adaptation"] * 2),
        ("Table 1", "3D: FPFH*/M3DM", "cable_gland", "i_auroc", "3d", ["the shipped Point-MAE"]),
        ("Table 4", "IFC + CLC", "mean", "p_auroc", "all", ["LITE's adaptation"] * 2),
        ("Table 6", "linear", "mean", "i_auroc", "all", ["LITE's adaptation"] * 2),
        ("Table 7", "no adaptation", "mean", "aupro_30", "all", ["no adaptation"] * 2),
        ("Table 8", "frozen networks", "mean", "i_auroc", "all", ["the shipped Point-MAE"]),
    ],
)
def test_the_real_category_stands_beside_the_same_run(
    entries, where, row, category, metric, view, settings
):
    key = where, row, category, metric
    (entry,) = [e for e in entries if (e.where, e.row, e.category, e.metric) == key]
    grids = ["28 x 28", "56 x 56"][: len(settings)]
    names = [f"{grid}, {words}" for grid, words in zip(grids, settings, strict=True)]
    assert [(r.grid, r.setting) for r in entry.real] == list(zip(grids, names, strict=True))
    for real, name in zip(entry.real, names, strict=True):
        values = seeds(name, metric, view)
        assert real.mean == pytest.approx(sum(values) / 3)
        assert (real.low, real.high, real.n) == (min(values), max(values), 3)
        assert "CC BY-NC-SA 4.0" in real.source
    assert all(m.scale == "mini3d" and m.n > 3 for m in entry.ours)  # never mixed


def test_nothing_real_stands_beside_what_was_not_run_or_prints_another_thing(entries):
    for e in on_real(entries):
        assert (e.category == "cable_gland") == (e.where in ("Table 1", "Table 2"))
        assert e.status == "measured"
    rows = {e.row for e in on_real(entries)}
    assert not rows & {"RGB+3D: PatchCore*+FPFH*", "one encoder layer", "5 shots", "CLC"}


def test_how_many_numbers_are_real_is_counted(entries):
    by_table = {}
    for e in on_real(entries):
        by_table[e.where] = by_table.get(e.where, 0) + 1
    # rows times metrics: six methods, then bare and whole in three metrics where a table has them
    assert by_table == {
        **{"Table 1": 6, "Table 2": 6, "Table 3": 3, "Table 4": 6},
        **{"Table 5": 3, "Table 6": 6, "Table 7": 6, "Table 8": 3},
    }
    page = loaded_page()
    text = f"<strong>39 of the {len(entries)} numbers have a real counterpart</strong>, all from 5 "
    assert text in page.reality(entries)
    assert "CC BY-NC-SA 4.0" in page.reality(entries)
    none = page.reality([e for e in entries if not e.real][:7])
    assert none == "<p><strong>0 of the 7 numbers have a real counterpart.</strong></p>"


def loaded_page():
    spec = spec_from_file_location("claims", ROOT / "book" / "_ext" / "claims.py")
    page = module_from_spec(spec)
    spec.loader.exec_module(page)
    return page


def lines(html: str) -> list[list[str]]:
    """Cells of a table, without markup; a row's name stands on its first line alone."""
    body = html.split("<tbody>")[1].split("</tbody>")[0]
    rows = body.removesuffix("</tr>").split("</tr>")
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub(r"<[^>]+>", "", cell.replace("<br>", "; ")) for cell in row] for row in cells]


def test_the_page_says_what_is_compared(entries):
    page = loaded_page()
    first, fourth, ninth = (
        page.means([e for e in entries if e.where == f"Table {n}"], own=False) for n in (1, 4, 9)
    )
    mean, gland = lines(first)[-2:]
    assert (mean[0], mean[1], mean[2], mean[4]) == ("RGB+3D: LSFA", "I-AUROC", "0.971", "")
    x = seeds("28 x 28, LITE's adaptation", "i_auroc")
    low, high = min(x), max(x)
    assert gland[:3] == ["I-AUROC, cable gland", "0.939", ""]
    assert f"28 x 28: {np.mean(x):.3f} {low:.3f} to {high:.3f}, 3 seeds; 56 x 56: " in gland[3]
    assert "real: cable gland</th>" in first
    assert "real: cable gland <small>alone; the paper: mean of ten</small></th>" in fourth
    bare, *_ = lines(fourth)
    assert bare[2] == "0.929"
    assert bare[4].startswith("28 x 28: 0.805 0.783 to 0.819, 3 seeds")
    assert [row[-1] for row in lines(fourth)[3:6]] == ["not run here"] * 3  # CLC alone
    assert "real" not in ninth
    same = page.means([e for e in entries if e.row == "3D: FPFH"], own=False)
    assert "28 x 28: 0.570 <small>3 seeds</small>" in same  # all seeds alike: no range
    for html in (first, fourth):  # a wide table scrolls in a box of its own
        assert html.startswith('<div class="pst-scrollable-table-container">')


def test_the_abstract_on_the_real_category():
    reached, earlier, gain, sweets = claims()
    assert reached.real.startswith("28 x 28: 0.810 (0.806 to 0.819, 3 seeds); 56 x 56: 0.920 (")
    assert reached.real.endswith("; the paper there 0.939")
    after, before = (
        dict(enumerate(seeds(f"56 x 56, {words}", "i_auroc")))
        for words in ("LITE's adaptation", "no adaptation")
    )
    change = [after[seed] - before[seed] for seed in after]
    words = f"{np.mean(change):+.3f} ({min(change):+.3f} to {max(change):+.3f}, 3 seeds)"
    assert gain.real.split("; ")[1:] == [f"56 x 56: {words}", "the paper there +0.108"]
    assert (earlier.real, sweets.real) == ("", "")


def test_a_readers_records_appear(tmp_path: Path):
    row = next(r for r in COMPARISON if r.name == "LSFA")
    for category, value in (("bagel", 0.99), ("tire", 0.95)):
        metrics = {"i_auroc": value, "aupro_30": 0.97, "p_auroc": 0.99, "aupro_1": 0.4}
        record = {
            "category": category,
            "seed": 0,
            "row": row_key(row, PAPER),
            "data": "/data/mvtec3d",
            "date": "2030-01-02T03:04:05",
            "machine": {"device": "A GPU"},
            "metrics": {"all": metrics, "modalities": {"rgb": metrics, "3d": metrics}},
        }
        (tmp_path / f"{category}.json").write_text(json.dumps(record))
    (tmp_path / "failed.json").write_text(json.dumps({"error": "x", "data": "/data/mvtec3d"}))
    by_row = {(e.where, e.row, e.category): e for e in ledger(tmp_path)}
    (bagel,) = by_row["Table 1", "RGB+3D: LSFA", "bagel"].ours
    assert (bagel.mean, bagel.n, bagel.low) == (0.99, 1, None)
    assert (bagel.scale, bagel.hardware, bagel.date) == ("mvtec3d, paper", "A GPU", "2030-01-02")
    assert by_row["Table 1", "RGB+3D: LSFA", "mean"].ours[-1].mean == pytest.approx(0.97)
    assert by_row["Table 1", "RGB+3D: LSFA", "carrot"].ours == ()
    assert "0.970 (0.716 to 1.000; mvtec3d, paper, n = 2)" in claims(tmp_path)[0].ours


def test_the_abstracts_gains_are_differences_of_the_papers_own_table():
    best, earlier, gain, _ = claims()
    assert best.paper == "0.971"
    assert earlier.paper == "+0.034"
    assert gain.paper == "+0.042"


def test_every_method_with_code_has_its_row():
    names = {row.name for row in COMPARISON}
    methods = {(line["modality"], line["method"]) for line in printed()["table1"]}
    assert set(OURS.values()) <= names
    assert set(OURS) <= methods


def test_the_papers_numbers_are_found_or_refused():
    assert numbers("table4_components", ifc=True, clc=True) == (0.971, 0.968, 0.993)
    assert numbers("table8_unfrozen_blocks", trained="all") == (0.8457, 0.9015, None)
    assert tuned("adalora", "rgb") == (0.8572, 0.9415, None)
    assert compared("rgb", "CS-Flow") == (0.83, None, None)
    with pytest.raises(KeyError, match="0 rows"):
        row_of("table6_adaptor", adaptor="three layers")
    with pytest.raises(KeyError, match="no AST for sound"):
        compared("sound", "AST")


def test_every_row_of_the_ablations_that_the_paper_prints_is_in_a_table():
    for name, key in (("table3", "table3_clc_losses"), ("table6", "table6_adaptor")):
        ours = {row.paper for row in TABLES[name] if row.paper}
        theirs = {(r["i_auroc"], r["aupro"], r["p_auroc"]) for r in printed()[key]}
        assert theirs <= ours

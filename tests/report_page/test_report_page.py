"""The page itself: its structure by an HTML parser, its life in a real browser, from the disk.

LSFA_REQUIRE_BROWSER=1 turns the skips of a machine without a browser into failures.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote, unquote

import pytest
import torch
from batch import BOTH, GOOD, ODD_NAMES, about, judged, sample, write_batch

import lsfa_lite
from lsfa_lite.report_page import Row, open_report
from lsfa_lite.report_page.page import page

COUNT, FAILED, GONE = 200, 3, 2
SCORED = COUNT - FAILED - GONE
ANOMALOUS = -(-SCORED // 8)  # every eighth
LARGEST = 1_000_000  # bytes of the page
SOONEST = 3.0  # seconds to the first picture
SLOWER = 6.0  # than a page of that picture alone
VOID = {"meta", "link", "img", "input", "br"}
DRAWN = {"rect", "line"}


class Reader(HTMLParser):
    """All elements with their attributes and text; complains of what is not closed."""

    def __init__(self, text: str):
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), attrs
        self.all.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.words.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        assert tag in DRAWN

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.words[tag][-1] += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.all if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report") / "of a batch #1 100%"  # an address must be quoted
    write_batch(out, COUNT, FAILED, GONE, size=64)
    return out


@pytest.fixture(scope="module")
def read(folder: Path) -> Reader:
    return Reader((folder / "index.html").read_text(encoding="utf-8"))


# --- the file -------------------------------------------------------------------------------


def test_the_page_is_light_and_asks_for_nothing_that_is_not_beside_it(folder: Path, read: Reader):
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    assert not re.search(r"https?:|\bfetch\(|@import|XMLHttp", text.replace("fetch() is", ""))
    asked = [a.get("src") or a.get("href") for _, a in read.all]
    files = [name for name in asked if name and not name.startswith("data:")]
    assert len(files) == SCORED * 6 + 2
    assert [name for name in files if not (folder / unquote(name)).is_file()] == []


def test_missing_parts_come_first_then_the_highest_scores_and_failed_ones_last(read: Reader):
    parts = [a for a in read.of("li") if "part" in str(a.get("class"))]
    verdicts = [a["data-verdict"] for a in parts]
    counts = {"no part seen": GONE, "anomalous": ANOMALOUS, "good": SCORED - ANOMALOUS}
    assert verdicts == [kind for kind, n in (counts | {"failed": FAILED}).items() for _ in range(n)]
    scores = [
        float(m[1]) for m in map(re.compile(r"score ([\d.]+) is").search, read.words["p"]) if m
    ]
    assert len(scores) == SCORED
    assert scores == sorted(scores, reverse=True)
    assert len({a["id"] for a in parts}) == COUNT


def test_every_picture_is_lazy_and_says_what_it_shows(read: Reader):
    pictures = read.of("img")
    assert len(pictures) == 5 * SCORED
    assert {a["loading"] for a in pictures} == {"lazy"}
    kinds = {str(a["alt"]).rpartition(": ")[2] for a in pictures}
    assert kinds == {"colour", "depth", "heat by colour", "heat by depth", "heat, fused"}


def test_names_of_files_are_text_and_nothing_else(read: Reader):
    shown = [name.replace("\udcff", "\\udcff") for name in ODD_NAMES]
    assert {name.rpartition("/")[2] for name in shown} <= set(read.words["h3"])
    assert {f"scans/{name}" for name in shown} <= set(read.words["p"])
    assert len(read.of("script")) == 1
    assert not [a for _, a in read.all for name in a if name.startswith("on")]


def test_the_page_says_which_model_by_which_versions_and_settings(read: Reader):
    told = read.words["dl"][0]
    for words in ("a model", "Config(lite)", lsfa_lite.__version__, torch.__version__):
        assert words in told
    assert '"false_positive_rate": ' in read.words["pre"][0]
    (label,) = [a["aria-label"] for a in read.of("svg")]
    assert label == (
        f"Histogram of scores: {GOOD} good parts seen above the line, {SCORED} parts of "
        f"this batch below it, {ANOMALOUS} of them beyond the threshold 2"
    )


def test_a_model_without_kept_scores_and_a_batch_without_parts_make_a_page(tmp_path: Path):
    part = sample()
    with open_report(tmp_path / "old", about(good=0)) as report:
        report.add(judged(part, 1.0, 1.5))
    text = (tmp_path / "old/index.html").read_text()
    assert "saved without its good parts" in text
    assert "at most 5 are called anomalous, as far as they are like the good ones seen" in text
    assert "By colour and depth" in page(about(), [])
    one = [Row("0000-x", "x.png", "good", "w", 0.4, 1.0, 0.05, "rgb", {"rgb": 0.4})]
    text = page(about(), [*one, Row("0001-y", "y.png", "anomalous", "w", 2.5, 2.0, 0.05, BOTH)])
    headings = Reader(text).words["h2"]
    assert headings[:2] == ["By colour", "By colour and depth"]  # each with its own threshold


# --- the browser ----------------------------------------------------------------------------


@pytest.fixture
def tab(browser: Any, folder: Path, request: Any) -> Iterator[Any]:
    """The page from the disk, without a network; no error may be told in its whole life."""
    settings = {"viewport": {"width": 1200, "height": 900}} | getattr(request, "param", {})
    context = browser.new_context(offline=True, **settings)
    tab, errors = context.new_page(), list[str]()
    tab.on("console", lambda m: errors.append(m.text) if m.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.append(request.url))
    tab.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
    tab.goto((folder / "index.html").as_uri())
    yield tab
    context.close()
    assert errors == []


SEEN = "[...document.images].filter(one => one.complete && one.naturalWidth).length"


def first_picture(browser: Any, page: Path) -> tuple[float, int]:
    """Seconds until a picture is there, and how many are when the page is at rest."""
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    start = time.perf_counter()
    tab.goto(page.as_uri(), wait_until="commit")
    tab.wait_for_function(f"{SEEN} > 0")
    took = time.perf_counter() - start
    tab.wait_for_load_state("load")
    loaded = tab.evaluate(SEEN)
    tab.close()
    return took, loaded


def test_the_first_picture_is_there_soon_and_the_others_wait(browser: Any, folder: Path):
    """The median of some tries; a machine that is slow with a page of one picture has longer."""
    alone = folder.parent / "alone.html"
    alone.write_text(f'<img src="{quote(folder.name)}/parts/0000-script/colour.jpg">')
    tries = {page: [] for page in (alone, folder / "index.html")}
    for one in list(tries) * 5:
        tries[one].append(first_picture(browser, one))
    yardstick, took = (median(seconds for seconds, _ in found) for found in tries.values())
    assert took < max(SOONEST, SLOWER * yardstick)
    assert all(0 < loaded < 100 for found in tries.values() for _, loaded in found)


PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.mark.parametrize(
    "tab",
    [PHONE | {"color_scheme": c} for c in ("light", "dark")] + [{"color_scheme": "dark"}],
    indirect=True,
)
def test_the_page_fits_and_its_words_can_be_read(tab: Any):
    tab.locator(".turn").first.click()
    tab.wait_for_function("document.querySelector('.viewer output').textContent")
    width = tab.viewport_size["width"]
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= width
    contrasts = tab.evaluate(
        """() => {
          const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((v) => v / 255)
            .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
          const behind = (e) => {
            const own = getComputedStyle(e).backgroundColor;
            return own !== "rgba(0, 0, 0, 0)" ? own : behind(e.parentElement);
          };
          const names = ["h1", ".anomalous .mark", ".no-part-seen .mark", ".good .mark",
            ".failed .mark", ".path", ".words",
            "figcaption", ".turn", ".do a", "#shown", ".key", "input:checked + span", "dd"];
          return names.map((name) => {
            const e = document.querySelector(name);
            const pair = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
            return [name, (pair[0] + 0.05) / (pair[1] + 0.05)];
          });
        }"""
    )
    assert [pair for pair in contrasts if pair[1] < 4.5] == []  # WCAG 2, AA
    assert (
        tab.locator("button:not([aria-label]):empty, input:not([aria-label]):not([name])").count()
        == 0
    )


def shown(tab: Any) -> int:
    assert tab.locator(".part:visible").count() == int(
        tab.locator("#shown").inner_text().split()[0]
    )
    return tab.locator(".part:visible").count()


def test_filters_and_search(tab: Any):
    assert shown(tab) == COUNT
    asked = {"no part seen": GONE, "anomalous": ANOMALOUS, "failed": FAILED, "all 200": COUNT}
    for words, count in asked.items():
        tab.locator("fieldset label", has_text=words).click()
        assert shown(tab) == count
    tab.keyboard.press("/")
    tab.keyboard.type("PART-01")  # ten, in either case; and what a key means is not done here
    assert shown(tab) == len([i for i in range(10, 20) if i >= len(ODD_NAMES)])
    tab.keyboard.press("Escape")
    assert shown(tab) == COUNT
    keys = {"g": SCORED - ANOMALOUS, "n": GONE, "a": ANOMALOUS, "f": FAILED, "e": COUNT}
    for key, count in keys.items():
        tab.keyboard.press(key)
        assert shown(tab) == count
    tab.get_by_label("Search by name or path").fill("<script>")
    tab.keyboard.press("a")  # a letter of the search
    assert tab.locator("#search").input_value() == "<script>a"


def test_keys_walk_through_what_is_shown(tab: Any):
    ranks = []
    for key in ("j", "j", "ArrowDown", "k", "ArrowUp", "k", "a", "j", "f", "j", "j", "j"):
        tab.keyboard.press(key)
        ranks.append(tab.evaluate("document.activeElement.querySelector('.rank')?.textContent"))
    assert ranks[:6] == ["1", "2", "3", "2", "1", "1"]
    assert ranks[7] == str(GONE + 1)  # the first that is called anomalous
    assert ranks[9:] == ["198", "199", "200"]
    box = tab.evaluate(
        "(({top, bottom}) => [top, bottom])(document.activeElement.getBoundingClientRect())"
    )
    assert 0 <= box[0] < box[1] <= 900  # it was brought into view
    tab.keyboard.press("?")
    assert tab.get_by_role("dialog", name="Keys").is_visible()
    tab.keyboard.press("j")
    tab.keyboard.press("Escape")
    assert not tab.locator("#help").is_visible()


def test_a_cloud_is_loaded_when_asked_for_turned_and_lit(tab: Any):
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.keyboard.press("a")
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    told = tab.locator(".viewer output")
    tab.wait_for_function("document.querySelector('.viewer output').textContent")
    first = tab.evaluate("document.activeElement.id")
    assert [url.rpartition("/parts/")[2] for url in asked if "cloud" in url] == [
        f"{first}/cloud.js"
    ]
    canvas, slider = tab.locator("canvas"), tab.get_by_label("Heat above which points are lit")
    look = "() => (document.querySelector('canvas').toDataURL())"
    assert "arrow keys turn them" in canvas.get_attribute("aria-label")

    def lit() -> int:
        return int(re.search(r": (\d+) of", told.inner_text())[1])

    def after() -> str:
        tab.wait_for_timeout(300)
        return tab.evaluate(look)

    pictures, counts = [after()], [lit()]
    for value in ("0.3", "2.9"):
        slider.fill(value)
        counts.append(lit())
        pictures.append(after())
    assert counts[1] > counts[0] > counts[2]
    box = canvas.bounding_box()
    tab.mouse.move(box["x"] + 200, box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 280, box["y"] + 150, steps=4)
    tab.mouse.up()
    pictures.append(after())
    canvas.focus()
    for key in ("ArrowLeft", "+"):
        tab.keyboard.press(key)
        pictures.append(after())
    assert len(set(pictures)) == len(pictures)
    tab.keyboard.press("0")
    assert after() == pictures[2]  # as the camera saw it
    assert tab.evaluate("document.activeElement.tagName") == "CANVAS"  # arrows did not walk on
    tab.locator(".part:visible .turn").nth(1).click()
    tab.wait_for_function("document.querySelectorAll('.viewer').length === 1")
    assert tab.locator(".turn[aria-expanded=true]").count() == 1


def test_a_cloud_that_is_gone_is_said(tab: Any, folder: Path, browser: Any):
    page = browser.new_page()
    copy = folder.parent / "alone"
    copy.mkdir()
    shutil.copy(folder / "index.html", copy)  # the page was sent without its folder
    page.goto((copy / "index.html").as_uri())
    page.locator(".turn").first.click()
    page.wait_for_function("document.querySelector('.viewer output').textContent")
    assert "keep the page and its folder together" in page.locator(".viewer output").inner_text()
    page.close()

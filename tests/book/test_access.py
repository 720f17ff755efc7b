"""The built pages by axe-core: nothing serious or critical, in light, in dark and on a phone.

`make access`, some ten minutes. axe-core comes inside axe-playwright-python; nothing is fetched.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import test_pages
from conftest import unavailable

book, site = test_pages.book, test_pages.site

GRAVE = ("serious", "critical")
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# wide pages in both colours; on a phone only what is not wide elsewhere is another page
SEEN = [("light", 1200), ("dark", 1200), ("light", 390)]


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core."""
    spec = importlib.util.find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        unavailable("LSFA_REQUIRE_BROWSER", "no axe-core: pip install axe-playwright-python")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def found(tab: Any, axe: str) -> list[str]:
    """Grave violations, each by its rule and the element that breaks it; folds are opened first."""
    tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    tab.wait_for_timeout(200)
    tab.evaluate(axe)
    options = {"resultTypes": ["violations"], "runOnly": LEVELS}
    result = tab.evaluate("async options => await axe.run(document, options)", options)
    return [
        f"{rule['id']}: {node['html'][:200]}"
        for rule in result["violations"]
        if rule["impact"] in GRAVE
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("page", test_pages.PAGES)
@pytest.mark.parametrize(("scheme", "width"), SEEN)
def test_a_page_has_no_grave_barrier(
    site: str, browser: Any, axe: str, page: str, scheme: str, width: int
):
    size = {"width": width, "height": 900}
    context = browser.new_context(color_scheme=scheme, viewport=size, reduced_motion="reduce")
    tab = context.new_page()
    tab.goto(f"{site}{page}.html", wait_until="load")
    if tab.locator(".lazyplot").count():
        test_pages.drawn(tab, f"{site}{page}.html")
    if tab.locator(".math").count():
        tab.wait_for_selector("mjx-container", state="attached", timeout=30_000)
    barriers = found(tab, axe)
    context.close()
    assert barriers == []


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ('<p style="color:#bbb;background:#fff">pale words', "color-contrast"),
        ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "image-alt"),
        ('<details><summary>fold</summary><input style="height:30px"></details>', "label"),
        ('<p><a href="#a" data-tip="b">a term</a> and <button>a name</button>', ""),
    ],
)
def test_a_barrier_is_noticed(browser: Any, axe: str, body: str, rule: str):
    tab = browser.new_page()
    tab.set_content(f"<!doctype html><html lang=en><title>A page</title><main><h1>A</h1>{body}")
    assert [line.split(":")[0] for line in found(tab, axe)] == ([rule] if rule else [])
    tab.close()


def test_folds_and_buttons_are_reached_by_keys(site: str, browser: Any):
    """Tab through a whole chapter: every fold is met and opens, nothing holds the keyboard."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    tab.goto(f"{site}{test_pages.CHAPTERS[0].stem}.html", wait_until="load")
    opened, last = 0, "e => e.tagName === 'SUMMARY'"
    for _ in range(600):
        tab.keyboard.press("Tab")
        where = tab.evaluate_handle("document.activeElement")
        if where.evaluate("e => e === document.body"):
            break
        if where.evaluate(last):
            tab.keyboard.press("Enter")
            opened += 1
            assert where.evaluate("e => e.parentElement.open"), "Enter opens a fold"
    else:
        pytest.fail("the keyboard did not get through the page in 600 steps")
    assert opened == tab.locator("article details").count() > 2
    tab.close()

"""A page in its reader's hand: figures and terms under a finger, a foot that says which version.

What needs no chapter is tried on small pages with the book's own scripts and style.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly
import plotly.graph_objects as go
import pytest
import test_pages
import yaml
from conftest import ROOT, load

from lsfa_book.figures.renderer import BookRenderer

book, site = test_pages.book, test_pages.site

STATIC = ROOT / "book" / "static"
HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title>'
    '<link rel="stylesheet" href="book.css">'
    '<script defer src="lazyplot.js"></script><script defer src="tips.js"></script>'
    '<script defer src="scrolling.js"></script>'
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """HTML -> the address of a page with it, beside the book's scripts and style."""
    home = tmp_path_factory.mktemp("page")
    (home / "plotly").mkdir()
    shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", home / "plotly")
    for name in ("book.css", "lazyplot.js", "tips.js", "scrolling.js"):
        shutil.copy(STATIC / name, home)
    (home / "glossary.html").write_text(HEAD + "<h1>Glossary</h1><p id=term-bank>A queue.")

    def write(body: str) -> str:
        (home / "page.html").write_text(HEAD + body)
        return (home / "page.html").as_uri()

    return write


# --- a figure's tool bar --------------------------------------------------------------------


def menu(at: float) -> str:
    """A figure with one menu; `at` is its place, 0 left to 1 right."""
    figure = go.Figure(go.Scatter(x=[1, 2, 3], y=[2, 1, 3]))
    buttons = [{"label": name, "method": "restyle", "args": ["visible", True]} for name in "ab"]
    where = {"x": at, "y": 1.25, "xanchor": "right" if at else "left", "yanchor": "bottom"}
    figure.update_layout(updatemenus=[{"buttons": buttons, **where}], meta={"alt": "A line"})
    return BookRenderer().to_mimebundle(figure.to_dict())["text/html"]


@pytest.mark.parametrize(
    ("width", "touch", "at", "seen"),
    [
        (1200, False, 0, True),
        (1200, False, 1, False),
        (1200, True, 0, False),
        (390, True, 0, False),
    ],
    ids=["beside the menu", "over the menu", "on a tablet", "on a phone"],
)
def test_a_tool_bar_is_there_where_it_covers_nothing(
    browser: Any, page: Callable[[str], str], width: int, touch: bool, at: float, seen: bool
):
    size = {"width": width, "height": 800}
    context = browser.new_context(viewport=size, has_touch=touch, is_mobile=touch)
    tab = context.new_page()
    figure = test_pages.drawn(
        tab, page('<meta name="viewport" content="width=device-width">' + menu(at))
    )
    assert figure.get_attribute("data-drawn") == "yes"
    assert figure.locator(".updatemenu-container").is_visible()
    if not touch:
        figure.locator(".lazyplot-canvas").hover(position={"x": 200, "y": 200})
    assert figure.locator(".modebar").is_visible() == seen
    context.close()


def test_a_figure_is_worked_by_keys(browser: Any, page: Callable[[str], str]):
    """Its menu and its slider from real lists, its cloud by arrows; a reader hears their names."""
    figure = go.Figure([go.Scatter3d(x=[1, 2], y=[1, 2], z=[1, 2]) for _ in range(3)])
    choices = [
        {"label": f"trace {i}", "args": ["visible", [i == k for k in range(3)]]} for i in range(3)
    ]
    figure.update_layout(
        updatemenus=[{"buttons": choices, "active": 1}],
        sliders=[{"steps": choices, "currentvalue": {"prefix": "which: "}}],
        scene={"camera": {"eye": {"x": 0, "y": 0, "z": -2}, "up": {"x": 0, "y": -1, "z": 0}}},
        meta={"alt": "Two points"},
    )
    tab = browser.new_page(viewport={"width": 1200, "height": 800})
    box = BookRenderer().to_mimebundle(figure.to_dict())["text/html"]
    canvas = test_pages.drawn(tab, page(box)).locator(".lazyplot-canvas")
    shown = "plot => plot.data.map(trace => trace.visible)"
    tab.keyboard.press("Tab")
    menu = tab.get_by_label("shown")
    assert menu.evaluate("e => e === document.activeElement && e.value") == "trace 1"
    assert menu.bounding_box()["width"] > 40, "whoever comes by keys must see it"
    tab.keyboard.press("ArrowDown")
    tab.wait_for_timeout(500)
    assert canvas.evaluate(shown) == [False, False, True]
    assert canvas.evaluate("plot => plot.layout.updatemenus[0].active") == 2
    tab.keyboard.press("Tab")
    tab.keyboard.press("ArrowDown")
    tab.wait_for_timeout(500)
    assert canvas.evaluate(shown) == [False, True, False]
    assert tab.get_by_label("which").evaluate("e => e.value") == "trace 1"
    tab.keyboard.press("Tab")
    assert "arrow keys" in canvas.get_attribute("aria-label")
    eye = "plot => Object.values(plot._fullLayout.scene._scene.getCamera().eye)"
    for key in ("ArrowRight", "ArrowUp", "+"):
        tab.keyboard.press(key)
        tab.wait_for_timeout(500)
    x, y, z = canvas.evaluate(eye)
    assert x < 0 or x > 0
    assert y < 0, "up is where y is negative"
    assert (x * x + y * y + z * z) ** 0.5 == pytest.approx(0.9 * 2, rel=1e-3)
    tab.close()


# --- terms and symbols ----------------------------------------------------------------------

WORDS = (
    '<meta name="viewport" content="width=device-width">'
    '<p>A <a class="glossary-term" href="glossary.html#term-bank" data-tip="A queue of rows.">bank'
    '</a> of <span class="symbol" tabindex="0" data-tip="how many neighbours"><code>K</code></span>'
    " and <a href='glossary.html'>more</a>."
)


def shown(tab: Any) -> str:
    return tab.locator(".tip").inner_text() if tab.locator(".tip").count() else ""


@pytest.fixture
def phone(browser: Any, page: Callable[[str], str]) -> Any:
    context = browser.new_context(
        viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    tab = context.new_page()
    tab.goto(page(WORDS))
    yield tab
    context.close()


def test_a_tap_on_a_term_shows_its_meaning_and_the_tip_leads_on(phone: Any):
    term, tip = phone.locator(".glossary-term"), phone.locator(".tip")
    term.tap()
    assert phone.url.endswith("page.html")
    assert shown(phone).startswith("A queue of rows.")
    assert term.get_attribute("aria-expanded") == "true"
    assert term.evaluate("e => e.nextSibling.id") == term.get_attribute("aria-describedby")
    box = tip.bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= 390
    assert 600 < box["y"] < box["y"] + box["height"] <= 800, "at the foot of the screen"

    term.tap()
    assert tip.count() == 0
    assert term.get_attribute("aria-expanded") is None
    phone.locator(".symbol").tap()
    assert shown(phone).strip() == "how many neighbours"
    assert not tip.locator("a").is_visible()
    phone.touchscreen.tap(200, 500)
    assert tip.count() == 0

    term.tap()
    tip.locator("a").tap()
    phone.wait_for_url("**/glossary.html#term-bank")


def test_a_tap_on_another_link_leads_on(phone: Any):
    phone.get_by_text("more").tap()
    phone.wait_for_url("**/glossary.html")


def test_a_term_explains_itself_to_keys_and_pointer(browser: Any, page: Callable[[str], str]):
    tab = browser.new_page(viewport={"width": 1200, "height": 800})
    tab.goto(page(WORDS))
    term, tip = tab.locator(".glossary-term"), tab.locator(".tip")
    tab.keyboard.press("Tab")
    assert shown(tab).startswith("A queue of rows.")
    assert term.get_attribute("aria-describedby") == tip.get_attribute("id")
    assert tip.get_attribute("role") == "tooltip"
    tab.keyboard.press("Tab")  # not into the tip: the term itself is the link
    assert shown(tab).strip() == "how many neighbours"
    assert term.get_attribute("aria-describedby") is None
    tab.keyboard.press("Escape")
    assert tip.count() == 0

    term.hover()
    tip.hover()  # the pointer may go into it and does not lose it
    tab.wait_for_timeout(400)
    assert shown(tab).startswith("A queue of rows.")
    tab.mouse.move(600, 600)
    tip.wait_for(state="detached")
    term.click()
    tab.wait_for_url("**/glossary.html#term-bank")
    tab.close()


def test_a_term_is_a_plain_link_without_scripts(browser: Any, page: Callable[[str], str]):
    context = browser.new_context(java_script_enabled=False, has_touch=True)
    tab = context.new_page()
    tab.goto(page(WORDS))
    tab.locator(".glossary-term").tap()
    tab.wait_for_url("**/glossary.html#term-bank")
    context.close()


def test_a_wide_table_is_scrolled_by_keys(browser: Any, page: Callable[[str], str]):
    tab = browser.new_page(viewport={"width": 400, "height": 600})
    style = 'pst-scrollable-table-container" style="overflow:auto'
    box = f'<div class="{style}"><div style="width:{{}}px">a'
    tab.goto(page(f"{box.format(900)}</div></div>{box.format(90)}</div></div>"))
    wide, narrow = tab.locator(".pst-scrollable-table-container").all()
    assert narrow.get_attribute("tabindex") is None
    tab.keyboard.press("Tab")
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    tab.wait_for_timeout(500)
    assert wide.evaluate("e => e.scrollLeft") > 0
    tab.set_viewport_size({"width": 1200, "height": 600})
    tab.wait_for_timeout(300)
    assert wide.get_attribute("role") is None
    tab.close()


# --- the foot of a page, and the repository ---------------------------------------------------


@pytest.fixture(scope="module")
def imprint() -> Any:
    return load(ROOT / "book" / "_ext" / "imprint.py")


def run(*command: str, home: Path, **more: str) -> str:
    done = subprocess.run(
        command, cwd=home, env={**os.environ, **more}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_foot_names_version_date_and_commit(imprint: Any, tmp_path: Path):
    (tmp_path / "file").write_text("one")
    when = "2031-02-03T23:00:00+0000"
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    run("git", "init", "-q", home=tmp_path)
    run("git", "add", "file", home=tmp_path)
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    run("git", *who, "commit", "-q", "-m", "one", home=tmp_path, **dates)
    commit = run("git", "rev-parse", "HEAD", home=tmp_path).strip()

    said = imprint.imprint("https://host/us/book", root=tmp_path)
    assert said.startswith('<p class="imprint">Version ')
    assert "2031-02-03, commit " in said
    assert f'<a href="https://host/us/book/commit/{commit}"><code>{commit[:7]}</code></a>.' in said
    assert said == imprint.imprint("https://host/us/book", root=tmp_path)
    assert "<a" not in imprint.imprint("", root=tmp_path)
    (tmp_path / "file").write_text("two")
    assert "with changes" in imprint.imprint("", root=tmp_path)


def test_the_foot_does_without_git(imprint: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    inside = tmp_path / "book"  # unpacked in a folder that belongs to another repository
    inside.mkdir()
    run("git", "init", "-q", home=tmp_path)
    alone = imprint.imprint("https://host/us/book", root=inside)
    assert alone.startswith('<p class="imprint">Version ')
    assert "commit" not in alone
    monkeypatch.setenv("PATH", str(inside))
    assert imprint.imprint("", root=tmp_path) == alone

    def absent(name: str) -> str:
        raise imprint.PackageNotFoundError(name)

    monkeypatch.setattr(imprint, "version", absent)
    assert imprint.imprint("", root=tmp_path) == ""


def test_every_built_page_has_its_foot(book: Path, imprint: Any):
    for name in test_pages.PAGES:
        assert '<p class="imprint">Version ' in (book / f"{name}.html").read_text(), name


SMALL = {"title": "Small", "only_build_toc_files": True, "execute": {"execute_notebooks": "off"}}


@pytest.mark.parametrize("url", ["", "https://github.com/us/them"])
def test_a_book_without_a_repository_has_no_dead_button(tmp_path: Path, url: str):
    """Our own settings around one page; Sphinx must not ask for the repository either."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert "use_repository_button" not in config["html"]
    small = {**SMALL, **{key: config[key] for key in ("repository", "launch_buttons", "sphinx")}}
    small["repository"]["url"] = url
    extensions = ("imprint", "equation_trace")
    small["sphinx"]["local_extensions"] = {n: str(ROOT / "book/_ext") for n in extensions}
    small["sphinx"]["extra_extensions"] = []
    options = config["sphinx"]["config"]["html_theme_options"]
    small["sphinx"]["config"] = {"html_theme_options": options}
    (tmp_path / "_config.yml").write_text(yaml.safe_dump(small))
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "# A chapter"}
    sum_ = {**cell, "id": "b", "source": "$$ a = b $$ (eq-1)"}
    notebook = {"cells": [cell, sum_], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    notebook["metadata"]["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    (tmp_path / "index.ipynb").write_text(json.dumps(notebook))
    start = "import sys; from jupyter_book.cli.main import main; sys.exit(main())"
    run(sys.executable, "-c", start, "build", "-W", str(tmp_path), home=tmp_path)
    html = (tmp_path / "_build/html/index.html").read_text()
    assert "Code: " in html
    assert "prototype_logits" in html or "<code" in html
    assert ("colab.research" in html) == ("/issues/new" in html) == ("/edit/" in html) == bool(url)
    assert "None" not in html.split("<article")[1]
    assert ("https://github.com" in html) == bool(url)

"""Slides: made of questions, pictures and take-aways; they open without a network and fit."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise

import pytest
from conftest import ROOT

from lsfa_book.checking import chapters
from lsfa_book.teaching import notebook
from lsfa_book.teaching.deck import BULLETS, WORDS, Slide, deck
from lsfa_book.teaching.notebook import source
from lsfa_book.teaching.slides import page, section, words, write_slides

BOOK = ROOT / "book"
OVERFLOW = """async () => {
  const bad = [];
  for (let i = 0; i < Reveal.getTotalSlides(); i++) {
    Reveal.slide(i);
    await new Promise(requestAnimationFrame);
    const slide = Reveal.getCurrentSlide();
    const inside = "h1,h2,p,li,pre,img,td,mjx-container,.lazyplot";
    const boxes = [...slide.querySelectorAll(inside)].filter(e => !e.closest("aside"));
    const wide = boxes.filter(e => e.getBoundingClientRect().right > innerWidth + 1
                                || e.scrollWidth > e.clientWidth + 2 && e.matches("pre"));
    const [high, broad] = [slide.scrollHeight, slide.scrollWidth];
    if (high > 720 || broad > 1280 || wide.length)
      bad.push([i, slide.className, high, broad, wide.map(e => e.tagName)]);
  }
  return bad;
}"""


@pytest.mark.parametrize("name", chapters())
def test_deck_is_made_of_questions_pictures_and_take_aways(name):
    cells = notebook.read(BOOK / f"{name}.ipynb")["cells"]
    slides = deck(cells)
    kinds = [slide.kind for slide in slides]
    assert kinds[0] == "title"
    assert {"section", "exercise", "takeaway"} < set(kinds)
    shown = [set(o.get("data", {})) for c in cells for o in c.get("outputs", [])]
    live = [data for data in shown if any("plotly" in kind for kind in data)]
    stills = [data for data in shown if "image/png" in data and data not in live]
    assert kinds.count("figure") == len(live)
    assert kinds.count("picture") == len(stills)
    text = "\n".join(source(c) for c in cells if c["cell_type"] == "markdown")
    assert kinds.count("guess") == len(re.findall(r"^\*\*Your guess first", text, re.MULTILINE))
    for slide in slides:
        if slide.kind in ("guess", "exercise"):
            assert len(slide.body.split()) < 2 * WORDS
        if slide.kind == "takeaway":
            assert slide.body.count("\n") <= BULLETS
        assert "<details" not in str(slide.body) + slide.notes
    assert not any(a == b == "section" for a, b in pairwise(kinds))


def test_words_keep_formulas_and_drop_links_into_the_book():
    assert words("see [bank](memory-that-forgets.ipynb) and $a<b$", inline=True) == (
        "see bank and \\(a&lt;b\\)"
    )
    assert 'href="https://arxiv.org"' in words("[paper](https://arxiv.org)")
    assert "\\[x_1\\]" in words("$$\nx_1\n$$ (eq-7)")


def test_what_is_printed_cannot_become_part_of_the_page():
    assert "&lt;script&gt;" in section(Slide("printed", "t", "<script>"))
    figure = {"data": [], "layout": {"meta": {"alt": '"</script>'}, "height": 900}}
    made = section(Slide("figure", "t", figure))
    assert made.count("</script>") == 1
    assert "min-height:540px" in made


def test_a_page_loads_nothing_from_elsewhere():
    made = page(deck(notebook.read(BOOK / "memory-that-forgets.ipynb")["cells"]))
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]*)"', made)
    assert loaded
    assert all(place.startswith(("assets/", "data:")) for place in loaded)


def test_slides_fit_and_figures_live_in_a_browser(tmp_path, browser):
    """Two chapters, every slide; then one figure with its script."""
    pytest.importorskip("sphinx_revealjs", reason='pip install "lsfa-lite[slides]"')
    few = tmp_path / "book"
    shutil.copytree(BOOK / "static", few / "static")
    for name in ("memory-that-forgets", "pull-normal-together"):
        shutil.copy(BOOK / f"{name}.ipynb", few)
    decks = write_slides(few, tmp_path / "slides")
    shown = browser.new_page(viewport={"width": 1280, "height": 720})
    shown.set_default_timeout(120_000)
    wrong = list[str]()
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("request", lambda r: wrong.append(r.url) if r.url.startswith("http") else None)
    shown.route("**/plotly.min.js", lambda route: route.abort())  # layout alone, quickly
    for file in decks:
        shown.goto(file.as_uri())
        shown.wait_for_function("window.Reveal?.isReady() && window.MathJax?.startup?.promise")
        shown.evaluate("MathJax.startup.promise")
        assert shown.evaluate(OVERFLOW) == [], file.stem
    wrong = [w for w in wrong if "plotly.js could not be loaded" not in w]
    assert wrong == []
    shown.unroute("**/plotly.min.js")
    slides = deck(notebook.read(few / "pull-normal-together.ipynb")["cells"])
    flat = next(i for i, s in enumerate(slides) if s.kind == "figure" and "slider" in str(s.body))
    shown.goto("about:blank")
    shown.goto(f"{decks[1].as_uri()}#/{flat}")
    shown.wait_for_selector("section.present .lazyplot .main-svg", state="visible")
    shown.close()

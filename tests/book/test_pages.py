"""The built book, as a reader's browser sees it: every figure drawn, nothing fetched elsewhere.

`make book` builds it first. LSFA_REQUIRE_BOOK=1 and LSFA_REQUIRE_BROWSER=1 turn the skips of a
machine without the book, or without a browser, into failures.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import plotly
import pytest
import yaml
from conftest import ROOT, load, unavailable

from lsfa_book.figures import switches
from lsfa_book.figures.renderer import BookRenderer
from lsfa_book.ledger import Entry, Measured
from lsfa_book.literature.paper import printed

HTML = ROOT / "_build" / "html"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
CHAPTERS = [path for path in NOTEBOOKS if path.stem != "quick-tour"]

LARGEST_PAGE = 400_000  # bytes of HTML
LARGEST_NOTEBOOK = 500_000  # bytes in git
CHECKED_CELLS = 3  # per chapter: printed numbers that nbval compares


PAGES = list(
    load(ROOT / "book" / "build.py").pages(yaml.safe_load((ROOT / "book/_toc.yml").read_text()))
)


@pytest.fixture(scope="module")
def book() -> Path:
    if not (HTML / "index.html").is_file():
        unavailable("LSFA_REQUIRE_BOOK", "the book is not built: run `make book` first")
    return HTML


@pytest.fixture(scope="module")
def site(book: Path) -> Iterator[str]:
    """The built book over http, on this machine only."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    handler = functools.partial(Quiet, directory=str(book))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


# --- the files ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_every_page_of_the_contents_is_built_and_light(book: Path, page: str):
    path = book / f"{page}.html"
    assert path.is_file(), f"{page} is in _toc.yml but not in the built book"
    assert 5_000 < path.stat().st_size < LARGEST_PAGE


def test_every_notebook_is_in_the_contents():
    assert [n.stem for n in NOTEBOOKS if n.stem not in PAGES] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_light_and_its_numbers_are_checked(notebook: Path):
    assert re.fullmatch(r"[a-z0-9-]+", notebook.stem), "other names change their address"
    assert notebook.stat().st_size < LARGEST_NOTEBOOK
    cells = [c for c in json.loads(notebook.read_text())["cells"] if c["cell_type"] == "code"]
    checked = [c for c in cells if "nbval-check-output" in c["metadata"].get("tags", [])]
    assert len(checked) >= CHECKED_CELLS
    for cell in checked:
        assert cell["outputs"], "a checked cell without a committed output compares nothing"
    for output in (o for c in cells for o in c["outputs"]):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"


@pytest.mark.parametrize("notebook", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_has_what_every_chapter_has(notebook: Path):
    """Goals, needs, time; the box; three kinds of exercises; a figure to move; a summary."""
    cells = json.loads(notebook.read_text())["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    for phrase in ("**You will**", "**You need**", "**It takes**", "What the paper does not say"):
        assert phrase in text, phrase
    for heading in ("### Predict", "### Make", "### Argue", "## What you take away"):
        assert f"\n{heading}" in text, heading
    assert text.count("<details>") == text.count("</details>") >= 3
    assert not re.search(r"^(```\{|:::)|\{(cite|doc|ref|term|eq|numref)\}`", text, re.MULTILINE)
    code = [c for c in cells if c["cell_type"] == "code"]
    assert any('check("' in "".join(c["source"]) for c in code)
    shown = [(c, o.get("data", {})) for c in code for o in c["outputs"]]
    figures = [data for _, data in shown if "application/vnd.plotly.v1+json" in data]
    assert figures
    for data in figures:  # what GitHub shows
        assert "image/png" in data, "run book/scripts/still_pictures.py"
        assert len(data["application/vnd.plotly.v1+json"]["layout"]["meta"]["alt"]) > 20
    for cell, data in shown:
        if "image/png" in data and data not in figures:
            alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 20, f"{cell['id']}: say what the picture shows"


def test_addresses_derive_from_the_repository():
    """_config.yml's repository.url is the one place; all other mentions agree with it."""
    url = CONFIG["repository"]["url"]
    owner, name = urlsplit(url).path.strip("/").split("/")
    assert CONFIG["html"]["baseurl"] == f"https://{owner}.github.io/{name}/"
    for document in ("CITATION.cff", "README.md", "pyproject.toml"):
        path = ROOT / document
        found = re.findall(
            r"https://github\.com/[\w-]+/[\w-]+", path.read_text() if path.is_file() else ""
        )
        ours = [f for f in found if f.endswith("step-by-step") or f.split("/")[3] == owner]
        assert set(ours) <= {url}, f"{document} names another repository"


def test_launch_button_opens_the_notebook_of_this_repository(book: Path):
    url = CONFIG["repository"]["url"].removeprefix("https://github.com/")
    for notebook in NOTEBOOKS:
        page = (book / f"{notebook.stem}.html").read_text()
        branch = CONFIG["repository"]["branch"]
        assert f"colab.research.google.com/github/{url}/blob/{branch}/book/{notebook.name}" in page


def test_links_inside_the_book_lead_somewhere(book: Path):
    """Every relative link of every page: the file exists, and the anchor in it."""
    broken = []
    for page in PAGES:
        for link in links(book / f"{page}.html"):
            target, anchor = urldefrag(urljoin(f"/{page}.html", link))
            path = book / unquote(target).lstrip("/")
            if not path.is_file() or unquote(anchor) not in anchors(path):
                broken.append(f"{page}: {link}")
    assert broken == []


def links(page: Path) -> list[str]:
    found = re.findall(r'(?:href|src)="([^"]+)"', without_figures(page.read_text()))
    found = [link.replace("&amp;", "&").split("?")[0] for link in found]
    return [x for x in found if not urlsplit(x).scheme and not x.startswith("//") and x != "#"]


@functools.cache
def anchors(page: Path) -> set[str]:
    """The ids of a page, and "" for the file itself."""
    if page.suffix != ".html":
        return {""}
    return {"", *re.findall(r'\bid="([^"]+)"', without_figures(page.read_text()))}


def without_figures(text: str) -> str:
    return re.sub(r'<script type="application/json">.*?</script>', "", text, flags=re.DOTALL)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapter_says_how_long_it_ran_and_explains_its_terms(book: Path, notebook: Path):
    page = (book / f"{notebook.stem}.html").read_text()
    assert re.search(r'class="runtime">Runs in \d+ s on \d+ CPU cores, measured', page)
    assert 'class="glossary-term" href="glossary.html#term-' in page


def test_equations_carry_the_papers_numbers_and_are_listed(book: Path):
    shown = [
        number
        for notebook in NOTEBOOKS
        for number in re.findall(
            r'id="equation-eq-(\d+)".*?class="eqno">\(\1\)',
            (book / f"{notebook.stem}.html").read_text(),
            re.DOTALL,
        )
    ]
    assert sorted(shown) == list("123456789")
    table = (book / "equations.html").read_text()
    links = re.findall(r'#equation-eq-(\d)"[^>]*>(.*?)</a>', table)
    assert [re.sub(r"<[^>]*>", "", words) for _, words in links] == [f"({n})" for n, _ in links]
    assert [n for n, _ in links] == list("123456789")


def test_every_number_of_the_paper_stands_in_the_ledger(book: Path):
    """Found in the page by the paper's own tables, not by the code that wrote it."""
    page = (book / "claims.html").read_text()
    for name in ("table1", "table2"):
        section = page.split(f'id="claims-{name[:5]}-{name[5:]}"')[1].split("</section>")[0]
        for line in printed()[name]:
            method = f"{line['modality'].upper()}: {line['method']}</th>"
            folded = section.split("<details>")[1].split(method)[1].split("</th>")[0]
            shown = re.findall(r"<td>(\d\.\d{3})</td>", folded)
            assert shown == [f"{value:.3f}" for value in line["categories"].values()], method
    assert "not run here" in page
    assert "your records</th>" not in page  # a column for readers who have some


# --- the browser ----------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_in_a_browser(site: str, browser: Any, page: str, scheme: str):
    """Scrolled to the end: all figures drawn, no error, nothing asked of another host."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 900})
    tab = context.new_page()
    outside: list[str] = []
    errors: list[str] = []
    context.route("**/*", functools.partial(only_from, site, outside))
    tab.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("response", lambda r: errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    tab.goto(f"{site}{page}.html", wait_until="load")
    assert tab.evaluate("document.documentElement.dataset.theme") == scheme
    figures = tab.locator(".lazyplot")
    for i in range(figures.count()):
        figure = figures.nth(i)
        figure.scroll_into_view_if_needed()
        tab.wait_for_function(
            "box => box.dataset.drawn", arg=figure.element_handle(), timeout=60_000
        )
        assert figure.get_attribute("data-drawn") == "yes"
        assert figure.locator("canvas, svg.main-svg").count() > 0
        assert len(figure.get_attribute("aria-label")) > 20, "say what the figure shows"
    tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    if tab.locator(".math").count():
        tab.wait_for_selector("mjx-container", state="attached", timeout=30_000)
        assert tab.locator("mjx-merror").count() == 0
    tab.wait_for_load_state("networkidle")
    context.close()
    assert outside == []
    assert errors == []


def only_from(site: str, outside: list[str], route: Any) -> None:
    url = route.request.url
    if url.startswith((site, "data:", "blob:")):
        route.continue_()
    else:
        outside.append(url)
        route.abort()


@pytest.mark.parametrize("page", [n.stem for n in NOTEBOOKS])
def test_a_page_without_figures_in_view_does_not_load_plotly(site: str, browser: Any, page: str):
    tab = browser.new_page(viewport={"width": 1200, "height": 200})
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{site}{page}.html", wait_until="networkidle")
    assert not any("plotly.min.js" in url for url in asked)
    tab.close()


@pytest.mark.parametrize("page", PAGES)
def test_page_fits_a_phone(site: str, browser: Any, page: str):
    tab = browser.new_page(viewport={"width": 390, "height": 800})
    tab.goto(f"{site}{page}.html", wait_until="networkidle")
    width = tab.evaluate("document.scrollingElement.scrollWidth")
    tab.close()
    assert width <= 391, f"the page is {width} pixels wide on a phone of 390"


def test_pointing_at_a_term_shows_its_meaning(site: str, browser: Any):
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    tab.goto(f"{site}{NOTEBOOKS[0].stem}.html", wait_until="load")
    term = tab.locator(".glossary-term").first
    meaning = term.get_attribute("data-tip")
    term.hover()
    assert tab.get_by_role("tooltip").inner_text().startswith(meaning)
    tab.mouse.move(0, 0)
    tab.get_by_role("tooltip").wait_for(state="detached")
    tab.close()
    assert len(meaning) > 20


def drawn(tab: Any, address: str, number: int = 0) -> Any:
    """Open a page and return one of its figures, once it is drawn."""
    tab.goto(address, wait_until="load")
    figure = tab.locator(".lazyplot").nth(number)
    figure.scroll_into_view_if_needed()
    tab.wait_for_function("box => box.dataset.drawn", arg=figure.element_handle(), timeout=60_000)
    return figure


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_first_pages_cloud_swings_until_it_is_touched(site: str, browser: Any, motion: str):
    context = browser.new_context(reduced_motion=motion)
    tab = context.new_page()
    canvas = drawn(tab, f"{site}index.html").locator(".lazyplot-canvas")
    look = "plot => plot.layout.scene.camera.eye.x"
    seen = []
    for _ in range(2):
        seen.append(canvas.evaluate(look))
        tab.wait_for_timeout(1500)
    assert (seen[0] != seen[1]) == (motion == "no-preference")
    canvas.click(position={"x": 20, "y": 200})
    tab.wait_for_timeout(1000)
    held = canvas.evaluate(look)
    tab.wait_for_timeout(1000)
    assert canvas.evaluate(look) == held
    context.close()


def test_pointing_at_a_patch_marks_its_points(site: str, browser: Any):
    """The linked view of the chapter on projection, by a real mouse."""
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    canvas = drawn(tab, f"{site}from-points-to-patches.html").locator(".lazyplot-canvas")
    where = """(plot, [row, column]) => {
      const {left, top} = plot.getBoundingClientRect(), {xaxis, yaxis} = plot._fullLayout;
      return [left + xaxis._offset + xaxis.l2p(column), top + yaxis._offset + yaxis.l2p(row)];
    }"""
    state = """plot => {
      const {size, patch} = plot.layout.meta.patches, marker = plot.data[0].marker;
      const owner = typeof patch === "string" ? patch.split(" ").map(Number) : patch;
      return [...new Set(owner.filter((_, i) => marker.size[i] === size[1]))];
    }"""
    for row, column in [(13, 5), (20, 20)]:
        x, y = canvas.evaluate(where, [row, column])
        tab.mouse.move(x - 3, y)
        tab.mouse.move(x, y, steps=4)
        tab.wait_for_timeout(1500)
        assert canvas.evaluate(state) == [28 * row + column]
    tab.close()


COUNTED = [("salt", ["none", "some"]), ("heat", ["low", "high"])]
RUNS = {
    ("none", "low"): {"a": 0.5, "b": 0.7, "c": 0.9, "real": 0.4},
    ("some", "low"): {"a": 0.6, "b": 0.7, "c": 0.98, "real": 0.9},
    ("some", "high"): {"b": 0.65},
}


@pytest.fixture
def switched(tmp_path: Path, browser: Any) -> Iterator[Any]:
    """A page of one figure, with the book's own script, on a phone."""
    figure = switches(COUNTED, RUNS, ("none", "low"), apart=["real"], alt="Salt and heat")
    box = BookRenderer().to_mimebundle(figure.to_dict())["text/html"]
    library = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    (tmp_path / "plotly").mkdir()
    shutil.copy(library, tmp_path / "plotly")
    shutil.copy(ROOT / "book/static/lazyplot.js", tmp_path)
    head = '<!doctype html><meta charset="utf-8"><script defer src="lazyplot.js"></script>'
    (tmp_path / "page.html").write_text(head + box)
    tab = browser.new_page(viewport={"width": 390, "height": 900})
    assert drawn(tab, (tmp_path / "page.html").as_uri()).get_attribute("data-drawn") == "yes"
    yield tab
    tab.close()


def test_switches_are_turned_by_mouse_and_by_keys(switched: Any):
    """A click moves the marks and says mean, interval and n, or that there was no such run."""
    said, canvas = switched.locator("[role=status]"), switched.locator(".lazyplot-canvas")
    look = "plot => plot.data.map(trace => trace.x)"
    assert said.inner_text() == (
        "Mean change +0.000 (95 % interval +0.000 to +0.000, n = 3 kinds); real +0.000."
    )
    switched.get_by_label("some").check()
    assert said.inner_text() == (  # changes of 0.1, 0 and 0.08: 0.06 +- 4.303 * 0.0529 / sqrt(3)
        "Mean change +0.060 (95 % interval -0.071 to +0.191, n = 3 kinds); real +0.500."
    )
    dots, ends, mean, others, _ = canvas.evaluate(look)
    assert dots + mean + others == pytest.approx([0.1, 0, 0.08, 0.06, 0.5])
    assert ends == pytest.approx([-0.0715, 0.1915], abs=1e-4)

    switched.get_by_label("level").check()
    # deviations of -0.16, -0.06 and 0.22: 0.76 +- 4.303 * 0.197 / sqrt(3)
    assert said.inner_text().startswith("Mean level 0.760 (95 % interval 0.271 to 1.249, n = 3")
    dots, _, _, _, strokes = canvas.evaluate(look)
    assert dots == pytest.approx([0.6, 0.7, 0.98])
    assert strokes == [0.5, 0.7, 0.9, 0.4]  # the reference

    switched.get_by_label("low").focus()
    switched.keyboard.press("ArrowRight")
    assert switched.get_by_label("high").is_checked()
    assert said.inner_text() == "Mean level 0.650 (n = 1 kind)."
    switched.keyboard.press("Enter")  # sends no form
    assert said.inner_text() == "Mean level 0.650 (n = 1 kind)."

    assert switched.get_by_label("none").get_attribute("title") == "not run here"
    switched.get_by_label("none").check()
    assert said.inner_text() == "Not run here."
    assert canvas.evaluate(look)[:4] == [[], [], [], []]


# --- the notebooks' numbers -----------------------------------------------------------------


@pytest.mark.slow
def test_a_changed_number_is_noticed(tmp_path: Path):
    """nbval on a copy: passes as committed, fails once one digit of a checked output differs."""
    content = json.loads(NOTEBOOKS[0].read_text())
    copy = tmp_path / "copy.ipynb"
    copy.write_text(json.dumps(content))
    assert nbval(copy).returncode == 0

    checked = [c for c in content["cells"] if "nbval-check-output" in c["metadata"].get("tags", [])]
    text = "".join(checked[0]["outputs"][0]["text"])
    digit = re.search(r"\d", text)
    assert digit is not None
    other = str((int(digit[0]) + 1) % 10)
    checked[0]["outputs"][0]["text"] = text[: digit.start()] + other + text[digit.end() :]
    copy.write_text(json.dumps(content))
    result = nbval(copy)
    assert result.returncode == 1
    assert "1 failed" in result.stdout


def nbval(notebook: Path) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "LSFA_BOOK"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "book")])
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--nbval-current-env"]
    return subprocess.run(
        [sys.executable, *command, str(notebook)],
        cwd=notebook.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


# --- the line under an equation -------------------------------------------------------------

CHAPTER = """# A chapter

$$ a = b $$ (eq-known)

$$ b = c $$ (eq-new)

$$ c = d $$ (a-step-by-hand)
"""


CONF = """
extensions = ["myst_parser", "equation_trace"]
myst_enable_extensions = ["dollarmath"]
equation_trace_root = ".."
html_theme = "sphinx_book_theme"
html_theme_options = {"repository_url": "https://github.com/someone/book"}
"""


@pytest.fixture
def small_book(tmp_path: Path) -> Path:
    """A repository of three files and a page with three equations."""
    for folder in ("lsfa_lite", "tests", "book"):
        (tmp_path / folder).mkdir()
    (tmp_path / "book" / "index.md").write_text(CHAPTER)
    (tmp_path / "book" / "conf.py").write_text(CONF.replace("..", str(tmp_path)))
    (tmp_path / "lsfa_lite" / "room.py").write_text(
        'def same(a):\n    """b is a.\n\n    Implements: eq-known\n    """\n    return a\n'
    )
    (tmp_path / "tests" / "test_room.py").write_text(
        'import pytest\n\n\n@pytest.mark.equation("eq-known")\ndef test_same():\n    assert True\n'
    )
    return tmp_path


def build_small(root: Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "sphinx", "-E", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*command, str(root / "book"), str(root / "html")],
        env={**os.environ, "PYTHONPATH": str(ROOT / "book" / "_ext")},
        capture_output=True,
        text=True,
        check=False,
    )
    page = root / "html" / "index.html"
    return done.returncode, done.stderr, page.read_text() if page.is_file() else ""


def test_an_equation_without_code_or_test_fails_the_build(small_book: Path):
    code, errors, page = build_small(small_book)
    assert code != 0
    assert 'no docstring in lsfa_lite says "Implements: eq-new"' in errors
    assert 'no test in tests carries @pytest.mark.equation("eq-new")' in errors
    assert "eq-known" not in errors
    assert "a-step-by-hand" not in errors
    assert 'href="https://github.com/someone/book/blob/main/lsfa_lite/room.py#L1"' in page
    assert 'href="https://github.com/someone/book/blob/main/tests/test_room.py#L5"' in page


def test_equations_with_code_and_test_build(small_book: Path):
    room = small_book / "lsfa_lite" / "room.py"
    room.write_text(room.read_text().replace("eq-known", "eq-known, eq-new"))
    test = small_book / "tests" / "test_room.py"
    test.write_text(test.read_text().replace('"eq-known"', '"eq-known", "eq-new"'))
    code, errors, page = build_small(small_book)
    assert (code, errors) == (0, "")
    assert page.count("room.py#L1") == 2


def test_an_equation_of_the_paper_has_its_number_and_others_a_letter(small_book: Path):
    (small_book / "book" / "index.md").write_text(
        "# A chapter\n\n$$ b = c $$ (by-hand)\n\n$$ a = b $$ (eq-5)\n\n```{equation-table}\n```\n"
    )
    for path in (small_book / "lsfa_lite/room.py", small_book / "tests/test_room.py"):
        path.write_text(path.read_text().replace("eq-known", "eq-5"))
    code, errors, page = build_small(small_book)
    assert (code, errors) == (0, "")
    assert re.findall(r'class="eqno">\((\w)\)', page) == ["a", "5"]
    assert page.count("room.py#L1") == 2  # under the equation and in the table
    assert re.search(r'href="#equation-eq-5"[^>]*>(<[^>]*>)*\(5\)', page)
    assert page.count("test_room.py#L5") == 2


# --- the ledger -----------------------------------------------------------------------------


def test_a_readers_records_get_a_column_of_their_own():
    page = load(ROOT / "book" / "_ext" / "claims.py")
    real = Measured(0.97, 0.96, 0.98, 10, "mvtec3d, paper", "A <GPU>", "2030-01-02")
    entries = [
        Entry("Table 1", "LSFA", "i_auroc", "mean", 0.971, "lsfa-lite reproduce table1", (real,)),
        Entry("Table 1", "AST", "i_auroc", "mean", 0.937, "", ()),
    ]
    ours, other = page.means(entries, own=True).split("<tbody>")[1].split("</tr><tr>")
    assert "0.970 <small>0.960 to 0.980, n = 10</small>" in ours
    assert "mvtec3d, paper, A &lt;GPU&gt;, 2030-01-02" in ours
    assert "no code here" in other
    assert page.means(entries, own=False).count("<td>") == 6
    counts = re.findall(r"<td>(\d+)</td>", page.glance(entries))
    assert counts == ["2", "1", "1", "0", "0", "1"]


def test_a_folder_of_records_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LSFA_RECORDS", "/no/such/records")
    with pytest.raises(FileNotFoundError, match="LSFA_RECORDS=/no/such/records: no such folder"):
        load(ROOT / "book" / "_ext" / "claims.py").own_records()


# --- hover text -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hover() -> Any:
    return load(ROOT / "book" / "_ext" / "hover.py")


def test_first_use_of_a_term_is_linked_once(hover: Any):
    waiting = {"bank": ("term-bank", "A queue."), "memory bank": ("term-memory-bank", 'Of "rows".')}
    text = "Banknotes; two Memory banks and a memory bank, a bank."
    pieces = [piece.astext() for piece in hover.linked(text, waiting)]
    assert "".join(re.sub(r"<[^>]*>", "", p) for p in pieces) == text
    links = [p for p in pieces if p.startswith("<a")]
    assert [re.sub(r"<[^>]*>", "", link) for link in links] == ["Memory banks", "bank"]
    assert 'data-tip="Of &quot;rows&quot;."' in links[0]
    assert waiting == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("(B, N, D)", ["B: samples, stacked", "N: patches", "D: width"]),
        ("K", ["K: neighbours"]),
        ("B*k", []),
        ("Path", []),
    ],
)
def test_letters_of_a_shape_are_explained(hover: Any, text: str, words: list[str]):
    tip = hover.shape(text)
    assert all(word in tip for word in words)
    assert bool(tip) == bool(words)


def test_every_term_and_symbol_has_a_meaning(hover: Any):
    assert len(hover.glossary()) > 20
    for term, (anchor, definition) in hover.glossary().items():
        assert re.fullmatch(r"term-[\w-]+", anchor), term
        assert 20 < len(definition) < 250, term
    assert "weight of the consistency losses" in hover.notation().symbols[r"\lambda"]
    key, words = hover.sources()["https://arxiv.org/abs/2401.03145"]
    assert key == "tu2024lsfa"
    assert words.startswith("Tu et al.: Self-superv")


def test_the_references_say_who_cites_them(hover: Any):
    """Each entry by its own address; one that nobody cites gets its anchor alone."""
    entry = (
        '<div class="citation" id="id{0}"><span>[{0}]</span><p>A. <a href="{1}">B</a>.</p></div>'
    )
    addresses = ["https://arxiv.org/abs/2401.03145", "https://arxiv.org/abs/2106.08265"]
    body = "".join(entry.format(i, address) for i, address in enumerate(addresses))
    page = hover.with_citations(body, {"tu2024lsfa": ["b", "a"]}, {"a": "One & two", "b": "Three"})
    first, second = page.split("</div>")[:2]
    assert '<p id="source-tu2024lsfa">A. ' in first
    assert (
        'Cited in <a href="a.html">One &amp; two</a>, <a href="b.html">Three</a>.</span></p>'
        in first
    )
    assert '<p id="source-roth2022patchcore">A. ' in second
    assert "Cited in" not in second


def test_what_a_chapter_cites_leads_to_the_references_and_back(book: Path):
    page = (book / "adaptors.html").read_text()
    assert page.count('href="references.html#source-hu2022lora"') == 1
    back = (
        (book / "references.html").read_text().split('id="source-hu2022lora"')[1].split("</p>")[0]
    )
    assert 'href="adaptors.html"' in back

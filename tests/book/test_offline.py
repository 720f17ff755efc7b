"""The book without a server: its zip opens from the disk, and its PDF has nothing cut off."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import test_pages
from conftest import ROOT, load

book = test_pages.book
zipping = load(ROOT / "book" / "scripts" / "make_zip.py")


def script(name: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "book" / "scripts" / name), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "book")])},
        capture_output=True,
        text=True,
        check=False,
    )


# --- the zip --------------------------------------------------------------------------------


def test_the_same_pages_give_the_same_zip(tmp_path: Path):
    html = tmp_path / "html"
    for name in ("index.html", "_static/a.js", ".buildinfo", "reports/x.log"):
        (html / name).parent.mkdir(parents=True, exist_ok=True)
        (html / name).write_text(name)
    assert zipping.pack(html, tmp_path / "one.zip") == 2
    for path in html.rglob("*.*"):
        os.utime(path, (10**9, 10**9))
    zipping.pack(html, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    names = zipfile.ZipFile(tmp_path / "one.zip").namelist()
    assert names == ["lsfa-step-by-step/_static/a.js", "lsfa-step-by-step/index.html"]
    assert sorted(path.name for path in tmp_path.glob("*")) == ["html", "one.zip", "two.zip"]


@pytest.mark.parametrize("name", ["make_zip.py", "make_pdf.py"])
def test_without_a_book_there_is_nothing_to_pack(name: str, tmp_path: Path):
    if name == "make_pdf.py":
        pytest.importorskip("pypdf", reason="no pypdf: pip install pypdf")
        pytest.importorskip("playwright", reason="no playwright: pip install playwright")
    done = script(name, "--html", tmp_path, "--out", tmp_path / "book")
    assert done.returncode == 1
    assert "make book" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("page", ["index", "quick-tour", test_pages.CHAPTERS[0].stem])
def test_an_unpacked_page_opens_from_the_disk(
    book: Path, browser: Any, page: str, tmp_path_factory: pytest.TempPathFactory
):
    home = tmp_path_factory.getbasetemp() / "unpacked"
    if not home.is_dir():
        zipping.pack(book, home.with_suffix(".zip"))
        zipfile.ZipFile(home.with_suffix(".zip")).extractall(home)
    tab = browser.new_page()
    errors: list[str] = []
    tab.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.on("requestfailed", lambda request: errors.append(request.url))
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    figure = test_pages.drawn(tab, (home / "lsfa-step-by-step" / f"{page}.html").as_uri())
    assert figure.get_attribute("data-drawn") == "yes"
    if tab.locator(".math").count():
        tab.wait_for_selector("mjx-container", state="attached", timeout=30_000)
    tab.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert errors == []


# --- the PDF --------------------------------------------------------------------------------

SMALL = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} — the book</title>
<style>body {{ margin: 0 }} article {{ display: block }}</style>
<article><h1>{title}</h1>{body}</article>"""


def bound(tmp_path: Path, *bodies: str) -> subprocess.CompletedProcess:
    """`make_pdf.py` over small pages named a, b, ..."""
    pytest.importorskip("pypdf", reason="no pypdf: pip install pypdf")
    names = "abc"[: len(bodies)]
    for name, body in zip(names, bodies, strict=True):
        (tmp_path / f"{name}.html").write_text(SMALL.format(title=f"Page {name}", body=body))
    return script("make_pdf.py", *names, "--html", tmp_path, "--out", tmp_path / "book.pdf")


def test_pages_are_bound_in_order_with_folds_open_and_links_that_lead_out(
    browser: Any, tmp_path: Path
):
    fold = "<details><summary>A solution</summary>It is seven.</details>"
    long = "".join(f"<p>line {i}</p>" for i in range(80))
    done = bound(tmp_path, f'{fold}<a href="b.html#x">next</a>', long)
    assert done.returncode == 0, done.stderr
    import pypdf

    pdf = pypdf.PdfReader(tmp_path / "book.pdf")
    assert [entry.title for entry in pdf.outline] == ["Page a", "Page b"]
    assert len(pdf.pages) > 2
    text = [page.extract_text() for page in pdf.pages]
    assert "It is seven." in text[0]
    assert all(f"line {i}" in "".join(text[1:]) for i in range(80))
    links = [a.get_object()["/A"]["/URI"] for a in pdf.pages[0]["/Annots"]]
    assert links == [f"{test_pages.CONFIG['html']['baseurl']}b.html#x"]
    assert f"2 pages on {len(pdf.pages)} sheets" in done.stdout


@pytest.mark.parametrize(
    "body",
    ['<pre style="overflow:auto;width:300px">' + "long " * 80, '<table style="width:900px"><td>a'],
)
def test_what_would_be_cut_off_is_an_error(browser: Any, tmp_path: Path, body: str):
    done = bound(tmp_path, body)
    assert done.returncode == 1
    assert "a.html: cut off at the margin: <" in done.stderr
    assert not (tmp_path / "book.pdf").exists()

"""The built book on paper: `make pdf`; or some of its pages: make_pdf.py PAGE ...

Chromium prints each page of the contents: figures as still pictures, folds open, lines wrapped.
What would be cut off at the margin is an error that names the page and the element.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import sync_playwright
from pypdf import PdfWriter

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "book"))
from build import pages  # noqa: E402

NAME = "lsfa-step-by-step"
WIDTH = 680  # CSS pixels between the margins of an A4 page
MARGIN = {"top": "15mm", "bottom": "18mm", "left": "15mm", "right": "15mm"}
FOOT = (
    '<div style="font-size:8px;width:100%;text-align:center">'
    '<span class="title"></span>, <span class="pageNumber"></span></div>'
)
BROWSER_FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader"]
BROWSER_FLAGS += ["--enable-unsafe-swiftshader", "--allow-file-access-from-files"]

STILL = """async box => {
  const plot = box.querySelector(".lazyplot-canvas");
  const {width, height} = plot.getBoundingClientRect();
  const src = await Plotly.toImage(plot, {format: "png", width, height, scale: 2});
  const picture = Object.assign(new Image(), {src, alt: box.ariaLabel});
  picture.style.width = "100%";
  await picture.decode();
  Plotly.purge(plot);
  plot.replaceChildren(picture);
  plot.style.minHeight = 0;
}"""
# on paper a link to another page leads to the published book, or is plain text where there is none
LINKS = """home => document.querySelectorAll("a[href]").forEach(link => {
  const [page, anchor] = link.getAttribute("href").split("#");
  if (/^[a-z]+:/.test(page) || !page) return;
  if (home) link.href = new URL(link.getAttribute("href"), home);
  else link.removeAttribute("href");
})"""
CUT_OFF = """width => [...document.querySelectorAll("article *")].filter(element => {
  if (element.closest("svg, mjx-assistive-mml, .by-keys, .headerlink")) return false;
  if (!element.getClientRects().length) return false;
  const {right} = element.getBoundingClientRect();
  const clipped = element.scrollWidth > element.clientWidth + 2 && element.clientWidth > 0 &&
    getComputedStyle(element).overflowX !== "visible";
  return right > width + 2 || clipped;
}).map(element => element.outerHTML.slice(0, 120))"""


def printed(tab: Any, page: Path, home: str) -> tuple[str, bytes]:
    """Title and PDF of a page; ValueError where something would be cut off."""
    tab.goto(page.resolve().as_uri(), wait_until="load")
    tab.evaluate("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    for figure in tab.locator(".lazyplot").all():
        figure.scroll_into_view_if_needed()
        handle = figure.element_handle()
        tab.wait_for_function("box => box.dataset.drawn", arg=handle, timeout=120_000)
        if figure.get_attribute("data-drawn") != "yes":
            raise ValueError(f"{page.name}: a figure could not be drawn")
        handle.evaluate(STILL)
    if tab.locator(".math").count():
        tab.wait_for_selector("mjx-container", state="attached", timeout=60_000)
        tab.evaluate("MathJax.startup.promise.then(() => 0)")
    tab.evaluate(LINKS, home)
    tab.emulate_media(media="print", color_scheme="light")
    wide = tab.evaluate(CUT_OFF, WIDTH)
    if wide:
        raise ValueError(f"{page.name}: cut off at the margin: " + "; ".join(wide[:5]))
    title = tab.title().split(" — ")[0]
    foot = {"display_header_footer": True, "header_template": "<i></i>", "footer_template": FOOT}
    return title, tab.pdf(format="A4", print_background=True, margin=MARGIN, **foot)


def make(html: Path, names: list[str], target: Path, home: str, chromium: str) -> int:
    """Print the pages and join them, each under its title in the outline; number of sheets."""
    book = PdfWriter()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER_FLAGS)
        for name in names:
            size = {"width": WIDTH, "height": 900}
            context = browser.new_context(
                viewport=size, color_scheme="light", reduced_motion="reduce"
            )
            title, sheet = printed(context.new_page(), html / f"{name}.html", home)
            book.append(io.BytesIO(sheet), outline_item=title)
            context.close()
            print(f"{name}: {title}")
        browser.close()
    book.compress_identical_objects()  # each page brings the same fonts
    part = target.with_name(target.name + ".part")
    with part.open("wb") as file:
        book.write(file)
    part.replace(target)
    return len(book.pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="pages, without .html; all if none is given")
    parser.add_argument("--html", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / f"{NAME}.pdf")
    arguments = parser.parse_args()
    names = arguments.names or list(pages(yaml.safe_load((ROOT / "book/_toc.yml").read_text())))
    missing = [name for name in names if not (arguments.html / f"{name}.html").is_file()]
    if missing:
        sys.exit(
            f"{arguments.html}: no {', '.join(missing)} there; build the book first: make book"
        )
    names_of_it = ("chromium", "chromium-browser", "google-chrome")
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, names_of_it)]
    chromium = next(filter(None, found), None)
    if chromium is None:
        sys.exit("no Chromium to print with: install it, or set CHROMIUM to its path")
    home = yaml.safe_load((ROOT / "_config.yml").read_text())["html"].get("baseurl") or ""
    try:
        sheets = make(arguments.html, names, arguments.out, home, chromium)
    except ValueError as error:
        sys.exit(str(error))
    size = arguments.out.stat().st_size / 1e6
    print(f"{arguments.out}: {len(names)} pages on {sheets} sheets, {size:.1f} MB")


if __name__ == "__main__":
    main()

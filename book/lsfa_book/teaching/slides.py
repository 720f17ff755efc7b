"""A deck -> one page for reveal.js, with all that it needs beside it: it opens without a network.

reveal.js comes from the package sphinx-revealjs, plotly.js from plotly, MathJax from
sphinx-mathjax-offline; `pip install "lsfa-lite[slides]"` brings them.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lsfa_book.teaching import notebook
from lsfa_book.teaching.deck import Slide, deck
from lsfa_book.teaching.editions import sources
from lsfa_lite.data.files import written_beside
from lsfa_lite.errors import MissingPackage

TALLEST = 540  # pixels of a figure, on a slide of 1280 x 720
REPOSITORY_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)[^)]*\)")


def write_slides(book: Path, out: Path) -> list[Path]:
    """OUT/CHAPTER.html for every chapter of the book, an index, and the scripts beside them.

    Raises ValueError for a folder without chapters, ModuleNotFoundError that names the extra.
    """
    names = sources(book)
    assets(out / "assets", book)
    pages, titles = list[Path](), dict[str, str]()
    for name in names:
        slides = deck(notebook.read(book / f"{name}.ipynb")["cells"])
        titles[name] = slides[0].title
        pages.append(out / f"{name}.html")
        _write(pages[-1], page(slides))
    _write(out / "index.html", index(titles))
    return pages


def page(slides: list[Slide]) -> str:
    template = files("lsfa_book.teaching").joinpath("slides.html").read_text(encoding="utf-8")
    body = "\n".join(section(slide) for slide in slides)
    return template.replace("{{title}}", html.escape(slides[0].title)).replace("{{slides}}", body)


def section(slide: Slide) -> str:
    notes = f'<aside class="notes">{words(slide.notes)}</aside>' if slide.notes else ""
    level = "h1" if slide.kind in ("title", "section") else "h2"
    title = f"<{level}>{words(slide.title, inline=True)}</{level}>"
    return f'<section class="{slide.kind}">{title}{_body(slide)}{notes}</section>'


def _body(slide: Slide) -> str:
    if slide.kind == "figure":
        return _figure(slide.body)
    if slide.kind == "picture":
        alt = html.escape(f"Figure: {slide.title}", quote=True)
        return f'<img alt="{alt}" src="data:image/png;base64,{slide.body}">'
    if slide.kind == "printed":
        return f"<pre>{html.escape(slide.body)}</pre>"
    if slide.kind == "guess":
        return f"<p><strong>Your guess first.</strong></p>{words(slide.body)}"
    return words(slide.body)


def _figure(figure: dict[str, Any]) -> str:
    """As a page of the book holds it, so that the book's own script draws it when it is seen."""
    layout = {k: v for k, v in figure["layout"].items() if k != "width"}
    layout["height"] = min(int(layout.get("height", TALLEST)), TALLEST)
    layout["font"] = {**(layout.get("font") or {}), "size": 16}  # read from the last row
    alt = html.escape((layout.get("meta") or {}).get("alt", "Interactive figure"), quote=True)
    text = json.dumps({"data": figure["data"], "layout": layout}).replace("</", "<\\/")
    return (
        f'<div class="lazyplot" role="figure" aria-label="{alt}">'
        f'<div class="lazyplot-canvas" style="min-height:{layout["height"]}px"></div>'
        f'<script type="application/json">{text}</script></div>'
    )


def words(text: str, inline: bool = False) -> str:
    """Markdown with $formulas$ -> HTML; links within the book become plain words."""
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    text = REPOSITORY_LINK.sub(r"\1", text)
    parser = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin, allow_labels=True)
    parser.add_render_rule("math_inline", lambda _, tokens, i, *__: f"\\({_tex(tokens[i])}\\)")
    for kind in ("math_block", "math_block_label"):
        parser.add_render_rule(kind, lambda _, tokens, i, *__: f"<p>\\[{_tex(tokens[i])}\\]</p>")
    return parser.renderInline(text) if inline else parser.render(text)


def _tex(token: Any) -> str:
    return html.escape(token.content.strip())


def index(titles: dict[str, str]) -> str:
    rows = "\n".join(f'<li><a href="{n}.html">{html.escape(t)}</a></li>' for n, t in titles.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Slides</title>'
        '<meta name="viewport" content="width=device-width"><style>body{font:18px/1.6 sans-serif;'
        "max-width:40em;margin:3em auto;padding:0 1em}</style></head><body>"
        f"<h1>LSFA, step by step: slides</h1><ol>{rows}</ol>"
        "<p>Keys: arrows, S for the speaker's notes, O for all slides, F for the whole screen; "
        "<code>?print-pdf</code> in the address prints.</p></body></html>"
    )


def assets(out: Path, book: Path) -> None:
    """reveal.js, plotly.js, MathJax and the book's script, all from installed packages."""
    reveal, math = _folder("sphinx_revealjs") / "_static" / "revealjs", _mathjax()
    for part in ("dist/reveal.js", "dist/reveal.css", "dist/reset.css", "plugin/notes/notes.js"):
        (out / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(reveal / part, out / part)
    shutil.copy(reveal / "plugin/notes/speaker-view.html", out / "plugin/notes/speaker-view.html")
    (out / "plotly").mkdir(exist_ok=True)
    shutil.copy(_folder("plotly") / "package_data" / "plotly.min.js", out / "plotly")
    fonts = "output/chtml/fonts/woff-v2"
    shutil.copytree(math / fonts, out / "mathjax" / fonts, dirs_exist_ok=True)
    shutil.copy(math / "tex-chtml-full.js", out / "mathjax")
    shutil.copy(book / "static" / "lazyplot.js", out)


def _folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackage(f'slides need the package {package}: pip install "lsfa-lite[slides]"')
    return Path(next(iter(spec.submodule_search_locations)))


def _mathjax() -> Path:
    try:
        found = distribution("sphinx-mathjax-offline").locate_file("sphinx-mathjax-offline")
    except PackageNotFoundError as error:
        raise MissingPackage(
            'slides need the package sphinx-mathjax-offline: pip install "lsfa-lite[slides]"'
        ) from error
    return Path(str(found)) / "static" / "mathjax"


def _write(path: Path, text: str) -> None:
    with written_beside(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

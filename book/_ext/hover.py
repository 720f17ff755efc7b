"""Hover text in the chapters, without any syntax in them: terms, symbols, shapes, sources.

Terms come from glossary.md, letters and symbols from the tables of notation.md, sources from
references.bib. The first use of a term in a page becomes a link to the glossary; a link to a paper
shows its full reference and leads to it, and the page of references says which chapters cite what.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from docutils import nodes
from pybtex.database import parse_file
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

BOOK = Path(__file__).resolve().parents[1]
CODE, MATH = re.compile(r"`([^`]+)`"), re.compile(r"\$([^$]+)\$")
NOT_IN = (
    *(nodes.title, nodes.reference, nodes.literal, nodes.math, nodes.caption, nodes.term),
    nodes.raw,  # a symbol that has its meaning already
)


class Notation(NamedTuple):
    letters: dict[str, str]  # `B` -> what it counts
    symbols: dict[str, str]  # LaTeX without spaces -> meaning and code name


@cache
def glossary() -> dict[str, tuple[str, str]]:
    """Term in lower case -> (anchor, definition in one line)."""
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    body = text.split("```{glossary}")[1].split("```")[0]
    found = {}
    for entry in re.split(r"\n\n+", body.strip()):
        name, *lines = entry.split("\n")
        definition = " ".join(line.strip() for line in lines)
        anchor = "term-" + re.sub(r"[^\w]+", "-", name.strip()).strip("-")
        found[name.strip().lower()] = (anchor, definition)
    return found


@cache
def notation() -> Notation:
    """The tables of notation.md; a row `| `H`, `W` | height and width |` explains each letter."""
    letters, symbols = {}, {}
    for line in (BOOK / "notation.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or len(cells) < 3:
            continue
        for letter in CODE.findall(cells[0]):
            letters[letter] = cells[1]
        names = ", ".join(CODE.findall(cells[2]))
        for symbol in MATH.findall(cells[0]):
            meaning = MATH.sub(r"\1", cells[1])
            symbols[plain(symbol)] = f"{meaning}; in the code: {names}" if names else meaning
    return Notation(letters, symbols)


@cache
def sources() -> dict[str, tuple[str, str]]:
    """Address of a paper -> its key, and its authors, title and year."""
    found = {}
    for key, entry in parse_file(str(BOOK / "references.bib")).entries.items():
        people = [str(person.last_names[-1]) for person in entry.persons["author"]]
        who = people[0] + (f" and {people[1]}" if len(people) == 2 else "")
        who += " et al." if len(people) > 2 else ""
        title = re.sub(r"[{}]", "", entry.fields["title"])
        if "url" in entry.fields:
            words = f"{who}: {title}. {entry.fields['year']}"
            found[entry.fields["url"].rstrip("/")] = key, words
    return found


def plain(latex: str) -> str:
    return re.sub(r"\s+", "", latex)


def shape(text: str) -> str:
    """(B, N, D) or B -> its letters in words, or "" for anything else."""
    if not re.fullmatch(r"\(?[A-Z](, [A-Z0-9]+)*,?\)?", text):
        return ""
    letters = notation().letters
    known = [f"{x}: {letters[x]}" for x in re.findall(r"[A-Z]", text) if x in letters]
    return "; ".join(known)


class Hover(SphinxTransform):
    default_priority = 800  # after the links are known

    def apply(self, **_: Any) -> None:
        if not self.env.doc2path(self.env.docname).endswith(".ipynb"):
            return
        for name in ("glossary.md", "notation.md", "references.bib"):
            self.env.note_dependency(str(BOOK / name))
        self._sources()
        for section in list(self.document.findall(nodes.section)):
            self._symbols(section)
        self._terms()

    def _sources(self) -> None:
        """A link to a paper says its title; the first one of a page leads to the references too."""
        cited = cited_in(self.env)
        for link in list(self.document.findall(nodes.reference)):
            found = sources().get(unquote(link.get("refuri", "")).rstrip("/"))
            if found is None:
                continue
            key, link["reftitle"] = found
            pages = cited.setdefault(key, [])
            if self.env.docname not in pages:
                pages.append(self.env.docname)
                said = html.escape(f"Full reference: {found[1]}", quote=True)
                where = f'class="cited" href="references.html#source-{key}" aria-label="{said}"'
                link.parent.insert(link.parent.index(link) + 1, raw(f"<a {where}>ref</a>"))

    def _symbols(self, section: nodes.section) -> None:
        """The first use of each letter, shape and symbol in a section, not in its title."""
        told: set[str] = set()
        for node in list(section.findall(lambda n: isinstance(n, (nodes.literal, nodes.math)))):
            if nearest_section(node) is not section or isinstance(node.parent, nodes.title):
                continue
            text = node.astext()
            tip = shape(text)
            if isinstance(node, nodes.math):
                tip = notation().symbols.get(plain(text), tip)
            if tip and text not in told:
                told.add(text)
                parent = node.parent
                place = parent.index(node)
                parent.insert(place + 1, raw("</span>"))
                parent.insert(place, raw(f'<span class="symbol" tabindex="0" {attribute(tip)}>'))

    def _terms(self) -> None:
        """The first use of each term in the page."""
        waiting = dict(glossary())
        for text in list(self.document.findall(nodes.Text)):
            if not waiting or any(isinstance(p, NOT_IN) for p in parents(text)):
                continue
            if not any(isinstance(p, nodes.paragraph) for p in parents(text)):
                continue
            pieces = list(linked(str(text), waiting))
            if len(pieces) > 1:
                text.parent.replace(text, pieces)


def cited_in(env: Any) -> dict[str, list[str]]:
    """Key of a paper -> the pages that link to it; kept with the environment between builds."""
    if not hasattr(env, "cited_in"):
        env.cited_in = {}
    return env.cited_in


def forget(app: Sphinx, env: Any, page: str) -> None:
    for pages in cited_in(env).values():
        if page in pages:
            pages.remove(page)


def merge(app: Sphinx, env: Any, docnames: list[str], other: Any) -> None:
    for key, pages in cited_in(other).items():
        own = cited_in(env).setdefault(key, [])
        own += [page for page in pages if page in docnames and page not in own]


def answer(app: Sphinx, page: str, template: str, context: dict[str, Any], _: Any) -> None:
    """On the page of references: an anchor for each, and under it the chapters that cite it."""
    if page == "references" and "body" in context:
        titles = {name: title.astext() for name, title in app.env.titles.items()}
        context["body"] = with_citations(context["body"], cited_in(app.env), titles)


def with_citations(body: str, cited: dict[str, list[str]], titles: dict[str, str]) -> str:
    for address, (key, _) in sources().items():
        place = body.find(f'href="{html.escape(address, quote=True)}')
        start = body.rfind("<p", 0, place)
        end = body.find("</p>", place)
        if place < 0 or start < 0 or end < 0:
            continue
        links = [
            f'<a href="{p}.html">{html.escape(titles[p])}</a>' for p in sorted(cited.get(key, []))
        ]
        told = f' <span class="cited-in">Cited in {", ".join(links)}.</span>' if links else ""
        body = f'{body[:start]}<p id="source-{key}"{body[start + 2 : end]}{told}{body[end:]}'
    return body


def linked(text: str, waiting: dict[str, tuple[str, str]]) -> Iterator[nodes.Node]:
    """Text with links in it; terms that were linked are taken out of `waiting`."""
    while waiting:
        longest_first = sorted(waiting, key=len, reverse=True)
        pattern = rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?:s|es)?(?![\w-])"
        match = re.search(pattern, text, re.IGNORECASE)
        if match is None:
            break
        anchor, definition = waiting.pop(match[1].lower())
        yield nodes.Text(text[: match.start()])
        yield raw(
            f'<a class="glossary-term" href="glossary.html#{anchor}" {attribute(definition)}>'
            f"{html.escape(match[0])}</a>"
        )
        text = text[match.end() :]
    yield nodes.Text(text)


def attribute(tip: str) -> str:
    return f'data-tip="{html.escape(tip.replace("`", ""), quote=True)}"'


def raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def parents(node: nodes.Node) -> Iterator[nodes.Node]:
    while node.parent is not None:
        node = node.parent
        yield node


def nearest_section(node: nodes.Node) -> nodes.Node | None:
    return next((p for p in parents(node) if isinstance(p, nodes.section)), None)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(Hover)
    app.connect("env-purge-doc", forget)
    app.connect("env-merge-info", merge)
    app.connect("html-page-context", answer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

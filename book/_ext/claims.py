"""The claims ledger as a page: `claims-ledger` writes every number of the paper beside ours.

A reader's own records (OUT/records of `lsfa-lite reproduce`) appear when the book is built with
LSFA_RECORDS set to that folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lsfa_book.ledger import Entry, Measured, claims, ledger, on_real
from lsfa_book.studies.first_look import CATEGORY
from lsfa_lite.report import METRICS

NAME = CATEGORY.replace("_", " ")


def own_records() -> Path | None:
    folder = os.environ.get("LSFA_RECORDS")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"LSFA_RECORDS={folder}: no such folder; give OUT/records")
    return Path(folder)


def said(measured: Measured) -> str:
    interval = "" if measured.low is None else f"{measured.low:.3f} to {measured.high:.3f}, "
    return f"{measured.mean:.3f} <small>{interval}n = {measured.n}</small>"


def small(entry: Entry) -> str:
    """What mini3d says to an entry, or why it says nothing."""
    here = [said(m) for m in entry.ours if m.scale == "mini3d"]
    if here:
        return here[0]
    return "not run here" if entry.command else "no code here"


def yours(entry: Entry) -> str:
    if not entry.command:
        return "no code here"
    own = [m for m in entry.ours if m.scale != "mini3d"]
    told = [f"{said(m)} <small>{escape(f'{m.scale}, {m.hardware}, {m.date}')}</small>" for m in own]
    return "<br>".join(told) or "not run"


def looked(entry: Entry) -> str:
    """What the real category says to an entry: a range over seeds, for each grid."""
    told = []
    for r in entry.real:
        spread = f"{r.low:.3f} to {r.high:.3f}, " if r.low < r.high else ""
        told.append(f"{r.grid}: {r.mean:.3f} <small>{spread}{r.n} seeds</small>")
    return "<br>".join(told) or ("not run here" if entry.command else "no code here")


def table(head: Sequence[str], rows: Iterable[str]) -> str:
    cells = "".join(f"<th>{name}</th>" for name in head)
    return (
        '<div class="pst-scrollable-table-container"><table class="table claims">'
        f"<thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def line(*values: str, head: str = "") -> str:
    return f"<tr>{head}" + "".join(f"<td>{value}</td>" for value in values) + "</tr>"


def grouped(entries: Iterable[Entry], cells: Callable[[Entry], Sequence[str]]) -> Iterator[str]:
    """Lines of a table whose first cell, the row's name, spans the lines of that row."""
    for name, group in groupby(entries, key=lambda e: e.row):
        listed = list(group)
        first = f'<th scope="rowgroup" rowspan="{len(listed)}">{escape(name)}</th>'
        for entry in listed:
            yield line(*cells(entry), head=first)
            first = ""


def means(entries: list[Entry], own: bool) -> str:
    """A table as far as it is not folded: the means, and the category that was run on real data.

    Where the paper prints that category, a line of its own compares like with like, and the mean
    has nothing real beside it; else it stands beside the mean, and the head says so.
    """
    alone = any(e.category != "mean" for e in entries)
    seen = bool(on_real(entries))

    def cells(entry: Entry) -> list[str]:
        whole = entry.category == "mean"
        name = METRICS[entry.metric] + ("" if whole else f", {NAME}")
        shown = [name, f"{entry.paper:.3f}", small(entry) if whole else ""]
        shown += ["" if whole and alone else looked(entry)] if seen else []
        return shown + ([yours(entry)] if own else [])

    real = f"real: {NAME}" + ("" if alone else " <small>alone; the paper: mean of ten</small>")
    head = ["row", "metric", "paper", "mini3d", *([real] if seen else [])]
    listed = (e for e in entries if e.category == "mean" or e.real)
    return table([*head, *(["your records"] if own else [])], grouped(listed, cells))


def by_category(entries: list[Entry], own: bool) -> str:
    """Tables 1 and 2 whole: the ten categories, folded; ours only where a reader has them."""

    def cells(entry: Entry) -> tuple[str, ...]:
        shown = entry.category.replace("_", " "), f"{entry.paper:.3f}"
        return (*shown, yours(entry)) if own else shown

    listed = [e for e in entries if e.category != "mean"]
    head = ("method", "category", "paper", *(["your records"] if own else []))
    inner = table(head, grouped(listed, cells))
    return f"<details><summary>All {len(listed)} numbers by category</summary>{inner}</details>"


def made_by(entries: list[Entry]) -> str:
    """The command of a table, and on what its mini3d and real numbers were made."""
    command = next(e.command for e in entries if e.command)
    here = {f"{m.hardware}, {m.date}" for e in entries for m in e.ours if m.scale == "mini3d"}
    how = f"; mini3d numbers: {escape(' or '.join(sorted(here)))}" if here else ""
    there = {f"{r.hardware}, {r.date}" for e in entries for r in e.real}
    how += f"; real numbers: {escape(' or '.join(sorted(there)))}" if there else ""
    return f'<p class="claims-how"><code>{command}</code>{how}</p>'


def glance(entries: list[Entry]) -> str:
    """How much of the paper can be run here, how much was, and on what."""
    coded = [entry for entry in entries if entry.command]
    scales = [{m.scale == "mini3d" for m in entry.ours} for entry in coded]
    counts = {
        "printed in Tables 1 to 9": len(entries),
        "of methods without code here": len(entries) - len(coded),
        "that a command here measures": len(coded),
        "... with a mini3d number beside them": sum(True in s for s in scales),
        f"... with a real number beside them, of {NAME}": len(on_real(coded)),
        "... run on real data, in your records": sum(False in s for s in scales),
    }
    rows = [line(name, str(count)) for name, count in counts.items()]
    return table(("numbers of the paper", "count"), rows)


def reality(entries: list[Entry]) -> str:
    """How many numbers have a real counterpart, from how little, and whose data it is."""
    found = [r for e in entries for r in e.real]
    words = f"<strong>{len(on_real(entries))} of the {len(entries)} numbers have a real counterpart"
    if not found:
        return f"<p>{words}.</strong></p>"
    runs, seeds = len({r.setting for r in found}), max(r.n for r in found)
    source = " or ".join(sorted({r.source for r in found}))
    return (
        f"<p>{words}</strong>, all from {runs} settings with {seeds} seeds each on one category, "
        f"{NAME}. A setting that several tables ask for counts in each of them. "
        f"Source of the data: {escape(source)}.</p>"
    )


class ClaimsLedger(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # records are no source file: look again at every build
        own = own_records()
        entries = ledger(own)
        abstract = [line(*map(escape, (c.text, c.paper, c.ours, c.real))) for c in claims(own)]
        head = ("claim", "paper", "ours", f"real: {NAME} alone")
        found = [
            self.section("At a glance", reality(entries) + glance(entries)),
            self.section("The abstract", table(head, abstract)),
        ]
        for where, group in groupby(entries, key=lambda e: e.where):
            listed = list(group)
            html = made_by(listed) + means(listed, own is not None)
            if any(e.category != "mean" for e in listed):
                html += by_category(listed, own is not None)
            found.append(self.section(where, html))
        return found

    def section(self, title: str, html: str) -> nodes.section:
        section = nodes.section("", nodes.title("", title), ids=[nodes.make_id(f"claims-{title}")])
        section += nodes.raw("", html, format="html")
        return section


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("claims-ledger", ClaimsLedger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

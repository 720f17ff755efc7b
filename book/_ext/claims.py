"""The claims ledger as a page: `claims-ledger` writes every number of the paper beside ours.

A reader's own records (OUT/records of `lsfa-lite reproduce`) appear when the book is built with
LSFA_RECORDS set to that folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from lsfa_lite.experiments.ledger import Claim, Entry, Measured, claims, ledger
from lsfa_lite.reports import METRICS

HEAD = ("row", "metric", "paper", "mini3d", "your records", "command")


def own_records() -> Path | None:
    folder = os.environ.get("LSFA_RECORDS")
    if not folder:
        return None
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"LSFA_RECORDS={folder}: no such folder; give OUT/records")
    return Path(folder)


def said(measured: Measured) -> str:
    interval = "" if measured.low is None else f" ({measured.low:.3f} to {measured.high:.3f})"
    return f"{measured.mean:.3f}{interval}, n = {measured.n}"


def cells(entry: Entry) -> tuple[str, ...]:
    small = [said(m) for m in entry.ours if m.scale == "mini3d"]
    own = [f"{said(m)}; {m.scale}, {m.hardware}, {m.date}" for m in entry.ours[len(small) :]]
    nothing = entry.status if entry.status != "measured" else "not run here"
    return (
        entry.row,
        METRICS[entry.metric],
        f"{entry.paper:.3f}",
        small[0] if small else nothing,
        "; ".join(own) or "not run here",
        entry.command,
    )


def table(head: Sequence[str], rows: Iterator[Sequence[str]] | list[Sequence[str]]) -> str:
    def line(tag: str, values: Sequence[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(v)}</{tag}>" for v in values) + "</tr>"

    body = "".join(line("td", row) for row in rows)
    return (
        '<div class="pst-scrollable-table-container"><table class="table claims">'
        f"<thead>{line('th', head)}</thead><tbody>{body}</tbody></table></div>"
    )


def by_category(entries: list[Entry]) -> str:
    """Tables 1 and 2 whole: the ten categories, folded; ours only where a reader has them."""
    rows = []
    for name, group in groupby(entries, key=lambda e: e.row):
        for entry in group:
            own = [f"{m.mean:.3f} ({m.scale})" for m in entry.ours if m.scale != "mini3d"]
            shown = "; ".join(own) or entry.status
            if entry.category != "mean":
                rows.append((name, entry.category, f"{entry.paper:.3f}", shown))
    inner = table(("method", "category", "paper", "your records"), rows)
    return f"<details><summary>All {len(rows)} numbers by category</summary>{inner}</details>"


class ClaimsLedger(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # records are no source file: look again at every build
        own = own_records()
        found = [self.claims(claims(own))]
        entries = ledger(own)
        for where, group in groupby(entries, key=lambda e: e.where):
            listed = list(group)
            means = [cells(e) for e in listed if e.category == "mean"]
            found.append(self.section(where, table(HEAD, means)))
            if len(means) < len(listed):
                found[-1] += nodes.raw("", by_category(listed), format="html")
        return found

    def claims(self, listed: list[Claim]) -> nodes.section:
        rows = [(c.text, c.paper, c.ours) for c in listed]
        return self.section("The abstract", table(("claim", "paper", "ours"), rows))

    def section(self, title: str, html: str) -> nodes.section:
        section = nodes.section("", nodes.title("", title), ids=[nodes.make_id(f"claims-{title}")])
        section += nodes.raw("", html, format="html")
        return section


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("claims-ledger", ClaimsLedger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

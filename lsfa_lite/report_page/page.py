"""The page of a report: one file with its style and its script, which opens from the disk."""

from __future__ import annotations

import math
import platform
from collections import Counter
from datetime import datetime
from html import escape
from importlib import resources
from string import Template

import torch

import lsfa_lite
from lsfa_lite.config import to_json
from lsfa_lite.report_page.histogram import histogram
from lsfa_lite.report_page.rows import About, Row, Verdict
from lsfa_lite.report_page.words import SENSE, promise

MARK: dict[Verdict, str]
MARK = {"no part seen": "∅", "anomalous": "▲", "good": "✓", "failed": "✕"}


def page(about: About, rows: list[Row]) -> str:
    """HTML of all rows in their order; every word that comes from outside is escaped."""
    counts = Counter(row.verdict for row in rows)
    choices = [("all", "all", len(rows))]
    choices += [(kind, kind, counts[kind]) for kind in MARK]
    radios = (
        f'<label><input type="radio" name="show" value="{kind}"{" checked" * (kind == "all")}>'
        f"<span>{word} <b>{count}</b></span></label>"
        for kind, word, count in choices
    )
    return Template(_file("template.html")).substitute(
        title=escape(f"{about.model}: {len(rows)} parts"),
        counts=", ".join(f"{count} {word}" for _, word, count in choices[1:]),
        histograms="".join(_histogram(about, rows, senses) for senses in _senses(about, rows)),
        filters="".join(radios),
        parts="\n".join(_part(rank, row) for rank, row in enumerate(rows, 1)),
        about="".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in _told(about).items()),
        settings=escape(to_json(about.config)),
        style=_file("page.css"),
        script=_file("viewer.js") + _file("page.js"),
    )


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _senses(about: About, rows: list[Row]) -> list[str]:
    """The sets of senses that parts were scored by; without any part, all of the model's."""
    found = {row.senses for row in rows if row.senses}
    return sorted(found) or [max(about.calibration.thresholds, key=len)]


def _histogram(about: About, rows: list[Row], senses: str) -> str:
    calibration, wanted = about.calibration, about.config.scoring.false_positive_rate
    mine = (row.image_score for row in rows if row.senses == senses)
    scores = [score for score in mine if score is not None]
    good, line = calibration.good.get(senses, ()), calibration.thresholds[senses].value
    by = " and ".join(SENSE[m] for m in SENSE if m in senses.split("+"))
    drawn = histogram(good, scores, line) if good or scores else ""
    if not good:
        drawn += "<p>The model was saved without its good parts' scores; "
        drawn += "<code>lsfa-lite recalibrate</code> keeps them.</p>"
    key = '<p class="key"><span class="seen">good parts seen</span> <span class="these">these '
    key += 'parts</span> <span class="over">of these, anomalous</span></p>'
    told = escape(promise(calibration, senses, wanted))
    return f"<section><h2>By {by}</h2><p>{told}</p>{drawn}{key}</section>"


def _part(rank: int, row: Row) -> str:
    number = None if row.image_score in (None, math.inf) else row.image_score
    score = "" if number is None else f"<b>{number:.4g}</b> "
    name, where = escape(row.name), f"parts/{row.key}"
    pictures = "".join(
        f'<figure><img loading="lazy" decoding="async" src="{where}/{stem}.jpg" '
        f'alt="{name}: {caption}"><figcaption>{caption}</figcaption></figure>'
        for stem, caption in row.pictures.items()
    )
    cloud = (
        f'<p class="do"><button type="button" class="turn" aria-expanded="false">Turn the cloud'
        f'</button> <a href="{where}/heat.ply">PLY, {row.points:,} points</a></p>'
    )
    said, kind = row.verdict, row.verdict.replace(" ", "-")
    return (
        f'<li class="part {kind}" id="{row.key}" tabindex="-1" aria-label="{name}, {said}" '
        f'data-verdict="{said}"><header><span class="rank">{rank}</span> {score}'
        f'<span class="mark">{MARK[said]} {said}</span> <h3>{name}</h3>'
        f'<p class="path">{escape(row.path)}</p></header>'
        + (f'<div class="pictures">{pictures}</div>' if pictures else "")
        + f'<p class="words">{escape(row.words)}</p>{cloud if row.points else ""}</li>'
    )


def _told(about: About) -> dict[str, str]:
    return {
        "model": about.model,
        "preset and what differs": repr(about.config),
        "background": repr(about.background) if about.background else "not known to the model",
        "lsfa-lite": lsfa_lite.__version__,
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "made": datetime.now().strftime("%Y-%m-%d %H:%M"),
    }

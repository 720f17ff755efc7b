"""Results of the book's runs as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from lsfa_book.literature.paper import row_of
from lsfa_book.studies.comparison import paired
from lsfa_book.studies.first_look import CATEGORY, FIRST, REVIEWED, SAID, WITHOUT_ROW
from lsfa_book.studies.looks import by_setting
from lsfa_book.studies.records import Record, Values
from lsfa_book.studies.tables import Row
from lsfa_lite.evaluation import Table
from lsfa_lite.report import METRICS, align

MODALITIES = ("rgb", "3d")
SENSES = ("both", "RGB", "3D")
PROMISE = f"{FIRST['scoring__false_positive_rate']:.0%} false alarms promised"


def demo_table(rows: Iterable[Table]) -> str:
    """Per category and modality: every metric without adaptation -> with LSFA, and the time."""
    lines = [("category", "modality", *METRICS.values(), "seconds")]
    for row in rows:
        before, after = row["variants"].values()
        views = {"rgb+3d": (before["all"], after["all"])}
        for modality in after["modalities"]:
            views[modality] = before["modalities"][modality], after["modalities"][modality]
        for view, (none, lsfa) in views.items():
            cells = [f"{none[m]:.3f} -> {lsfa[m]:.3f}" for m in METRICS]
            seconds = f"{row['seconds']:.0f}" if view == "rgb+3d" else ""
            lines.append((row["category"], view, *cells, seconds))
    return align(lines) + "\n(without adaptation -> with LSFA)"


def reproduction_table(
    name: str, rows: Sequence[Row], measured: dict[str, dict[str, Values]]
) -> str:
    """One table of the paper: metric -> row -> {(category, seed): value}, as means over what ran,
    the paired change of image AUROC with its 95 % interval, and the paper's own numbers.
    """
    lines = [("", "runs", *METRICS.values(), "I-AUROC, change", "paper: I-AUROC", "AUPRO@30%")]
    for row in rows:
        runs = measured["i_auroc"][row.name]
        means = [_mean(measured[metric][row.name]) for metric in METRICS]
        paper = ["" if value is None else f"{value:.3f}" for value in (row.paper or (None, None))]
        change = _change(runs, measured["i_auroc"].get(row.against, {}))
        lines.append((row.name, str(len(runs)), *means, change, *paper[:2]))
    return f"{name}\n{align(lines)}"


def category_table(name: str, rows: Sequence[Row], measured: dict[str, Values]) -> str:
    """Tables 1 and 2 as the paper prints them: one metric, a column per category, the mean."""
    categories = sorted({category for values in measured.values() for category, _ in values})
    lines = [("", *categories, "mean")]
    for row in rows:
        cells = [
            _mean({key: v for key, v in measured[row.name].items() if key[0] == category})
            for category in categories
        ]
        lines.append((row.name, *cells, _mean(measured[row.name])))
    return f"{name}, by category\n{align(lines)}"


def first_look_table(found: Iterable[Record], category: str = CATEGORY) -> str:
    """The first real category: ranges over the seeds, beside the review's figures and the paper's;
    below, how often it was looked at and with which settings.
    """
    settings = by_setting(found, category)
    figures = ("AUPRO@30%", "AUPRO@1%", "false alarms", "sensitivity", "seconds")
    lines = [("", "seeds", *SENSES, *figures, *(f"printed: {s}" for s in SENSES), "by")]
    lines += [(name, *[""] * 9, *cells) for name, *cells in _papers(category)]
    for name, runs in settings.items():
        review = REVIEWED[name][1] if category == CATEGORY and name in REVIEWED else None
        printed = (review.both, review.rgb, review.depth, review.source) if review else ("",) * 4
        lines.append((name, str(len(runs)), *_ranges(runs), *printed))
    title = f"{category}: image AUROC; false alarms and sensitivity at the threshold ({PROMISE})"
    return "\n".join([title, align(lines), _looks(settings, category)])


def first_look_short(found: Iterable[Record], names: Sequence[str]) -> str:
    """A few settings of `first_look_table`, for a page; "found" is the sensitivity."""
    settings = by_setting(found, CATEGORY)
    lines: list[tuple[str, ...]] = [("image AUROC", *SENSES, "AUPRO@30%", "@1%", "found")]
    for name, *cells in _papers(CATEGORY):
        lines.append((name, *cells[:3], cells[3].split()[-1], "", ""))
    for name in names:
        cells = _ranges(settings[name])
        lines.append((name, *cells[:5], *cells[6:7]))
    looks = sum(map(len, settings.values()))
    tried = sum(map(bool, settings.values()))
    return f"{align(lines)}\nlooked at {looks} times, with {tried} settings in all"


def _ranges(runs: Sequence[Record]) -> list[str]:
    if not runs:
        return ["not run here", *[""] * 7]
    metrics = [run["metrics"] for run in runs]
    views = [
        [m["all"] for m in metrics],
        *([m["modalities"][s] for m in metrics] for s in MODALITIES),
    ]
    seconds = [round(run["seconds"]) for run in runs]
    return [
        *(_range([values["i_auroc"] for values in view]) for view in views),
        *(_range([values[name] for values in views[0]]) for name in ("aupro_30", "aupro_1")),
        _range([m["false_alarms"] for m in metrics]),
        _range([1 - m["misses"] for m in metrics]),
        "-".join(map(str, sorted({min(seconds), max(seconds)}))),
    ]


def _range(values: Sequence[float]) -> str:
    ends = [f"{x:.3f}".removeprefix("0") for x in (min(values), max(values))]
    return "-".join(dict.fromkeys(ends))


def _papers(category: str) -> Iterator[tuple[str, ...]]:
    """Tables 1 and 2, where the paper has this category."""
    baseline = {"rgb+3d": "PatchCore*+FPFH*", "rgb": "PatchCore*/M3DM", "3d": "FPFH*/M3DM"}
    lsfa = dict.fromkeys(baseline, "LSFA")
    for name, methods in (("the paper, no adaptation", baseline), ("the paper, LSFA", lsfa)):
        rows = [row_of("table1", modality=sense, method=m) for sense, m in methods.items()]
        if category in rows[0]["categories"]:
            aupro = row_of("table2", modality="rgb+3d", method=methods["rgb+3d"])
            cells = [_range([row["categories"][category]]) for row in rows]
            words = f"Table 1; Table 2: AUPRO@30% {_range([aupro['categories'][category]])}"
            yield name, *cells, words


def _looks(settings: Mapping[str, Sequence[Record]], category: str) -> str:
    tried = {name: runs for name, runs in settings.items() if runs}
    count = sum(len(runs) for runs in tried.values())
    many = f"looked at {count} times with these {len(tried)} settings"
    lines = [f"{category.replace('_', ' ')} was {many if tried else 'not looked at here'}"]
    for name, runs in tried.items():
        lines.append(f"  {name}: seeds {', '.join(str(run['seed']) for run in runs)}")
    if category == CATEGORY:
        more, looks = WITHOUT_ROW
        looks += sum(max(1, review.looks) for _, review in REVIEWED.values())
        lines += [
            f"the review before: at least {looks} times, {len(REVIEWED) + more} settings",
            SAID,
        ]
    return "\n".join(lines)


def _mean(values: Values) -> str:
    return f"{np.mean(list(values.values())):.3f}" if values else "not run"


def _change(after: Values, before: Values) -> str:
    if after is before or len(after.keys() & before.keys()) < 2:
        return ""
    d = paired(after, before)
    return f"{d.mean:+.3f} ({d.low:+.3f} to {d.high:+.3f})"

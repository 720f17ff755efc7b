"""What the papers of the field claim on MVTec 3D-AD, and how each number is known.

Shares between 0 and 1, mean of the ten categories. A number stands here only if it was read at a
source that is named beside it; the others are None, and their entry says "not checked".
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

HOW = (
    "the paper's own text",
    "README of the repository",
    "table of the LSFA paper",
    "issue thread",
    "not checked",
)
# the ideas, relatives beside each other
LANES = (
    "one row for both senses",
    "a bank per sense, then fusion",
    "a learned metric",
    "guess the other sense",
    "restore both senses",
    "teacher and student",
    "invented anomalies",
    "no training parts",
)
# (good, defective) test parts of the ten categories of MVTec 3D-AD (Bergmann et al., 2022)
TEST_PARTS = {
    "bagel": (22, 88),
    "cable_gland": (21, 87),
    "carrot": (27, 132),
    "cookie": (28, 103),
    "dowel": (26, 104),
    "foam": (20, 80),
    "peach": (26, 106),
    "potato": (22, 92),
    "rope": (32, 69),
    "tire": (25, 87),
}


@dataclass(frozen=True)
class Claim:
    """Three numbers, where they were read (an address), and as what (one of HOW)."""

    i_auroc: float | None
    aupro: float | None  # up to 30 % false positives
    p_auroc: float | None
    how: str
    source: str
    what: str = ""  # of a second claim about the same method: which one it is


@dataclass(frozen=True)
class Method:
    """lane: the idea in a few words, one of LANES. parent: the method it builds on, and
    link: how that is known. licence: of its code. others: further claims about the same method.
    """

    method: str
    year: int
    venue: str
    lane: str
    idea: str
    cost: str
    modalities: str
    licence: str
    url: str
    claim: Claim
    parent: str | None
    link: str
    note: str
    others: tuple[Claim, ...]


@cache
def methods() -> tuple[Method, ...]:
    """All of them, the oldest first."""
    path = files("lsfa_book.literature").joinpath("published.json")
    return tuple(_method(entry) for entry in json.loads(path.read_text()))


def _method(entry: dict) -> Method:
    numbers = {name: entry.pop(name) for name in ("i_auroc", "aupro", "p_auroc", "how", "source")}
    others = tuple(Claim(**other) for other in entry.pop("others"))
    return Method(claim=Claim(**numbers), others=others, **entry)


def shown(value: float | None) -> str:
    """A number in three digits, or the words for one that was not read at its source."""
    return "not checked" if value is None else f"{value:.3f}"


def auroc_error(auroc: float, good: int, defective: int) -> float:
    """Standard deviation of an AUROC from test set to test set, from the AUROC alone.

    The rule of Hanley and McNeil (Radiology 143, 1982), exact for exponential scores.
    """
    q1 = auroc / (2 - auroc)  # two defective parts above the same good one
    q2 = 2 * auroc**2 / (1 + auroc)  # one defective part above two good ones
    spread = auroc * (1 - auroc)
    spread += (defective - 1) * (q1 - auroc**2) + (good - 1) * (q2 - auroc**2)
    return math.sqrt(spread / (good * defective))


def mean_error(auroc: float) -> float:
    """The same for the mean over the categories of MVTec 3D-AD, as if all had this AUROC."""
    errors = [auroc_error(auroc, good, defective) for good, defective in TEST_PARTS.values()]
    return math.sqrt(sum(error**2 for error in errors)) / len(errors)

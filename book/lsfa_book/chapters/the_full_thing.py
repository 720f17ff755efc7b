"""Chapter "The full thing"."""

from __future__ import annotations

import math
import random

from lsfa_book.checking import Exercise


def bank_bytes(train: int, patches: int, share: float, kept: float, width: int) -> float:
    """Of a bank that keeps `kept` of the foreground patches, in float32."""
    return train * patches * share * kept * width * 4


def wobble(auroc: float, good: int, bad: int) -> float:
    """Standard error of an AUROC (Hanley and McNeil, 1982)."""
    return math.sqrt(variance(auroc, good, bad))


def variance(auroc: float, good: int, bad: int) -> float:
    two_bad = auroc / (2 - auroc)  # two bad parts both above one good one
    two_good = 2 * auroc**2 / (1 + auroc)  # one bad part above two good ones
    extra = (bad - 1) * (two_bad - auroc**2) + (good - 1) * (two_good - auroc**2)
    return (auroc * (1 - auroc) + extra) / (good * bad)


def of_single_parts(auroc: float, good: int, bad: int) -> float:
    return math.sqrt(auroc * (1 - auroc) / (good + bad))


def drawn_bank(seed: int) -> tuple[tuple[int, int, float, float, int], ...]:
    rng = random.Random(seed)
    sizes = rng.randint(20, 300), rng.choice((784, 1600, 3136))
    return ((*sizes, rng.uniform(0.1, 0.6), rng.uniform(0.05, 0.5), rng.randint(30, 1200)),)


def drawn_wobble(seed: int) -> tuple[tuple[float, int, int], ...]:
    rng = random.Random(seed)
    return ((rng.uniform(0.7, 0.98), rng.randint(10, 30), rng.randint(50, 140)),)


EXERCISES = {
    "bank": Exercise(
        cases=((244, 3136, 0.4, 0.1, 1152), (40, 784, 0.25, 1.0, 33)),
        solution=bank_bytes,
        drawn=drawn_bank,
        mistakes={
            "a float32 has four bytes.": lambda t, n, s, k, d: bank_bytes(t, n, s, k, d) / 4,
            "four bytes, not eight: nothing here is double precision.": lambda t, n, s, k, d: (
                2 * bank_bytes(t, n, s, k, d)
            ),
            "the background is not in the bank: count the share on the part.": (
                lambda t, n, s, k, d: bank_bytes(t, n, 1, k, d)
            ),
            "this is the bank of all patches; the coreset keeps a share.": lambda t, n, s, k, d: (
                bank_bytes(t, n, s, 1, d)
            ),
            "each row has `width` numbers.": lambda t, n, s, k, d: bank_bytes(t, n, s, k, 1),
        },
    ),
    "wobble": Exercise(
        cases=((0.95, 22, 88), (0.8, 60, 20), (0.5, 10, 10)),
        solution=wobble,
        drawn=drawn_wobble,
        mistakes={
            "this is the variance: take the square root.": variance,
            "good and bad are swapped.": lambda a, good, bad: wobble(a, bad, good),
            "an AUROC is a mean over pairs, and pairs share parts; this treats each part "
            "as one draw.": of_single_parts,
            "this takes the good x bad pairs as independent; they share parts.": (
                lambda a, good, bad: math.sqrt(a * (1 - a) / (good * bad))
            ),
        },
    ),
}

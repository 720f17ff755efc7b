"""Chapter "Algorithm 1"."""

from __future__ import annotations

import math
import random
from typing import TypeAlias

from lsfa_book.checking import Exercise

Terms: TypeAlias = dict[str, float]  # "local_alignment", "local_compactness/rgb", ...


def added(terms: Terms, word: str) -> float:
    return sum(value for name, value in terms.items() if word in name)


def objective(terms: Terms, weight: float) -> float:
    return added(terms, "compactness") + weight * added(terms, "alignment")


def weight_on_ifc(terms: Terms, weight: float) -> float:
    return weight * added(terms, "compactness") + added(terms, "alignment")


def weight_on_all(terms: Terms, weight: float) -> float:
    return weight * sum(terms.values())


def weight_on_local(terms: Terms, weight: float) -> float:
    local = weight * terms.get("local_alignment", 0.0)
    return added(terms, "compactness") + local + terms.get("global_alignment", 0.0)


def colour_alone(terms: Terms, weight: float) -> float:
    return added(terms, "compactness/rgb") + weight * added(terms, "alignment")


def mean_of_senses(terms: Terms, weight: float) -> float:
    return added(terms, "compactness") / 2 + weight * added(terms, "alignment")


def learning_rate(step: int, steps: int, peak: float, warm: int) -> float:
    if step < warm:
        return peak * (step + 1) / warm
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


def from_zero(step: int, steps: int, peak: float, warm: int) -> float:
    return peak * step / warm if step < warm else learning_rate(step, steps, peak, warm)


def no_warm_up(step: int, steps: int, peak: float, warm: int) -> float:
    return learning_rate(step, steps, peak, 0)


def cosine_from_zero(step: int, steps: int, peak: float, warm: int) -> float:
    return learning_rate(step, steps, peak, warm if step < warm else 0)


def twice(step: int, steps: int, peak: float, warm: int) -> float:
    return learning_rate(step, steps, peak, warm) * (1 if step < warm else 2)


def whole_period(step: int, steps: int, peak: float, warm: int) -> float:
    if step < warm:
        return learning_rate(step, steps, peak, warm)
    return peak * 0.5 * (1 + math.cos(2 * math.pi * (step - warm) / (steps - warm)))


def straight_line(step: int, steps: int, peak: float, warm: int) -> float:
    if step < warm:
        return learning_rate(step, steps, peak, warm)
    return peak * (steps - step) / (steps - warm)


BOTH_SENSES: Terms = {
    "local_alignment": 4.0,
    "global_alignment": 1.5,
    "local_compactness/rgb": 3.0,
    "global_compactness/rgb": 0.25,
    "local_compactness/3d": 1.0,
    "global_compactness/3d": 0.5,
}
FIRST_STEP: Terms = {"local_alignment": 5.0, "global_alignment": 2.0}  # empty banks


def drawn_terms(seed: int) -> tuple[tuple[Terms, float], ...]:
    rng = random.Random(seed)
    return tuple(
        ({name: rng.uniform(0.1, 5) for name in terms}, rng.uniform(0.2, 3))
        for terms in (BOTH_SENSES, FIRST_STEP)
    )


def drawn_steps(seed: int) -> tuple[tuple[int, int, float, int], ...]:
    rng = random.Random(seed)
    warm, steps, peak = rng.randint(5, 9), rng.randint(30, 60), rng.uniform(0.001, 0.1)
    return tuple((step, steps, peak, warm) for step in (0, warm - 1, warm, warm + 7, steps - 1))


EXERCISES = {
    "objective": Exercise(
        cases=((BOTH_SENSES, 0.6), (BOTH_SENSES, 2.0), (FIRST_STEP, 0.6)),
        solution=objective,
        drawn=drawn_terms,
        mistakes={
            "lambda stands before the consistency, not before the compactness.": weight_on_ifc,
            "lambda weighs the consistency alone, not the whole sum.": weight_on_all,
            "lambda weighs L_CLC, which is L_LA and L_GA together.": weight_on_local,
            "the compactness of the shape is missing.": colour_alone,
            "the compactness of the two senses is added, not averaged.": mean_of_senses,
        },
    ),
    "learning_rate": Exercise(
        cases=tuple((step, 20, 0.01, 4) for step in (0, 2, 3, 4, 9, 15, 19)),
        solution=learning_rate,
        drawn=drawn_steps,
        mistakes={
            "the first step has rate 0 and is wasted; count steps from one.": from_zero,
            "there is no warm-up in it.": no_warm_up,
            "the cosine must start where the warm-up ends, not at step 0.": cosine_from_zero,
            "the cosine part is twice too high: half of (1 + cos).": twice,
            "it comes up again: half a period of the cosine, from 0 to pi.": whole_period,
            "this falls in a straight line; the paper asks for a cosine.": straight_line,
        },
    ),
}

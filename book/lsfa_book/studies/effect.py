"""What adaptation does to detection: the same parts with and without it, on many data sets.

A run is one category, generator seed, nuisance and variant; its record is one small JSON file, so
that an interrupted study goes on where it was. `paired` turns records into differences.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from tqdm.auto import tqdm

from lsfa_book import mini3d
from lsfa_book.demo import fit_and_evaluate
from lsfa_book.mini3d.prepared import prepared
from lsfa_lite.config import Config
from lsfa_lite.data.files import written_beside

# Eq. 2 to 9 and section 4.1 word by word, on LITE's networks: a vanilla (post-norm) layer with its
# usual initialisation, inner products without temperature, sums, nothing done to the features.
# Steps and bank sizes, which go with the amount of data, stay LITE's.
PRINTED: dict[str, Any] = {
    "adaptation__input": "none",
    "adaptation__adaptor": "encoder",
    "adaptation__norm": "post",
    "adaptation__zero_init": False,
    "adaptation__cosine": False,
    "adaptation__temperature": 1.0,
    "adaptation__denominator": "joint",
    "adaptation__squared": False,
    "adaptation__reduction": "sum",
    "adaptation__local_alignment": 1.0,
    "adaptation__global_alignment": 1.0,
    "adaptation__local_compactness": 1.0,
    "adaptation__global_compactness": 1.0,
    "adaptation__consistency": 0.6,
    "adaptation__lr": 2e-3,
    "adaptation__clip": 0.0,
}

VARIANTS: dict[str, dict[str, Any]] = {
    "no adaptation": {"adaptation__steps": 0},
    "whitening": {"adaptation__steps": 0, "adaptation__input": "whiten"},
    "LSFA": {},
    "LSFA, consistency alone": {
        "adaptation__local_compactness": 0.0,
        "adaptation__global_compactness": 0.0,
    },
    "LSFA, compactness alone": {"adaptation__consistency": 0.0},
    "LSFA as printed": PRINTED,
    # the same with all training patches in the bank: no luck in which of them the coreset keeps
    "no adaptation, all rows": {"adaptation__steps": 0, "scoring__coreset": 1.0},
    "whitening, all rows": {
        "adaptation__steps": 0,
        "adaptation__input": "whiten",
        "scoring__coreset": 1.0,
    },
    "LSFA, all rows": {"scoring__coreset": 1.0},
    # other networks for the shape, without adaptation
    "Point-MAE": {"adaptation__steps": 0, "features__points__backbone": "point_mae"},
    "Point-MAE, random weights": {
        "adaptation__steps": 0,
        "features__points__backbone": "point_mae",
        "features__points__weights": "random",
    },
}


@dataclass(frozen=True)
class Run:
    category: str
    seed: int  # of the generator
    nuisance: float
    variant: str
    steps: int | None = None  # another length of training than the config's

    @property
    def name(self) -> str:
        steps = "" if self.steps is None else f"-{self.steps}"
        variant = self.variant.replace(" ", "-").replace(",", "")
        return f"{self.category}-{self.seed}-{self.nuisance:g}-{variant}{steps}"


def plan(
    seeds: Sequence[int],
    nuisances: Sequence[float],
    variants: Sequence[str],
    steps: Sequence[int | None] = (None,),
    categories: Sequence[str] = mini3d.CATEGORIES,
) -> list[Run]:
    """Every combination, data set by data set."""
    return [Run(*r) for r in product(categories, seeds, nuisances, variants, steps)]


def measure(config: Config, runs: Iterable[Run], data: Path, records: Path) -> None:
    """Do the runs that have no record yet. Data sets are made in `data`, records in `records`."""
    waiting = [run for run in runs if not (records / f"{run.name}.json").is_file()]
    for run in tqdm(waiting, "effect of adaptation"):
        changes = VARIANTS[run.variant]
        if run.steps is not None and "adaptation__steps" not in changes:
            changes = changes | {"adaptation__steps": run.steps}
        root = prepare(run, data)
        table = fit_and_evaluate(config.change(**changes), root, run.category, progress=False)
        with written_beside(records / f"{run.name}.json") as temporary:
            temporary.write_text(json.dumps(asdict(run) | {"table": table}))


def prepare(run: Run, data: Path) -> Path:
    """The run's data set, made and cleaned once."""
    config = mini3d.Mini3DConfig(seed=run.seed, nuisance=run.nuisance)
    return prepared(data / f"{run.seed}-{run.nuisance:g}", config, run.category)


def shipped() -> list[dict[str, Any]]:
    """The records that the book shows, as `book/scripts/measure_effect.py` gathered them."""
    return json.loads(files("lsfa_book.records").joinpath("effect.json").read_text())


def load(records: Path) -> Iterator[dict[str, Any]]:
    """All records of a folder, by name."""
    for path in sorted(records.glob("*.json")):
        yield json.loads(path.read_text())


def values(
    records: Iterable[dict[str, Any]], metric: str, view: str, **wanted: Any
) -> dict[tuple, float]:
    """{(category, seed): value} of the records with these fields; view is "all", "rgb" or "3d".

    Runs of the config's own length are meant unless `steps` is asked for.
    """
    out = {}
    wanted = {"steps": None} | wanted
    for record in records:
        if all(record[key] == value for key, value in wanted.items()):
            table = record["table"]
            metrics = table["all"] if view == "all" else table["modalities"][view]
            out[record["category"], record["seed"]] = metrics[metric]
    return out


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences with its 95 % t-interval over n pairs."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def p(self) -> float:
        """Of Student's test, two-sided: below 0.05 where the interval leaves zero out."""
        half = self.high - self.mean
        if half == 0:
            return float(self.mean == 0)
        error = half / stats.t.ppf(0.975, self.n - 1)
        return float(2 * stats.t.sf(abs(self.mean) / error, self.n - 1))


def standing(found: Mapping[str, Difference], level: float = 0.05) -> list[str]:
    """The rows that are told from zero after a correction for how many were looked at.

    With m rows, the smallest p must lie below level / m, the next below level / (m - 1), and so
    on; the first that does not ends it. Source: Holm (1979).
    """
    names = sorted(found, key=lambda name: found[name].p)
    for index, name in enumerate(names):
        if found[name].p >= level / (len(names) - index):
            return names[:index]
    return names


def paired(after: Mapping[Any, float], before: Mapping[Any, float]) -> Difference:
    """after - before over the data sets that both have; two at least.

    Raises ValueError for fewer than two pairs.
    """
    keys = sorted(after.keys() & before.keys())
    if len(keys) < 2:
        raise ValueError(f"{len(keys)} data sets in common; an interval needs at least two")
    change = np.array([after[key] - before[key] for key in keys])
    half = stats.t.ppf(0.975, len(keys) - 1) * change.std(ddof=1) / np.sqrt(len(keys))
    mean = float(change.mean())
    return Difference(mean, mean - float(half), mean + float(half), len(keys))

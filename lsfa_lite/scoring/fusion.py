"""Two modalities, one score: normalisation and fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lsfa_lite.config import Modality, ScoringConfig
from lsfa_lite.errors import DataError, SettingError
from lsfa_lite.scoring.tails import Tail

PerModality = Mapping[Modality, Any]  # numbers or tensors
MAX_ROWS = 50_000  # patch distances shown to the one-class SVM; it learns two numbers


@dataclass(frozen=True)
class Scale:
    """value -> (value - centre) / spread."""

    centre: float = 0.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.centre) and 0 < self.spread < np.inf):
            raise DataError(f"{self}: expected finite numbers, the spread above 0")

    @classmethod
    def fit(cls, values: np.ndarray, how: str, name: str) -> Scale:
        """values (Q,); how: "zscore" (mean, deviation), "quantile" (median, IQR) or "none"."""
        if how == "none":
            return cls()
        if how == "zscore":
            centre, spread = values.mean(), values.std()
        else:
            low, centre, high = np.quantile(values, [0.25, 0.5, 0.75])
            spread = high - low
        if not spread > 1e-12 * abs(centre):
            raise DataError(
                f"{name}: {len(values)} calibration scores without spread; give more good "
                'samples, or set normalise="none"'
            )
        return cls(float(centre), float(spread))

    def __call__(self, values: Any) -> Tensor:
        return (torch.as_tensor(values) - self.centre) / self.spread


@dataclass(frozen=True)
class Normaliser:
    """The scales of one modality, from that modality's own scores on good samples.

    M3DM's code, and LSFA's after it, swap them: the 3D scores are divided by the deviation of RGB.
    """

    image: Scale | Tail = Scale()
    map: Scale | Tail = Scale()

    @classmethod
    def fit(cls, image_scores: Any, patch_distances: Any, how: str, name: str) -> Normaliser:
        """image_scores (B,), patch_distances (Q,): foreground patches of the same good samples."""
        return cls(
            _fit(image_scores, how, f"{name} image scores"),
            _fit(patch_distances, how, f"{name} patch distances"),
        )


def uncentred(scale: Scale | Tail) -> Scale:
    """The spread alone. Refused by the config: "tail", which has none."""
    assert isinstance(scale, Scale)
    return Scale(0.0, scale.spread)


def _fit(values: Any, how: str, name: str) -> Scale | Tail:
    values = torch.as_tensor(values).detach().cpu().double().numpy()
    if values.ndim != 1 or not np.isfinite(values).all():
        raise DataError(f"{name}: calibration scores must be (Q,) finite numbers")
    return Tail.fit(values, name) if how == "tail" else Scale.fit(values, how, name)


def _from(state: Mapping[str, Any]) -> Scale | Tail:
    if "centre" in state:
        return Scale(**state)
    return Tail(tuple(state["values"]), tuple(state["surprises"]), state["rate"])


def combine(values: PerModality, how: str, weights: PerModality) -> Tensor:
    """One tensor per modality, same shapes -> one: "mean" (section 3.1), "sum", "max", "ocsvm".

    "ocsvm" is the weighted sum whose weights a one-class SVM has learned (`learn_weights`).
    A single modality passes through.
    """
    stacked = torch.stack(list(values.values()))  # (modalities, ...)
    if len(stacked) == 1:
        return stacked[0]
    if how == "mean":
        return stacked.mean(dim=0)
    if how == "sum":
        return stacked.sum(dim=0)
    if how == "max":
        return stacked.amax(dim=0)
    if how == "ocsvm":
        return torch.stack([weights[name] * value for name, value in values.items()]).sum(dim=0)
    raise SettingError(f"fusion is {how!r}, expected mean, sum, max or ocsvm")


def learn_weights(values: PerModality, seed: int) -> dict[Modality, float]:
    """{"rgb": (Q,), "3d": (Q,)} normal scores -> one weight per modality, >= 0, sum 1.

    A linear one-class SVM, as in M3DM: it separates the normal scores from the origin, so its
    normal vector is a positive mix of them, and a score grows with the distance from the origin.
    Scores must not be centred: around the origin there is no such plane.
    """
    from sklearn.linear_model import SGDOneClassSVM  # a second, and for this fusion only

    rows = torch.stack([v.double().cpu() for v in values.values()], dim=1).numpy()  # (Q, 2)
    if len(rows) > MAX_ROWS:
        rows = np.random.default_rng(seed).choice(rows, MAX_ROWS, replace=False)  # (MAX_ROWS, 2)
    normal = SGDOneClassSVM(nu=0.5, random_state=seed, max_iter=1000).fit(rows).coef_  # (2,)
    normal = normal.clip(min=0)
    if not normal.sum() > 0:
        raise DataError('the one-class SVM found no plane; use fusion="mean"')
    return dict(zip(values, (normal / normal.sum()).tolist(), strict=True))


@dataclass(frozen=True)
class Fusion:
    """All that turns the scores of the modalities into one; `state()` is plain JSON."""

    how: str
    normalisers: dict[Modality, Normaliser]
    image_weights: dict[Modality, float]
    map_weights: dict[Modality, float]

    @classmethod
    def fit(
        cls,
        image_scores: PerModality,
        patch_distances: PerModality,
        config: ScoringConfig,
        seed: int = 0,
    ) -> Fusion:
        """Scores of good samples outside the bank (validation, or leave-one-out).

        image_scores {"rgb": (B,), "3d": (B,)}, patch_distances {"rgb": (Q,), "3d": (Q,)}: the
        foreground patches of all B samples, in the same order for both modalities.
        """
        if not image_scores or image_scores.keys() != patch_distances.keys():
            raise DataError("image_scores and patch_distances need the same modalities")
        normalisers = {
            name: Normaliser.fit(image_scores[name], patch_distances[name], config.normalise, name)
            for name in image_scores
        }
        if config.fusion != "ocsvm" or len(normalisers) == 1:
            return cls(config.fusion, normalisers, {}, {})
        for name, n in normalisers.items():  # `learn_weights` wants scores that are not centred
            normalisers[name] = Normaliser(uncentred(n.image), uncentred(n.map))
        images = {name: n.image(image_scores[name]) for name, n in normalisers.items()}
        maps = {name: n.map(patch_distances[name]) for name, n in normalisers.items()}
        return cls("ocsvm", normalisers, learn_weights(images, seed), learn_weights(maps, seed))

    def fuse_images(self, scores: PerModality) -> Tensor:
        """{"rgb": s, "3d": s} (numbers or (B,)) -> one score; any of the fitted modalities."""
        self._check(scores)
        scaled = {name: self.normalisers[name].image(score) for name, score in scores.items()}
        return combine(scaled, self.how, self.image_weights)

    def fuse_maps(self, maps: PerModality) -> Tensor:
        """{"rgb": (H, W), "3d": (H, W)} -> (H, W), 0 where every map is 0, nowhere negative.

        Distance 0 is the least a patch can have, and what the background has. Its fused value is
        subtracted: the order of the pixels stays, and the background is 0 again.
        """
        self._check(maps)
        pixels = {name: torch.as_tensor(value) for name, value in maps.items()}
        scaled = {name: self.normalisers[name].map(value) for name, value in pixels.items()}
        zero = {name: value.new_zeros(()) for name, value in pixels.items()}
        lowest = {name: self.normalisers[name].map(value) for name, value in zero.items()}
        floor = combine(lowest, self.how, self.map_weights)
        return combine(scaled, self.how, self.map_weights) - floor

    def _check(self, values: PerModality) -> None:
        unknown = sorted(set(values) - set(self.normalisers))
        if unknown or not values:
            known = f"calibrated are {sorted(self.normalisers)}; fit the detector with both"
            raise DataError(f"modalities {sorted(values)} were given, but {known}")

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Fusion:
        normalisers = {
            name: Normaliser(_from(scales["image"]), _from(scales["map"]))
            for name, scales in state["normalisers"].items()
        }
        return cls(state["how"], normalisers, state["image_weights"], state["map_weights"])

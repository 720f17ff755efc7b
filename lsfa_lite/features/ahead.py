"""Scans described before they are asked for, in several processes: the cache then holds them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import nullcontext, suppress

import torch
from tqdm.auto import tqdm

from lsfa_lite.config import FeatureConfig, Modality
from lsfa_lite.data.processes import in_processes
from lsfa_lite.data.scans import Scans
from lsfa_lite.errors import SettingError
from lsfa_lite.features.extract import FeatureExtractor


def describe_ahead(
    config: FeatureConfig,
    splits: Sequence[Scans],
    modalities: Sequence[Modality] = ("rgb", "3d"),
    workers: int = 1,
    seed: int = 0,
    *,
    device: str | torch.device = "cpu",
    progress: bool = False,
    strict: bool = True,
) -> None:
    """All scans of all splits, into the features' cache; with one worker it does nothing.

    The processes read the files themselves and share the cores; `in_processes` says what a script
    needs for them. A network's last bit may depend on how many threads it has, here as elsewhere.
    Raises ValueError for a scan that FeatureExtractor refuses, naming it (unless strict is False:
    it is passed over), for config.cache = False, and for another device than the CPU.
    """
    engine = in_processes(workers, max(1, torch.get_num_threads() // max(1, workers)))
    if workers == 1:
        return
    if torch.device(device).type != "cpu":
        raise SettingError(
            f"workers = {workers} on {device}: there the networks see a batch of scans at once; "
            "leave it at 1"
        )
    if not config.cache:
        raise SettingError(
            f"workers = {workers}, features.cache = False: what they find comes back through the "
            "cache; set features.cache to true, or leave workers at 1"
        )
    ones = [scans[i : i + 1] for scans in splits for i in range(len(scans))]
    tasks = [(_describe, config, seed, one, tuple(modalities), strict) for one in ones]
    for _ in tqdm(engine(tasks), "describe", len(tasks), disable=not progress):
        pass


def _describe(
    config: FeatureConfig, seed: int, scans: Scans, modalities: tuple[Modality, ...], strict: bool
) -> None:
    with nullcontext() if strict else suppress(ValueError, FileNotFoundError):
        for sample in scans:
            _extractor(config, seed)(sample, modalities)


@functools.lru_cache(1)
def _extractor(config: FeatureConfig, seed: int) -> FeatureExtractor:
    """A worker loads its networks once."""
    return FeatureExtractor(config, "cpu", seed)

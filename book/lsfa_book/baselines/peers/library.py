"""anomalib, driven from outside: found, imported quietly, its models put together from parts."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from torch import nn

from lsfa_lite.config import Config
from lsfa_lite.errors import LSFAError, MissingFile
from lsfa_lite.features.image import ImageBackbone


def available() -> bool:
    """Whether anomalib is installed."""
    return find_spec("anomalib") is not None


def has_cfm() -> bool:
    with quiet():
        return find_spec("anomalib.models.image.cfm") is not None


def anomalib(method: str, module: str = "torch_model") -> Any:
    with quiet():
        return import_module(f"anomalib.models.image.{method}.{module}")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Importing anomalib warns of older names of timm's and of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


def assembled(kind: Any, **parts: Any) -> Any:
    """A model of anomalib from its parts, without its constructor, which would fetch weights."""
    model = kind.__new__(kind)
    nn.Module.__init__(model)
    for name, part in parts.items():
        setattr(model, name, part)
    return model


def fetched(build: Callable[[], Any]) -> Any:
    """What `build` returns; FileNotFoundError with a cure for all that hubs raise."""
    try:
        return build()
    except OSError as error:
        raise MissingFile(
            f"the peer's own network cannot be had ({error}); go online once, "
            "or take ours: features.image.weights='package'"
        ) from error


def our_network(config: Config, stages: tuple[int, ...]) -> tuple[Any, str, list[str]]:
    """Our frozen network, normalised pictures -> its maps of these stages; timm's names of both."""
    image = dataclasses.replace(config.features.image, stages=stages)
    backbone = ImageBackbone(image, config.features.image_size, config.features.grid, config.seed)
    if backbone.transformer:
        raise LSFAError(f"{image.backbone}: the peers need a CNN, or weights='timm' for their own")
    return backbone.network, image.backbone, backbone.network.feature_info.module_name()

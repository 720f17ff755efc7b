"""Arguments and answers as JSON: data only, so that reading them cannot run anything."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from lsfa_lite.errors import LSFAError

KINDS = "biuf"  # of arrays: bool, whole, whole and not negative, real
FIELDS = ("rgb", "xyz", "mask", "label", "defect", "path")  # of a Sample


def encode(value: Any) -> Any:
    """Numbers, texts, arrays, tensors, samples, and lists, tuples and dicts of them.

    Anything else becomes the name of its type: an answer of that kind is never right.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)):
        return {type(value).__name__: [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if hasattr(value, "detach"):
        return {"tensor": _packed(value.detach().cpu().numpy())}
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in KINDS:
        return {"array": _packed(np.asarray(value))}
    if type(value).__name__ == "Sample":
        return {"sample": [encode(getattr(value, name)) for name in FIELDS]}
    return {"other": type(value).__name__}


def decode(value: Any) -> Any:
    """The value again; raises ValueError for what `encode` never writes."""
    if not isinstance(value, dict):
        return value
    try:
        ((kind, content),) = value.items()
        return _DECODERS[kind](content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LSFAError(f"not in the form in which answers come ({error})") from error


def _packed(array: np.ndarray) -> list[Any]:
    return [array.dtype.str, list(array.shape), base64.b64encode(array.tobytes()).decode()]


def _array(content: list[Any]) -> np.ndarray:
    kind, shape, text = content
    dtype = np.dtype(str(kind))
    if dtype.kind not in KINDS:
        raise LSFAError(f"dtype {kind}")
    return np.frombuffer(base64.b64decode(text), dtype).reshape(shape).copy()


def _tensor(content: list[Any]) -> Any:
    import torch

    return torch.from_numpy(_array(content))


def _sample(content: list[Any]) -> Any:
    from lsfa_lite.data.sample import Sample

    return Sample(**{name: decode(item) for name, item in zip(FIELDS, content, strict=True)})


_DECODERS = {
    "tuple": lambda items: tuple(decode(item) for item in items),
    "list": lambda items: [decode(item) for item in items],
    "dict": lambda pairs: {decode(key): decode(item) for key, item in pairs},
    "tensor": _tensor,
    "array": _array,
    "sample": _sample,
    "other": lambda name: f"something of type {name}",
}

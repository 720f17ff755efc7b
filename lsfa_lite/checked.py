"""Checked dataclasses: every field has a type and bounds, and one check at the one place where all
ways of making an object meet: code, `dataclasses.replace`, JSON, and `--set` of the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass, replace
from functools import cache, partial
from numbers import Integral, Real
from reprlib import repr as short
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from lsfa_lite.errors import SettingError

_hints: Callable[[Any], dict[str, Any]] = cache(partial(get_type_hints, include_extras=True))


class Rule(NamedTuple):
    """What a field expects, in words, and whether a value of the right type is that."""

    words: str
    holds: Callable[[Any], bool]

    def __repr__(self) -> str:
        return repr(self.words)


Finite = Annotated[float, Rule("finite float", math.isfinite)]
Count = Annotated[int, Rule("int >= 1", lambda x: x >= 1)]
Whole = Annotated[int, Rule("int >= 0", lambda x: x >= 0)]
Positive = Annotated[float, Rule("float > 0", lambda x: 0 < x < math.inf)]
NotNegative = Annotated[float, Rule("float >= 0", lambda x: 0 <= x < math.inf)]
Share = Annotated[float, Rule("float from 0 to 1", lambda x: 0 <= x <= 1)]
SomeShare = Annotated[float, Rule("float above 0, at most 1", lambda x: 0 < x <= 1)]
Together = Iterator[tuple[str, bool, str]]  # a field, whether it agrees with others, what would


class Checked:
    """Base of a frozen dataclass. ValueError names class, field, value and what is expected.

    NumPy's numbers become Python's, an int in a float's place becomes a float, a list a tuple.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            try:
                object.__setattr__(self, name, _fitted(hint, getattr(self, name)))
            except (ValueError, OverflowError):
                raise self._refusal(name, _words(hint)) from None
        for name, agrees, expected in self._together():
            if not agrees:
                raise self._refusal(name, expected)

    def _together(self) -> Together:
        """The checks that need more than one field."""
        return iter(())

    def _refusal(self, name: str, expected: str) -> SettingError:
        value = short(getattr(self, name))
        return SettingError(f"{type(self).__name__}.{name} = {value}: expected {expected}")

    def __repr__(self) -> str:
        return self._told(differences(type(self)(), self))

    def _told(self, values: dict[str, Any], *first: str) -> str:
        words = [*first, *(f"{name}={value!r}" for name, value in values.items())]
        return f"{type(self).__name__}({', '.join(words)})"


def differences(old: Checked, new: Checked) -> dict[str, Any]:
    """Dotted field -> value in `new`, of two objects of one class."""
    found: dict[str, Any] = {}
    for name in _hints(type(new)):
        a, b = getattr(old, name), getattr(new, name)
        if isinstance(b, Checked):
            found |= {f"{name}.{key}": value for key, value in differences(a, b).items()}
        elif a != b:
            found[name] = b
    return found


def changed(node: Any, values: dict[str, Any]) -> Any:
    """A copy with fields replaced, all of an object at once; two underscores step inside."""
    hints = _hints(type(node)) if isinstance(node, Checked) else {}
    here: dict[str, Any] = {}
    inside: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        head, _, rest = key.partition("__")
        if head not in hints:
            has = ", ".join(hints) or "no fields"
            raise SettingError(f"no field {head!r} in {type(node).__name__}; it has {has}")
        if rest:
            inside.setdefault(head, {})[rest] = value
        else:
            here[head] = value
    for head, within in inside.items():
        here[head] = changed(here.get(head, getattr(node, head)), within)
    return replace(node, **here)


def from_values(kind: Any, values: Any) -> Any:
    """What `json.loads` gives -> an object; ValueError names fields too many and too few."""
    if not isinstance(values, dict):
        raise SettingError(f"{kind.__name__} = {short(values)}: expected fields and values")
    hints = _hints(kind)
    unknown, missing = sorted(set(values) - set(hints)), sorted(set(hints) - set(values))
    if unknown or missing:
        odd = f"unknown fields {unknown}, missing fields {missing}"
        raise SettingError(f"{kind.__name__}: {odd}; another version of lsfa_lite wrote it")
    deeper = [k for k, v in values.items() if isinstance(v, dict) and is_dataclass(hints[k])]
    return kind(**values | {k: from_values(hints[k], values[k]) for k in deeper})


def _fitted(hint: Any, value: Any) -> Any:
    """`value` as a field of this type keeps it; ValueError if it cannot."""
    origin, args, fits = get_origin(hint), get_args(hint), False
    if origin is Annotated:
        value = _fitted(args[0], value)
        fits = args[1].holds(value)
    elif origin is Literal:
        fits = isinstance(value, str) and value in args
    elif origin is tuple and isinstance(value, (list, tuple)):
        kinds = args[:1] * len(value) if args[-1] is ... else args
        return tuple(_fitted(k, v) for k, v in zip(kinds, value, strict=True))
    elif type(None) in args:  # Count | None
        return None if value is None else _fitted(args[0], value)
    elif hint in (int, float):
        fits = isinstance(value, Integral if hint is int else Real) and not isinstance(value, bool)
        value = hint(value) if fits else value
    elif isinstance(hint, type):
        fits = isinstance(value, hint)
    if not fits:
        raise ValueError
    return value


def _words(hint: Any) -> str:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return args[1].words
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin is tuple:
        return f"({', '.join('...' if kind is ... else _words(kind) for kind in args)})"
    return f"{_words(args[0])} or None" if args else hint.__name__

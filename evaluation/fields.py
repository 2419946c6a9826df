"""Types of fields in a task's rows, each with a check that explains an invalid value.

`fault(value)` returns None for a valid value, else the end of a sentence about it: "is 2, but must be 0 or 1".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from prunescope.lm.characters import half_character


class Field(Protocol):
    """The type of a field in a task's rows."""

    def fault(self, value: object) -> str | None:
        """Why the value is invalid; None if it is valid."""
        ...


@dataclass(frozen=True)
class Text:
    """A text that is not blank, unless `empty` is true."""

    empty: bool = False

    def fault(self, value: object) -> str | None:
        """Why the value is invalid: not a text, blank, or with half a character (a lone surrogate). None if it is
        valid."""
        if not isinstance(value, str):
            return f"is a JSON {kind(value)}, but must be a text"
        if not self.empty and not value.strip():
            return "is empty"
        return half_character(value)


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[int, ...] | tuple[str, ...] | tuple[bool, ...]

    def fault(self, value: object) -> str | None:
        """Why the value is not one of `values`; None if it is. Types must be equal too: True is not 1."""
        if any(type(value) is type(known) and value == known for known in self.values):
            return None
        return f"is {_shown(value)}, but must be {' or '.join(map(json.dumps, self.values))}"


@dataclass(frozen=True)
class Place:
    """A position or count: an integer from 0."""

    def fault(self, value: object) -> str | None:
        """Why the value is not an integer >= 0; None if it is."""
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return None if fits else f"is {_shown(value)}, but must be an integer from 0"


@dataclass(frozen=True)
class Texts:
    """A list of non-empty texts: exactly `count` texts, or at least `least` if `count` is None."""

    count: int | None = None
    least: int = 1

    def fault(self, value: object) -> str | None:
        """Why the value is not a list of texts of the right length; None if it is."""
        if not isinstance(value, list):
            return f"is a JSON {kind(value)}, but must be a list of texts"
        if len(value) < self.least or self.count not in (None, len(value)):
            wanted = f"at least {self.least}" if self.count is None else str(self.count)
            return f"has {len(value)} texts, but must have {wanted}"
        for number, item in enumerate(value, start=1):
            if (wrong := Text().fault(item)) is not None:
                return f"has a text number {number} that {wrong}"
        return None


@dataclass(frozen=True)
class Parts:
    """An object with the given fields; other fields in it are ignored."""

    fields: Mapping[str, Field]

    def fault(self, value: object) -> str | None:
        """Why the value is not an object with these fields, about the first missing or invalid field; None if it
        is."""
        if not isinstance(value, dict):
            return f"is a JSON {kind(value)}, but must be an object with {' and '.join(self.fields)}"
        for name, field in self.fields.items():
            if name not in value:
                return f"has no {name!r}"
            if (wrong := field.fault(value[name])) is not None:
                return f"has a {name!r} that {wrong}"
        return None


def kind(value: object) -> str:
    """The JSON type of a value in words, for messages."""
    kinds = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "null")


def _shown(value: object) -> str:
    return json.dumps(value, default=str)[:80]

"""What the fields of a task's rows hold, and what is wrong with a value that is something else.

`fault(value)` is None where a value is right, else how a sentence about it goes on: "is 2, but must be 0 or 1".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from prunescope.lm.characters import half_character


class Field(Protocol):
    """One field of a row."""

    def fault(self, value: object) -> str | None:
        """What is wrong with the value, None where nothing is."""
        ...


@dataclass(frozen=True)
class Text:
    """A text, with something else than white space in it unless `empty` is allowed."""

    empty: bool = False

    def fault(self, value: object) -> str | None:
        """Another kind, empty, or with half a character in it."""
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
        """Any other value; True is not 1 here, though it is for Python."""
        if any(type(value) is type(known) and value == known for known in self.values):
            return None
        return f"is {_shown(value)}, but must be {' or '.join(map(json.dumps, self.values))}"


@dataclass(frozen=True)
class Place:
    """A number of characters or of rows: an integer from 0."""

    def fault(self, value: object) -> str | None:
        """Another kind, or negative."""
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return None if fits else f"is {_shown(value)}, but must be an integer from 0"


@dataclass(frozen=True)
class Texts:
    """A list of texts that are not empty: `count` of them, else at least `least`."""

    count: int | None = None
    least: int = 1

    def fault(self, value: object) -> str | None:
        """Another kind, too few or too many, or an item that is no text."""
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
    """An object with fields of its own; others in it do not count."""

    fields: Mapping[str, Field]

    def fault(self, value: object) -> str | None:
        """Another kind, or the first of its fields that is missing or wrong."""
        if not isinstance(value, dict):
            return f"is a JSON {kind(value)}, but must be an object with {' and '.join(self.fields)}"
        for name, field in self.fields.items():
            if name not in value:
                return f"has no {name!r}"
            if (wrong := field.fault(value[name])) is not None:
                return f"has a {name!r} that {wrong}"
        return None


def kind(value: object) -> str:
    """What JSON calls the value."""
    kinds = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "null")


def _shown(value: object) -> str:
    return json.dumps(value, default=str)[:80]

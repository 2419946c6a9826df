"""A spec in brief, as lists show it: every field, but only the beginning of long lists and texts."""

from collections.abc import Mapping
from typing import Any

MAX_BRIEF_ITEMS = 8
MAX_BRIEF_CHARACTERS = 1000
"""Longer than any model reference, so that those stay whole."""
SHORTENED_CHARACTERS = 100
COUNTS = "counts"
"""Where a brief keeps how long its lists were; no spec has such a field."""


def brief_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec itself, or one with shorter lists and texts that says under `counts` how many items a field had.

    >>> brief_of({"seeds": list(range(20))}) == {"seeds": list(range(8)), "counts": {"seeds": 20}}
    True
    """
    counts: dict[str, int] = {}
    brief = {field: _short(value, field, counts) for field, value in spec.items()}
    return {**brief, COUNTS: counts} if counts else brief


def count_of(spec: Mapping[str, Any], *path: str) -> int:
    """How many items a list has in a spec or in its brief, by the fields that lead to it; 0 for what is no list."""
    known = spec.get(COUNTS, {}).get(".".join(path))
    if known is not None:
        return int(known)
    value: Any = spec
    for field in path:
        value = value.get(field) if isinstance(value, Mapping) else None
    return len(value) if isinstance(value, list | tuple) else 0


def _short(value: Any, path: str | None, counts: dict[str, int]) -> Any:
    """`path` is None inside of a list: what stands there is not counted."""
    match value:
        case Mapping():
            return {
                field: _short(item, None if path is None else f"{path}.{field}", counts)
                for field, item in value.items()
            }
        case list() | tuple():
            if path is not None and len(value) > MAX_BRIEF_ITEMS:
                counts[path] = len(value)
            return [_short(item, None, counts) for item in value[:MAX_BRIEF_ITEMS]]
        case str() if len(value) > MAX_BRIEF_CHARACTERS:
            return value[: SHORTENED_CHARACTERS - 1] + "…"
        case _:
            return value

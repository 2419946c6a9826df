"""Briefs: shortened copies of specs for lists of jobs. A brief has every field of its spec, but only the start of long
lists and texts."""

from collections.abc import Mapping
from typing import Any

MAX_BRIEF_ITEMS = 8
"""Maximum length of a list in a brief."""
MAX_BRIEF_CHARACTERS = 1000
"""Longer texts are shortened to SHORTENED_CHARACTERS. No model reference is longer, so references stay complete."""
SHORTENED_CHARACTERS = 100
COUNTS = "counts"
"""Key under which a brief stores the original lengths of its shortened lists. No spec has a field of this name."""


def brief_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The brief of a spec. Its field `counts` maps the path of each shortened list to the original length.

    >>> brief_of({"seeds": list(range(20))}) == {"seeds": list(range(8)), "counts": {"seeds": 20}}
    True
    """
    counts: dict[str, int] = {}
    brief = {field: _short(value, field, counts) for field, value in spec.items()}
    return {**brief, COUNTS: counts} if counts else brief


def count_of(spec: Mapping[str, Any], *path: str) -> int:
    """The original length of the list at a field path of a spec or a brief; 0 if the field is not a list."""
    known = spec.get(COUNTS, {}).get(".".join(path))
    if known is not None:
        return int(known)
    value: Any = spec
    for field in path:
        value = value.get(field) if isinstance(value, Mapping) else None
    return len(value) if isinstance(value, list | tuple) else 0


def _short(value: Any, path: str | None, counts: dict[str, int]) -> Any:
    """Shorten one value and store the lengths of shortened lists in `counts`. `path` is None inside a list, where no
    lengths are stored."""
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

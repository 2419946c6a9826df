"""The fields of a spec with the limits of their numbers, from the JSON schema of its class."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from prunescope.jobs.documents import JobKind
from prunescope.jobs.specs import SPECS

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """The least and the largest value of a number, as text; empty if it has no limit that a form can express."""

    least: str = ""
    most: str = ""


@cache
def limits_of(kind: JobKind) -> dict[str, Limits]:
    """Path of every field of a spec -> the limits of its number. The items of a list have the path of the list."""
    schema = SPECS[kind].model_json_schema()
    found: dict[str, Limits] = {}
    for path, node in _fields(schema, schema.get("$defs", {}), ""):
        known, other = found.get(path, Limits()), _limits(node)
        found[path] = Limits(known.least or other.least, known.most or other.most)
    return found


def _fields(schema: Schema, defs: Mapping[str, Schema], path: str) -> Iterator[tuple[str, Schema]]:
    """Yield (path, schema) of every alternative of every field."""
    for node in _alternatives(schema, defs):
        if path:
            yield path, node
        for name, inner in node.get("properties", {}).items():
            yield from _fields(inner, defs, f"{path}.{name}" if path else name)
        if isinstance(items := node.get("items"), Mapping):
            yield from _fields(items, defs, path)


def _alternatives(schema: Schema, defs: Mapping[str, Schema]) -> Iterator[Schema]:
    if "$ref" in schema:
        yield from _alternatives(defs[schema["$ref"].rpartition("/")[2]], defs)
    for union in ("anyOf", "oneOf"):
        for each in schema.get(union, ()):
            yield from _alternatives(each, defs)
    yield schema


def _limits(node: Schema) -> Limits:
    """The limits of an HTML field include their values, so that an excluded limit is given for integers only."""
    least, most = node.get("minimum"), node.get("maximum")
    if node.get("type") == "integer":
        least = node["exclusiveMinimum"] + 1 if "exclusiveMinimum" in node else least
        most = node["exclusiveMaximum"] - 1 if "exclusiveMaximum" in node else most
    return Limits(*("" if limit is None else str(limit) for limit in (least, most)))

"""Reads YAML files as JSON-like documents; anything JSON cannot express is an error with its place."""

import math
from collections.abc import Hashable
from typing import Any

import yaml

from prunescope.cli.errors import one_line
from prunescope.errors import Refusal

MAX_DEPTH = 100
"""Nesting depth of a document."""

MAX_CHARACTERS = 50_000_000
"""Size of a document with its aliases expanded; a few lines of aliases can expand to billions of characters."""


class _Loader(yaml.SafeLoader):
    """A safe loader without YAML 1.1's dates and base-60 numbers (2:4 would be 124), which refuses repeated keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} stands twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _as_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    return _as_text(loader, node) if ":" in str(node.value) else loader.construct_yaml_int(node)


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | str:
    return _as_text(loader, node) if ":" in str(node.value) else loader.construct_yaml_float(node)


def _unknown(loader: yaml.SafeLoader, node: yaml.Node) -> None:
    raise yaml.constructor.ConstructorError(None, None, f"{node.tag} is nothing that JSON has", node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
for _kind in ("binary", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _unknown)


def read_yaml(text: str, place: str) -> Any:
    """Parse the YAML document `text`; `place` is its name in errors.

    Raises Refusal when it is not YAML, has values that JSON does not have, or is too deep or too large.
    """
    try:
        document = yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise Refusal(f"{place} is more than {MAX_DEPTH} levels deep") from None
    except Exception as error:  # its constructors raise the errors of int(), float() and dict()
        raise Refusal(f"{place} is no YAML: {one_line(str(error))[:500]}") from None
    _check(document, place)
    return document


def _check(document: Any, place: str) -> None:
    """Raise Refusal for a document that is too deep, too large or contains itself, and for values that JSON does not
    have. Each part is checked once, however many aliases refer to it."""
    known: dict[int, tuple[int, int]] = {}

    def measured(value: Any, depth: int, path: str) -> tuple[int, int]:
        """(characters, levels of nesting) of a value."""
        if isinstance(value, float) and not math.isfinite(value):
            raise Refusal(f"{place}: {path or 'the value'} is {value}, which is no finite number")
        if not isinstance(value, dict | list):
            return 1 + (len(value) if isinstance(value, str) else 0), 0
        characters, levels = known.get(id(value), (1, 0))
        if depth + levels > MAX_DEPTH:
            raise Refusal(f"{place} is more than {MAX_DEPTH} levels deep")
        if id(value) not in known:
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(value, dict) and not isinstance(key, str):
                    raise Refusal(f"{place}: {path or 'the document'} has the key {key!r}; put it in quotes")
                more, below = measured(part, depth + 1, f"{path}.{key}"[:80].lstrip("."))
                characters, levels = characters + more + len(str(key)), max(levels, below + 1)
            known[id(value)] = characters, levels
        return characters, levels

    if measured(document, 0, "")[0] > MAX_CHARACTERS:
        raise Refusal(f"{place} has more than {MAX_CHARACTERS:,} characters when its aliases are written out")

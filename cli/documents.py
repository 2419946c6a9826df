"""YAML as people write it, read into what JSON can say; what cannot be is refused in one line with its place."""

import math
from collections.abc import Hashable
from typing import Any

import yaml

from prunescope.cli.errors import one_line
from prunescope.errors import Refusal

MAX_DEPTH = 100
"""Levels of a document, one inside of the other."""

MAX_CHARACTERS = 50_000_000
"""Of a document when its aliases are written out: a few lines of them can stand for billions."""


class _Loader(yaml.SafeLoader):
    """Safe, without YAML 1.1's dates and its numbers to the base of 60 (2:4 would be 124), and with each key once."""

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
    """The document in `text`; `place` says in an error what it is.

    Raises Refusal: it is no YAML, holds what JSON does not have, or is too deep or too large.
    """
    try:
        document = yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise Refusal(f"{place} is more than {MAX_DEPTH} levels deep") from None
    except Exception as error:  # its constructors raise whatever int(), float() and dict() do
        raise Refusal(f"{place} is no YAML: {one_line(str(error))[:500]}") from None
    _check(document, place)
    return document


def _check(document: Any, place: str) -> None:
    """Refuse what is too deep, too large or contains itself, and values that JSON does not have. Each part is looked at
    once, however often aliases stand for it."""
    known: dict[int, tuple[int, int]] = {}

    def measured(value: Any, depth: int, path: str) -> tuple[int, int]:
        """Characters, and levels below."""
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

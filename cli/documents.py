"""Parses YAML into JSON values. A value that JSON cannot express is an error that names its position."""

import math
from collections.abc import Hashable
from typing import Any

import yaml

from prunescope.cli.errors import one_line
from prunescope.errors import Refusal

MAX_DEPTH = 100
"""Maximum nesting depth of a document."""

MAX_CHARACTERS = 50_000_000
"""Maximum size of a document with its aliases expanded. A few lines of aliases can expand to billions of characters."""


class _Loader(yaml.SafeLoader):
    """A safe YAML loader that rejects repeated keys and reads YAML 1.1's dates and base-60 numbers as strings (2:4
    would be the number 124)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} occurs twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _as_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    return _as_text(loader, node) if ":" in str(node.value) else loader.construct_yaml_int(node)


def _number(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | str:
    return _as_text(loader, node) if ":" in str(node.value) else loader.construct_yaml_float(node)


def _reject(loader: yaml.SafeLoader, node: yaml.Node) -> None:
    raise yaml.constructor.ConstructorError(None, None, f"{node.tag} has no equivalent in JSON", node.start_mark)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_text)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
for _kind in ("binary", "set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _reject)


def read_yaml(text: str, place: str) -> Any:
    """Parse the YAML document `text` into JSON values; errors call the document `place`.

    Raises Refusal when `text` is not YAML, has a value that JSON cannot express, or exceeds MAX_DEPTH or
    MAX_CHARACTERS.
    """
    try:
        document = yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise Refusal(f"{place} is more than {MAX_DEPTH} levels deep") from None
    except Exception as error:  # the loader also raises errors of int(), float() and dict()
        raise Refusal(f"{place} is not valid YAML: {one_line(str(error))[:500]}") from None
    _check(document, place)
    return document


def _check(document: Any, place: str) -> None:
    """Raise Refusal for a document that is too deep, too large or contains itself, and for a value that JSON cannot
    express. Each part is checked once, even if several aliases refer to it."""
    known: dict[int, tuple[int, int]] = {}

    def size(value: Any, depth: int, path: str) -> tuple[int, int]:
        """(number of characters, levels of nesting) of a value that lies `depth` levels deep. Errors name it by `path`,
        its keys joined by dots."""
        if isinstance(value, float) and not math.isfinite(value):
            raise Refusal(f"{place}: {path or 'the value'} is {value}, which is not a finite number")
        if not isinstance(value, dict | list):
            return 1 + (len(value) if isinstance(value, str) else 0), 0
        characters, levels = known.get(id(value), (1, 0))
        if depth + levels > MAX_DEPTH:
            raise Refusal(f"{place} is more than {MAX_DEPTH} levels deep")
        if id(value) not in known:
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(value, dict) and not isinstance(key, str):
                    raise Refusal(f"{place}: {path or 'the document'} has the key {key!r}; put it in quotes")
                more, below = size(part, depth + 1, f"{path}.{key}"[:80].lstrip("."))
                characters, levels = characters + more + len(str(key)), max(levels, below + 1)
            known[id(value)] = characters, levels
        return characters, levels

    if size(document, 0, "")[0] > MAX_CHARACTERS:
        raise Refusal(f"{place} has more than {MAX_CHARACTERS:,} characters when its aliases are written out")

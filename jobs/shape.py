"""Structural checks of a JSON-like document before it is validated: depth, number of values, integer range, valid
texts."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from prunescope.jobs.bounds import MAX_DEPTH, MAX_INTEGER, MAX_VALUES
from prunescope.jobs.problems import Problem, bad_field

_Path: TypeAlias = "tuple[_Path, str] | None"
ROOT = "spec"
"""Errors name a field of a request's spec without this prefix."""
_NULL = "\0"


def check_shape(document: Any, *, kept: bool = False) -> None:
    """Raise Problem (422, naming the field) for a document that is nested too deep, or that has too many values, an
    integer of more than 64 bits, or a lone surrogate (not encodable as UTF-8) in a text or key.

    `kept` says that the document will be stored in the database. Null characters are invalid then, since PostgreSQL
    cannot read JSON that contains them. The check takes linear time and does not recurse. A value that is reached twice
    (a YAML alias) is counted twice.
    """
    pending: list[tuple[Any, _Path, int]] = [(document, None, 1)]
    seen = 1
    while pending:
        value, path, depth = pending.pop()
        match value:
            case str():
                _check_text(value, path, "a text", kept)
            case bool() | None | float():
                pass
            case int():
                _check_integer(value, path)
            case Mapping() | list() | tuple():
                if depth > MAX_DEPTH:
                    raise bad_field(
                        _field(path),
                        f"more than {MAX_DEPTH} levels",
                        f"at most {MAX_DEPTH} levels",
                        f"is nested more than {MAX_DEPTH} levels deep",
                    )
                seen += len(value)
                if seen > MAX_VALUES:
                    raise bad_field(
                        ROOT,
                        f"more than {MAX_VALUES} values",
                        f"at most {MAX_VALUES} values",
                        f"holds more than {MAX_VALUES:,} values; name texts and rows by file or by data set instead",
                    )
                if isinstance(value, Mapping):
                    items = [(_check_key(key, path, kept), item) for key, item in value.items()]
                else:
                    items = [(str(index), item) for index, item in enumerate(value) if not _plain(item)]
                # Reversed, because `pop` takes the last item: the first invalid field is reported.
                pending.extend((item, (path, key), depth + 1) for key, item in reversed(items))
            case _:
                raise _not_json(value, path)


def _plain(value: object) -> bool:
    """Whether a value needs no further check; a fast path for long lists of small numbers and short texts."""
    return (type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER) or (
        type(value) is str and value.isascii() and _NULL not in value
    )


def _check_key(key: object, path: _Path, kept: bool) -> str:
    if isinstance(key, str):
        _check_text(key, (path, key), "a field's name", kept)
        return key
    if isinstance(key, int) and not isinstance(key, bool):  # YAML allows integer keys; JSON turns them into texts
        _check_integer(key, path)
        return str(key)
    raise _not_json(key, path)


def _check_text(text: str, path: _Path, what: str, kept: bool) -> None:
    if kept and _NULL in text:
        raise bad_field(
            _field(path),
            text,
            "text without null characters",
            f"{what} holds a null character (\\u0000) at character {text.index(_NULL)}; remove it",
        )
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise bad_field(
            _field(path),
            _printable(text),
            "text that UTF-8 can encode",
            f"{what} holds {half} at character {error.start}, half of a surrogate pair; write the whole character",
        ) from None


def _check_integer(value: int, path: _Path) -> None:
    if abs(value) > MAX_INTEGER:
        raise bad_field(
            _field(path),
            f"an integer of {value.bit_length()} bits",
            f"at most {MAX_INTEGER}",
            f"an integer of {value.bit_length()} bits is not allowed: at most {MAX_INTEGER}",
        )


def _not_json(value: object, path: _Path) -> Problem:
    """The 422 Problem for a value of a type that JSON does not have, such as a date in YAML."""
    kind = type(value).__name__
    return bad_field(_field(path), kind, "a JSON value", f"a value of the type {kind} is not allowed; quote it")


def _field(path: _Path) -> str:
    """The dotted field path without the leading ROOT; ROOT for the document itself."""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(_printable(step))
    steps.reverse()
    return ".".join(steps[1:] if len(steps) > 1 and steps[0] == ROOT else steps) or ROOT


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()

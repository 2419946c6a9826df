"""Reads JSON Lines and text files of users; error messages name the file, line and field."""

import codecs
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadData

MAX_DEPTH = 100
"""Maximum nesting depth in one line of a file; valid rows need three levels."""
MAX_DIGITS = 400
"""Maximum number of digits of an integer in a line of a file."""


@dataclass(frozen=True)
class Row:
    """One row of a dataset, whose fields are validated when they are read. `place` names the row in error messages."""

    fields: Mapping[str, object]
    place: str

    def text(self, name: str) -> str:
        """Return a text field that is not blank. Raises BadData for any other value."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._field_error(name, value, "a text")
        if not value.strip():
            raise BadData(f"{self.place}: field {name!r} is empty")
        return self._valid(name, value)

    def passage(self, name: str) -> str:
        """Return a text field that may be blank. Raises BadData for any other value."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise BadData(f"{self.place}: field {name!r} is missing or not a text")
        return self._valid(name, value)

    def answer(self, name: str, answers: Sequence[str]) -> str:
        """Return `answers[label]` for the label in field `name`. Raises BadData for a label that is not an index of
        `answers`."""
        value = self._value(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(answers):
            raise self._field_error(name, value, " or ".join(map(str, range(len(answers)))))
        return answers[value]

    def truth(self, name: str) -> bool:
        """Return a boolean field. Raises BadData for any other value."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._field_error(name, value, "true or false")
        return value

    def chosen(self, choices: str, key: str) -> str:
        """Return the right choice's text: of the field `choices` {"text": [...], "label": [...]}, the text whose label
        is in field `key`. Raises BadData for other contents."""
        found, label = self._value(choices), self._value(key)
        texts, labels = (found.get("text"), found.get("label")) if isinstance(found, Mapping) else (None, None)
        if not (_are_texts(texts) and _are_texts(labels) and len(texts) == len(labels)):
            raise self._field_error(choices, found, '{"text": [...], "label": [...]}, as many labels as texts')
        if not isinstance(label, str) or label not in labels:
            raise self._field_error(key, label, f"one of {', '.join(labels)}")
        return self._valid(choices, texts[labels.index(label)])

    def _valid(self, name: str, text: str) -> str:
        """Return the text. Raises BadData for a lone surrogate."""
        if wrong := half_character(text):
            raise BadData(f"{self.place}: field {name!r} {wrong}")
        return text

    def _value(self, name: str) -> object:
        if name not in self.fields:
            raise BadData(
                f"{self.place}: field {name!r} is missing; it has {', '.join(map(repr, self.fields)) or 'no fields'}"
            )
        return self.fields[name]

    def _field_error(self, name: str, value: object, needed: str) -> BadData:
        shown = repr(value)
        return BadData(f"{self.place}: field {name!r} is {shown[:60]}{'...' * (len(shown) > 60)}, not {needed}")


def file_text(path: Path) -> str:
    """Return a file's text, with line ends converted to "\\n". Raises BadData when the file is not UTF-8 or cannot be
    read."""
    with _read_errors(path):
        raw = path.read_bytes()
    try:
        text = _without_bom(raw, str(path)).decode()
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    if "\0" in text:
        raise BadData(f"{path}: holds a NUL byte, so it is not UTF-8 text; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def file_values(path: Path) -> Iterator[tuple[str, object]]:
    """Yield (place, value) for each non-blank line of a JSON Lines file. All JSON Lines files are read by this
    function.

    Lines end at LF, CR LF or CR only, since U+2028, U+0085 and other separators may occur in a JSON string. A byte
    order mark may precede the first line. Raises BadData, naming file, line and column, for a line that is not UTF-8,
    is not JSON (NaN and infinite numbers are not), is nested deeper than MAX_DEPTH, or has an object with a repeated
    name.
    """
    for number, line in enumerate(_lines(path), start=1):
        if line.strip():
            place = f"{path}, line {number}"
            yield place, _value(line, place)


def file_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSON Lines file, skipping blank lines. Raises BadData for an invalid line, and for a file
    without rows."""
    empty = True
    for place, fields in file_values(path):
        if not isinstance(fields, dict):
            raise BadData(f"{place}: not a JSON object with named fields; it begins with {json.dumps(fields)[:40]}")
        empty = False
        yield Row(fields, place)
    if empty:
        raise BadData(f"{path}: has no rows; each line must be one JSON object")


def file_documents(path: Path) -> list[str]:
    """Return the field `text` of each line of a .jsonl file. Raises BadData, naming file, line and field."""
    return [row.text("text") for row in file_rows(path)]


def _lines(path: Path) -> Iterator[str]:
    """Yield the file's lines without their line ends. Raises BadData for a line that is not UTF-8 or contains a NUL
    byte."""
    number = 0
    with _read_errors(path), path.open("rb") as stream:
        for whole in stream:
            for raw in whole.removesuffix(b"\n").removesuffix(b"\r").split(b"\r"):
                number += 1
                place = f"{path}, line {number}"
                if number == 1:
                    raw = _without_bom(raw, str(path))
                try:
                    line = raw.decode()
                except UnicodeDecodeError as error:
                    column = len(raw[: error.start].decode()) + 1
                    raise BadData(f"{place}: not UTF-8 (byte {raw[error.start]:#04x} at column {column})") from error
                if (nul := line.find("\0")) >= 0:
                    raise BadData(f"{place}: a NUL byte at column {nul + 1}, so it is not UTF-8 text; save it as UTF-8")
                yield line


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Convert errors of opening and reading a file to BadData."""
    try:
        yield
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        if isinstance(error, BadData):
            raise
        raise BadData(f"{str(path)!r}: not a valid file name ({error})") from error  # contains a NUL


def _without_bom(raw: bytes, name: str) -> bytes:
    """Return a file's first bytes without a UTF-8 byte order mark. Raises BadData for a UTF-16 byte order mark."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadData(f"{name}: not UTF-8 but UTF-16 or UTF-32; save it as UTF-8")
    return raw.removeprefix(codecs.BOM_UTF8)


class _NotJson(ValueError):
    """Raised for a value that is not JSON; `pattern` is a regular expression that matches the value, outside of
    strings."""

    def __init__(self, said: str, pattern: str) -> None:
        super().__init__(said)
        self.pattern = pattern


class _RepeatedName(ValueError):
    """Raised for a name that occurs twice in one object."""


def _value(line: str, place: str) -> object:
    if line.count("[") + line.count("{") > MAX_DEPTH and (column := _too_deep(line)):
        raise BadData(f"{place}, column {column}: nested deeper than {MAX_DEPTH} lists and objects")
    try:
        return _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise BadData(f"{place}: not JSON ({error.msg.removesuffix(' at')} at column {error.colno})") from error
    except _NotJson as error:
        found = re.search(error.pattern, _outside_of_strings(line))
        column = found.start() + 1 if found else 1
        raise BadData(f"{place}: not JSON ({error} at column {column})") from error
    except _RepeatedName as error:
        name = str(error)
        column = line.rfind(json.dumps(name, ensure_ascii=False)) + 1 or line.rfind(json.dumps(name)) + 1 or 1
        raise BadData(f"{place}: field {name[:60]!r} occurs twice in one object, again at column {column}") from error


def _too_deep(line: str) -> int:
    """Return the column, from 1, at which the nesting becomes too deep; 0 if it does not."""
    depth = 0
    for found in re.finditer(r"[\[{\]}]", _outside_of_strings(line)):
        depth += 1 if found.group() in "[{" else -1
        if depth > MAX_DEPTH:
            return found.start() + 1
    return 0


def _outside_of_strings(line: str) -> str:
    """Return the line with each JSON string replaced by quotation marks of the same length."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda found: '"' * len(found.group()), line)


def _constant(text: str) -> object:
    raise _NotJson(f"{text}: not a number in JSON", re.escape(text))


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _NotJson(f"a number of more than {MAX_DIGITS} digits", rf"\d{{{MAX_DIGITS},}}")
    return int(digits)


def _float(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise _NotJson(f"{text[:20]}: too large a number", re.escape(text))
    return number


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedName(next(name for index, name in enumerate(names) if name in names[:index]))
    return found


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)

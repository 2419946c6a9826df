"""Rows of text: a field of a data set, or a file that a user wrote, with the place of what is wrong in it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from lm.characters import half_character
from lm.errors import BadData


@dataclass(frozen=True)
class Row:
    """One row of a data set, checked as its fields are read; `place` says in an error where it stands."""

    fields: Mapping[str, object]
    place: str

    def text(self, name: str) -> str:
        """A field that is a text and not blank. Raises BadData."""
        value = self._value(name)
        if not isinstance(value, str):
            raise self._wrong(name, value, "a text")
        if not value.strip():
            raise BadData(f"{self.place}: field {name!r} is empty")
        return self._whole(name, value)

    def passage(self, name: str) -> str:
        """A field that is a piece of running text, which may be blank. Raises BadData."""
        value = self.fields.get(name)
        if not isinstance(value, str):
            raise BadData(f"{self.place}: field {name!r} is missing or no text")
        return self._whole(name, value)

    def answer(self, name: str, answers: Sequence[str]) -> str:
        """The answer that a label 0, 1, ... stands for. Raises BadData."""
        value = self._value(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < len(answers):
            raise self._wrong(name, value, " or ".join(map(str, range(len(answers)))))
        return answers[value]

    def truth(self, name: str) -> bool:
        """A field that is true or false. Raises BadData."""
        value = self._value(name)
        if not isinstance(value, bool):
            raise self._wrong(name, value, "true or false")
        return value

    def chosen(self, choices: str, key: str) -> str:
        """Of `choices` {"text": [...], "label": [...]} the text whose label the field `key` holds. Raises BadData."""
        found, label = self._value(choices), self._value(key)
        texts, labels = (found.get("text"), found.get("label")) if isinstance(found, Mapping) else (None, None)
        if not (_are_texts(texts) and _are_texts(labels) and len(texts) == len(labels)):
            raise self._wrong(choices, found, '{"text": [...], "label": [...]}, as many labels as texts')
        if not isinstance(label, str) or label not in labels:
            raise self._wrong(key, label, f"one of {', '.join(labels)}")
        return self._whole(choices, texts[labels.index(label)])

    def _whole(self, name: str, text: str) -> str:
        if wrong := half_character(text):
            raise BadData(f"{self.place}: field {name!r} {wrong}")
        return text

    def _value(self, name: str) -> object:
        if name not in self.fields:
            raise BadData(
                f"{self.place}: field {name!r} is missing; it has {', '.join(map(repr, self.fields)) or 'no fields'}"
            )
        return self.fields[name]

    def _wrong(self, name: str, value: object, needed: str) -> BadData:
        shown = repr(value)
        return BadData(f"{self.place}: field {name!r} is {shown[:60]}{'...' * (len(shown) > 60)}, not {needed}")


def file_text(path: Path) -> str:
    """A file's whole text. Raises BadData when it is not UTF-8 or cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from error


def file_rows(path: Path) -> Iterator[Row]:
    """The rows of a JSON lines file, of which there is at least one; blank lines do not count."""
    empty = True
    for number, line in enumerate(file_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise BadData(f"{place}: not JSON ({error})") from error
        if not isinstance(fields, dict):
            raise BadData(f"{place}: no JSON object with named fields; it begins with {line.strip()[:40]}")
        empty = False
        yield Row(fields, place)
    if empty:
        raise BadData(f"{path}: has no rows; a line of it is one JSON object")


def file_documents(path: Path) -> list[str]:
    """The field `text` of each line of a .jsonl file. Raises BadData, which names file, line and field."""
    return [row.text("text") for row in file_rows(path)]


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)

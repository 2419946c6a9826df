"""A task's rows: from a local file first, from the hub where there is none, checked field by field."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.catalogue import Task
from lm import hub
from lm.errors import BadData

Row = dict[str, Any]
"""The text and label field of a task's row under their own names, and its `words` where it has some."""


@dataclass(frozen=True)
class HubSource:
    """A split of a data set on the hub."""

    path: str
    name: str | None
    split: str


def task_rows(task: Task, source: HubSource, data: Path | None = None, limit: int | None = None) -> list[Row]:
    """The rows of the task in their order; `limit` asks the hub for no more than so many, a file is read whole.

    `data` is a folder: `data/eval/<task>.jsonl` is read where it exists, else the rows that ship with the project,
    else the hub. BadData says which file, line and field is wrong, or how to give a file when the hub does not answer.
    """
    if data is not None:
        if not data.is_dir():
            raise BadData(f"data folder {data} does not exist; give one with eval/{task.name}.jsonl in it, or none")
        local = data / "eval" / f"{task.name}.jsonl"
        if local.exists():
            return read_rows(task, local)
    if task.shipped is not None:
        return read_rows(task, task.shipped)
    return hub_rows(task, source, limit)


def read_rows(task: Task, path: Path) -> list[Row]:
    """The rows of a JSON Lines file; blank lines do not count. BadData names file, line and field."""
    rows = []
    for number, line in _lines(path):
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadData(f"{place}: not JSON ({error.msg} at column {error.colno})") from error
        rows.append(_checked(task, row, place))
    if not rows:
        raise BadData(f"{path}: no rows; task {task.name} needs lines with {task.text} and {task.label}")
    return rows


def hub_rows(task: Task, source: HubSource, limit: int | None = None) -> list[Row]:
    """The rows of a hub data set, with `limit` the first ones alone; BadData says how to do without the hub."""
    mend = f"put the rows of task {task.name} into eval/{task.name}.jsonl of a folder and name it as the data folder"
    rows = hub.dataset_rows(source.path, source.name, source.split, mend=mend, limit=limit)
    return [
        _checked(task, row, f"{source.path}, split {source.split}, row {number}") for number, row in enumerate(rows)
    ]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as lines:
            for number, raw in enumerate(lines, start=1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise BadData(f"{path}, line {number}: not UTF-8 (byte {error.start} of the line)") from error
                if line.strip():
                    yield number, line
    except OSError as error:
        raise BadData(f"{path}: cannot be read ({error.strerror})") from error


def _checked(task: Task, row: object, place: str) -> Row:
    """The fields that the task reads; BadData names the one that is missing or wrong."""
    if not isinstance(row, dict):
        raise BadData(f"{place}: a JSON {_kind(row)}, but a row is an object with {task.text} and {task.label}")
    for field in (task.text, task.label):
        if field not in row:
            raise BadData(f"{place}: field {field!r} is missing; it has {', '.join(map(repr, row)) or 'no fields'}")
    text, label = row[task.text], row[task.label]
    if not isinstance(text, str):
        raise BadData(f"{place}: field {task.text!r} is a JSON {_kind(text)}, but must be a text")
    if not text.strip():
        raise BadData(f"{place}: field {task.text!r} is empty")
    # True == 1 in Python, but not on the hub.
    if not any(type(label) is type(known) and label == known for known in task.labels):
        allowed = " or ".join(map(json.dumps, task.labels))
        raise BadData(f"{place}: field {task.label!r} is {json.dumps(label)[:80]}, but must be {allowed}")
    checked = {task.text: text, task.label: label}
    if (words := row.get("words")) is not None:
        if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
            raise BadData(f"{place}: field 'words' must be a list of words")
        checked["words"] = words
    return checked


def _kind(value: object) -> str:
    kinds = {str: "text", bool: "true or false", int: "number", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "null")

"""Reads a task's rows from a local file if there is one, else from the hub, and validates each field."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prunescope.evaluation.catalogue import Task
from prunescope.evaluation.fields import kind
from prunescope.evaluation.forms import Form, Row
from prunescope.lm import hub
from prunescope.lm.characters import half_character
from prunescope.lm.errors import BadData
from prunescope.lm.rows import file_values


@dataclass(frozen=True)
class HubSource:
    """A split of a dataset on the hub."""

    path: str
    name: str | None
    split: str
    revision: str | None = None


def task_rows(task: Task, source: HubSource, data: Path | None = None, limit: int | None = None) -> list[Row]:
    """Read the task's rows in order, converted to the format that the task's definition reads. The optional field
    `words` of a row is kept.

    The rows come from `data`/eval/<task>.jsonl if it exists, else from the file that is part of the project, else from
    the hub. `limit` limits the rows that are requested from the hub; a file is always read completely.

    Raises BadData for an invalid row, naming file, line and field; and when there is no hub dataset or the hub cannot
    be reached, saying how to supply a file.
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
    """Read the rows of a JSON Lines file; blank lines are skipped. Raises BadData for an invalid row, naming file, line
    and field or column, and for a file without rows."""
    checked = (_checked(task, row, place) for place, row in file_values(path))
    rows = [row for row in checked if row is not None]
    if not rows:
        raise BadData(f"{path}: no rows; task {task.name} needs lines with {_named(task.forms[0].fields)}")
    return rows


def hub_rows(task: Task, source: HubSource, limit: int | None = None) -> list[Row]:
    """Read the rows of a hub dataset; only the first `limit` rows if it is given. Raises BadData for an invalid row,
    and when the dataset cannot be read, saying how to supply a local file."""
    if task.local is not None:
        raise BadData(f"task {task.name} has no local file: {task.local}")
    advice = f"put the rows of task {task.name} into eval/{task.name}.jsonl of a folder and name it as the data folder"
    # Rows that do not belong to the task can only be recognised after reading them, so such a request is not limited.
    some = limit if task.rows is None and not any(form.excluded for form in task.forms) else None
    wanted = None if task.rows is None else (task.rows[0], _ids(task.rows[1]))
    rows = []
    offered = hub.dataset_rows(
        source.path, source.name, source.split, advice=advice, revision=source.revision, limit=some
    )
    for number, row in enumerate(offered):
        if wanted is not None and str(row.get(wanted[0])) not in wanted[1]:
            continue
        checked = _checked(task, row, f"{source.path}, split {source.split}, row {number}")
        if checked is not None:
            rows.append(checked)
    return rows[:limit]


def _ids(path: Path) -> frozenset[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return frozenset(id for line in lines if not line.startswith("#") for id in line.split())


def _checked(task: Task, row: object, place: str) -> Row | None:
    """Validate and convert a row; None for a row that does not belong to the task. Raises BadData, naming the missing
    or invalid field."""
    if not isinstance(row, dict):
        fields = _named(task.forms[0].fields)
        raise BadData(f"{place}: a JSON {kind(row)}, but a row is an object with {fields}")
    checked = _form(task, row, place).checked(row)
    match checked:
        case (field, wrong):
            raise BadData(f"{place}: field {field!r} {wrong}")
        case dict() if (words := row.get("words")) is not None:
            if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
                raise BadData(f"{place}: field 'words' must be a list of words")
            for wrong in filter(None, map(half_character, words)):
                raise BadData(f"{place}: field 'words' has a word that {wrong}")
            return {**checked, "words": words}
    return checked


def _form(task: Task, row: Row, place: str) -> Form:
    """The first format whose fields the row has. Raises BadData if there is none, naming the first missing field of the
    most similar format."""
    for form in task.forms:
        if form.fields.keys() <= row.keys():
            return form
    closest = max(task.forms, key=lambda form: len(form.fields.keys() & row.keys()) / len(form.fields))
    missing = next(name for name in closest.fields if name not in row)
    raise BadData(f"{place}: field {missing!r} is missing; it has {', '.join(map(repr, row)) or 'no fields'}")


def _named(fields: Iterable[str]) -> str:
    *most, last = fields
    return f"{', '.join(most)} and {last}"

"""A task's texts and the prompt around them, for looking at neurons under the very prompt that is measured."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation.catalogue import Task, find_task
from evaluation.harness import Newline, configuration, hub_source
from evaluation.rows import Row, task_rows
from lm.errors import BadInput


@dataclass(frozen=True)
class PromptedText:
    """A row's text with the prompt around it: the model reads `before + text + after`.

    `label` is the right answer as the task's choices spell it; `words` are the row's own influential words.
    """

    text: str
    before: str
    after: str
    label: str | None
    words: tuple[str, ...] | None


def around(task: str, newline: Newline = "real") -> tuple[str, str]:
    """What the task's prompt puts before and after its text; BadInput when the prompt is made from more than one."""
    found = find_task(task)
    return split_prompt(configuration(found, newline)["doc_to_text"], found.text)


def task_texts(
    task: str, count: int, seed: int, data: Path | None = None, newline: Newline = "real"
) -> list[PromptedText]:
    """`count` rows of the task, drawn without replacement by `seed`, in the order of their file.

    Raises BadInput when the task has fewer rows, and BadData as `rows.task_rows` does.
    """
    found = find_task(task)
    config = configuration(found, newline)
    rows = task_rows(found, hub_source(config), data)
    if not 1 <= count <= len(rows):
        raise BadInput(f"{count} texts of task {task} are asked for, but must be 1 to {len(rows)}, its number of rows")
    return _prompted(found, config, [rows[i] for i in sorted(random.Random(seed).sample(range(len(rows)), count))])


def row_texts(
    task: str, indices: Sequence[int], data: Path | None = None, newline: Newline = "real"
) -> list[PromptedText]:
    """The rows of the task at these places, from 0, in the order given: the ones that an evaluation calls by them.

    Raises BadInput for a place that the task has not, and BadData as `rows.task_rows` does.
    """
    found = find_task(task)
    config = configuration(found, newline)
    rows = task_rows(found, hub_source(config), data, limit=max(indices) + 1)
    for index in indices:
        if index >= len(rows):
            raise BadInput(f"row {index} of task {task} is asked for, but its rows are 0 to {len(rows) - 1}")
    return _prompted(found, config, [rows[index] for index in indices])


def _prompted(found: Task, config: dict[str, Any], rows: Sequence[Row]) -> list[PromptedText]:
    before, after = split_prompt(config["doc_to_text"], found.text)
    return [
        PromptedText(
            text=row[found.text],
            before=before,
            after=after,
            label=config["doc_to_choice"][found.labels.index(row[found.label])],
            words=tuple(row["words"]) if "words" in row else None,
        )
        for row in rows
    ]


def split_prompt(template: str, field: str) -> tuple[str, str]:
    """What a prompt's template puts before and after its one field; BadInput when it is made from more than that."""
    parts = re.split(r"\{\{\s*" + re.escape(field) + r"\s*\}\}", template)
    if len(parts) != 2 or any("{" in part for part in parts):
        raise BadInput(f"the prompt {template!r} does not go around one text; give the texts with prompt none")
    return parts[0], parts[1]

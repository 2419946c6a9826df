"""A task's texts and the prompt around them, for looking at neurons under the very prompt that is measured."""

import random
import re
from dataclasses import dataclass
from pathlib import Path

from evaluation.catalogue import find_task
from evaluation.harness import Newline, configuration, hub_source
from evaluation.rows import task_rows
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
    before, after = split_prompt(config["doc_to_text"], found.text)
    rows = task_rows(found, hub_source(config), data)
    if not 1 <= count <= len(rows):
        raise BadInput(f"{count} texts of task {task} are asked for, but must be 1 to {len(rows)}, its number of rows")
    drawn = sorted(random.Random(seed).sample(range(len(rows)), count))
    return [
        PromptedText(
            text=row[found.text],
            before=before,
            after=after,
            label=config["doc_to_choice"][found.labels.index(row[found.label])],
            words=tuple(row["words"]) if "words" in row else None,
        )
        for row in (rows[index] for index in drawn)
    ]


def split_prompt(template: str, field: str) -> tuple[str, str]:
    """What a prompt's template puts before and after its one field; BadInput when it is made from more than that."""
    parts = re.split(r"\{\{\s*" + re.escape(field) + r"\s*\}\}", template)
    if len(parts) != 2 or any("{" in part for part in parts):
        raise BadInput(f"the prompt {template!r} does not go around one text; give the texts with prompt none")
    return parts[0], parts[1]

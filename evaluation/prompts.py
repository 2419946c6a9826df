"""A task's texts with their prompt, so that attribution records neurons under the same prompt as evaluation."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunescope.evaluation.catalogue import Task, find_task
from prunescope.evaluation.forms import Row
from prunescope.evaluation.harness import Newline, Question, ask, configuration, hub_source
from prunescope.evaluation.rows import task_rows
from prunescope.lm.errors import BadInput

_FIELD = re.compile(r"\{\{.*?\}\}", re.DOTALL)


@dataclass(frozen=True)
class PromptedText:
    """A row's text with its prompt; the model's input is `before + text + after`.

    When a prompt contains several fields of the row, `text` is everything from the first field to the last, including
    the prompt's words between them. When the choices are whole sentences, `text` is the correct choice. `label` is the
    correct answer as spelled in the task's choices. `words` are the influential words that the row itself gives; None
    if it gives none.
    """

    text: str
    before: str
    after: str
    label: str | None
    words: tuple[str, ...] | None


def prompt_around(task: str, newline: Newline = "real") -> tuple[str, str]:
    """(prompt before the row's text, prompt after it) of a task. Raises BadInput for an unknown task, and for one whose
    prompt contains several fields of the row."""
    template = configuration(find_task(task), newline)["doc_to_text"]
    if not isinstance(template, str) or len(_FIELD.findall(template)) != 1:
        raise BadInput(f"the prompt of {task} does not contain exactly one field for a text; choose prompt none")
    return _frame(template)


def task_texts(
    task: str, count: int, seed: int, data: Path | None = None, newline: Newline = "real"
) -> list[PromptedText]:
    """Draw `count` rows of the task at random without replacement, and return them in the order of their file.

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
    """The rows of the task with these indices (`ExampleResult.index`), in the order of `indices`.

    Raises BadInput for an index that the task does not have, and BadData as `rows.task_rows` does.
    """
    found = find_task(task)
    config = configuration(found, newline)
    rows = task_rows(found, hub_source(config), data, limit=max(indices) + 1)
    for index in indices:
        if index >= len(rows):
            raise BadInput(f"row {index} of task {task} is asked for, but its rows are 0 to {len(rows) - 1}")
    return _prompted(found, config, [rows[index] for index in indices])


def _prompted(task: Task, config: dict[str, Any], rows: Sequence[Row]) -> list[PromptedText]:
    template = config["doc_to_text"]
    before, after = task.between or (_frame(template) if isinstance(template, str) else ("", ""))
    found = []
    for row, question in zip(rows, ask(config, list(rows)).questions, strict=True):
        read = _read(question)
        start, end = _inside(read, before, after)
        found.append(
            PromptedText(
                text=read[start:end],
                before=read[:start],
                after=read[end:],
                label=question.choices[question.answer],
                words=tuple(row["words"]) if "words" in row else None,
            )
        )
    return found


def _inside(prompt: str, before: str, after: str) -> tuple[int, int]:
    """(start, end) of the row's text in a rendered prompt, which is between `before` and the last `after`; leading
    white space is excluded (sciq's passage may be empty). The range of the whole prompt if the text would be empty."""
    start = len(before) if prompt.startswith(before) else 0
    end = prompt.rfind(after, start) if after else len(prompt)
    start += len(prompt[start:end]) - len(prompt[start:end].lstrip())
    return (start, end) if start < end else (0, len(prompt))


def _read(question: Question) -> str:
    """The text of a question that the model reads: the prompt if all choices have the same one, else the sentence that
    contains the correct answer."""
    first = question.prompts[0]
    if first and all(prompt == first for prompt in question.prompts):
        return first
    return question.prompts[question.answer] + question.continuations[question.answer]


def _frame(template: str) -> tuple[str, str]:
    """(part before the first field, part after the last field) of a prompt's template; empty strings for a template
    with Jinja statements or without fields."""
    if "{%" in template or not (fields := list(_FIELD.finditer(template))):
        return "", ""
    return template[: fields[0].start()], template[fields[-1].end() :]

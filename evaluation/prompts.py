"""A task's texts with the prompt around them, so that neurons are recorded with the same prompt as in the
evaluation."""

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
    """A row's text with the prompt around it: the model reads `before + text + after`.

    When a prompt is made from several fields, `text` reaches from the first field to the last, with the prompt's words
    between them; when every choice is a whole sentence, `text` is the right one. `label` is the right answer as spelled
    in the task's choices; `words` are the row's own influential words.
    """

    text: str
    before: str
    after: str
    label: str | None
    words: tuple[str, ...] | None


def around(task: str, newline: Newline = "real") -> tuple[str, str]:
    """The task's prompt before and after its text. Raises BadInput when the prompt is made from several texts."""
    template = configuration(find_task(task), newline)["doc_to_text"]
    if not isinstance(template, str) or len(_FIELD.findall(template)) != 1:
        raise BadInput(f"the prompt of {task} does not go around one text; give the texts with prompt none")
    return _frame(template)


def task_texts(
    task: str, count: int, seed: int, data: Path | None = None, newline: Newline = "real"
) -> list[PromptedText]:
    """Draw `count` rows of the task without replacement with `seed`; they are returned in the order of their file.

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
    """The rows of the task with these indices (as `ExampleResult.index`), in the given order.

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
    """The range of the text in a rendered prompt that begins with `before` and ends with `after`, without leading white
    space (sciq's passage may be empty); the whole prompt if it does not have these."""
    start = len(before) if prompt.startswith(before) else 0
    end = prompt.rfind(after, start) if after else len(prompt)
    start += len(prompt[start:end]) - len(prompt[start:end].lstrip())
    return (start, end) if start < end else (0, len(prompt))


def _read(question: Question) -> str:
    """The text of a question: its prompt or, when each choice has its own prompt or none, the sentence with the right
    answer."""
    first = question.prompts[0]
    if first and all(prompt == first for prompt in question.prompts):
        return first
    return question.prompts[question.answer] + question.continuations[question.answer]


def _frame(template: str) -> tuple[str, str]:
    """The parts of a prompt's template before its first and after its last field."""
    if "{%" in template or not (fields := list(_FIELD.finditer(template))):
        return "", ""
    return template[: fields[0].start()], template[fields[-1].end() :]

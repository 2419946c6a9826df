"""Accuracy of a language model on multiple-choice tasks, zero-shot."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.catalogue import find_task
from evaluation.likelihood import encode, log_likelihoods
from evaluation.rows import task_rows
from evaluation.statistics import chance_accuracy, majority_accuracy, wilson_interval
from lm.architecture import context_length
from lm.errors import BadInput
from lm.loading import LanguageModel

if TYPE_CHECKING:
    from evaluation.harness import Newline, Question, Questionnaire


@dataclass(frozen=True)
class ExampleResult:
    """One row: the prompt as the model read it, and the log-likelihood of each choice (natural logarithm).

    Where each choice has a prompt of its own, `text` has a blank `_` in the choices' place.
    `chosen` and `answer` are indices into `choices`; `index` is the row's place in its file or split, from 0.
    """

    index: int
    text: str
    scores: list[float]
    chosen: int
    answer: int
    choices: list[str]


@dataclass(frozen=True)
class TaskResult:
    """A task's accuracy with all that it stands on.

    `interval` is Wilson's at 95 %; `chance` is blind guessing, `majority` always the most frequent right answer.
    `prompt_hash` (SHA-256) covers what the prompt is made from, not the rows. `truncated` counts the rows whose prompt
    was longer than the model's context and lost tokens on the left. `examples` are in the rows' order.
    """

    task: str
    accuracy: float
    rows: int
    interval: tuple[float, float]
    chance: float
    majority: float
    version: str
    prompt_hash: str
    truncated: int
    examples: list[ExampleResult]


def _no_report(task: str, done: int, total: int) -> None:
    pass


def evaluate(
    lm: LanguageModel,
    tasks: Sequence[str],
    *,
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch: int = 16,
    newline: "Newline" = "real",
    on_batch: Callable[[str, int, int], None] = _no_report,
) -> dict[str, TaskResult]:
    """Accuracy on each task: the choice with the highest summed log-likelihood, as lm-evaluation-harness counts it.

    `data` is a folder whose `eval/<task>.jsonl` are read before the hub; `limit` takes the first rows, as the harness
    does; `batch` is rows at a time; `newline` is how Figure 1's prompt ends its lines. All rows of all tasks are read
    and checked before the first is scored. `on_batch(task, rows done, rows in all)` is called before the first and
    after every batch, and may raise Cancelled. Raises BadInput and BadData.
    """
    questionnaires = _prepare(lm, tasks, data=data, limit=limit, seed=seed, batch=batch, newline=newline)
    return {name: _measure(lm, name, asked, batch, partial(on_batch, name)) for name, asked in questionnaires.items()}


def _prepare(
    lm: LanguageModel,
    tasks: Sequence[str],
    *,
    data: Path | None,
    limit: int | None,
    seed: int,
    batch: int,
    newline: "Newline",
) -> dict[str, "Questionnaire"]:
    from evaluation.harness import ask, configuration, hub_source  # takes a second: not before it is needed

    if not tasks:
        raise BadInput("no task is named; name at least one")
    if limit is not None and limit < 1:
        raise BadInput(f"limit is {limit}, but must be at least 1 row; leave it out for all rows")
    if batch < 1:
        raise BadInput(f"batch is {batch}, but must be at least 1 row")
    if lm.tokenizer is None:
        raise BadInput(f"{lm.reference} has no tokenizer, and a task needs one; save one beside the model")
    found = [find_task(name) for name in tasks]
    asked = {}
    for task in found:
        config = configuration(task, newline)
        rows = task_rows(task, hub_source(config), data, limit)
        asked[task.name] = ask(config, rows, limit=limit, seed=seed)
    return asked


def _measure(
    lm: LanguageModel, task: str, asked: "Questionnaire", batch: int, report: Callable[[int, int], None]
) -> TaskResult:
    questions = asked.questions
    # Prompts of like length share a batch, the longest first: little padding, and memory runs out at once or never.
    by_length = sorted(questions, key=lambda question: -max(map(len, question.prompts)))
    examples, truncated = [], 0
    report(0, len(questions))
    for start in range(0, len(by_length), batch):
        answered, cut = _answer(lm, task, by_length[start : start + batch])
        examples += answered
        truncated += cut
        report(len(examples), len(questions))
    examples.sort(key=lambda example: example.index)
    correct = sum(example.chosen == example.answer for example in examples)
    return TaskResult(
        task=task,
        accuracy=correct / len(examples),
        rows=len(examples),
        interval=wilson_interval(correct, len(examples)),
        chance=chance_accuracy([len(example.choices) for example in examples]),
        majority=majority_accuracy([example.answer for example in examples]),
        version=asked.version,
        prompt_hash=asked.prompt_hash,
        truncated=truncated,
        examples=examples,
    )


def _answer(lm: LanguageModel, task: str, questions: Sequence["Question"]) -> tuple[list[ExampleResult], int]:
    """The questions' results from one forward pass, and how many of them did not fit the context."""
    assert lm.tokenizer is not None
    length = context_length(lm.model)
    pairs = [zip(question.prompts, question.continuations, strict=True) for question in questions]
    encoded = [[encode(lm.tokenizer, prompt, answer, length) for prompt, answer in choices] for choices in pairs]
    flat = iter(log_likelihoods(lm.model, [choice for choices in encoded for choice in choices]))
    results = []
    for question, choices in zip(questions, encoded, strict=True):
        scores = [next(flat) for _ in choices]
        if not all(map(math.isfinite, scores)):
            raise BadInput(
                f"task {task}, row {question.index}: {lm.reference} gives no finite number for an answer; "
                "its weights or its number type do not hold, try --dtype float32"
            )
        results.append(
            ExampleResult(
                index=question.index,
                text=question.text,
                scores=scores,
                chosen=scores.index(max(scores)),
                answer=question.answer,
                choices=list(question.choices),
            )
        )
    return results, sum(any(choice.truncated for choice in choices) for choices in encoded)

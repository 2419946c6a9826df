"""Measures the zero-shot accuracy of a language model on multiple-choice tasks."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from prunescope.evaluation.batches import BatchSize, batch_size, in_batches
from prunescope.evaluation.catalogue import find_task
from prunescope.evaluation.likelihood import encode_all, score
from prunescope.evaluation.rows import task_rows
from prunescope.evaluation.statistics import chance_accuracy, majority_accuracy, wilson_interval
from prunescope.lm.answers import Encoded
from prunescope.lm.architecture import context_length
from prunescope.lm.errors import BadInput, BadText
from prunescope.lm.finite import not_finite
from prunescope.lm.loading import LanguageModel
from prunescope.lm.passages import longest_branched, passages

if TYPE_CHECKING:
    from prunescope.evaluation.harness import Newline, Question, Questionnaire


@dataclass(frozen=True)
class ExampleResult:
    """The result for one row of a task.

    `text` is the prompt; when each choice has its own prompt, it has a blank `_` in place of the choices. `scores` are
    the log-likelihoods of the `choices` (natural logarithm). `chosen` (by the model) and `answer` (the correct choice)
    are indices into `choices`. `index` is the row's index in its file or split, from 0.
    """

    index: int
    text: str
    scores: list[float]
    chosen: int
    answer: int
    choices: list[str]


@dataclass(frozen=True)
class TaskResult:
    """A task's accuracy with its statistics and the result for every row.

    `interval` is the 95 % Wilson interval of the accuracy; `chance` is the accuracy of random guessing, `majority` the
    accuracy of always giving the most frequent correct answer. `version` is the version of the task's definition.
    `prompt_hash` is the SHA-256 of the prompt's definition, not of the rows. `truncated` is the number of rows whose
    prompt exceeded the context length and was cut on the left. `examples` are in the order of the rows.
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


QUESTIONS_ENCODED_AT_ONCE = 512


def _no_report(task: str, done: int, total: int) -> None:
    pass


def _no_result(result: TaskResult) -> None:
    pass


def evaluate(
    lm: LanguageModel,
    tasks: Sequence[str],
    *,
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    batch: int | None = None,
    newline: "Newline" = "real",
    on_batch: Callable[[str, int, int], None] = _no_report,
    on_result: Callable[[TaskResult], None] = _no_result,
) -> dict[str, TaskResult]:
    """Measure the model's zero-shot accuracy on each task. The model's answer is the choice with the highest summed
    log-likelihood, as in lm-evaluation-harness.

    `data` is a folder that is searched for `eval/<task>.jsonl` before the hub. `limit` restricts each task to its first
    rows, as in the harness. `seed` has an effect only on tasks that draw examples for their prompt. `newline` is the
    line end in prompts of the paper's Figure 1. All rows of all tasks are read and checked before the first row is
    scored. `batch` is the batch size in sequences; None chooses it by the free memory (`batches.batch_size`). The batch
    size is halved when the GPU's memory runs out, and no batch that succeeded is computed again.

    `on_batch(task, rows done, total rows)` is called before the first and after every batch, and may raise Cancelled.
    `on_result(result)` is called after every task.

    Raises BadInput for an unknown task, an invalid option or a model without a tokenizer; BadData for missing or
    invalid rows; BadText for a choice that cannot be tokenised; NotFinite, naming row and choice, when the model
    computes NaN or infinity; OutOfMemory when a single sequence does not fit.
    """
    if not tasks:
        raise BadInput("no task is named; name at least one")
    if batch is not None and batch < 1:
        raise BadInput(f"batch is {batch}, but must be at least 1 row")
    _check_tokenizer(lm)
    asked = questionnaires(tasks, data=data, limit=limit, seed=seed, newline=newline)
    size = batch_size(lm.model) if batch is None else BatchSize(batch * context_length(lm.model), batch)
    results = {}
    for name, questions in asked.items():
        results[name] = measure(lm, name, questions, size=size, on_batch=partial(on_batch, name))
        on_result(results[name])
    return results


def questionnaires(
    tasks: Sequence[str],
    *,
    data: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    newline: "Newline" = "real",
) -> dict[str, "Questionnaire"]:
    """Read, check and render the questions of every task: task name -> questions, in the order of `tasks`. Options are
    those of `evaluate`. Raises BadInput for an unknown task or an invalid option, and BadData for missing or invalid
    rows."""
    from prunescope.evaluation.harness import ask, configuration, hub_source  # the import takes a second

    if limit is not None and limit < 1:
        raise BadInput(f"limit is {limit}, but must be at least 1 row; leave it out for all rows")
    found = [find_task(name) for name in tasks]
    asked = {}
    for task in found:
        config = configuration(task, newline)
        rows = task_rows(task, hub_source(config), data, limit)
        asked[task.name] = ask(config, rows, limit=limit, seed=seed)
    return asked


def _check_tokenizer(lm: LanguageModel) -> None:
    if lm.tokenizer is None:
        raise BadInput(f"{lm.reference} has no tokenizer, and a task needs one; save one beside the model")


def measure(
    lm: LanguageModel,
    task: str,
    asked: "Questionnaire",
    *,
    size: BatchSize | None = None,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> TaskResult:
    """Measure the accuracy on the questions of one task. `size` limits the batches; None chooses it by the free memory.

    `on_batch(rows done, total rows)` is called before the first and after every batch, and may raise Cancelled. Raises
    BadInput when the model has no tokenizer; BadText, NotFinite and OutOfMemory as `evaluate` does.
    """
    _check_tokenizer(lm)
    questions = asked.questions
    on_batch(0, len(questions))
    encoded = encode_questions(lm, task, questions, lambda: on_batch(0, len(questions)))
    scores = _scores(lm, task, questions, encoded, size or batch_size(lm.model), on_batch)
    examples = [_example(question, scored) for question, scored in zip(questions, scores, strict=True)]
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
        truncated=sum(any(choice.truncated for choice in choices) for choices in encoded),
        examples=examples,
    )


def encode_questions(
    lm: LanguageModel, task: str, questions: Sequence["Question"], check: Callable[[], None]
) -> list[list[Encoded]]:
    """Tokenise every question's choices: for each question the tokens of each choice. `check` is called between groups
    of QUESTIONS_ENCODED_AT_ONCE questions and may raise Cancelled. Raises BadText, naming the row, for a choice that
    cannot be tokenised."""
    assert lm.tokenizer is not None
    length = context_length(lm.model)
    encoded: list[list[Encoded]] = []
    for start in range(0, len(questions), QUESTIONS_ENCODED_AT_ONCE):
        if start:
            check()
        some = questions[start : start + QUESTIONS_ENCODED_AT_ONCE]
        pairs = [list(_pairs(question)) for question in some]
        try:
            flat = iter(encode_all(lm.tokenizer, [pair for choices in pairs for pair in choices], length))
        except BadText as error:
            raise BadText(f"task {task}, row {_first_unencodable(lm, some, length)}: {error}") from error
        encoded += [[next(flat) for _ in choices] for choices in pairs]
    return encoded


def _first_unencodable(lm: LanguageModel, questions: Sequence["Question"], length: int) -> int:
    """The row index of the first question that cannot be tokenised."""
    assert lm.tokenizer is not None
    for question in questions:
        try:
            encode_all(lm.tokenizer, list(_pairs(question)), length)
        except BadText:
            return question.index
    raise AssertionError("each question can be encoded separately, but not all of them together")


def _scores(
    lm: LanguageModel,
    task: str,
    questions: Sequence["Question"],
    encoded: Sequence[Sequence[Encoded]],
    size: BatchSize,
    report: Callable[[int, int], None],
) -> list[list[float]]:
    """The log-likelihoods of every question's choices, in the order of questions and choices."""
    items = [choice for choices in encoded for choice in choices]
    owner = [number for number, choices in enumerate(encoded) for _ in choices]
    missing = [len(choices) for choices in encoded]
    scores = [math.nan] * len(items)
    done = 0
    rows = passages([item.inputs for item in items], longest_branched(lm.model))
    for _, found in in_batches(rows, lambda row: len(row.tokens), size, lambda some: score(lm.model, some, items)):
        for item, value in found.items():
            if not math.isfinite(value):
                question = questions[owner[item]]
                choice = item - owner.index(owner[item])
                place, of = f"task {task}, row {question.index}", f"for choice {question.choices[choice][:60]!r}"
                raise not_finite(place, lm.model, torch.tensor(items[item].inputs), lm.reference, of=of)
            scores[item] = value
            missing[owner[item]] -= 1
            done += missing[owner[item]] == 0
        report(done, len(questions))
    flat = iter(scores)
    return [[next(flat) for _ in choices] for choices in encoded]


def _example(question: "Question", scores: list[float]) -> ExampleResult:
    return ExampleResult(
        index=question.index,
        text=question.text,
        scores=scores,
        chosen=scores.index(max(scores)),
        answer=question.answer,
        choices=list(question.choices),
    )


def _pairs(question: "Question") -> Iterator[tuple[str, str]]:
    return zip(question.prompts, question.continuations, strict=True)

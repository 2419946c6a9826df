"""Contexts of the pages of evaluations: the list, one evaluation, and the examples of one of its tasks."""

import json
from dataclasses import dataclass

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.evaluations.documents import (
    ChoiceScores,
    EvaluationDocument,
    EvaluationSummary,
    TaskAccuracy,
    TaskExample,
    TaskExamples,
)
from prunescope.server.site import formats
from prunescope.server.site.documents import Link, Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Fact, ListPage

MAX_LINKS = 3


@dataclass(frozen=True)
class EvaluationPage:
    """The context of ``evaluations/evaluation.html``; ``cut`` are sentences on prompts that lost their beginning."""

    frame: Frame
    document: EvaluationDocument
    cut: tuple[str, ...]
    job: Link | None
    delete_href: str | None
    after_delete: str


@dataclass(frozen=True)
class Answer:
    """One model's answer on a page; ``sure`` is the margin of its choice over the next one."""

    who: str
    choice: str
    right: bool
    sure: str


@dataclass(frozen=True)
class ExampleCard:
    example: TaskExample
    right: str
    verdict: str  # "broken", "mended" or ""
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class TaskPage:
    """The context of ``evaluations/task.html``."""

    frame: Frame
    title: str
    model: Link
    facts: tuple[Fact, ...]
    note: str
    examples: tuple[ExampleCard, ...]
    attributions: tuple[Link, ...]
    attribute_href: str | None
    post_href: str
    job: str | None  # JSON
    job_label: str
    more_href: str | None


def evaluations_page(page: Page[EvaluationSummary], frame: Frame) -> ListPage[EvaluationSummary]:
    start = urls.new_job(kind=JobKind.EVALUATE)
    empty = Empty("No evaluations yet", "An evaluation measures a model's accuracy on tasks.", "Start one", start)
    return ListPage(frame, page.items, empty, page.next_href)


def evaluation_page(document: EvaluationDocument, frame: Frame) -> EvaluationPage:
    return EvaluationPage(
        frame=frame,
        document=document,
        cut=tuple(f"{task.task}: {_cut(task, document.context)}" for task in document.tasks if task.truncated),
        job=None if frame.shared else document.job,
        delete_href=None if frame.shared else urls.api(document.href),
        after_delete=urls.evaluations(),
    )


def task_page(document: TaskExamples, frame: Frame) -> TaskPage:
    result = document.result
    facts = [
        Fact("accuracy", f"{formats.accuracy(result.accuracy)} %", f"({formats.accuracies(result.interval)})"),
        Fact("", formats.count(result.rows), "rows"),
        Fact("chance", f"{formats.accuracy(result.chance)} %"),
    ]
    if result.truncated:
        facts.append(Fact("", formats.count(result.truncated), "with the beginning of their prompt cut off"))
    if result.dense is not None:
        facts.insert(1, Fact("dense", f"{formats.accuracy(result.dense)} %"))
    if result.difference is not None:
        facts.insert(2, Fact("difference", formats.points(result.difference), "points"))
    if document.broken is not None and document.mended is not None:
        facts += [
            Fact("", formats.count(document.broken), "broken"),
            Fact("", formats.count(document.mended), "mended"),
        ]
        note = (
            "Examples that the dense model has right and this one wrong come first, then those that only this one has "
            "right; of both, those with the largest margins of the two answers over the next choices first."
        )
    elif document.of_dense:
        note = "This is a dense model. The examples that pruning broke are on the pages of the models pruned from it."
    else:
        note = "The dense model was not measured on the same rows, so nothing can be said about what broke."
    dense = document.dense.label if document.dense else ""
    return TaskPage(
        frame=frame,
        title=f"{result.task} · {document.model.label}",
        model=document.model,
        facts=tuple(facts),
        note=note,
        examples=tuple(_example(example, document.model.label, dense) for example in document.items),
        attributions=tuple(document.attributions[:MAX_LINKS]),
        attribute_href=None if frame.shared else document.attribute_href,
        post_href=urls.api(urls.jobs()),
        job=None if frame.shared or document.attribution_job is None else json.dumps(document.attribution_job),
        job_label=_job_label(document),
        more_href=document.next_href,
    )


def _job_label(document: TaskExamples) -> str:
    broken, taken = document.broken or 0, document.attribution_rows
    if broken > taken:
        return f"Find the neurons behind the first {taken}"
    return f"Find the neurons behind {'this one' if broken == 1 else f'these {broken}'}"


def _cut(task: TaskAccuracy, context: int | None) -> str:
    rows = f"{formats.count(task.truncated)} of {formats.plural(task.rows, 'row')}"
    length = f"{formats.count(context)} tokens" if context else "the model's context"
    return f"{rows} lost the beginning of a prompt longer than {length}"


def _example(example: TaskExample, model: str, dense: str) -> ExampleCard:
    answers = [_answer(model, example, example.this)]
    if example.against is not None:
        answers.insert(0, _answer(dense or "dense", example, example.against))
    verdict = "broken" if example.broken else "mended" if example.mended else ""
    return ExampleCard(example, _choice(example, example.answer), verdict, tuple(answers))


def _answer(who: str, example: TaskExample, scores: ChoiceScores) -> Answer:
    others = [score for place, score in enumerate(scores.scores) if place != scores.chosen]
    sure = ""
    if others and 0 <= scores.chosen < len(scores.scores):
        sure = f"{formats.decimal(scores.scores[scores.chosen] - max(others), 2)} nats ahead"
    return Answer(who, _choice(example, scores.chosen), scores.correct, sure)


def _choice(example: TaskExample, place: int) -> str:
    return example.choices[place].strip() if 0 <= place < len(example.choices) else formats.NOTHING

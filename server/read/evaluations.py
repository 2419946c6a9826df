"""Evaluations: accuracies beside the dense model's, and the examples that pruning broke."""

import json
from collections.abc import Mapping
from typing import Any

from jobs.problems import Problem, not_found, unknown_name
from jobs.references import PRUNED
from jobs.vocabulary import TASKS
from server import urls
from server.documents import (
    ChoiceScores,
    EvaluationDocument,
    EvaluationSummary,
    Link,
    Page,
    TaskAccuracy,
    TaskExample,
    TaskExamples,
)
from server.read.cursors import Window
from server.read.names import Names, attribution_label, measured_label, references_of
from server.read.perplexities import dense_perplexities, text_perplexities
from server.read.records import job_link, naming, records_of
from server.stores import Stores
from store.results import Record, Results

MOST_EXAMPLES = 200
MOST_TEXTS = 10
"""Texts of an attribution, as many as the paper takes of a task (arXiv 2503.01542, section 3.3)."""


class DenseMeasurements:
    """Evaluations of dense models, found by what was measured in the same way: model, limit and seed."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._bases: dict[str, str] = {}
        self._known: dict[tuple[str, Any, Any], list[Record]] = {}
        for record in records_of(results, "evaluation"):
            if not record.spec["model"].startswith(PRUNED):
                self._known.setdefault(self._key(record.spec, record.spec["model"]), []).append(record)

    def of(self, record: Record, task: str) -> Record | None:
        """The evaluation of the model that this record's model was pruned from, on the same rows; None for a dense
        model's own."""
        reference = record.spec["model"]
        if not reference.startswith(PRUNED):
            return None
        if reference not in self._bases:
            models = self._results.many("model", [reference.removeprefix(PRUNED)])
            self._bases[reference] = next((model.spec["model"] for model in models.values()), "")
        same = self._known.get(self._key(record.spec, self._bases[reference]), [])
        return next((other for other in same if task in other.summary.get("tasks", {})), None)

    @staticmethod
    def _key(spec: Mapping[str, Any], model: str) -> tuple[str, Any, Any]:
        return model, spec.get("limit"), spec.get("seed")


def evaluation_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[EvaluationSummary]:
    """Newest first."""
    records, after = stores.results.list("evaluation", cursor=cursor, limit=limit)
    names = Names(stores, (reference for record in records for reference in references_of(record.spec)))
    dense = DenseMeasurements(stores.results)
    items = [EvaluationSummary.model_validate(_summary(record, names, dense)) for record in records]
    return Page[EvaluationSummary](items=items, next=after, next_href=urls.evaluations(cursor=after) if after else None)


def evaluation_document(stores: Stores, id: str) -> EvaluationDocument:
    """One evaluation. Problem 404."""
    record = stores.results.get("evaluation", id)
    names = Names(stores, references_of(record.spec))
    dense = DenseMeasurements(stores.results)
    beside = next((other for task in _tasks(record) if (other := dense.of(record, task))), None)
    return EvaluationDocument.model_validate(
        {
            **_summary(record, names, dense),
            "spec": record.spec,
            "context": record.summary.get("context"),
            "perplexity": text_perplexities(record, dense_perplexities(stores.results, record)),
            "dense": _link(beside, names) if beside else None,
            "job": job_link(record),
        }
    )


def task_examples(
    stores: Stores, id: str, task: str, *, against: str | None = None, cursor: str | None = None, limit: int = 50
) -> TaskExamples:
    """The examples of a task, the broken ones first and of these the most confident ones (`_surprise`); compared with
    the dense model's evaluation, or the one named."""
    window = Window.parse(cursor, limit, MOST_EXAMPLES)
    record = stores.results.get("evaluation", id)
    if task not in _tasks(record):
        message = unknown_name(task, _tasks(record))
        raise Problem(404, "not-found", "No such task", f"evaluation {id}: {message}")
    dense = DenseMeasurements(stores.results)
    other = stores.results.get("evaluation", against) if against else dense.of(record, task)
    if other is not None and task not in _tasks(other):
        raise not_found(f"{task} in evaluation", other.id)
    references = [*references_of(record.spec), *(references_of(other.spec) if other else [])]
    names = Names(stores, references)
    theirs = {each["index"]: each for each in _examples(stores, other.id, task)} if other else {}
    examples = [_example(each, theirs.get(each["index"])) for each in _examples(stores, id, task)]
    examples.sort(key=lambda each: (not each.broken, not each.mended, -_surprise(each), each.index))
    broken = [each.index for each in examples if each.broken]
    after = window.after(len(examples))
    reference = record.spec["model"]
    base = other.spec["model"] if other and not other.spec["model"].startswith(PRUNED) else None
    state: dict[str, urls.State] = {"against": against, "limit": None if limit == 50 else limit}
    return TaskExamples(
        items=examples[window.offset : window.offset + window.limit],
        next=after,
        next_href=urls.evaluation_task(id, task, **state, cursor=after) if after else None,
        evaluation=_link(record, names),
        model=names.link(reference),
        dense=_link(other, names) if other else None,
        result=_accuracy(record, task, dense),
        broken=len(broken) if other else None,
        mended=sum(each.mended for each in examples) if other else None,
        attributions=[
            Link(label=attribution_label(found.spec, names), href=urls.attribution(found.id))
            for found in naming(stores.results, "attribution", reference)
        ],
        attribute_href=urls.new_job(kind="attribute", dense=base, pruned=reference, task=task) if base else None,
        attribution_job=_attribution_of(base, reference, task, broken[:MOST_TEXTS]) if base and broken else None,
        attribution_rows=len(broken[:MOST_TEXTS]) if base else 0,
    )


def _tasks(record: Record) -> dict[str, Any]:
    tasks: dict[str, Any] = record.summary.get("tasks", {})
    return tasks


def _link(record: Record, names: Names) -> Link:
    return Link(label=names.label(record.spec["model"]), href=urls.evaluation(record.id))


def _summary(record: Record, names: Names, dense: DenseMeasurements) -> dict[str, Any]:
    model = names.link(record.spec["model"])
    return {
        "id": record.id,
        "model": model,
        "label": f"{model.label} · {measured_label(record.spec)}",
        "tasks": [_accuracy(record, task, dense) for task in _tasks(record)],
        "perplexity": text_perplexities(record),
        "created_at": record.created_at,
        "href": urls.evaluation(record.id),
    }


def _accuracy(record: Record, task: str, dense: DenseMeasurements) -> TaskAccuracy:
    measured = _tasks(record)[task]
    other = dense.of(record, task)
    before = _tasks(other)[task]["accuracy"] if other else None
    return TaskAccuracy(
        task=task,
        group=TASKS.get(task),
        accuracy=measured["accuracy"],
        rows=measured["rows"],
        interval=measured["interval"],
        chance=measured["chance"],
        truncated=measured.get("truncated", 0),
        majority=measured.get("majority"),
        version=measured.get("version"),
        prompt_hash=measured.get("prompt_hash"),
        dense=before,
        difference=None if before is None else measured["accuracy"] - before,
        href=urls.evaluation_task(record.id, task),
    )


def _examples(stores: Stores, id: str, task: str) -> list[dict[str, Any]]:
    document = json.loads(stores.artefacts.read("evaluation", id, "evaluation.json"))
    examples: list[dict[str, Any]] = document["tasks"][task]["examples"]
    return examples


def _example(this: dict[str, Any], other: dict[str, Any] | None) -> TaskExample:
    mine, theirs = _answer(this), _answer(other) if other else None
    return TaskExample(
        index=this["index"],
        text=this["text"],
        choices=this["choices"],
        answer=this["answer"],
        this=mine,
        against=theirs,
        broken=theirs is not None and theirs.correct and not mine.correct,
        mended=theirs is not None and mine.correct and not theirs.correct,
    )


def _surprise(example: TaskExample) -> float:
    """How sure the dense model was of its answer and the pruned one of another, in nats: the margins of both choices
    over the next one, added up. 0 where both chose the same."""
    if example.against is None or example.against.chosen == example.this.chosen:
        return 0.0
    return _margin(example.this) + _margin(example.against)


def _margin(scores: ChoiceScores) -> float:
    others = [score for place, score in enumerate(scores.scores) if place != scores.chosen]
    return scores.scores[scores.chosen] - max(others, default=0.0)


def _attribution_of(dense: str, pruned: str, task: str, rows: list[int]) -> dict[str, Any]:
    """The job that looks for the neurons behind these rows."""
    spec = {"dense": dense, "pruned": [pruned], "texts": {"dataset": task, "indices": rows}, "prompt": task}
    return {"kind": "attribute", "spec": spec}


def _answer(example: dict[str, Any]) -> ChoiceScores:
    chosen, answer = example["chosen"], example["answer"]
    return ChoiceScores(chosen=chosen, correct=chosen == answer, scores=example["scores"])

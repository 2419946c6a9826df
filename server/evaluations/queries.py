"""Reads evaluations: accuracies and perplexities beside the dense model's, and the examples that pruning broke."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from prunescope.jobs.problems import Problem, bad_field, not_found, unknown_name
from prunescope.jobs.references import PRUNED, references_of
from prunescope.jobs.vocabulary import TASKS
from prunescope.server import urls
from prunescope.server.evaluations.documents import (
    ChoiceScores,
    EvaluationDocument,
    EvaluationSummary,
    PairedPerplexity,
    TaskAccuracy,
    TaskComparison,
    TaskExample,
    TaskExamples,
    TextPerplexity,
)
from prunescope.server.labels import Described, measured_label, told_apart
from prunescope.server.models.queries import is_dense
from prunescope.server.site.documents import Link, Page, Window
from prunescope.server.site.names import Names, job_link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.manifest import Damaged
from prunescope.store.artefacts.records import Record, Results
from prunescope.store.evaluations.outcomes import EVALUATION_JSON, text_key
from prunescope.store.evaluations.values import Measurement, Pairing, telling_majority

MAX_EXAMPLES = 200
MAX_TEXTS = 10
"""Texts of an attribution, as many as the paper takes of a task (arXiv 2503.01542, section 3.3)."""


@dataclass(frozen=True)
class Beside:
    """What evaluations are shown with: what they found, names of models, and the pairings with those dense evaluations
    that are there. Keys are (evaluation, task or text)."""

    values: Mapping[tuple[str, str], Measurement]
    names: Names
    pairings: Mapping[tuple[str, str], Pairing]
    dense: Mapping[str, Record]
    links: Mapping[str, Link]  # to the dense evaluations

    @classmethod
    def read(cls, stores: Stores, records: Sequence[Record]) -> Self:
        """What the documents of these records need besides them: values, names and pairings, one query for all."""
        values = stores.measurements.values_of(record.id for record in records)
        found = stores.measurements.pairings_of(record.id for record in records)
        dense = stores.results.many("evaluation", [pairing.dense_evaluation for pairing in found.values()])
        pairings = {key: pairing for key, pairing in found.items() if pairing.dense_evaluation in dense}
        names = Names(stores, (each for record in [*records, *dense.values()] for each in references_of(record.spec)))
        return cls(values, names, pairings, dense, {id: _link(record, names) for id, record in dense.items()})

    def complete(self, record: Record) -> bool:
        """False where an evaluation was deleted after its record was read."""
        keys = [*_tasks(record), *map(text_key, _texts(record))]
        return all((record.id, key) in self.values for key in keys)

    def dense_of(self, record: Record, tasks: Iterable[str]) -> Record | None:
        """The dense model's evaluation that the first of these tasks is paired with, of those that are."""
        found = (self.pairings.get((record.id, task)) for task in tasks)
        return next((self.dense[pairing.dense_evaluation] for pairing in found if pairing), None)


def evaluation_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[EvaluationSummary]:
    """A page of the list of evaluations, newest first."""
    records, after = stores.results.list("evaluation", cursor=cursor, limit=limit)
    beside = Beside.read(stores, records)
    there = filter(beside.complete, records)
    items = [EvaluationSummary.model_validate(_summary(record, beside)) for record in there]
    labels = told_apart([Described(item.label, (f"made {item.created_at:%Y-%m-%d}", item.id)) for item in items])
    items = [item.model_copy(update={"label": label}) for item, label in zip(items, labels, strict=True)]
    return Page[EvaluationSummary](items=items, next=after, next_href=urls.evaluations(cursor=after) if after else None)


def evaluation_document(stores: Stores, id: str) -> EvaluationDocument:
    """One evaluation. Problem 404."""
    record, beside = _with_values(stores, id)
    dense = beside.dense_of(record, _tasks(record))
    return EvaluationDocument.model_validate(
        {
            **_summary(record, beside),
            "tasks": [_comparison(record, task, beside) for task in _tasks(record)],
            "spec": record.spec,
            "context": record.summary.get("context"),
            "perplexity": _perplexities(record, beside, _dense_perplexities(stores, record, beside)),
            "dense": dense and beside.links[dense.id],
            "job": job_link(record),
        }
    )


def task_examples(
    stores: Stores, id: str, task: str, *, against: str | None = None, cursor: str | None = None, limit: int = 50
) -> TaskExamples:
    """The examples of a task, the broken ones first and of these the most confident ones (`_surprise`); compared with
    the dense model's evaluation, or the one named."""
    window = Window.parse(cursor, limit, MAX_EXAMPLES)
    record, beside = _with_values(stores, id)
    if task not in _tasks(record):
        message = unknown_name(task, _tasks(record))
        raise Problem(404, "not-found", "No such task", f"evaluation {id}: {message}")
    names = beside.names
    other = _evaluation(stores, against, task) if against else beside.dense_of(record, [task])
    names.learn(references_of(other.spec) if other else [])
    theirs = {each["index"]: each for each in _examples(stores, other.id, task)} if other else {}
    examples = [_example(each, theirs.get(each["index"])) for each in _examples(stores, id, task)]
    examples.sort(key=lambda each: (not each.broken, not each.mended, -_surprise(each), each.index))
    broken = [each.index for each in examples if each.broken]
    after = window.after(len(examples))
    reference = record.spec["model"]
    base = other.spec["model"] if other and not other.spec["model"].startswith(PRUNED) else None
    taken = broken[:MAX_TEXTS] if base else []
    texts = {"dataset": task, "indices": taken}
    spec = {"dense": base, "pruned": [reference], "texts": texts, "prompt": task}
    asked = None if limit == 50 else limit
    called = stores.names.attributions()
    return TaskExamples(
        items=examples[window.offset : window.offset + window.limit],
        next=after,
        next_href=urls.evaluation_task(id, task, against=against, limit=asked, cursor=after) if after else None,
        evaluation=_link(record, names),
        model=names.link(reference),
        dense=_link(other, names) if other else None,
        result=_comparison(record, task, beside),
        of_dense=is_dense(stores, reference),
        broken=len(broken) if other else None,
        mended=sum(each.mended for each in examples) if other else None,
        attributions=[
            Link(label=called.get(found.id) or found.id, href=urls.attribution(found.id))
            for found in stores.results.naming("attribution", [reference])
        ],
        attribute_href=urls.new_job(kind="attribute", dense=base, pruned=reference, task=task) if base else None,
        attribution_job={"kind": "attribute", "spec": spec} if taken else None,
        attribution_rows=len(taken),
    )


def _with_values(stores: Stores, id: str) -> tuple[Record, Beside]:
    """An evaluation and what it is shown with. Problem 404."""
    record = stores.results.get("evaluation", id)
    beside = Beside.read(stores, [record])
    if not beside.complete(record):
        raise not_found("evaluation", id)
    return record, beside


def _evaluation(stores: Stores, id: str, task: str) -> Record:
    """The evaluation to compare with. Problem 422."""
    found = stores.results.many("evaluation", [id]).get(id)
    if found is None or task not in _tasks(found):
        message = f"there is no evaluation {id[:40]!r} that measured {task}"
        raise bad_field("against", id, f"the id of an evaluation that measured {task}", message)
    return found


def _tasks(record: Record) -> dict[str, dict[str, Any]]:
    """Task -> how it was measured."""
    tasks: dict[str, dict[str, Any]] = record.summary.get("tasks", {})
    return tasks


def _texts(record: Record) -> dict[str, dict[str, Any]]:
    """Text that perplexity was measured on -> how; empty for an evaluation without."""
    texts: dict[str, dict[str, Any]] = record.summary.get("perplexity") or {}
    return texts


def _link(record: Record, names: Names) -> Link:
    return Link(label=names.label(record.spec["model"]), href=urls.evaluation(record.id))


def _summary(record: Record, beside: Beside) -> dict[str, Any]:
    model = beside.names.link(record.spec["model"])
    return {
        "id": record.id,
        "model": model,
        "label": f"{model.label} · {measured_label(record.spec)}",
        "tasks": [TaskAccuracy.model_validate(_accuracy(record, task, beside)) for task in _tasks(record)],
        "perplexity": _perplexities(record, beside, {}),
        "created_at": record.created_at,
        "href": urls.evaluation(record.id),
    }


def _accuracy(record: Record, task: str, beside: Beside) -> dict[str, Any]:
    how, measured = _tasks(record)[task], beside.values[record.id, task]
    pairing = beside.pairings.get((record.id, task))
    return {
        "task": task,
        "group": TASKS.get(task),
        "accuracy": measured.value,
        "rows": measured.rows,
        "interval": measured.interval,
        "chance": measured.chance,
        "truncated": how.get("truncated", 0),
        "majority": telling_majority(measured.majority),
        "version": how.get("version"),
        "prompt_hash": how.get("prompt_hash"),
        "dense": pairing and (pairing.both_right + pairing.newly_wrong) / pairing.rows,
        "difference": pairing and pairing.difference,
        "href": urls.evaluation_task(record.id, task),
    }


def _comparison(record: Record, task: str, beside: Beside) -> TaskComparison:
    paired = None
    if pairing := beside.pairings.get((record.id, task)):
        ends = {"both_wrong": pairing.both_wrong, "interval": pairing.interval}
        paired = {"evaluation": beside.links[pairing.dense_evaluation], **pairing._asdict(), **ends}
    return TaskComparison.model_validate({**_accuracy(record, task, beside), "paired": paired})


def _perplexities(record: Record, beside: Beside, dense: Mapping[str, tuple[str, float]]) -> list[TextPerplexity]:
    """A record's perplexities; ``dense``: text -> the dense evaluation to compare it with, and its perplexity."""
    documents = []
    for text, how in _texts(record).items():
        found = beside.values[record.id, text_key(text)]
        evaluation, before = dense.get(text, (None, None))
        pairing = beside.pairings.get((record.id, text_key(text))) if evaluation else None
        documents.append(
            TextPerplexity(
                text=text,
                **how,
                perplexity=found.value,
                interval=found.interval,
                tokens=found.rows or 0,
                dense=before,
                ratio=None if before is None else found.value / before,
                dense_href=urls.evaluation(evaluation) if evaluation else None,
                paired=pairing
                and PairedPerplexity(
                    evaluation=beside.links[pairing.dense_evaluation],
                    windows=pairing.rows,
                    worse=pairing.newly_wrong,
                    better=pairing.newly_right,
                    same=pairing.both_right,
                    difference=pairing.difference,
                    interval=pairing.interval,
                    p=pairing.p,
                ),
            )
        )
    return documents


def _dense_perplexities(stores: Stores, record: Record, beside: Beside) -> dict[str, tuple[str, float]]:
    """Text -> the dense evaluation that a record's perplexity is paired with, and the perplexity there; where windows'
    losses were not kept, the newest one of the same windows."""
    dense = _same_windows(stores.results, record)
    for text in _texts(record):
        if pairing := beside.pairings.get((record.id, text_key(text))):
            dense[text] = pairing.dense_evaluation
    values = stores.measurements.values_of(dense.values())
    keys = {text: (evaluation, text_key(text)) for text, evaluation in dense.items()}
    return {text: (key[0], values[key].value) for text, key in keys.items() if key in values}


def _same_windows(results: Results, record: Record) -> dict[str, str]:
    """Text -> the newest evaluation of the model that this record's model was pruned from with the same tokens in the
    same windows: a figure of 4096 tokens says nothing beside one of 2048."""
    reference, texts = record.spec["model"], _texts(record)
    if not texts or not reference.startswith(PRUNED):
        return {}
    found: dict[str, str] = {}
    for model in results.many("model", [reference.removeprefix(PRUNED)]).values():
        for other in results.naming("evaluation", [model.spec["model"]]):
            for text, theirs in _texts(other).items():
                if text in texts and theirs["sha256"] == texts[text]["sha256"]:
                    found.setdefault(text, other.id)
    return found


def _examples(stores: Stores, id: str, task: str) -> list[dict[str, Any]]:
    contents = stores.artefacts.read("evaluation", id, EVALUATION_JSON)
    try:
        examples: list[dict[str, Any]] = json.loads(contents)["tasks"][task]["examples"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(Path("evaluations", id), EVALUATION_JSON, "cannot be read") from error
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
    return (example.this.margin or 0.0) + (example.against.margin or 0.0)


def _answer(example: dict[str, Any]) -> ChoiceScores:
    chosen, answer = example["chosen"], example["answer"]
    return ChoiceScores(chosen=chosen, correct=chosen == answer, scores=example["scores"])

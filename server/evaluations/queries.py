"""Builds the documents of evaluations: the list, one evaluation with its pairings, and the examples of a task."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from prunescope.jobs.labels import Described, explained_label, measured_label, told_apart
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
from prunescope.server.models.queries import is_dense
from prunescope.server.site.documents import Link, Page, Window
from prunescope.server.site.names import Names, job_link
from prunescope.server.stores import Stores
from prunescope.store.artefacts.manifest import Damaged
from prunescope.store.artefacts.records import Record, Results
from prunescope.store.evaluations.outcomes import EVALUATION_JSON, text_key
from prunescope.store.evaluations.values import AUC, LabelValues, Measurement, Pairing, prior_change, telling_majority

MAX_EXAMPLES = 200
MAX_TEXTS = 10
"""Maximum number of broken rows in the offered attribution job, as in the paper (arXiv 2503.01542, section 3.3)."""
DEFAULT_LIMIT = 50
MAX_EXPLAINED = 200
"""Maximum number of rows in the offered form that explains a loss; the form can change it."""
MIN_BROKEN = 8
"""Minimum number of broken rows of which the offered form explains these only: a few for each half."""


@dataclass(frozen=True)
class MeasuredRecords:
    """What the documents of some records need beside the records: measurements and pairings by (evaluation, task or
    text), names of models, and the records of the paired dense evaluations by id."""

    values: Mapping[tuple[str, str], Measurement]
    names: Names
    pairings: Mapping[tuple[str, str], Pairing]
    dense: Mapping[str, Record]
    labels: Mapping[tuple[str, str], LabelValues] = field(default_factory=dict)
    """By (evaluation, task); empty in a list of evaluations, like `auc_pairings`."""
    auc_pairings: Mapping[tuple[str, str], Pairing] = field(default_factory=dict)
    """By (evaluation, task): the pairings of AUCs."""

    @classmethod
    def read(cls, stores: Stores, records: Sequence[Record]) -> Self:
        """Read the data of all records, with one query for each kind of data. Pairings with deleted evaluations are
        left out."""
        values = stores.measurements.values_of(record.id for record in records)
        found = stores.measurements.pairings_of(record.id for record in records)
        dense = stores.results.many("evaluation", [pairing.dense_evaluation for pairing in found.values()])
        pairings = {key: pairing for key, pairing in found.items() if pairing.dense_evaluation in dense}
        names = Names(stores, (each for record in [*records, *dense.values()] for each in references_of(record.spec)))
        return cls(values, names, pairings, dense)

    def complete(self, record: Record) -> bool:
        """Whether all measurements of a record were found; False if it was deleted after it had been read."""
        keys = [*_tasks(record), *map(text_key, _texts(record))]
        return all((record.id, key) in self.values for key in keys)

    def dense_of(self, record: Record, tasks: Iterable[str]) -> Record | None:
        """The dense evaluation that the first of the tasks with a pairing is paired with; None without a pairing."""
        found = (self.pairings.get((record.id, task)) for task in tasks)
        return next((self.dense[pairing.dense_evaluation] for pairing in found if pairing), None)

    def link(self, record: Record) -> Link:
        return Link(label=self.names.label(record.spec["model"]), href=urls.evaluation(record.id))


def evaluation_list(stores: Stores, *, cursor: str | None = None, limit: int = 50) -> Page[EvaluationSummary]:
    """A page of the list of evaluations, newest first. Evaluations with equal labels get their date or id appended."""
    records, after = stores.results.list("evaluation", cursor=cursor, limit=limit)
    measured = MeasuredRecords.read(stores, records)
    complete = filter(measured.complete, records)
    items = [EvaluationSummary.model_validate(_summary(record, measured)) for record in complete]
    labels = told_apart([Described(item.label, (f"made {item.created_at:%Y-%m-%d}", item.id)) for item in items])
    items = [item.model_copy(update={"label": label}) for item, label in zip(items, labels, strict=True)]
    return Page[EvaluationSummary](items=items, next=after, next_href=urls.evaluations(cursor=after) if after else None)


def evaluation_document(stores: Stores, id: str) -> EvaluationDocument:
    """One evaluation. Raises Problem 404 if there is none with this id."""
    record, measured = _read(stores, id)
    dense = measured.dense_of(record, _tasks(record))
    tasks = [_comparison(record, task, measured) for task in _tasks(record)]
    lost = [task for task in tasks if task.difference and task.difference < 0]
    worst = min(lost, key=lambda task: task.difference or 0, default=None)
    return EvaluationDocument.model_validate(
        {
            **_summary(record, measured),
            "tasks": tasks,
            "explanations": _explanations(stores, record.spec["model"]),
            "explain_task": worst and worst.task,
            "explain_href": worst and _explain_href(record, dense, worst),
            "spec": record.spec,
            "context": record.summary.get("context"),
            "perplexity": _perplexities(record, measured, _dense_perplexities(stores, record, measured)),
            "dense": dense and measured.link(dense),
            "job": job_link(record),
        }
    )


def task_examples(
    stores: Stores, id: str, task: str, *, against: str | None, cursor: str | None, limit: int | None
) -> TaskExamples:
    """A page of the examples of a task, compared with the evaluation ``against`` (default: the paired dense one).
    Raises Problem 404 for an unknown evaluation or task, 422 for the other arguments."""
    window = Window.parse(cursor, DEFAULT_LIMIT if limit is None else limit, MAX_EXAMPLES)
    record, measured = _read(stores, id)
    if task not in _tasks(record):
        message = unknown_name(task, _tasks(record))
        raise Problem(404, "not-found", "No such task", f"evaluation {id}: {message}")
    other = _against(stores, against, task) if against else measured.dense_of(record, [task])
    measured.names.learn(references_of(other.spec) if other else [])
    theirs = {each["index"]: each for each in _examples(stores, other.id, task)} if other else {}
    examples = [_example(each, theirs.get(each["index"])) for each in _examples(stores, id, task)]
    examples.sort(key=lambda each: (not each.broken, not each.mended, -_margins(each), each.index))
    broken = [each.index for each in examples if each.broken]
    after = window.after(len(examples))
    result = _comparison(record, task, measured)
    reference = record.spec["model"]
    base = other.spec["model"] if other and not other.spec["model"].startswith(PRUNED) else None
    taken = broken[:MAX_TEXTS] if base else []
    texts = {"dataset": task, "indices": taken}
    spec = {"dense": base, "pruned": [reference], "texts": texts, "prompt": task}
    labels = stores.names.attributions()
    state = {"against": against, "limit": None if limit == DEFAULT_LIMIT else limit}
    return TaskExamples(
        items=examples[window.offset : window.offset + window.limit],
        next=after,
        next_href=urls.evaluation_task(id, task, **state, cursor=after) if after else None,
        evaluation=measured.link(record),
        model=measured.names.link(reference),
        dense=other and measured.link(other),
        result=result,
        of_dense=is_dense(stores, reference),
        broken=len(broken) if other else None,
        mended=sum(each.mended for each in examples) if other else None,
        attributions=[
            Link(label=labels.get(found.id) or found.id, href=urls.attribution(found.id))
            for found in stores.results.naming("attribution", [reference])
        ],
        explanations=_explanations(stores, reference, task),
        explain_href=_explain_href(record, other, result, len(broken)) if base else None,
        attribute_href=urls.new_job(kind="attribute", dense=base, pruned=reference, task=task) if base else None,
        attribution_job={"kind": "attribute", "spec": spec} if taken else None,
        attribution_rows=len(taken),
    )


def _explanations(stores: Stores, reference: str, task: str | None = None) -> list[Link]:
    """Links to the explanations of a pruned model's loss, newest first; with ``task`` only those on this task."""
    labels = stores.names.explanations()
    return [
        Link(label=labels.get(found.id) or explained_label(found.spec), href=urls.explanation(found.id))
        for found in stores.results.naming("explanation", [reference], field="pruned")
        if task is None or found.spec.get("task") == task
    ]


def _explain_href(record: Record, dense: Record | None, on: TaskComparison, broken: int | None = None) -> str | None:
    """The form that explains the loss of the evaluated model on a task, of at most MAX_EXPLAINED rows; None without the
    dense model's evaluation. With fewer than MIN_BROKEN broken rows, all rows whose margin fell count."""
    if dense is None:
        return None
    count = on.paired.newly_wrong if broken is None and on.paired else broken or 0
    models = {"dense": dense.spec["model"], "pruned": record.spec["model"]}
    rows = "fell" if count < MIN_BROKEN else None
    return urls.new_job(kind="explain", **models, task=on.task, limit=min(on.rows, MAX_EXPLAINED), rows=rows)


def _read(stores: Stores, id: str) -> tuple[Record, MeasuredRecords]:
    """One evaluation with its measurements. Raises Problem 404."""
    record = stores.results.get("evaluation", id)
    measured = MeasuredRecords.read(stores, [record])
    if not measured.complete(record):
        raise not_found("evaluation", id)
    labels = stores.measurements.labels_of([id, *measured.dense])
    return record, replace(measured, labels=labels, auc_pairings=stores.measurements.pairings_of([id], (AUC,)))


def _against(stores: Stores, id: str, task: str) -> Record:
    """The evaluation ``against``. Raises Problem 422 if it does not exist or did not measure the task."""
    found = stores.results.many("evaluation", [id]).get(id)
    if found is None or task not in _tasks(found):
        message = f"there is no evaluation {id[:40]!r} that measured {task}"
        raise bad_field("against", id, f"the id of an evaluation that measured {task}", message)
    return found


def _tasks(record: Record) -> dict[str, dict[str, Any]]:
    """Task -> how it was measured (version, prompt, truncated rows)."""
    return dict(record.summary.get("tasks", {}))


def _texts(record: Record) -> dict[str, dict[str, Any]]:
    """Text on which perplexity was measured -> how (loss, windows, checksum)."""
    return dict(record.summary.get("perplexity") or {})


def _summary(record: Record, measured: MeasuredRecords) -> dict[str, Any]:
    model = measured.names.link(record.spec["model"])
    return {
        "id": record.id,
        "model": model,
        "label": f"{model.label} · {measured_label(record.spec)}",
        "tasks": [TaskAccuracy.model_validate(_accuracy(record, task, measured)) for task in _tasks(record)],
        "perplexity": _perplexities(record, measured, {}),
        "created_at": record.created_at,
        "href": urls.evaluation(record.id),
    }


def _accuracy(record: Record, task: str, measured: MeasuredRecords) -> dict[str, Any]:
    """The fields of `TaskAccuracy`."""
    how, found = _tasks(record)[task], measured.values[record.id, task]
    pairing = measured.pairings.get((record.id, task))
    return {
        **how,
        "task": task,
        "group": TASKS.get(task),
        "accuracy": found.value,
        "rows": found.rows,
        "interval": found.interval,
        "chance": found.chance,
        "majority": telling_majority(found.majority),
        "dense": pairing and (pairing.both_right + pairing.newly_wrong) / pairing.rows,
        "difference": pairing and pairing.difference,
        "href": urls.evaluation_task(record.id, task),
    }


def _comparison(record: Record, task: str, measured: MeasuredRecords) -> TaskComparison:
    """The accuracy on a task with its pairing and its label prior."""
    pairing = measured.pairings.get((record.id, task))
    paired = pairing and {
        **pairing._asdict(),
        "evaluation": measured.link(measured.dense[pairing.dense_evaluation]),
        "both_wrong": pairing.both_wrong,
        "interval": pairing.interval,
    }
    labels = _label_prior(record, task, measured, pairing)
    return TaskComparison.model_validate({**_accuracy(record, task, measured), "paired": paired, "labels": labels})


def _label_prior(
    record: Record, task: str, measured: MeasuredRecords, pairing: Pairing | None
) -> dict[str, Any] | None:
    """The fields of `LabelPrior`; None for a task without fixed labels."""
    found = measured.labels.get((record.id, task))
    if found is None:
        return None
    dense = measured.labels.get((pairing.dense_evaluation, task)) if pairing else None
    said = {share.label: share.said for share in dense.shares} if dense else {}
    document = {
        "shares": [{**share._asdict(), "dense": said.get(share.label)} for share in found.shares],
        "prior_shift": found.prior_shift,
        "auc": found.auc,
        "auc_interval": found.auc_interval,
        "adjusted_accuracy": found.adjusted,
    }
    if dense is None or pairing is None:
        return document
    value = measured.values[record.id, task].value
    change = prior_change(found, value, dense, value - pairing.difference)
    auc = measured.auc_pairings.get((record.id, task))
    if auc is not None and auc.dense_evaluation == pairing.dense_evaluation:
        document |= {"auc_difference": auc.difference, "auc_difference_interval": auc.interval, "auc_p": auc.p}
    return {
        **document,
        "dense_prior_shift": dense.prior_shift,
        "dense_auc": dense.auc,
        "dense_adjusted_accuracy": dense.adjusted,
        "content_difference": change.content,
        "prior_difference": change.prior,
        "towards": change.label,
        "mostly_prior": change.mostly,
    }


def _perplexities(
    record: Record, measured: MeasuredRecords, dense: Mapping[str, tuple[str, float]]
) -> list[TextPerplexity]:
    """The perplexities of a record. ``dense``: text -> (id of the dense evaluation, the perplexity in it)."""
    documents = []
    for text, how in _texts(record).items():
        found = measured.values[record.id, text_key(text)]
        evaluation, before = dense.get(text, (None, None))
        pairing = measured.pairings.get((record.id, text_key(text))) if evaluation else None
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
                    evaluation=measured.link(measured.dense[pairing.dense_evaluation]),
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


def _dense_perplexities(stores: Stores, record: Record, measured: MeasuredRecords) -> dict[str, tuple[str, float]]:
    """Text -> (id of the dense evaluation to compare with, the perplexity in it). The evaluation is the paired one; if
    the losses of windows were not kept, the newest one with the same windows."""
    dense = _same_windows(stores.results, record)
    for text in _texts(record):
        if pairing := measured.pairings.get((record.id, text_key(text))):
            dense[text] = pairing.dense_evaluation
    values = stores.measurements.values_of(dense.values())
    keys = {text: (evaluation, text_key(text)) for text, evaluation in dense.items()}
    return {text: (key[0], values[key].value) for text, key in keys.items() if key in values}


def _same_windows(results: Results, record: Record) -> dict[str, str]:
    """Name of each held-out text -> id of the newest evaluation of the dense model on the same windows (equal
    checksums): a perplexity of windows of 4096 tokens is not comparable with one of 2048."""
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
        **{name: this[name] for name in ("index", "text", "choices", "answer")},
        this=mine,
        against=theirs,
        broken=theirs is not None and theirs.correct and not mine.correct,
        mended=theirs is not None and mine.correct and not theirs.correct,
    )


def _margins(example: TaskExample) -> float:
    """The sum of both models' margins in nats: how confident they were of different choices; 0 for equal choices."""
    if example.against is None or example.against.chosen == example.this.chosen:
        return 0.0
    return (example.this.margin or 0.0) + (example.against.margin or 0.0)


def _answer(example: dict[str, Any]) -> ChoiceScores:
    chosen, answer = example["chosen"], example["answer"]
    return ChoiceScores(chosen=chosen, correct=chosen == answer, scores=example["scores"])

"""Writes the results of an evaluation: its measurements and outcomes, and its pairings with stored evaluations.

They are written in the same transaction as the evaluation's record. A pairing is computed when the later one of the
pruned model's and the dense model's evaluations is stored.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from prunescope.jobs.references import PRUNED
from prunescope.store.evaluations.labels import label_values
from prunescope.store.evaluations.outcomes import Answered, Outcomes, outcomes_of, text_key
from prunescope.store.evaluations.packed import LABELS, pack, pack_labels
from prunescope.store.evaluations.pairing import compared, compared_auc, pairs_of
from prunescope.store.evaluations.queries import count_change
from prunescope.store.evaluations.values import (
    ACCURACY,
    ADJUSTED,
    AUC,
    PERPLEXITY,
    PRIOR,
    LabelValues,
    Measure,
    Measurement,
    Pairing,
)
from prunescope.store.tables import measurements, outcomes, pairings, records

_OF_A_TASK = {"accuracy", "interval", "rows", "chance", "majority", "labels", "examples"}
_OF_A_TEXT = {"perplexity", "interval", "tokens", "nlls"}
"""Fields of a result that a record's summary omits: they are in the tables `measurements` and `outcomes`, or, for data
of every row, only in the artefact."""


def record_summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """The summary for the record of an `evaluation.json`: how each task and text was measured, without the measured
    values."""
    return {
        "model": document.get("model"),
        "tasks": _without(_OF_A_TASK, document.get("tasks") or {}),
        "perplexity": _without(_OF_A_TEXT, document.get("perplexity") or {}),
        "context": document.get("context"),
        "seconds": document.get("seconds"),
    }


def keep_evaluation(
    connection: Connection, evaluation: str, spec: Mapping[str, Any], document: Mapping[str, Any]
) -> None:
    """Insert or replace the results of an evaluation from its `evaluation.json` (`document`), and pair them with stored
    evaluations, inside an exclusive transaction of the caller. Tasks without examples and texts without losses of
    windows are not paired."""
    remove_evaluation(connection, evaluation)
    accuracies = {task: _accuracy(result) for task, result in (document.get("tasks") or {}).items()}
    perplexities = {text_key(text): _perplexity(each) for text, each in (document.get("perplexity") or {}).items()}
    found: dict[Measure, dict[str, Measurement]] = {ACCURACY: accuracies, PERPLEXITY: perplexities}
    rows = [{"evaluation": evaluation, "measure": measure, **pack(each)} for measure, each in found.items() if each]
    if rows:
        connection.execute(insert(measurements), rows)
    if accuracies:
        keep_labels(connection, evaluation, document)
    if answered := outcomes_of(document):
        _pair(connection, evaluation, spec, document, answered)


def keep_outcomes(
    connection: Connection, evaluation: str, spec: Mapping[str, Any], document: Mapping[str, Any]
) -> bool:
    """Insert or replace the outcomes of an evaluation whose measurements are stored, and pair them, inside an exclusive
    transaction of the caller. False, without a change, if the document has none."""
    if not (answered := outcomes_of(document)):
        return False
    _remove_outcomes(connection, evaluation)
    _pair(connection, evaluation, spec, document, answered)
    return True


def keep_labels(connection: Connection, evaluation: str, document: Mapping[str, Any]) -> None:
    """Insert or replace the label values of an evaluation from its `evaluation.json`, inside an exclusive transaction
    of the caller."""
    computed = {
        task: label_values(result["examples"]) for task, result in document["tasks"].items() if "examples" in result
    }
    found = {task: values for task, values in computed.items() if values is not None}
    of_a_measure: dict[Measure, dict[str, Measurement]] = {
        AUC: {task: _auc(each) for task, each in found.items()},
        PRIOR: {task: Measurement(each.prior_shift, None, None, each.rows, None, None) for task, each in found.items()},
        ADJUSTED: {task: Measurement(each.adjusted, None, None, each.rows, None, None) for task, each in found.items()},
    }
    old = measurements.c.measure.in_((*of_a_measure, LABELS))
    connection.execute(delete(measurements).where(measurements.c.evaluation == evaluation, old))
    rows = [{"evaluation": evaluation, "measure": measure, **pack(each)} for measure, each in of_a_measure.items()]
    shares = {"evaluation": evaluation, "measure": LABELS, **pack_labels(found)}
    connection.execute(insert(measurements), [shares, *(rows if found else [])])
    count_change(connection)


def remove_evaluation(connection: Connection, evaluation: str) -> None:
    """Delete the measurements, outcomes and pairings of an evaluation."""
    connection.execute(delete(measurements).where(measurements.c.evaluation == evaluation))
    _remove_outcomes(connection, evaluation)


def _remove_outcomes(connection: Connection, evaluation: str) -> None:
    count_change(connection)
    for table in (outcomes, pairings):
        connection.execute(delete(table).where(table.c.evaluation == evaluation))
    connection.execute(delete(pairings).where(pairings.c.dense_evaluation == evaluation))


def _pair(
    connection: Connection,
    evaluation: str,
    spec: Mapping[str, Any],
    document: Mapping[str, Any],
    found: Mapping[str, Answered],
) -> None:
    """Insert the outcomes of an evaluation, and its pairings with stored evaluations."""
    model = spec["model"]
    base = _dense_model(connection, model)
    protocols = {task: _task_protocol(result) for task, result in (document.get("tasks") or {}).items()}
    protocols |= {text_key(text): _text_protocol(each) for text, each in (document.get("perplexity") or {}).items()}
    kept = [
        {
            "evaluation": evaluation,
            "task": task,
            "model": model,
            "base": base,
            "protocol": protocols[task],
            "rows_hash": answered.rows_hash,
            "correct": answered.packed,
            "scores": answered.packed_scores if isinstance(answered, Outcomes) else None,
        }
        for task, answered in found.items()
    ]
    connection.execute(insert(outcomes), kept)
    # A pruned model is paired with evaluations of its dense model, a dense model with those of its pruned models.
    other = outcomes.c.base == model if base is None else outcomes.c.model == base
    pairs = [pair for row in kept for pair in pairs_of(connection, row, found[row["task"]], other)]
    together: dict[tuple[str, str, Measure], dict[str, Pairing]] = defaultdict(dict)
    for pair, pairing in compared(pairs):
        measure = ACCURACY if isinstance(found[pair.task], Outcomes) else PERPLEXITY
        together[pair.evaluation, pair.dense_evaluation, measure][pair.task] = pairing
    for pair, pairing in compared_auc(pairs):
        together[pair.evaluation, pair.dense_evaluation, AUC][pair.task] = pairing
    made = [
        {
            "evaluation": pruned,
            "dense_evaluation": dense,
            "measure": measure,
            **pack({task: pairing[1:] for task, pairing in tasks.items()}),
        }
        for (pruned, dense, measure), tasks in together.items()
    ]
    if made:
        connection.execute(insert(pairings), made)


def _without(fields: set[str], results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {key: value for key, value in each.items() if key not in fields} for name, each in results.items()}


def _accuracy(result: Mapping[str, Any]) -> Measurement:
    low, high = result.get("interval") or (None, None)
    return Measurement(
        float(result["accuracy"]), low, high, result.get("rows"), result.get("chance"), result.get("majority")
    )


def _auc(found: LabelValues) -> Measurement:
    low, high = found.auc_interval or (None, None)
    return Measurement(found.auc, low, high, found.rows, 0.5, None)


def _perplexity(result: Mapping[str, Any]) -> Measurement:
    low, high = result.get("interval") or (None, None)
    return Measurement(float(result["perplexity"]), low, high, result["tokens"], None, None)


def _task_protocol(result: Mapping[str, Any]) -> str:
    return f"version {result.get('version')}, prompt {result.get('prompt_hash')}"


def _text_protocol(result: Mapping[str, Any]) -> str:
    return f"{result['windows']} windows of {result['seqlen']} tokens{', with BOS' * bool(result.get('bos'))}"


def _dense_model(connection: Connection, model: str) -> str | None:
    """Reference of the dense model that a model was pruned from, through any number of pruned models. None for a dense
    model, and if a model in between is unknown."""
    seen: set[str] = set()
    reference: str | None = model
    while reference is not None and reference.startswith(PRUNED) and reference not in seen:
        seen.add(reference)
        made = (records.c.kind == "model") & (records.c.id == reference.removeprefix(PRUNED))
        spec = connection.execute(select(records.c.spec).where(made)).scalar_one_or_none()
        reference = None if spec is None else spec["model"]
    return None if reference == model or (reference or PRUNED).startswith(PRUNED) else reference

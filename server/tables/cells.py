"""All measurements of a study as CSV: one row for each cell and task, with every setting that it was made with."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from server.figures.table import harmless
from store.study_table import Fact, StudyTable

Spec = Mapping[str, Any]

ROWS_AT_ONCE = 500
COLUMNS = (
    "study",
    "state",
    "model",
    "method",
    "method_options",
    "pattern",
    "sparsity",
    "allocation",
    "allocation_options",
    "calibration",
    "calibration_mode",
    "calibration_samples",
    "calibration_seqlen",
    "calibration_seed",
    "task",
    "group",
    "limit",
    "rows",
    "accuracy",
    "accuracy_low",
    "accuracy_high",
    "chance",
    "majority",
    "dense",
    "difference",
    "pruned_model",
    "job",
    "evaluation",
    "dense_evaluation",
)


def cells_csv(table: StudyTable, pruning: Mapping[str, Spec]) -> Iterator[str]:
    """The file, piece by piece: the dense models' measurements (method ``dense``), then the pruned ones'.

    ``pruning``: pruned model's id -> the spec that it was pruned with, options' defaults included. Accuracies and
    differences are shares (0 to 1), intervals 95 % ones; what is not there, or not known yet, is empty.
    """
    yield _lines([COLUMNS])
    facts = [*table.dense, *table.facts]
    for start in range(0, len(facts), ROWS_AT_ONCE):
        yield _lines([_row(table, fact, pruning.get(fact.pruned, {})) for fact in facts[start : start + ROWS_AT_ONCE]])


def _row(table: StudyTable, fact: Fact, spec: Spec) -> list[str]:
    method, allocation = spec.get("method") or {}, spec.get("allocation") or {}
    calibration = spec.get("calibration") or {}
    low, high = fact.interval or (None, None)
    values = {
        "study": table.id,
        "state": fact.state.value,
        "model": fact.model,
        "method": method.get("name", fact.method),
        "method_options": _options(method),
        "pattern": fact.pattern,
        "sparsity": fact.sparsity,
        "allocation": allocation.get("name", fact.allocation),
        "allocation_options": _options(allocation),
        "calibration": calibration.get("dataset") or calibration.get("file") or fact.calibration,
        "calibration_mode": calibration.get("mode"),
        "calibration_samples": calibration.get("samples"),
        "calibration_seqlen": calibration.get("seqlen", fact.seqlen),
        "calibration_seed": calibration.get("seed", fact.seed),
        "task": fact.task,
        "group": fact.group,
        "limit": table.spec.get("limit"),
        "rows": fact.rows,
        "accuracy": fact.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "chance": fact.chance,
        "majority": fact.majority,
        "dense": fact.dense,
        "difference": fact.difference,
        "pruned_model": fact.pruned,
        "job": fact.job,
        "evaluation": fact.evaluation if fact.accuracy is not None else None,
        "dense_evaluation": fact.dense_evaluation,
    }
    return [_text(values[column]) for column in COLUMNS]


def _options(part: Spec) -> str:
    """``exponent=0.5; within=row``, as the command's ``--option`` takes them."""
    return "; ".join(f"{name}={value}" for name, value in part.items() if name != "name")


def _text(value: object) -> str:
    if value is None:
        return ""
    return harmless(value) if isinstance(value, str) else repr(value)


def _lines(rows: list[Any]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()

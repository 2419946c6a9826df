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
    "difference_low",
    "difference_high",
    "p",
    "newly_wrong",
    "newly_right",
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
        yield _lines(
            [_row(table, fact, pruning.get(fact.cell.pruned or "", {})) for fact in facts[start : start + ROWS_AT_ONCE]]
        )


def _row(table: StudyTable, fact: Fact, spec: Spec) -> list[str]:
    method, allocation = spec.get("method") or {}, spec.get("allocation") or {}
    calibration = spec.get("calibration") or {}
    place, measured, pairing = fact.cell, fact.measured, fact.pairing
    low, high = (measured.low, measured.high) if measured else (None, None)
    values = {
        "study": table.id,
        "state": place.state.value,
        "model": place.model,
        "method": method.get("name", place.method or "dense"),
        "method_options": _options(method),
        "pattern": place.pattern or "dense",
        "sparsity": place.sparsity or 0.0,
        "allocation": allocation.get("name", place.allocation or "uniform"),
        "allocation_options": _options(allocation),
        "calibration": calibration.get("dataset") or calibration.get("file") or place.calibration,
        "calibration_mode": calibration.get("mode"),
        "calibration_samples": calibration.get("samples"),
        "calibration_seqlen": calibration.get("seqlen", place.seqlen),
        "calibration_seed": calibration.get("seed", place.seed),
        "task": fact.task,
        "group": fact.group,
        "limit": table.spec.get("limit"),
        "rows": measured.rows if measured else None,
        "accuracy": fact.accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "chance": measured.chance if measured else None,
        "majority": measured.majority if measured else None,
        "dense": fact.dense,
        "difference": fact.difference,
        "difference_low": pairing.low if pairing else None,
        "difference_high": pairing.high if pairing else None,
        "p": pairing.p if pairing else None,
        "newly_wrong": pairing.newly_wrong if pairing else None,
        "newly_right": pairing.newly_right if pairing else None,
        "pruned_model": place.pruned,
        "job": place.job,
        "evaluation": place.artefact if measured else None,
        "dense_evaluation": table.dense_of.get(place.artefact) if fact.before else None,
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

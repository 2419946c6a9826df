"""All measurements of a study as CSV: one row for each cell and task, with every setting that it was made with."""

import csv
import io
from collections.abc import Iterator, Mapping
from itertools import groupby
from math import exp
from typing import Any

from server.figures.table import harmless
from store.measurements import ACCURACY
from store.paired_statistics import benjamini_hochberg
from store.study_table import Fact, StudyTable

Spec = Mapping[str, Any]

ROWS_AT_ONCE = 500
SETTINGS = (
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
    "limit",
)
MEASURED = (
    "task",
    "group",
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
    "q",
    "newly_wrong",
    "newly_right",
)
PERPLEXITY_SETTINGS = ("perplexity_seqlen", "perplexity_windows")
PERPLEXITY_MEASURED = (
    "text",
    "tokens",
    "perplexity",
    "perplexity_low",
    "perplexity_high",
    "dense",
    "ratio",
    "difference_nats",
    "difference_low",
    "difference_high",
    "p",
    "q",
    "windows_worse",
    "windows_better",
)
RESULTS_OF_CELL = ("pruned_model", "job", "evaluation")
COLUMNS = (*SETTINGS, *MEASURED, *RESULTS_OF_CELL, "dense_evaluation")
PERPLEXITY_COLUMNS = (
    *SETTINGS,
    *PERPLEXITY_SETTINGS,
    *PERPLEXITY_MEASURED,
    *RESULTS_OF_CELL,
    "dense_evaluation",
)


def cells_csv(table: StudyTable, pruning: Mapping[str, Spec]) -> Iterator[str]:
    """The file, a few cells at a time: the dense models' measurements (method ``dense``), then the pruned ones'.

    ``pruning``: pruned model's id -> the spec that it was pruned with, options' defaults included. Accuracies and
    differences are shares (0 to 1), intervals 95 % ones; ``q`` is ``p`` after Benjamini-Hochberg over all measurements
    of the file. What is not there, or not known yet, is empty.

    A table of perplexities has columns of its own: ``difference_nats`` is pruned minus dense loss, the logarithm of
    ``ratio``, and its interval and p are of the windows that both were measured on.
    """
    of_accuracy = table.measure == ACCURACY
    yield _lines([COLUMNS if of_accuracy else PERPLEXITY_COLUMNS])
    names_before = SETTINGS if of_accuracy else (*SETTINGS, *PERPLEXITY_SETTINGS)
    measured = _measured if of_accuracy else _measured_perplexity
    facts = [*table.dense, *table.facts]
    tested = [fact.pairing.p for fact in facts if fact.pairing]
    q = iter(benjamini_hochberg(tested).tolist())
    lines: list[list[str]] = []
    # The facts of a cell stand together, and all but what was measured is the same for them.
    for _, of_cell in groupby(facts, key=lambda fact: fact.cell.position):
        some = list(of_cell)
        settings = _settings(table, some, pruning.get(some[0].cell.pruned or "", {}))
        before, after = ([settings[name] for name in names] for names in (names_before, RESULTS_OF_CELL))
        made_of = table.dense_of.get(some[0].cell.artefact, "")
        lines += [
            [
                *before,
                *map(_text, measured(fact, next(q) if fact.pairing else None)),
                *after,
                made_of if fact.before else "",
            ]
            for fact in some
        ]
        if len(lines) >= ROWS_AT_ONCE:
            yield _lines(lines)
            lines = []
    yield _lines(lines)


def _settings(table: StudyTable, facts: list[Fact], spec: Spec) -> dict[str, str]:
    """What all facts of a cell have in common."""
    method, allocation = spec.get("method") or {}, spec.get("allocation") or {}
    calibration = spec.get("calibration") or {}
    place = facts[0].cell
    perplexity = table.spec.get("perplexity") or {}
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
        "limit": table.spec.get("limit"),
        "perplexity_seqlen": perplexity.get("seqlen"),
        "perplexity_windows": perplexity.get("windows"),
        "pruned_model": place.pruned,
        "job": place.job,
        "evaluation": place.artefact if any(fact.measured for fact in facts) else None,
    }
    return {name: _text(value) for name, value in values.items()}


def _measured(fact: Fact, q: float | None) -> tuple[object, ...]:
    """In the order of ``MEASURED``."""
    measured, pairing = fact.measured, fact.pairing
    accuracy: tuple[object, ...] = (None,) * 6
    paired: tuple[object, ...] = (None,) * 6
    if measured:
        accuracy = (
            measured.rows,
            measured.value,
            measured.low,
            measured.high,
            measured.chance,
            measured.majority,
        )
    if pairing:
        paired = (pairing.low, pairing.high, pairing.p, q, pairing.newly_wrong, pairing.newly_right)
    return (fact.task, fact.group, *accuracy, fact.dense, fact.difference, *paired)


def _measured_perplexity(fact: Fact, q: float | None) -> tuple[object, ...]:
    """In the order of ``PERPLEXITY_MEASURED``; the table has losses."""
    measured, pairing = fact.measured, fact.pairing
    losses = (measured.value, measured.low, measured.high) if measured else (None,) * 3
    paired: tuple[object, ...] = (None,) * 6
    if pairing:
        paired = (pairing.low, pairing.high, pairing.p, q, pairing.newly_wrong, pairing.newly_right)
    difference = fact.difference
    return (
        fact.task,
        measured and measured.rows,
        *map(_perplexity, (*losses, fact.dense, difference)),
        difference,
        *paired,
    )


def _perplexity(loss: float | None) -> float | None:
    return None if loss is None else exp(loss)


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

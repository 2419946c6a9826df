"""All measurements of a study as CSV: one row for each cell and task, with every setting that it was made with."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from prunescope.server.site.formats import harmless
from prunescope.store.evaluations.paired_statistics import benjamini_hochberg
from prunescope.store.evaluations.values import ACCURACY, PERPLEXITY
from prunescope.store.studies.facts import Bools, Floats
from prunescope.store.studies.table import StudyCell, StudyTable

Spec = Mapping[str, Any]
Numbers = Mapping[str, Floats]

ROWS_AT_ONCE = 500
_END = "\r\n"
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
    "calibration_bos",
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
PERPLEXITY_SETTINGS = ("perplexity_seqlen", "perplexity_windows", "perplexity_bos")
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
    """Yields the file in pieces: the dense models' measurements (method ``dense``), then the pruned ones'.

    ``pruning``: pruned model's id -> the spec that it was pruned with, options' defaults included. Accuracies and
    differences are shares (0 to 1), intervals 95 % ones; ``q`` is ``p`` after Benjamini-Hochberg over all measurements
    of the file. What is not there, or not known yet, is empty.

    A table of perplexities has columns of its own: ``difference_nats`` is pruned minus dense loss, the logarithm of
    ``ratio``, and its interval and p are of the windows that both were measured on.
    """
    of_accuracy = table.measure == ACCURACY
    cells = [*(cell for cell in table.cells if cell.role == "dense" and table.groups), *table.evaluated]
    measured, paired, dense = table.findings.columns([cell.artefact for cell in cells])
    found = map(",".join, zip(*(_accuracies if of_accuracy else _perplexities)(measured, paired, dense), strict=True))
    tasks = [_line((task, group) if of_accuracy else (task,)) for task, group in table.groups.items()]
    yield _line(COLUMNS if of_accuracy else PERPLEXITY_COLUMNS) + _END
    lines: list[str] = []
    each = (len(cells), len(tasks))
    here: Bools = np.any((~np.isnan(measured["value"])).reshape(each), axis=1)
    before: Bools = (~np.isnan(dense)).reshape(each)
    for cell, known, compared in zip(cells, here, before, strict=True):
        start = _line(_settings(table, cell, pruning.get(cell.pruned or "", {})))
        end = _line((cell.pruned, cell.job, cell.artefact if known else None))
        beside = table.dense_of.get(cell.artefact)
        lines += [
            f"{start},{task},{next(found)},{end},{beside if dense_there else ''}{_END}"
            for task, dense_there in zip(tasks, compared, strict=True)
        ]
        if len(lines) >= ROWS_AT_ONCE:
            yield "".join(lines)
            lines = []
    yield "".join(lines)


def _accuracies(measured: Numbers, paired: Numbers, dense: Floats) -> list[list[str]]:
    """Columns in the order of ``MEASURED``, without the task and its group."""
    return [
        _texts(measured["rows"], int),
        *map(_texts, (measured[name] for name in ("value", "low", "high", "chance", "majority"))),
        *map(_texts, (dense, measured["value"] - dense)),
        *_compared(paired),
    ]


def _perplexities(measured: Numbers, paired: Numbers, dense: Floats) -> list[list[str]]:
    """Columns in the order of ``PERPLEXITY_MEASURED``, without the text; what is measured are losses."""
    difference = measured["value"] - dense
    losses = (measured["value"], measured["low"], measured["high"], dense, difference)
    return [
        _texts(measured["rows"], int),
        *map(_texts, map(np.exp, losses)),
        _texts(difference),
        *_compared(paired),
    ]


def _compared(paired: Numbers) -> list[list[str]]:
    """Interval and p of the difference, q, and what got worse and better."""
    there = ~np.isnan(paired["p"])
    q = np.full(len(there), np.nan)
    q[there] = benjamini_hochberg(paired["p"][there])
    counts = (_texts(paired[name], int) for name in ("newly_wrong", "newly_right"))
    return [*map(_texts, (paired["low"], paired["high"], paired["p"], q)), *counts]


def _settings(table: StudyTable, cell: StudyCell, spec: Spec) -> tuple[object, ...]:
    """In the order of ``SETTINGS``, and of ``PERPLEXITY_SETTINGS``: what all measurements of a cell have in common."""
    method, allocation = spec.get("method") or {}, spec.get("allocation") or {}
    calibration = spec.get("calibration") or {}
    perplexity = table.spec.get("perplexity") or {}
    return (
        table.id,
        cell.state.value,
        cell.model,
        method.get("name", cell.method or "dense"),
        _options(method),
        cell.pattern or "dense",
        cell.sparsity or 0.0,
        allocation.get("name", cell.allocation or "uniform"),
        _options(allocation),
        calibration.get("dataset") or calibration.get("file") or cell.calibration,
        calibration.get("mode"),
        calibration.get("samples"),
        calibration.get("seqlen", cell.seqlen),
        calibration.get("seed", cell.seed),
        calibration.get("bos"),
        table.spec.get("limit"),
        *((perplexity.get(name) for name in ("seqlen", "windows", "bos")) if table.measure == PERPLEXITY else ()),
    )


def _options(part: Spec) -> str:
    """``exponent=0.5; within=row``, as the command's ``--option`` takes them."""
    return "; ".join(f"{name}={value}" for name, value in part.items() if name != "name")


def _texts(numbers: Floats, kind: type[float | int] = float) -> list[str]:
    """Every number with all of its digits; empty for NaN. Equal numbers are formatted once."""
    alike, places = np.unique(numbers, return_inverse=True)
    texts = ["" if each != each else repr(kind(each)) for each in alike.tolist()]
    return [texts[place] for place in places.tolist()]


def _line(values: Iterable[object]) -> str:
    """The values of a part of a line, without its end."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([_text(value) for value in values])
    return out.getvalue()


def _text(value: object) -> str:
    if value is None:
        return ""
    return harmless(value) if isinstance(value, str) else repr(value)

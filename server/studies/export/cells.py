"""Exports all measurements of a study as CSV: one line for each cell and task, with all settings of the cell."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from prunescope.jobs.vocabulary import METHODS
from prunescope.server.site.formats import harmless
from prunescope.store.evaluations.paired_statistics import benjamini_hochberg
from prunescope.store.evaluations.values import PERPLEXITY, Measure
from prunescope.store.studies.facts import Bools, Floats
from prunescope.store.studies.table import StudyCell, StudyTable

Spec = Mapping[str, Any]
Numbers = Mapping[str, Floats]

ROWS_AT_ONCE = 500
NOTHING_REMOVED = frozenset(name for name, method in METHODS.items() if not method.removes)
_END = "\r\n"


def cells_csv(table: StudyTable, pruning: Mapping[str, Spec]) -> Iterator[str]:
    """Yields the file in pieces: first the dense models' measurements (method ``dense``), then the pruned models'.

    ``pruning``: id of a pruned model -> its prune spec. Accuracies and differences are shares (0 to 1), intervals are
    95 % intervals; ``q`` is ``p`` adjusted by Benjamini-Hochberg over all measurements of the file. Missing values are
    empty; AUC, prior shift and adjusted accuracy are not paired. In a table of perplexities, ``difference_nats`` (the
    logarithm of ``ratio``) and its interval are differences of losses in nats per token.
    """
    of_accuracy = table.measure != PERPLEXITY
    cells = [*(cell for cell in table.cells if cell.role == "dense" and table.groups), *table.evaluated]
    measured, paired, dense = table.findings.columns([cell.artefact for cell in cells])
    columns = _columns(table.measure, measured, paired, dense)
    found = map(",".join, zip(*columns.values(), strict=True))
    tasks = [_line((task, group) if of_accuracy else (task,)) for task, group in table.groups.items()]
    # The names of the settings are the same for all cells; every study has at least one cell.
    settings = _settings(table, table.cells[0], {})
    named = ("task", "group") if of_accuracy else ("text",)
    yield _line([*settings, *named, *columns, "pruned_model", "job", "evaluation", "dense_evaluation"]) + _END
    lines: list[str] = []
    each = (len(cells), len(tasks))
    here: Bools = np.any((~np.isnan(measured["value"])).reshape(each), axis=1)
    before: Bools = (~np.isnan(dense)).reshape(each)
    for cell, known, compared in zip(cells, here, before, strict=True):
        start = _line(_settings(table, cell, pruning.get(cell.pruned or "", {})).values())
        end = _line((cell.pruned, cell.job, cell.artefact if known else None))
        dense_evaluation = table.dense_of.get(cell.artefact)
        lines += [
            f"{start},{task},{next(found)},{end},{dense_evaluation if has_dense else ''}{_END}"
            for task, has_dense in zip(tasks, compared, strict=True)
        ]
        if len(lines) >= ROWS_AT_ONCE:
            yield "".join(lines)
            lines = []
    yield "".join(lines)


def _columns(measure: Measure, measured: Numbers, paired: Numbers, dense: Floats) -> dict[str, list[str]]:
    """Name of a column -> texts, one for each measurement."""
    of_accuracy = measure != PERPLEXITY
    there = ~np.isnan(paired["p"])
    q = np.full(len(there), np.nan)
    q[there] = benjamini_hochberg(paired["p"][there])
    difference = measured["value"] - dense
    columns = {
        "difference_low": _texts(paired["low"]),
        "difference_high": _texts(paired["high"]),
        "p": _texts(paired["p"]),
        "q": _texts(q),
        "newly_wrong" if of_accuracy else "windows_worse": _texts(paired["newly_wrong"], int),
        "newly_right" if of_accuracy else "windows_better": _texts(paired["newly_right"], int),
    }
    if of_accuracy:
        return {
            "rows": _texts(measured["rows"], int),
            measure: _texts(measured["value"]),
            f"{measure}_low": _texts(measured["low"]),
            f"{measure}_high": _texts(measured["high"]),
            "chance": _texts(measured["chance"]),
            "majority": _texts(measured["majority"]),
            "dense": _texts(dense),
            "difference": _texts(difference),
            **columns,
        }
    return {
        "tokens": _texts(measured["rows"], int),
        "perplexity": _texts(np.exp(measured["value"])),
        "perplexity_low": _texts(np.exp(measured["low"])),
        "perplexity_high": _texts(np.exp(measured["high"])),
        "dense": _texts(np.exp(dense)),
        "ratio": _texts(np.exp(difference)),
        "difference_nats": _texts(difference),
        **columns,
    }


def _settings(table: StudyTable, cell: StudyCell, spec: Spec) -> dict[str, object]:
    """Column -> value, for the columns that are equal in all measurements of a cell."""
    method, allocation = spec.get("method") or {}, spec.get("allocation") or {}
    calibration = spec.get("calibration") or {}
    settings = {
        "study": table.id,
        "state": cell.state.value,
        "model": cell.model,
        "method": method.get("name", cell.method or "dense"),
        "method_options": _options(method),
        "pattern": cell.pattern or "dense",
        "sparsity": 0.0 if method.get("name") in NOTHING_REMOVED else cell.sparsity or 0.0,
        "allocation": allocation.get("name", cell.allocation or "uniform"),
        "allocation_options": _options(allocation),
        "calibration": calibration.get("dataset") or calibration.get("file") or cell.calibration,
        "calibration_mode": calibration.get("mode"),
        "calibration_samples": calibration.get("samples"),
        "calibration_seqlen": calibration.get("seqlen", cell.seqlen),
        "calibration_seed": calibration.get("seed", cell.seed),
        "calibration_bos": calibration.get("bos"),
        "limit": table.spec.get("limit"),
    }
    if table.measure == PERPLEXITY:
        settings |= {f"perplexity_{name}": table.spec["perplexity"].get(name) for name in ("seqlen", "windows", "bos")}
    return settings


def _options(part: Spec) -> str:
    """Options in the format of the command's ``--option``: ``exponent=0.5; within=row``."""
    return "; ".join(f"{name}={value}" for name, value in part.items() if name != "name")


def _texts(numbers: Floats, kind: type[float | int] = float) -> list[str]:
    """Numbers with all digits, empty for NaN. Equal numbers are formatted only once, for speed."""
    alike, places = np.unique(numbers, return_inverse=True)
    texts = ["" if each != each else repr(kind(each)) for each in alike.tolist()]
    return [texts[place] for place in places.tolist()]


def _line(values: Iterable[object]) -> str:
    """Values as CSV, without the end of the line."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([_text(value) for value in values])
    return out.getvalue()


def _text(value: object) -> str:
    if value is None:
        return ""
    return harmless(value) if isinstance(value, str) else repr(value)

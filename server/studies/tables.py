"""Makes the document of a study's table: labels, the best of each row, the paper's values, links."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from prunescope.jobs.vocabulary import TASKS
from prunescope.server import urls
from prunescope.server.site.names import Names
from prunescope.server.studies.documents import CellDocument, LabelDocument, RowDocument, TableDocument
from prunescope.server.studies.measures import MEASURES
from prunescope.store.evaluations.values import ACCURACY, PERPLEXITY, Interval, Measure, perplexity
from prunescope.store.studies import table as study_table
from prunescope.store.studies.pivot import Pivot, PivotCell
from prunescope.store.studies.published import PublishedTable


@dataclass(frozen=True)
class Beside:
    """What a table needs beside its numbers: labels of the axes, ids of pruned models that exist, the paper's table."""

    labels: Mapping[str, Sequence[LabelDocument]]
    models: Collection[str]
    paper: PublishedTable | None


def axis_sizes(axes: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Axis -> how many values it has. "none" is a label of cells, but not a calibration set and not a window length."""
    return {axis: sum(value != "none" for value in values) for axis, values in axes.items()}


def axis_labels(table: study_table.StudyTable, names: Names) -> dict[str, list[LabelDocument]]:
    """Axis -> its values with their labels, numbers and groups."""
    standing = _standing(table.cells)
    return {
        axis: [
            LabelDocument(
                value=value,
                label=_label(axis, value, values, names),
                number=standing.get((axis, value)),
                group=TASKS.get(value) if axis == "task" else None,
            )
            for value in values
        ]
        for axis, values in table.axes.items()
    }


def _label(axis: str, value: str, values: Sequence[str], names: Names) -> str:
    if axis == "model":
        name = names.label(value)
        return name if sum(names.label(other) == name for other in values) == 1 else value
    # A text that perplexity was measured on may be a file: its name says enough where no other is called so.
    name = value.rpartition("/")[2] if axis == "task" else value
    return name if sum(other.rpartition("/")[2] == name for other in values) == 1 else value


def printed_values(
    paper: PublishedTable, table: study_table.StudyTable, crossed: Pivot
) -> dict[tuple[str, str], float]:
    """(row, column) -> what the paper prints there, a share. It prints none for a mean over an axis that it holds
    constant."""
    if not {crossed.rows, crossed.columns} <= set(paper.axes):
        return {}
    labels: dict[str, Sequence[str]] = {**table.axes, **crossed.where}
    alone = {axis: some[0] for axis, some in labels.items() if len(some) == 1}
    found = {
        (row, column): paper.value({**alone, crossed.rows: row, crossed.columns: column})
        for row in crossed.row_labels
        for column in crossed.column_labels
    }
    return {place: value for place, value in found.items() if value is not None}


def table_document(table: study_table.StudyTable, crossed: Pivot, beside: Beside) -> TableDocument:
    """The document of a pivot."""
    down, across = ({label.value: label for label in beside.labels[axis]} for axis in (crossed.rows, crossed.columns))
    printed = printed_values(beside.paper, table, crossed) if beside.paper else {}
    rows = []
    for value, dense, cells in zip(crossed.row_labels, crossed.dense, crossed.cells, strict=True):
        published = [printed.get((value, column)) for column in crossed.column_labels]
        rows.append(_row(down[value], dense, cells, published, beside.models, table.measure))
    columns = [across[value] for value in crossed.column_labels]
    differences = [abs(c.difference) for row in rows for c in row.cells if c is not None and c.difference is not None]
    return TableDocument(
        measure=table.measure,
        rows_axis=crossed.rows,
        columns_axis=crossed.columns,
        columns=[label.label for label in columns],
        column_labels=columns,
        rows=rows,
        averaged=[*crossed.averaged],
        largest_difference=max(differences, default=0.0),
        tested=crossed.tested,
        surviving=crossed.surviving,
        notes=[*_notes(crossed, table.measure)],
    )


def _notes(crossed: Pivot, measure: Measure) -> Iterator[str]:
    words = MEASURES[measure]
    yield words.intervals
    if any(cell is not None and cell.facts > 1 for row in crossed.cells for cell in row):
        yield words.means
    if crossed.tested:
        yield (
            f"{crossed.surviving} of {crossed.tested} differences hold at a false discovery rate of 5 % "
            f"({words.test}, Benjamini-Hochberg)."
        )


def _standing(cells: Iterable[study_table.StudyCell]) -> dict[tuple[str, str], float]:
    """(axis, label) -> the number that a label means: a sparsity, a window length, a seed."""
    found: dict[tuple[str, str], float] = {}
    for cell in cells:
        if cell.role == "evaluate":
            numbers = {"pattern": cell.sparsity, "seqlen": cell.seqlen, "seed": cell.seed}
            labels = cell.labels
            found |= {(axis, labels[axis]): number for axis, number in numbers.items() if number is not None}
    return found


def _row(
    label: LabelDocument,
    dense: float | None,
    cells: Sequence[PivotCell | None],
    published: Sequence[float | None],
    models: Collection[str],
    measure: Measure,
) -> RowDocument:
    there = [cell for cell in cells if cell is not None]
    # A mean of some measurements is not to be held against the mean of all of them.
    known = [cell.value for cell in there if cell.value is not None and cell.done == cell.facts]
    several = len(known) > 1
    best = (max if measure == ACCURACY else min)(known) if several else None
    return RowDocument(
        **dict(label),
        dense=_turned(dense, measure),
        chance=_common(cell.chance for cell in there),
        majority=_common(cell.majority for cell in there),
        spread=_turned(max(known) - min(known), measure) if several else None,
        cells=[
            None if cell is None else _cell(cell, best, models, printed, measure)
            for cell, printed in zip(cells, published, strict=True)
        ],
    )


def _turned(value: float | None, measure: Measure) -> float | None:
    """Turns a loss into a perplexity, and a difference of losses into a ratio; an accuracy stays as it is."""
    return value if value is None or measure == ACCURACY else perplexity(value)


def _turned_ends(interval: Interval | None, measure: Measure) -> Interval | None:
    return interval if interval is None or measure == ACCURACY else (perplexity(interval[0]), perplexity(interval[1]))


def _common(values: Iterable[float | None]) -> float | None:
    """The one value that all of them have, None where they differ; None among them does not count."""
    given = {value for value in values if value is not None}
    return given.pop() if len(given) == 1 else None


def _href(fact: study_table.Fact, measure: Measure) -> str:
    """The address of a fact's examples (accuracy) or evaluation (perplexity); of its job while it is not measured."""
    if fact.value is None:
        return urls.job(fact.cell.job)
    evaluation = fact.cell.artefact
    return urls.evaluation_task(evaluation, fact.task) if measure == ACCURACY else urls.evaluation(evaluation)


def _cell(
    cell: PivotCell, best: float | None, models: Collection[str], published: float | None, measure: Measure
) -> CellDocument:
    perplexity = measure == PERPLEXITY
    return CellDocument(
        accuracy=None if perplexity else cell.value,
        perplexity=_turned(cell.value, measure) if perplexity else None,
        interval=_turned_ends(cell.interval, measure),
        dense=_turned(cell.dense, measure),
        difference=cell.difference,
        ratio=_turned(cell.difference, measure) if perplexity else None,
        difference_interval=cell.difference_interval,
        p=cell.p,
        q=cell.q,
        survives=cell.only is not None and cell.survivors > 0,
        survivors=cell.survivors,
        newly_wrong=cell.newly_wrong,
        newly_right=cell.newly_right,
        rows=cell.rows,
        chance=cell.chance,
        majority=cell.majority,
        at_chance=cell.at_chance,
        best=best is not None and cell.value == best and cell.done == cell.facts,
        measurements=cell.facts,
        done=cell.done,
        failed=cell.failed,
        state=cell.state,
        job=cell.only.cell.job if cell.only else None,
        evaluation=cell.only.cell.artefact if cell.only else None,
        href=None if cell.only is None else _href(cell.only, measure),
        model_href=urls.model(cell.pruned) if cell.pruned and cell.pruned in models else None,
        published=published,
    )

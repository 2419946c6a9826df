"""Builds the document of a study's table: labels, perplexities, the best cell of each row, the paper's values."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from prunescope.jobs.vocabulary import TASKS
from prunescope.server import urls
from prunescope.server.site.names import Names
from prunescope.server.studies.documents import CellDocument, LabelDocument, RowDocument, TableDocument
from prunescope.server.studies.measures import MEASURES
from prunescope.store.evaluations.values import OF_LABELS, PERPLEXITY, Measure, perplexity
from prunescope.store.studies import table as study_table
from prunescope.store.studies.pivot import Pivot, PivotCell
from prunescope.store.studies.published import PublishedTable

USUAL_TABLES = {
    ("task", "calibration"): "Table 1",
    ("model", "calibration"): "Tables 2 and 4",
    ("task", "pattern"): "Table 3",
    ("method", "calibration"): "",
    ("task", "method"): "",
    ("method", "pattern"): "",
    ("task", "seqlen"): "Table 5",
    ("method", "seqlen"): "",
    ("task", "model"): "",
    ("task", "allocation"): "",
    ("task", "seed"): "",
    ("group", "calibration"): "",
}
"""(rows, columns) of the tables that a page offers -> the tables of the paper with these axes."""
SHARED = [field.name for field in fields(PivotCell) if field.name in CellDocument.model_fields]
"""Fields that a cell's document takes over from its `PivotCell`."""


def axis_sizes(axes: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Axis -> number of its values. "none" is not counted: it labels the cells to which the axis does not apply."""
    return {axis: sum(value != "none" for value in values) for axis, values in axes.items()}


def axis_labels(table: study_table.StudyTable, names: Names) -> dict[str, list[LabelDocument]]:
    """Axis -> its values with their labels, numbers and groups."""
    numbers = _numbers(table.cells)
    return {
        axis: [
            LabelDocument(
                value=value,
                label=_label(axis, value, values, names),
                number=numbers.get((axis, value)),
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
    # A text on which perplexity was measured may be a file. Its name is the label, unless two files have the same name.
    name = value.rpartition("/")[2] if axis == "task" else value
    return name if sum(other.rpartition("/")[2] == name for other in values) == 1 else value


def printed_values(
    paper: PublishedTable, table: study_table.StudyTable, crossed: Pivot
) -> dict[tuple[str, str], float]:
    """(row, column) -> the paper's value, a share (0 to 1). Cells that are means over an axis that is constant in the
    paper's table have none."""
    if not {crossed.rows, crossed.columns} <= set(paper.axes):
        return {}
    labels: dict[str, Sequence[str]] = {**table.axes, **crossed.where}
    alone = {axis: some[0] for axis, some in labels.items() if len(some) == 1}
    return {
        (row, column): value
        for row in crossed.row_labels
        for column in crossed.column_labels
        if (value := paper.value({**alone, crossed.rows: row, crossed.columns: column})) is not None
    }


@dataclass(frozen=True)
class Tables:
    """Builds the documents of a study's tables. Beside the numbers they show the ``labels`` of all axes, the existing
    pruned ``models`` (ids), and the values of ``paper``."""

    study: study_table.StudyTable
    labels: Mapping[str, Sequence[LabelDocument]]
    models: Collection[str]
    paper: PublishedTable | None

    def document(self, crossed: Pivot) -> TableDocument:
        """The document of a pivot table."""
        down, across = ({label.value: label for label in self.labels[axis]} for axis in (crossed.rows, crossed.columns))
        printed = printed_values(self.paper, self.study, crossed) if self.paper else {}
        rows = []
        for value, dense, cells in zip(crossed.row_labels, crossed.dense, crossed.cells, strict=True):
            published = [printed.get((value, column)) for column in crossed.column_labels]
            rows.append(self._row(down[value], dense, cells, published))
        columns = [across[value] for value in crossed.column_labels]
        differences = [abs(c.difference) for row in rows for c in row.cells if c and c.difference is not None]
        return TableDocument(
            measure=self.study.measure,
            rows_axis=crossed.rows,
            columns_axis=crossed.columns,
            columns=[label.label for label in columns],
            column_labels=columns,
            rows=rows,
            averaged=[*crossed.averaged],
            largest_difference=max(differences, default=0.0),
            tested=crossed.tested,
            surviving=crossed.surviving,
            notes=[*_notes(crossed, self.study.measure)],
        )

    def _row(
        self,
        label: LabelDocument,
        dense: float | None,
        cells: Sequence[PivotCell | None],
        published: Sequence[float | None],
    ) -> RowDocument:
        measure, present = self.study.measure, [*filter(None, cells)]
        # A mean of some measurements is not comparable with a mean of all of them.
        values = [cell.value for cell in present if cell.value is not None and cell.done == cell.facts]
        several = len(values) > 1
        best = (min if MEASURES[measure].lower_is_better else max)(values) if several else None
        return RowDocument(
            **dict(label),
            dense=_converted(dense, measure),
            chance=_common(cell.chance for cell in present),
            majority=_common(cell.majority for cell in present),
            spread=_converted(max(values) - min(values), measure) if several else None,
            cells=[cell and self._cell(cell, best, printed) for cell, printed in zip(cells, published, strict=True)],
        )

    def _cell(self, cell: PivotCell, best: float | None, published: float | None) -> CellDocument:
        measure, only = self.study.measure, cell.only
        value = _converted(cell.value, measure)
        return CellDocument.model_validate(
            {
                **{name: getattr(cell, name) for name in SHARED},
                "accuracy": None,
                **dict.fromkeys((PERPLEXITY, *OF_LABELS)),
                measure: value,
                "interval": cell.interval and tuple(_converted(end, measure) for end in cell.interval),
                "dense": _converted(cell.dense, measure),
                "ratio": _converted(cell.difference, measure) if measure == PERPLEXITY else None,
                "survives": only is not None and cell.survivors > 0,
                "best": best is not None and cell.value == best and cell.done == cell.facts,
                "measurements": cell.facts,
                "job": only and only.cell.job,
                "evaluation": only and only.cell.artefact,
                "href": only and _href(only, measure),
                "model_href": urls.model(cell.pruned) if cell.pruned and cell.pruned in self.models else None,
                "published": published,
            }
        )


def _notes(crossed: Pivot, measure: Measure) -> Iterator[str]:
    words = MEASURES[measure]
    yield words.intervals
    if words.means and any(cell is not None and cell.facts > 1 for row in crossed.cells for cell in row):
        yield words.means
    if crossed.tested:
        yield (
            f"{crossed.surviving} of {crossed.tested} differences are significant at FDR 5 % "
            f"({words.test}, Benjamini-Hochberg)."
        )


def _numbers(cells: Iterable[study_table.StudyCell]) -> dict[tuple[str, str], float]:
    """(axis, value) -> the number that the value means: a sparsity, a window length, a seed."""
    found: dict[tuple[str, str], float] = {}
    for cell in cells:
        if cell.role == "evaluate":
            numbers = {"pattern": cell.sparsity, "seqlen": cell.seqlen, "seed": cell.seed}
            labels = cell.labels
            found |= {(axis, labels[axis]): number for axis, number in numbers.items() if number is not None}
    return found


def _converted(value: float | None, measure: Measure) -> float | None:
    """The perplexity of a loss, or the ratio of a difference of losses; other measures are returned unchanged."""
    return perplexity(value) if value is not None and measure == PERPLEXITY else value


def _common(values: Iterable[float | None]) -> float | None:
    """The value that all values other than None have; None if they differ."""
    given = {value for value in values if value is not None}
    return given.pop() if len(given) == 1 else None


def _href(fact: study_table.Fact, measure: Measure) -> str:
    """The address of a fact's examples or, of a perplexity, evaluation, or of its job until it is measured."""
    if fact.value is None:
        return urls.job(fact.cell.job)
    evaluation = fact.cell.artefact
    return urls.evaluation(evaluation) if measure == PERPLEXITY else urls.evaluation_task(evaluation, fact.task)

"""Values, texts, caption and notes of a study's table, for its page and its exported files."""

from dataclasses import dataclass
from functools import cached_property

from prunescope.jobs.documents import JobState
from prunescope.server.site import formats
from prunescope.server.site.palette import Scale, difference_shade
from prunescope.server.studies.documents import CellDocument, RowDocument, StudyDocument, TableDocument
from prunescope.server.studies.measures import MEASURES, MeasureWords
from prunescope.server.studies.query import StudyQuery
from prunescope.store.evaluations.values import Interval
from prunescope.store.studies.table import UNSUCCESSFUL


@dataclass(frozen=True)
class Shown:
    """A study's table, shown as values or as differences to the dense model."""

    document: StudyDocument

    @property
    def table(self) -> TableDocument:
        return self.document.table

    @cached_property
    def measure(self) -> MeasureWords:
        return MEASURES[self.document.measure]

    @cached_property
    def differences(self) -> bool:
        return self.document.show == "difference"

    @property
    def query(self) -> StudyQuery:
        """The query of the document's table, with both axes; defaults of the other parameters are None."""
        document = self.document
        return StudyQuery(
            rows=document.table.rows_axis,
            columns=document.table.columns_axis,
            measure=None if document.measure == document.measures[0] else document.measure,
            show="difference" if self.differences else None,
            published=document.published and document.published.name,
            chart=document.chart and document.chart.name,
            **document.filters,
        )

    @property
    def groups(self) -> dict[str, list[RowDocument]]:
        """Heading (a task group, or empty) -> rows."""
        groups: dict[str, list[RowDocument]] = {}
        for row in self.table.rows:
            groups.setdefault((row.group or "").capitalize(), []).append(row)
        return groups

    @cached_property
    def cells(self) -> list[CellDocument]:
        return [cell for row in self.table.rows for cell in row.cells if cell is not None]

    @cached_property
    def scale(self) -> Scale:
        """The colour scale of `CellDocument.gain`."""
        return Scale(self.measure.scale(self.table.largest_difference))

    def drawn(self, cell: CellDocument, row: str, column: str) -> tuple[str, str, str]:
        """(CSS classes, accessible name, text) of a cell on the page; at once, as a table has thousands of cells."""
        return self.marks(cell), self.described(cell, row, column), self.written(cell)

    def marks(self, cell: CellDocument) -> str:
        """The CSS classes of a cell on the page: its shade, near chance, partial, failed, waiting."""
        if cell.value is None:
            return "failed" if cell.state in UNSUCCESSFUL else "waiting"
        marks = []
        if cell.gain is not None:
            marks += ["loss-shade" if cell.gain < 0 else "gain-shade", difference_shade(cell.gain, self.scale)]
        marks += ["near"] * cell.at_chance + ["partial"] * cell.partial
        return " ".join(marks)

    def described(self, cell: CellDocument, row: str, column: str) -> str:
        """The accessible name of a cell: its number, shade and marks in words."""
        if cell.value is None:
            words = [cell.state.value]
        else:
            words = [f"{self.measure.text(cell.value)}{self.measure.unit}"]
            if cell.change is not None:
                words.append(f"{self.measure.change_text(cell.change)} to dense")
            words += ["near chance"] * cell.at_chance
            words += [f"{cell.done} of {cell.measurements} measurements"] * cell.partial
            words += [cell.verdict] if cell.verdict else []
        if cell.published is not None:
            words.append(f"{formats.accuracy(cell.published)} % in the paper")
        return f"{row}, {column}: {', '.join(words)}"

    @property
    def with_paper(self) -> bool:
        """Whether any cell has a value of the paper."""
        return any(cell.published is not None for cell in self.cells)

    def value(self, cell: CellDocument) -> float | None:
        """The number in a cell: value or change; accuracies as shares (0 to 1)."""
        return cell.change if self.differences else cell.value

    def interval(self, cell: CellDocument) -> Interval | None:
        """The 95 % interval of `value`."""
        return cell.change_interval if self.differences else cell.interval

    def text(self, cell: CellDocument) -> str:
        """`value` as text: percent, points, a perplexity or a ratio; empty for None."""
        value = self.value(cell)
        if value is None:
            return ""
        return self.measure.change_text(value) if self.differences else self.measure.text(value)

    def written(self, cell: CellDocument) -> str:
        """What stands in a cell of the page: its number, or the sign of its state; `*` if its difference holds."""
        if cell.value is None:
            return "✕" if cell.state in UNSUCCESSFUL else "◐" if cell.state == JobState.RUNNING else "·"
        return (self.text(cell) or "\N{EN DASH}") + "*" * (cell.survives and self.differences)

    def dense(self, row: RowDocument) -> str:
        return "" if row.dense is None else self.measure.text(row.dense)

    def spread(self, row: RowDocument) -> str:
        return "" if row.spread is None else self.measure.spread_text(row.spread)

    def holds(self, cell: CellDocument) -> bool:
        """Whether the cell gets an asterisk: a difference that is significant at a false discovery rate of 5 %."""
        return cell.survives and self.differences

    @property
    def averaged(self) -> str:
        """A sentence with the axes over which cells are means; empty if all cells are single measurements."""
        names = [*map(self.measure.axis, self.table.averaged)]
        return f"Each cell is the {self.measure.mean} over {listed(names)}." if names else ""

    @property
    def caption(self) -> str:
        """The caption: measure, axes, averaged axes and filters."""
        axis = self.measure.axis
        what = self.measure.change_caption if self.differences else self.measure.caption
        sentences = [f"{what}: {axis(self.table.rows_axis)} by {axis(self.table.columns_axis)}."]
        sentences += [self.averaged] if self.averaged else []
        for name, values in self.document.filters.items():
            labels = {each.value: each.label for each in self.document.axis_labels[name]}
            sentences.append(f"Only {axis(name)} {listed([labels[value] for value in values])}.")
        return " ".join(sentences)

    @property
    def notes(self) -> list[str]:
        """The notes of an exported file: meaning of the marks, missing measurements, source of the paper's values."""
        notes = []
        if any(cell.best for cell in self.cells):
            notes.append(self.measure.best)
        if any(cell.at_chance for cell in self.cells):
            notes.append("Italic: not distinguishable from chance.")
        if any(map(self.holds, self.cells)):
            notes.append("Asterisk: significant at FDR 5 %.")
        if missing := sum(cell.measurements - cell.done for cell in self.cells):
            total = sum(cell.measurements for cell in self.cells)
            notes.append(f"{formats.count(missing)} of {formats.plural(total, 'measurement')} are not there.")
        paper = self.document.published
        if paper is not None and self.with_paper:
            notes.append(f"In parentheses: {paper.title} of {paper.source}.")
        return notes


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"

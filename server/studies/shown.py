"""Values, texts, caption and notes of a study's table, the same on its page and in its files."""

from dataclasses import dataclass
from functools import cached_property

from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument, RowDocument, StudyDocument, TableDocument
from prunescope.server.studies.measures import MEASURES, MeasureWords, axis_name

MEASURE_NAMES = {
    ("accuracy", False): "accuracy",
    ("accuracy", True): "accuracy difference",
    ("perplexity", False): "perplexity",
    ("perplexity", True): "perplexity ratio",
}


@dataclass(frozen=True)
class Shown:
    """A document's table, shown as values or as differences to dense."""

    document: StudyDocument

    @property
    def table(self) -> TableDocument:
        return self.document.table

    @property
    def measure(self) -> MeasureWords:
        return MEASURES[self.document.measure]

    @property
    def differences(self) -> bool:
        return self.document.show == "difference"

    @property
    def measure_name(self) -> str:
        """``accuracy``, ``perplexity ratio``."""
        return MEASURE_NAMES[self.document.measure, self.differences]

    @property
    def groups(self) -> dict[str, list[RowDocument]]:
        """Heading -> its rows; the heading is empty where rows have none."""
        groups: dict[str, list[RowDocument]] = {}
        for row in self.table.rows:
            groups.setdefault((row.group or "").capitalize(), []).append(row)
        return groups

    @cached_property
    def cells(self) -> list[CellDocument]:
        return [cell for row in self.table.rows for cell in row.cells if cell is not None]

    @property
    def with_paper(self) -> bool:
        """Whether any cell stands beside a value of the paper."""
        return any(cell.published is not None for cell in self.cells)

    def axis(self, axis: str) -> str:
        """The name of an axis: ``calibration set``."""
        return axis_name(axis, self.document.measure)

    def value(self, cell: CellDocument | None) -> float | None:
        """The number in a cell, with all digits; an accuracy as a share."""
        if cell is None:
            return None
        return self.measure.difference(cell) if self.differences else self.measure.value(cell)

    def text(self, cell: CellDocument | None) -> str:
        """The same as people read it: percent, points, a perplexity or a ratio; nothing where there is none."""
        value = self.value(cell)
        if value is None:
            return ""
        return self.measure.difference_text(value) if self.differences else self.measure.text(value)

    def dense(self, row: RowDocument) -> str:
        return "" if row.dense is None else self.measure.text(row.dense)

    def spread(self, row: RowDocument) -> str:
        return "" if row.spread is None else self.measure.spread_text(row.spread)

    def paper(self, cell: CellDocument | None) -> str:
        """The paper's value in percent; nothing where it prints none."""
        return "" if cell is None or cell.published is None else formats.accuracy(cell.published)

    def holds(self, cell: CellDocument | None) -> bool:
        """Whether a difference is marked as one that holds at a false discovery rate of 5 %."""
        return cell is not None and cell.survives and self.differences

    @property
    def averaged(self) -> str:
        """The sentence on what each cell is a mean over; nothing where it is a single measurement."""
        names = [*map(self.axis, self.table.averaged)]
        return f"Each cell is the {self.measure.mean} over {listed(names)}." if names else ""

    @property
    def caption(self) -> str:
        """What the numbers are: measure, axes, what is averaged, and what the filters leave in."""
        what = self.measure.difference_caption if self.differences else self.measure.caption
        sentences = [f"{what}: {self.axis(self.table.rows_axis)} by {self.axis(self.table.columns_axis)}."]
        sentences += [self.averaged] if self.averaged else []
        for axis, values in self.document.filters.items():
            labels = {each.value: each.label for each in self.document.axis_labels[axis]}
            sentences.append(f"Only {self.axis(axis)} {listed([labels[value] for value in values])}.")
        return " ".join(sentences)

    @property
    def notes(self) -> list[str]:
        """What the marks of a file's cells mean, and how many measurements are missing."""
        notes = []
        if any(cell.best for cell in self.cells):
            notes.append(self.measure.best)
        if any(cell.at_chance for cell in self.cells):
            notes.append("Italic: not distinguishable from chance.")
        if any(map(self.holds, self.cells)):
            notes.append("Asterisk: holds at a false discovery rate of 5 %.")
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

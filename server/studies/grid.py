"""A study's table on its page: texts and colours of the cells, and the details of each cell.

The page carries no markup for what is told: one JSON block holds it, without what the table says already.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prunescope.jobs.documents import JobState
from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.palette import Scale, difference_shade
from prunescope.server.studies.documents import CellDocument, RowDocument
from prunescope.server.studies.measures import MeasureWords
from prunescope.server.studies.shown import Shown

HOLDS = "*"
SIGNS = {
    JobState.FAILED: ("✕", "failed"),
    JobState.CANCELLED: ("✕", "failed"),
    JobState.RUNNING: ("◐", "waiting"),
    JobState.QUEUED: ("·", "waiting"),
}


@dataclass(frozen=True)
class Cell:
    """``css`` classes of a table cell; ``place`` is its key in the details, empty for a cell that is not part of the
    study."""

    text: str
    paper: str
    css: str
    best: bool
    href: str | None
    label: str
    place: str


@dataclass(frozen=True)
class Row:
    label: str
    dense: str
    cells: tuple[Cell, ...]
    spread: str


@dataclass(frozen=True)
class Group:
    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Details:
    """The details of one cell, shown beside the table: names with texts, and links."""

    title: str
    rows: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """``low`` and ``high`` are the texts at the ends of the colours; ``data`` holds the details of all cells for the
    script."""

    columns: list[str]
    groups: tuple[Group, ...]
    width: int
    low: str
    high: str
    first: Details | None
    data: dict[str, object]
    notes: list[str]


def study_grid(shown: Shown) -> Grid:
    table, measure = shown.table, shown.measure
    scale = Scale(measure.scale(table.largest_difference))
    low, high = measure.ends(scale.top)
    told: dict[str, Details] = {}
    places = {id(row): place for place, row in enumerate(table.rows)}

    def cells(row: RowDocument) -> Iterator[Cell]:
        for column_place, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            place = f"{places[id(row)]}.{column_place}"
            if cell is not None:
                told[place] = _details(row, column, cell, measure)
            yield _cell(f"{row.label}, {column}", cell, place, shown, scale)

    return Grid(
        columns=table.columns,
        groups=tuple(
            Group(name, tuple(Row(row.label, shown.dense(row), tuple(cells(row)), shown.spread(row)) for row in rows))
            for name, rows in shown.groups.items()
        ),
        width=len(table.columns) + 3,
        low=low,
        high=high,
        first=next((each for each in told.values() if each.links), next(iter(told.values()), None)),
        data=_data(told),
        notes=_notes(shown),
    )


def _data(told: dict[str, Details]) -> dict[str, object]:
    """The details as JSON: the names once, and for each cell its values in their order, which keeps large pages
    small."""
    names = [*dict.fromkeys(name for details in told.values() for name, _ in details.rows)]
    cells = {}
    for place, details in told.items():
        values = dict(details.rows)
        cells[place] = [[values.get(name, "") for name in names], [*details.links]]
    return {"names": names, "cells": cells}


def _cell(name: str, cell: CellDocument | None, place: str, shown: Shown, scale: Scale) -> Cell:
    if cell is None:
        return Cell("", "", "", False, None, f"{name}: not part of the study", "")
    paper = shown.paper(cell)
    of_paper = f", {paper} % in the paper" if paper else ""
    measure = shown.measure
    value, difference, gain = measure.value(cell), measure.difference(cell), measure.gain(cell)
    if value is None:
        sign, css = SIGNS.get(cell.state, SIGNS[JobState.QUEUED])
        return Cell(sign, paper, css, False, cell.href, f"{name}: {cell.state.value}{of_paper}", place)
    label = f"{name}: {measure.text(value)}{measure.unit}"
    marks = []
    if gain is not None and difference is not None:
        marks += ["loss-shade" if gain < 0 else "gain-shade", difference_shade(gain, scale)]
        label += f", {measure.difference_text(difference)} to dense"
    if cell.at_chance:
        marks.append("near")
        label += ", near chance"
    if cell.done < cell.measurements:
        marks.append("partial")
        label += f", {cell.done} of {cell.measurements} measurements"
    if cell.survives:
        label += ", holds"
    text = (shown.text(cell) or formats.NOTHING) + HOLDS * shown.holds(cell)
    return Cell(text, paper, " ".join(marks), cell.best, cell.href, label + of_paper, place)


def _details(row: RowDocument, column: str, cell: CellDocument, measure: MeasureWords) -> Details:
    rows: list[tuple[str, str]] = []
    value, difference = measure.value(cell), measure.difference(cell)
    if value is not None:
        rows.append((measure.name, f"{measure.text(value)}{measure.unit}{_span(measure.text, cell.interval)}"))
    if cell.dense is not None:
        rows.append(("dense", f"{measure.text(cell.dense)}{measure.unit}"))
    if difference is not None:
        ends = _span(measure.difference_text, measure.difference_interval(cell))
        rows.append((measure.difference_name, f"{measure.difference_text(difference)}{measure.difference_unit}{ends}"))
    if cell.p is not None:
        rows.append(("p", formats.probability(cell.p)))
    if cell.q is not None:
        rows.append(("q", f"{formats.probability(cell.q)}{', holds' if cell.survives else ''}"))
    if cell.rows is not None:
        rows.append((measure.rows_name, formats.count(cell.rows)))
    if cell.newly_wrong is not None:
        rows.append((measure.worse_name, formats.count(cell.newly_wrong)))
    if cell.newly_right is not None:
        rows.append((measure.better_name, formats.count(cell.newly_right)))
    rows += measure.more(cell)
    if cell.measurements > 1:
        rows.append(("mean of", f"{formats.count(cell.done)} of {formats.plural(cell.measurements, 'measurement')}"))
        if cell.survivors:
            rows.append(("hold", f"{formats.count(cell.survivors)} of its differences"))
    if cell.published is not None:
        rows.append(("in the paper", f"{formats.accuracy(cell.published)} %"))
    if cell.failed:
        rows.append(("failed", formats.plural(cell.failed, "measurement")))
    rows.append(("state", cell.state.value))
    return Details(f"{row.label} · {column}", tuple(rows), _links(cell, measure))


def _links(cell: CellDocument, measure: MeasureWords) -> tuple[tuple[str, str], ...]:
    links = []
    job = None if cell.job is None else urls.job(cell.job)
    if cell.href is not None and cell.href != job:
        links.append((measure.link, cell.href))
    if cell.model_href is not None:
        links.append(("Its model", cell.model_href))
    if job is not None:
        links.append(("Its job", job))
    return tuple(links)


def _span(text: Callable[[float], str], interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({text(interval[0])} to {text(interval[1])})"


def _notes(shown: Shown) -> list[str]:
    cells, measure, paper = shown.cells, shown.measure, shown.document.published
    notes = [measure.best]
    if any(cell.at_chance for cell in cells):
        notes.append("Hatched: the interval includes chance.")
    if any(measure.value(cell) is not None and cell.done < cell.measurements for cell in cells):
        notes.append("Underlined: some of its measurements are still missing.")
    if any(map(shown.holds, cells)):
        notes.append(f"{HOLDS}: holds at a false discovery rate of 5 %.")
    if paper is not None:
        notes.append(f"Small: {paper.title} of the paper (arXiv 2503.01542).")
    if any(cell.evaluation is not None for cell in cells):
        notes.append(measure.opens)
    return notes

"""A study's table on its page: cells with their shades, and what each of them tells when it is pointed at.

The page carries no markup for what is told: one JSON block holds it, without what the table says already.
"""

from collections.abc import Callable
from dataclasses import dataclass

from prunescope.jobs.documents import JobState
from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.palette import Scale, difference_shade
from prunescope.server.studies.documents import PivotCell, StudyDocument, StudyRow
from prunescope.server.studies.measures import MEASURES, MeasureWords, shown_text

HOLDS = "*"
SIGNS = {
    JobState.FAILED: ("✕", "failed"),
    JobState.CANCELLED: ("✕", "failed"),
    JobState.RUNNING: ("◐", "waiting"),
    JobState.QUEUED: ("·", "waiting"),
}


@dataclass(frozen=True)
class Cell:
    """``css`` of the table's cell; ``place`` is its number in the details, empty where there is nothing to tell."""

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
    """What the side tells of one cell."""

    title: str
    rows: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Grid:
    """``low`` and ``high`` are the ends of the colours; ``data`` is what the script tells of each cell."""

    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    width: int
    low: str
    high: str
    first: Details | None
    data: dict[str, object]
    notes: tuple[str, ...]


def study_grid(document: StudyDocument) -> Grid:
    table = document.table
    measure = MEASURES[document.measure]
    scale = Scale(measure.scale(table.largest_difference))
    low, high = measure.ends(scale.top)
    told: dict[str, Details] = {}
    groups: dict[str, list[Row]] = {}
    for i, row in enumerate(table.rows):
        cells = []
        for j, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            place = f"{i}.{j}"
            if cell is not None:
                told[place] = _details(row, column, cell, measure)
            cells.append(_cell(row, column, cell, place, document, scale))
        spread = measure.spread_text(row.spread) if row.spread is not None else ""
        dense = "" if row.dense is None else measure.text(row.dense)
        groups.setdefault(row.group or "", []).append(Row(row.label, dense, tuple(cells), spread))
    return Grid(
        columns=tuple(table.columns),
        groups=tuple(Group(name.capitalize(), tuple(rows)) for name, rows in groups.items()),
        width=len(table.columns) + 3,
        low=low,
        high=high,
        first=next((each for each in told.values() if each.links), next(iter(told.values()), None)),
        data=_data(told),
        notes=_notes(document),
    )


def _data(told: dict[str, Details]) -> dict[str, object]:
    """The names once, and for each cell its values in that order: a page of many cells stays small."""
    names = [*dict.fromkeys(name for details in told.values() for name, _ in details.rows)]
    cells = {}
    for place, details in told.items():
        values = dict(details.rows)
        cells[place] = [[values.get(name, "") for name in names], [*details.links]]
    return {"names": names, "cells": cells}


def _cell(
    row: StudyRow, column: str, cell: PivotCell | None, place: str, document: StudyDocument, scale: Scale
) -> Cell:
    if cell is None:
        return Cell("", "", "", False, None, f"{row.label}, {column}: not part of the study", "")
    paper = "" if cell.published is None else formats.accuracy(cell.published)
    of_paper = f", {paper} % in the paper" if paper else ""
    measure = MEASURES[document.measure]
    value, difference, gain = measure.value(cell), measure.difference(cell), measure.gain(cell)
    if value is None:
        sign, css = SIGNS.get(cell.state, SIGNS[JobState.QUEUED])
        return Cell(sign, paper, css, False, cell.href, f"{row.label}, {column}: {cell.state.value}{of_paper}", place)
    label = f"{row.label}, {column}: {measure.text(value)}{measure.unit}"
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
    text = shown_text(measure, cell, document.show) or formats.NOTHING
    if document.show == "difference" and cell.survives:
        text += HOLDS
    if cell.survives:
        label += ", holds"
    return Cell(text, paper, " ".join(marks), cell.best, cell.href, label + of_paper, place)


def _details(row: StudyRow, column: str, cell: PivotCell, measure: MeasureWords) -> Details:
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


def _links(cell: PivotCell, measure: MeasureWords) -> tuple[tuple[str, str], ...]:
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


def _notes(document: StudyDocument) -> tuple[str, ...]:
    cells = [cell for row in document.table.rows for cell in row.cells if cell is not None]
    measure = MEASURES[document.measure]
    notes = [measure.best]
    if any(cell.at_chance for cell in cells):
        notes.append("Hatched: within its interval of chance.")
    if any(measure.value(cell) is not None and cell.done < cell.measurements for cell in cells):
        notes.append("Underlined: some of its measurements are still missing.")
    if document.show == "difference" and any(cell.survives for cell in cells):
        notes.append(f"{HOLDS}: holds at a false discovery rate of 5 %.")
    if document.published is not None:
        name = document.published.name.replace("-", " ").capitalize()
        notes.append(f"Small: {name} of the paper (arXiv 2503.01542).")
    if any(cell.evaluation is not None for cell in cells):
        notes.append(measure.opens)
    return tuple(notes)

"""A study's table on its page: cells with their shades, and what each of them tells when it is pointed at.

The page carries no markup for what is told: one JSON block holds it, without what the table says already.
"""

from dataclasses import dataclass

from jobs.documents import JobState
from server import urls
from server.documents import PivotCell, StudyDocument, StudyRow
from server.pages import wording
from server.pages.shades import Scale, difference_shade

SMALLEST_SCALE = 0.05
"""The colours end at five points at least: noise must not look like a loss."""

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
    scale = Scale(max(SMALLEST_SCALE, table.largest_difference))
    end = wording.decimal(100 * scale.top, 0)
    told: dict[str, Details] = {}
    groups: dict[str, list[Row]] = {}
    for i, row in enumerate(table.rows):
        cells = []
        for j, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True)):
            place = f"{i}.{j}"
            if cell is not None:
                told[place] = _details(row, column, cell)
            cells.append(_cell(row, column, cell, place, document.show, scale))
        spread = wording.decimal(100 * row.spread, 1) if row.spread is not None else ""
        dense = "" if row.dense is None else wording.accuracy(row.dense)
        groups.setdefault(row.group or "", []).append(Row(row.label, dense, tuple(cells), spread))
    return Grid(
        columns=tuple(table.columns),
        groups=tuple(Group(name.capitalize(), tuple(rows)) for name, rows in groups.items()),
        width=len(table.columns) + 3,
        low=f"{end} below dense",
        high=f"{end} above",
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


def _cell(row: StudyRow, column: str, cell: PivotCell | None, place: str, show: str, scale: Scale) -> Cell:
    if cell is None:
        return Cell("", "", "", False, None, f"{row.label}, {column}: not part of the study", "")
    paper = "" if cell.published is None else wording.accuracy(cell.published)
    of_paper = f", {paper} % in the paper" if paper else ""
    if cell.accuracy is None:
        sign, css = SIGNS.get(cell.state, SIGNS[JobState.QUEUED])
        return Cell(sign, paper, css, False, cell.href, f"{row.label}, {column}: {cell.state.value}{of_paper}", place)
    label = f"{row.label}, {column}: {wording.accuracy(cell.accuracy)} %"
    marks = []
    if cell.difference is not None:
        marks += ["loss-shade" if cell.difference < 0 else "gain-shade", difference_shade(cell.difference, scale)]
        label += f", {wording.points(cell.difference)} to dense"
    if cell.at_chance:
        marks.append("near")
        label += ", near chance"
    if cell.done < cell.measurements:
        marks.append("partial")
        label += f", {cell.done} of {cell.measurements} measurements"
    text = wording.points(cell.difference) if show == "difference" else wording.accuracy(cell.accuracy)
    return Cell(text, paper, " ".join(marks), cell.best, cell.href, label + of_paper, place)


def _details(row: StudyRow, column: str, cell: PivotCell) -> Details:
    rows: list[tuple[str, str]] = []
    if cell.accuracy is not None:
        rows.append(("accuracy", f"{wording.accuracy(cell.accuracy)} %{_span(cell.interval)}"))
    if cell.dense is not None:
        rows.append(("dense", f"{wording.accuracy(cell.dense)} %"))
    if cell.difference is not None:
        rows.append(("difference", f"{wording.points(cell.difference)} points"))
    if cell.rows is not None:
        rows.append(("rows", wording.count(cell.rows)))
    if cell.chance is not None:
        rows.append(("chance", f"{wording.accuracy(cell.chance)} %{', not told from it' if cell.at_chance else ''}"))
    if cell.majority is not None and cell.majority != cell.chance:
        rows.append(("majority", f"{wording.accuracy(cell.majority)} %"))
    if cell.measurements > 1:
        rows.append(("mean of", f"{wording.count(cell.done)} of {wording.plural(cell.measurements, 'measurement')}"))
    if cell.published is not None:
        rows.append(("in the paper", f"{wording.accuracy(cell.published)} %"))
    if cell.failed:
        rows.append(("failed", wording.plural(cell.failed, "measurement")))
    rows.append(("state", cell.state.value))
    return Details(f"{row.label} · {column}", tuple(rows), _links(cell))


def _links(cell: PivotCell) -> tuple[tuple[str, str], ...]:
    links = []
    job = None if cell.job is None else urls.job(cell.job)
    if cell.href is not None and cell.href != job:
        links.append(("See what broke", cell.href))
    if cell.model_href is not None:
        links.append(("Its model", cell.model_href))
    if job is not None:
        links.append(("Its job", job))
    return tuple(links)


def _span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({wording.accuracy(interval[0])} to {wording.accuracy(interval[1])})"


def _notes(document: StudyDocument) -> tuple[str, ...]:
    cells = [cell for row in document.table.rows for cell in row.cells if cell is not None]
    notes = ["Bold: best of the row."]
    if any(cell.at_chance for cell in cells):
        notes.append("Hatched: within its interval of chance.")
    if any(cell.accuracy is not None and cell.done < cell.measurements for cell in cells):
        notes.append("Underlined: some of its measurements are still missing.")
    if document.published is not None:
        name = document.published.name.replace("-", " ").capitalize()
        notes.append(f"Small: {name} of the paper (arXiv 2503.01542).")
    if any(cell.evaluation is not None for cell in cells):
        notes.append("A cell opens its examples, the ones that pruning broke first.")
    return tuple(notes)

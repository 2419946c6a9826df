"""Contexts of the list of studies and of one study's page, with the details of its cells.

The details of all cells are one JSON block, from which the script shows the selected cell beside the table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame
from prunescope.server.studies.charts import Chart, chart_context
from prunescope.server.studies.controls import Controls, study_controls
from prunescope.server.studies.documents import CellDocument, StudyDocument, StudySummary
from prunescope.server.studies.measures import MeasureWords
from prunescope.server.studies.shown import Shown
from prunescope.server.studies.tables import axis_sizes
from prunescope.store.evaluations.values import Interval


@dataclass(frozen=True)
class StudiesPage:
    """The context of ``studies/list.html``."""

    frame: Frame
    document: Page[StudySummary]


class Details(NamedTuple):
    """The details of one cell: name -> text, and links (label, address)."""

    title: str
    rows: dict[str, str]
    links: list[tuple[str, str]]


@dataclass(frozen=True)
class StudyPage:
    """The context of ``studies/study.html``."""

    frame: Frame
    shown: Shown
    sizes: dict[str, int]  # name of an axis, in the plural -> number of its values
    controls: Controls
    places: dict[str, int]  # value of a row -> its index in the table
    first: Details | None  # the details that are shown at first
    details: dict[str, object]  # the details of all cells, for the script
    chart: Chart | None
    delete_href: str


def study_page(document: StudyDocument, frame: Frame, *, here: str) -> StudyPage:
    """The context of a study's page at the address ``here``."""
    shown = Shown(document)
    places = {row.value: place for place, row in enumerate(document.table.rows)}
    details = _cell_details(shown, places)
    # All names once, and for each cell its texts in the order of the names, to keep the pages of large studies small.
    names = [*dict.fromkeys(name for each in details.values() for name in each.rows)]
    texts = {place: [[each.rows.get(name, "") for name in names], each.links] for place, each in details.items()}
    return StudyPage(
        frame=frame,
        shown=shown,
        sizes={
            shown.measure.axis(axis) + ("" if size == 1 else "s"): size
            for axis, size in axis_sizes(document.axes).items()
            # Most studies have one window length, one allocation and one group.
            if size > 1 or (size and axis not in {"seqlen", "allocation", "group"})
        },
        controls=study_controls(shown, here),
        places=places,
        first=next((each for each in details.values() if each.links), next(iter(details.values()), None)),
        details={"names": names, "cells": texts},
        chart=chart_context(shown, here),
        delete_href=urls.api(document.href),
    )


def _cell_details(shown: Shown, places: Mapping[str, int]) -> dict[str, Details]:
    """``<row>.<column>`` (indices in the table) -> the details of the cell."""
    return {
        f"{places[row.value]}.{place}": Details(
            f"{row.label} · {column}", _rows(cell, shown.measure), _links(cell, shown)
        )
        for rows in shown.groups.values()
        for row in rows
        for place, (column, cell) in enumerate(zip(shown.table.columns, row.cells, strict=True))
        if cell is not None
    }


def _rows(cell: CellDocument, measure: MeasureWords) -> dict[str, str]:
    mean = cell.measurements > 1
    rows = {
        measure.name: _text(measure.text, cell.value, measure.unit, cell.interval),
        "dense": _text(measure.text, cell.dense, measure.unit),
        measure.change_name: _text(measure.change_text, cell.change, measure.change_unit, cell.change_interval),
        "verdict": cell.verdict or "",
        "detectable": _text(measure.size_text, cell.detectable, " or more"),
        "p": _text(formats.probability, cell.p),
        "q": _text(formats.probability, cell.q, ", holds" if cell.survives else ""),
        measure.rows_name: _text(formats.count, cell.rows),
        measure.worse_name: _text(formats.count, cell.newly_wrong),
        measure.better_name: _text(formats.count, cell.newly_right),
        **measure.more(cell),
        "mean of": f"{formats.count(cell.done)} of {formats.plural(cell.measurements, 'measurement')}" if mean else "",
        "hold": f"{formats.count(cell.survivors)} of its differences" if mean and cell.survivors else "",
        "in the paper": _text(formats.accuracy, cell.published, " %"),
        "failed": formats.plural(cell.failed, "measurement") if cell.failed else "",
        "state": cell.state.value,
    }
    return {name: text for name, text in rows.items() if text}


def _text(write: Callable[[Any], str], number: float | None, unit: str = "", interval: Interval | None = None) -> str:
    """A number with its unit and interval; empty for None."""
    if number is None:
        return ""
    ends = f" ({' to '.join(map(write, interval))})" if interval else ""
    return f"{write(number)}{unit}{ends}"


def _links(cell: CellDocument, shown: Shown) -> list[tuple[str, str]]:
    job = urls.job(cell.job) if cell.job else None
    measured = cell.href if cell.href != job else None
    links = ((shown.measure.link, measured), ("Its model", cell.model_href), ("Its job", job))
    return [(label, href) for label, href in links if href]

"""What is told of each cell of a study's table, beside the table on its page.

The page carries no markup for it: one JSON block holds it, without what the table says already.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument
from prunescope.server.studies.measures import MeasureWords
from prunescope.server.studies.shown import Shown
from prunescope.store.evaluations.values import Interval


class Details(NamedTuple):
    """The details of one cell: name -> text, and links (label, address)."""

    title: str
    rows: dict[str, str]
    links: list[tuple[str, str]]


def cell_details(shown: Shown, places: Mapping[str, int]) -> dict[str, Details]:
    """``<row>.<column>`` -> the details of the cell there; ``places``: value of a row -> its place in the table."""
    return {
        f"{places[row.value]}.{place}": Details(
            f"{row.label} · {column}", _rows(cell, shown.measure), _links(cell, shown)
        )
        for rows in shown.groups.values()
        for row in rows
        for place, (column, cell) in enumerate(zip(shown.table.columns, row.cells, strict=True))
        if cell is not None
    }


def details_data(details: Mapping[str, Details]) -> dict[str, object]:
    """The details as JSON: the names once, and for each cell its values in their order, which keeps large pages
    small."""
    names = [*dict.fromkeys(name for each in details.values() for name in each.rows)]
    cells = {place: [[each.rows.get(name, "") for name in names], each.links] for place, each in details.items()}
    return {"names": names, "cells": cells}


def _rows(cell: CellDocument, measure: MeasureWords) -> dict[str, str]:
    mean = cell.measurements > 1
    rows = {
        measure.name: _text(measure.text, cell.value, measure.unit, cell.interval),
        "dense": _text(measure.text, cell.dense, measure.unit),
        measure.change_name: _text(measure.change_text, cell.change, measure.change_unit, cell.change_interval),
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
    """A number with its unit and interval; nothing where there is none."""
    if number is None:
        return ""
    ends = f" ({' to '.join(map(write, interval))})" if interval else ""
    return f"{write(number)}{unit}{ends}"


def _links(cell: CellDocument, shown: Shown) -> list[tuple[str, str]]:
    job = urls.job(cell.job) if cell.job else None
    there = cell.href if cell.href != job else None
    links = ((shown.measure.link, there), ("Its model", cell.model_href), ("Its job", job))
    return [(label, href) for label, href in links if href]

"""A study's chart: what the script draws of the table behind it."""

from dataclasses import dataclass
from html import escape

from server import urls
from server.documents import PivotCell, StudyChart, StudyDocument, StudyRow
from server.pages import wording
from server.tables.shown import axis_name

MOST_TOGETHER = 6
"""More lines than so many have a panel each."""


@dataclass(frozen=True)
class Chart:
    """``figure`` is the function that draws ``data``; the hrefs lead to the same numbers."""

    title: str
    note: str
    label: str
    figure: str
    data: dict[str, object]
    table_href: str | None
    csv_href: str
    close_href: str | None
    plotly: str


def study_chart(document: StudyDocument, close_href: str, *, shared: bool) -> Chart | None:
    """None where no chart is chosen. A ``shared`` page leads nowhere else."""
    chart = document.chart
    if chart is None:
        return None
    table = chart.table
    drawn = [row for row in table.rows if any(cell is not None and cell.accuracy is not None for cell in row.cells)]
    figure = "studyMarks"
    if chart.name in {"sparsity", "seqlen"}:
        figure = "studyPanels" if len(drawn) > MOST_TOGETHER else "studyLines"
    what = "accuracy" if document.show == "accuracy" else "difference to dense"
    return Chart(
        title=chart.title,
        note=_note(chart, drawn, document.show),
        label=f"{chart.title}: {what} by {axis_name(table.columns_axis)}, one of each {axis_name(table.rows_axis)}; "
        "the table behind it holds the numbers",
        figure=figure,
        data={
            "x": _places(chart),
            "numeric": chart.name == "sparsity",
            "xTitle": "sparsity, %" if chart.name == "sparsity" else axis_name(table.columns_axis),
            "yTitle": "accuracy, %" if document.show == "accuracy" else "points to dense",
            "difference": document.show == "difference",
            "series": [_series(chart, row, document.show) for row in drawn],
        },
        table_href=None if shared else chart.href,
        csv_href=chart.csv_href,
        close_href=None if shared else close_href,
        plotly=urls.PLOTLY,
    )


def _note(chart: StudyChart, drawn: list[StudyRow], show: str) -> str:
    parts = [f"like {chart.like}"]
    if chart.table.averaged:
        parts.append(f"mean over {', '.join(map(axis_name, chart.table.averaged))}")
    if not drawn:
        return parts[0]
    if any(cell is not None and _interval(cell, show) for row in drawn for cell in row.cells):
        parts.append("95 % intervals")
    if chart.name == "sparsity" and any(":" in label.label for label in chart.table.column_labels):
        parts.append("open marks: n:m")
    if show == "accuracy":
        parts.append("dashed: dense, dotted: chance")
    return ", ".join(parts)


def _places(chart: StudyChart) -> list[object]:
    """Where the columns stand: at their sparsity in percent, or one after another."""
    if chart.name == "sparsity":
        return [None if label.number is None else round(100 * label.number, 3) for label in chart.table.column_labels]
    return [escape(label.label) for label in chart.table.column_labels]


def _series(chart: StudyChart, row: StudyRow, show: str) -> dict[str, object]:
    cells = row.cells
    intervals = [None if cell is None else _interval(cell, show) for cell in cells]
    names = [label.label for label in chart.table.column_labels]
    return {
        "name": escape(row.label),
        "values": [None if cell is None else _percent(_value(cell, show)) for cell in cells],
        "low": [None if each is None else _percent(each[0]) for each in intervals],
        "high": [None if each is None else _percent(each[1]) for each in intervals],
        # Of n:m patterns, beside unstructured ones: points of their own, not on the line.
        "apart": [chart.name == "sparsity" and ":" in name for name in names],
        "labels": [_label(row, name, cell) for name, cell in zip(names, cells, strict=True)],
        "hrefs": [None if cell is None else cell.href for cell in cells],
        "dense": _percent(row.dense) if show == "accuracy" else 0.0,
        "chance": _percent(row.chance) if show == "accuracy" else None,
    }


def _value(cell: PivotCell, show: str) -> float | None:
    return cell.accuracy if show == "accuracy" else cell.difference


def _interval(cell: PivotCell, show: str) -> tuple[float, float] | None:
    return cell.interval if show == "accuracy" else cell.difference_interval


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 2)


def _label(row: StudyRow, column: str, cell: PivotCell | None) -> str:
    if cell is None or cell.accuracy is None:
        return ""
    lines = [f"{escape(row.label)} · {escape(column)}", f"accuracy {wording.accuracy(cell.accuracy)} %"]
    if cell.interval is not None:
        lines[-1] += f" ({wording.accuracy(cell.interval[0])} to {wording.accuracy(cell.interval[1])})"
    if cell.difference is not None:
        lines.append(f"{wording.points(cell.difference)} points to dense")
    if cell.measurements > 1:
        lines.append(f"mean of {cell.done} of {wording.plural(cell.measurements, 'measurement')}")
    return "<br>".join(lines)

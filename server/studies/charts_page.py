"""The context of a study's chart: the function and the data of the script, titles and labels."""

from dataclasses import dataclass
from html import escape

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument, RowDocument, StudyChart, StudyDocument
from prunescope.server.studies.measures import MEASURES, MeasureWords, axis_name
from prunescope.server.studies.shown import Shown

MAX_TOGETHER = 6
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
    """The chart of the document, None without one. A ``shared`` page has no links to other pages."""
    chart = document.chart
    if chart is None:
        return None
    table, measure = chart.table, MEASURES[document.measure]
    drawn = [row for row in table.rows if any(cell is not None and _there(cell, measure) for cell in row.cells)]
    figure = "studyMarks"
    if chart.name in {"sparsity", "seqlen"}:
        figure = "studyPanels" if len(drawn) > MAX_TOGETHER else "studyLines"
    difference = document.show == "difference"
    what = (measure.difference_title if difference else measure.title).lower()
    down, across = (axis_name(axis, document.measure) for axis in (table.rows_axis, table.columns_axis))
    return Chart(
        title=chart.title,
        note=_note(chart, drawn, document),
        label=f"{chart.title}: {what} by {across}, one of each {down}; the table behind it holds the numbers",
        figure=figure,
        data={
            "x": _places(chart),
            "numeric": chart.name == "sparsity",
            "logarithmic": measure.logarithmic,
            "xTitle": "sparsity, %" if chart.name == "sparsity" else across,
            "yTitle": measure.difference_plotted if difference else measure.plotted,
            "difference": difference,
            "series": [_series(chart, row, document, measure) for row in drawn],
        },
        table_href=None if shared else chart.href,
        csv_href=chart.csv_href,
        close_href=None if shared else close_href,
        plotly=urls.PLOTLY,
    )


def _there(cell: CellDocument, measure: MeasureWords) -> bool:
    return measure.value(cell) is not None


def _note(chart: StudyChart, drawn: list[RowDocument], document: StudyDocument) -> str:
    measure = MEASURES[document.measure]
    parts = [f"like {chart.like}"] if chart.like else []
    if chart.table.averaged:
        names = ", ".join(axis_name(axis, document.measure) for axis in chart.table.averaged)
        parts.append(f"{measure.mean} over {names}")
    if drawn:
        cells = [cell for row in drawn for cell in row.cells if cell is not None]
        if any(_interval(cell, document, measure) for cell in cells):
            parts.append("95 % intervals")
        if chart.name == "sparsity" and any(":" in label.label for label in chart.table.column_labels):
            parts.append("open marks: n:m")
        if document.show != "difference":
            parts.append(measure.levels)
    return ", ".join(parts)


def _places(chart: StudyChart) -> list[object]:
    """The x coordinates of the columns: sparsities in percent, or their names one after another."""
    if chart.name == "sparsity":
        return [None if label.number is None else round(100 * label.number, 3) for label in chart.table.column_labels]
    return [escape(label.label) for label in chart.table.column_labels]


def _series(chart: StudyChart, row: RowDocument, document: StudyDocument, measure: MeasureWords) -> dict[str, object]:
    cells, shown = row.cells, Shown(document)
    intervals = [None if cell is None else _interval(cell, document, measure) for cell in cells]
    names = [label.label for label in chart.table.column_labels]
    difference = document.show == "difference"

    def place(value: float | None) -> float | None:
        return None if value is None else measure.place(value)

    return {
        "name": escape(row.label),
        "values": [None if cell is None else place(shown.value(cell)) for cell in cells],
        "low": [None if each is None else place(each[0]) for each in intervals],
        "high": [None if each is None else place(each[1]) for each in intervals],
        # Of n:m patterns, beside unstructured ones: points of their own, not on the line.
        "apart": [chart.name == "sparsity" and ":" in name for name in names],
        "labels": [_label(row, name, cell, measure) for name, cell in zip(names, cells, strict=True)],
        "hrefs": [None if cell is None else cell.href for cell in cells],
        "dense": measure.no_difference if difference else place(row.dense),
        "chance": None if difference else place(row.chance),
    }


def _interval(cell: CellDocument, document: StudyDocument, measure: MeasureWords) -> tuple[float, float] | None:
    return measure.difference_interval(cell) if document.show == "difference" else cell.interval


def _label(row: RowDocument, column: str, cell: CellDocument | None, measure: MeasureWords) -> str:
    value = None if cell is None else measure.value(cell)
    if cell is None or value is None:
        return ""
    lines = [f"{escape(row.label)} · {escape(column)}", f"{measure.name} {measure.text(value)}{measure.unit}"]
    if cell.interval is not None:
        lines[-1] += f" ({measure.text(cell.interval[0])} to {measure.text(cell.interval[1])})"
    difference = measure.difference(cell)
    if difference is not None:
        lines.append(f"{measure.difference_text(difference)}{measure.difference_unit} to dense")
    if cell.measurements > 1:
        lines.append(f"{measure.mean} of {cell.done} of {formats.plural(cell.measurements, 'measurement')}")
    return "<br>".join(lines)

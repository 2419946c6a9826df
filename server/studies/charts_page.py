"""The context of a study's chart: the function and the data of the script, note and label."""

from dataclasses import dataclass
from html import escape

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.studies.documents import CellDocument, RowDocument, StudyChart
from prunescope.server.studies.measures import MeasureWords
from prunescope.server.studies.query import shown_query
from prunescope.server.studies.shown import Shown

MAX_TOGETHER = 6
"""More lines than so many have a panel each."""


@dataclass(frozen=True)
class Chart:
    """``figure`` is the function that draws ``data``."""

    note: str
    label: str
    figure: str
    data: dict[str, object]
    close_href: str
    plotly: str


def study_chart(shown: Shown, here: str) -> Chart | None:
    """The chart of the document, None without one."""
    chart, measure = shown.document.chart, shown.measure
    if chart is None:
        return None
    drawn = [row for row in chart.table.rows if any(cell and cell.value is not None for cell in row.cells)]
    figure = "studyMarks"
    if chart.name in {"sparsity", "seqlen"}:
        figure = "studyPanels" if len(drawn) > MAX_TOGETHER else "studyLines"
    what = (measure.change_title if shown.differences else measure.title).lower()
    down, across = measure.axis(chart.table.rows_axis), measure.axis(chart.table.columns_axis)
    return Chart(
        note=", ".join(_notes(chart, drawn, shown)),
        label=f"{chart.title}: {what} by {across}, one of each {down}; the table behind it holds the numbers",
        figure=figure,
        data={
            "x": _places(chart),
            "numeric": chart.name == "sparsity",
            "logarithmic": measure.logarithmic,
            "xTitle": "sparsity, %" if chart.name == "sparsity" else across,
            "yTitle": measure.change_plotted if shown.differences else measure.plotted,
            "difference": shown.differences,
            "series": [_series(chart, row, shown) for row in drawn],
        },
        close_href=urls.with_state(here, **shown_query(shown.document).with_(chart=None).state),
        plotly=urls.PLOTLY,
    )


def _notes(chart: StudyChart, drawn: list[RowDocument], shown: Shown) -> list[str]:
    notes = [f"like {chart.like}"] if chart.like else []
    if chart.table.averaged:
        notes.append(f"{shown.measure.mean} over {', '.join(map(shown.measure.axis, chart.table.averaged))}")
    if drawn:
        if any(cell and shown.interval(cell) for row in drawn for cell in row.cells):
            notes.append("95 % intervals")
        if chart.name == "sparsity" and any(":" in label.label for label in chart.table.column_labels):
            notes.append("open marks: n:m")
        if not shown.differences:
            notes.append(shown.measure.levels)
    return notes


def _places(chart: StudyChart) -> list[object]:
    """The x coordinates of the columns: sparsities in percent, or their names one after another."""
    if chart.name == "sparsity":
        return [None if label.number is None else round(100 * label.number, 3) for label in chart.table.column_labels]
    return [escape(label.label) for label in chart.table.column_labels]


def _series(chart: StudyChart, row: RowDocument, shown: Shown) -> dict[str, object]:
    measure, names = shown.measure, chart.table.columns

    def place(value: float | None) -> float | None:
        return None if value is None else measure.place(value)

    intervals = [None if cell is None else shown.interval(cell) for cell in row.cells]
    return {
        "name": escape(row.label),
        "values": [None if cell is None else place(shown.value(cell)) for cell in row.cells],
        "low": [None if each is None else place(each[0]) for each in intervals],
        "high": [None if each is None else place(each[1]) for each in intervals],
        # Of n:m patterns, beside unstructured ones: points of their own, not on the line.
        "apart": [chart.name == "sparsity" and ":" in name for name in names],
        "labels": [_label(row, name, cell, measure) for name, cell in zip(names, row.cells, strict=True)],
        "hrefs": [None if cell is None else cell.href for cell in row.cells],
        "dense": measure.no_change if shown.differences else place(row.dense),
        "chance": None if shown.differences else place(row.chance),
    }


def _label(row: RowDocument, column: str, cell: CellDocument | None, measure: MeasureWords) -> str:
    if cell is None or cell.value is None:
        return ""
    lines = [f"{escape(row.label)} · {escape(column)}", f"{measure.name} {measure.text(cell.value)}{measure.unit}"]
    if cell.interval is not None:
        lines[-1] += f" ({measure.text(cell.interval[0])} to {measure.text(cell.interval[1])})"
    if cell.change is not None:
        lines.append(f"{measure.change_text(cell.change)}{measure.change_unit} to dense")
    if cell.measurements > 1:
        lines.append(f"{measure.mean} of {cell.done} of {formats.plural(cell.measurements, 'measurement')}")
    return "<br>".join(lines)

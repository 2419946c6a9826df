"""The charts that a study offers: each one's document with the table that it draws, and its context on the page."""

from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.documents import Link
from prunescope.server.studies.documents import CellDocument, ChartName, RowDocument, StudyChart
from prunescope.server.studies.measures import MEASURES, MeasureWords
from prunescope.server.studies.query import StudyQuery
from prunescope.server.studies.shown import Shown
from prunescope.server.studies.tables import Tables, axis_sizes
from prunescope.store.evaluations.values import ACCURACY
from prunescope.store.studies.pivot import pivot
from prunescope.store.studies.table import Axis, StudyTable

MAX_TOGETHER = 6
"""Maximum number of lines in one plot; more lines get a panel each."""
SEMI_STRUCTURED = "2:4"


class _Kind(NamedTuple):
    title: str  # a format string of the measure's name
    like: str  # the corresponding table or figure of the paper
    rows: Axis | None  # the axis whose values are the lines or marks; None for the rows of the query
    columns: Axis


KINDS: dict[ChartName, _Kind] = {
    "sparsity": _Kind("{measure} over sparsity", "Table 3 of the paper", None, "pattern"),
    "seqlen": _Kind("Window length by method", "Figure 3 of the paper", "method", "seqlen"),
    "method": _Kind("Method by calibration set", "Figure 4 of the paper", "method", "calibration"),
    "group": _Kind("Task group by calibration set", "Figure 5 of the paper", "group", "calibration"),
}


def chart_links(table: StudyTable, query: StudyQuery) -> list[Link]:
    """A link for each chart: the page with the chart and, below it, its table."""
    return [
        Link(
            label=_title(name, table), href=urls.study(table.id, **_crossed(table, name, query).with_(chart=name).state)
        )
        for name in _offered(table)
    ]


def study_chart(name: str, query: StudyQuery, tables: Tables) -> StudyChart:
    """The chart ``name``. Raises Problem 422 if it is unknown, or if the study has too few values on its axes."""
    table = tables.study
    offered = _offered(table)
    found: ChartName | None = next((each for each in KINDS if each == name), None)
    if found is None or found not in offered:
        few = found and f"this study has too few values for {_title(found, table).lower()}"
        raise bad_field("chart", name, [*map(str, offered)], few or unknown_name(name, KINDS))
    drawn = _crossed(table, found, query)
    return StudyChart(
        name=found,
        title=_title(found, table),
        like=KINDS[found].like if table.measure == ACCURACY else "",
        table=tables.document(pivot(table, drawn.rows or "", KINDS[found].columns, drawn.where)),
        href=urls.study(table.id, **drawn.state),
        csv_href=urls.study_table(table.id, "csv", **drawn.state),
    )


def _offered(table: StudyTable) -> list[ChartName]:
    sizes, patterns = axis_sizes(table.axes), table.axes["pattern"]
    several_calibrations = sizes["calibration"] > 1
    fits: dict[ChartName, bool] = {
        "sparsity": sum(":" not in pattern for pattern in patterns) > 1,
        "seqlen": sizes["seqlen"] > 1,
        "method": sizes["method"] > 1 and several_calibrations,
        "group": sizes["group"] > 1 and several_calibrations and SEMI_STRUCTURED in patterns,
    }
    return [name for name, fit in fits.items() if fit]


def _title(name: ChartName, table: StudyTable) -> str:
    return KINDS[name].title.format(measure=MEASURES[table.measure].title)


def _crossed(table: StudyTable, name: ChartName, query: StudyQuery) -> StudyQuery:
    """The query of the table that a chart draws. The chart over sparsity keeps the rows of ``query``, unless they are
    patterns; the chart of groups (Figure 5) shows 2:4 unless ``query`` filters patterns."""
    rows = KINDS[name].rows or query.rows
    if rows == "pattern":
        rows = "method" if len(table.axes["method"]) > 1 else "task"
    drawn = query.with_(rows=rows, columns=KINDS[name].columns, chart=None)
    return drawn.with_(pattern=drawn.pattern or [SEMI_STRUCTURED]) if name == "group" else drawn


@dataclass(frozen=True)
class Chart:
    """The context of the chart; ``figure`` is the name of the script's function that draws ``data``."""

    note: str
    label: str
    figure: str
    data: dict[str, object]
    close_href: str


def chart_context(shown: Shown, here: str) -> Chart | None:
    """The chart of the document; None if the document has none. ``here``: address of the page."""
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
        note=", ".join(_chart_notes(chart, drawn, shown)),
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
        close_href=urls.with_state(here, **shown.query.with_(chart=None).state),
    )


def _chart_notes(chart: StudyChart, drawn: list[RowDocument], shown: Shown) -> list[str]:
    notes = [f"like {chart.like}"] if chart.like else []
    if chart.table.averaged:
        notes.append(f"{shown.measure.mean} over {', '.join(map(shown.measure.axis, chart.table.averaged))}")
    if drawn:
        cells = [cell for row in drawn for cell in row.cells if cell and shown.value(cell) is not None]
        bare = [cell for cell in cells if shown.interval(cell) is None]
        if len(bare) < len(cells):
            notes.append("95 % intervals")
        if any(cell.measurements > 1 for cell in bare):
            notes.append("none where a number is a mean of measurements on the same rows")
        elif bare:
            few = len(bare) < len(cells)
            notes.append(
                "none of numbers of too few rows or windows" if few else f"{shown.measure.name} has no interval"
            )
        if chart.name == "sparsity" and any(":" in label.label for label in chart.table.column_labels):
            notes.append("open marks: n:m")
        if not shown.differences:
            notes.append(shown.measure.levels)
    return notes


def _places(chart: StudyChart) -> list[object]:
    """The x coordinates of the columns: sparsities in percent, or labels."""
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
        # n:m patterns are separate points; the line connects unstructured ones.
        "apart": [chart.name == "sparsity" and ":" in name for name in names],
        "labels": [_point_label(row, name, cell, measure) for name, cell in zip(names, row.cells, strict=True)],
        "hrefs": [None if cell is None else cell.href for cell in row.cells],
        "dense": measure.no_change if shown.differences else place(row.dense),
        "chance": None if shown.differences else place(row.chance),
    }


def _point_label(row: RowDocument, column: str, cell: CellDocument | None, measure: MeasureWords) -> str:
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

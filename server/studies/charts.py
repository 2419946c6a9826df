"""The charts that a study has the axes for, and the table that each of them draws."""

from collections.abc import Callable
from typing import NamedTuple

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.site.documents import Link
from prunescope.server.studies.documents import ChartName, StudyChart
from prunescope.server.studies.query import StudyQuery
from prunescope.server.studies.tables import Beside, table_document
from prunescope.store.evaluations.values import ACCURACY
from prunescope.store.studies.pivot import pivot
from prunescope.store.studies.table import AXES, Axis, StudyTable

SEMI_STRUCTURED = "2:4"
NO_CALIBRATION = "none"


class _Kind(NamedTuple):
    title: str  # with the measure's name in it
    like: str
    columns: Axis
    rows: Callable[[StudyTable, Axis], Axis]
    offered: Callable[[StudyTable], bool]


def chart_links(table: StudyTable, query: StudyQuery) -> list[Link]:
    """Addresses of the page with each chart above the table that it draws."""
    return [
        Link(
            label=_title(kind, table), href=urls.study(table.id, **_crossed(table, name, query).with_(chart=name).state)
        )
        for name, kind in KINDS.items()
        if kind.offered(table)
    ]


def study_chart(table: StudyTable, name: str, query: StudyQuery, beside: Beside) -> StudyChart:
    """The chart with this name. Problem 422 for an unknown name, and for a chart that this study has no axes for."""
    offered: list[str] = [each for each, kind in KINDS.items() if kind.offered(table)]
    found: ChartName | None = next((each for each in KINDS if each == name), None)
    if found is None:
        raise bad_field("chart", name, offered, unknown_name(name, KINDS))
    if found not in offered:
        title = _title(KINDS[found], table).lower()
        raise bad_field("chart", name, offered, f"this study has too few values for {title}")
    kind, drawn = KINDS[found], _crossed(table, found, query)
    return StudyChart(
        name=found,
        title=_title(kind, table),
        like=kind.like if table.measure == ACCURACY else "",
        table=table_document(table, pivot(table, drawn.rows or "", kind.columns, drawn.where), beside),
        href=urls.study(table.id, **drawn.state),
        csv_href=urls.study_table(table.id, "csv", **drawn.state),
    )


def _title(kind: _Kind, table: StudyTable) -> str:
    return kind.title.format(measure=table.measure.capitalize())


def _crossed(table: StudyTable, name: ChartName, query: StudyQuery) -> StudyQuery:
    """The query of the table that a chart draws. Figure 5 is of 2:4 unless the query filters patterns."""
    rows = KINDS[name].rows(table, next(axis for axis in AXES if axis == query.rows))
    drawn = query.with_(rows=rows, columns=KINDS[name].columns, chart=None)
    return drawn.with_(pattern=drawn.pattern or [SEMI_STRUCTURED]) if name == "group" else drawn


def _lines(table: StudyTable, rows: Axis) -> Axis:
    """The axis whose values are the lines of the chart over sparsity: the table's rows, unless these are the
    patterns."""
    if rows != "pattern":
        return rows
    return "method" if len(table.axes["method"]) > 1 else "task"


def _calibrations(table: StudyTable) -> int:
    return sum(label != NO_CALIBRATION for label in table.axes["calibration"])


KINDS: dict[ChartName, _Kind] = {
    "sparsity": _Kind(
        "{measure} over sparsity",
        "Table 3 of the paper",
        "pattern",
        _lines,
        lambda table: len({label for label in table.axes["pattern"] if ":" not in label}) > 1,
    ),
    "seqlen": _Kind(
        "Window length by method",
        "Figure 3 of the paper",
        "seqlen",
        lambda table, rows: "method",
        lambda table: sum(label != NO_CALIBRATION for label in table.axes["seqlen"]) > 1,
    ),
    "method": _Kind(
        "Method by calibration set",
        "Figure 4 of the paper",
        "calibration",
        lambda table, rows: "method",
        lambda table: len(table.axes["method"]) > 1 and _calibrations(table) > 1,
    ),
    "group": _Kind(
        "Task group by calibration set",
        "Figure 5 of the paper",
        "calibration",
        lambda table, rows: "group",
        lambda table: (
            len(table.axes["group"]) > 1 and _calibrations(table) > 1 and SEMI_STRUCTURED in table.axes["pattern"]
        ),
    ),
}

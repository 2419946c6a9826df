"""The charts that a study has the axes for, and the table that each of them draws."""

from typing import NamedTuple

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.site.documents import Link
from prunescope.server.studies.documents import ChartName, StudyChart
from prunescope.server.studies.query import StudyQuery
from prunescope.server.studies.tables import Beside, axis_sizes, table_document
from prunescope.store.evaluations.values import ACCURACY
from prunescope.store.studies.pivot import pivot
from prunescope.store.studies.table import Axis, StudyTable

SEMI_STRUCTURED = "2:4"


class _Kind(NamedTuple):
    title: str  # with the measure's name in it
    like: str
    columns: Axis


KINDS: dict[ChartName, _Kind] = {
    "sparsity": _Kind("{measure} over sparsity", "Table 3 of the paper", "pattern"),
    "seqlen": _Kind("Window length by method", "Figure 3 of the paper", "seqlen"),
    "method": _Kind("Method by calibration set", "Figure 4 of the paper", "calibration"),
    "group": _Kind("Task group by calibration set", "Figure 5 of the paper", "calibration"),
}


def chart_links(table: StudyTable, query: StudyQuery) -> list[Link]:
    """Addresses of the page with each chart above the table that it draws."""
    return [
        Link(
            label=_title(name, table), href=urls.study(table.id, **_crossed(table, name, query).with_(chart=name).state)
        )
        for name in _offered(table)
    ]


def study_chart(table: StudyTable, name: str, query: StudyQuery, beside: Beside) -> StudyChart:
    """The chart with this name. Problem 422 for an unknown name, and for a chart that this study has no axes for."""
    offered = _offered(table)
    found: ChartName | None = next((each for each in KINDS if each == name), None)
    if found is None:
        raise bad_field("chart", name, [*map(str, offered)], unknown_name(name, KINDS))
    if found not in offered:
        message = f"this study has too few values for {_title(found, table).lower()}"
        raise bad_field("chart", name, [*map(str, offered)], message)
    drawn = _crossed(table, found, query)
    return StudyChart(
        name=found,
        title=_title(found, table),
        like=KINDS[found].like if table.measure == ACCURACY else "",
        table=table_document(table, pivot(table, drawn.rows or "", KINDS[found].columns, drawn.where), beside),
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
    return KINDS[name].title.format(measure=table.measure.capitalize())


def _crossed(table: StudyTable, name: ChartName, query: StudyQuery) -> StudyQuery:
    """The query of the table that a chart draws. Figure 5 is of 2:4 unless the query filters patterns."""
    drawn = query.with_(rows=_rows(table, name, query), columns=KINDS[name].columns, chart=None)
    return drawn.with_(pattern=drawn.pattern or [SEMI_STRUCTURED]) if name == "group" else drawn


def _rows(table: StudyTable, name: ChartName, query: StudyQuery) -> str | None:
    """The axis whose values are the lines or marks; over sparsity the table's rows, unless these are the patterns."""
    if name != "sparsity":
        return "group" if name == "group" else "method"
    if query.rows != "pattern":
        return query.rows
    return "method" if len(table.axes["method"]) > 1 else "task"

"""A study's charts: which ones it has the axes for, and the table that each of them draws."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.site.documents import Link
from prunescope.server.studies.documents import ChartName, StudyChart
from prunescope.server.studies.tables import Beside, table_document
from prunescope.store.evaluations.values import ACCURACY
from prunescope.store.studies.pivot import pivot
from prunescope.store.studies.table import Axis, StudyTable, Where

SEMI_STRUCTURED = "2:4"
NO_CALIBRATION = "none"


class _Kind(NamedTuple):
    title: str  # with the measure's name in it
    like: str
    columns: Axis
    rows: Callable[[StudyTable, Axis], Axis]
    offered: Callable[[StudyTable], bool]


def chart_links(table: StudyTable, rows: Axis, where: Where, state: Mapping[str, urls.State]) -> list[Link]:
    """Addresses of the page with each chart above the table that it draws. ``state``: what else the address says."""
    return [
        Link(label=_title(kind, table), href=_page(table, name, kind.rows(table, rows), where, state, chart=name))
        for name, kind in KINDS.items()
        if kind.offered(table)
    ]


def study_chart(
    table: StudyTable, name: str, rows: Axis, where: Where, beside: Beside, state: Mapping[str, urls.State]
) -> StudyChart:
    """The chart with this name. Problem 422 for one that there is not, or that this study has no axes for."""
    offered: list[str] = [each for each, kind in KINDS.items() if kind.offered(table)]
    found: ChartName | None = next((each for each in KINDS if each == name), None)
    if found is None:
        raise bad_field("chart", name, offered, unknown_name(name, KINDS))
    if found not in offered:
        title = _title(KINDS[found], table).lower()
        raise bad_field("chart", name, offered, f"this study has too few values for {title}")
    kind = KINDS[found]
    lines = kind.rows(table, rows)
    held = _held(found, where)
    crossed = {"rows": lines, "columns": kind.columns, **state}
    return StudyChart(
        name=found,
        title=_title(kind, table),
        like=kind.like if table.measure == ACCURACY else "",
        table=table_document(table, pivot(table, lines, kind.columns, held), beside),
        href=_page(table, found, lines, where, state),
        csv_href=urls.study_table(table.id, "csv", **crossed, **held),
    )


def _title(kind: _Kind, table: StudyTable) -> str:
    return kind.title.format(measure=table.measure.capitalize())


def _page(
    table: StudyTable, name: ChartName, rows: Axis, where: Where, state: Mapping[str, urls.State], **more: urls.State
) -> str:
    crossed = {"rows": rows, "columns": KINDS[name].columns}
    return urls.with_state(urls.study(table.id), **crossed, **state, **more, **_held(name, where))


def _held(name: ChartName, where: Where) -> dict[str, Sequence[str]]:
    """The filters of a chart: Figure 5 is of 2:4, where the address says nothing else."""
    return {"pattern": [SEMI_STRUCTURED], **where} if name == "group" else {**where}


def _lines(table: StudyTable, rows: Axis) -> Axis:
    """What the lines over sparsity are: the rows of the table that is open, where they can be."""
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

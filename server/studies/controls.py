"""Controls of a study's page: the two axes, the filters, the measure, the chart and the files.

The axes and filters are a plain GET form, everything else is a link: the page works without script, and its address
says all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.parts import Href, Option, Picker
from prunescope.server.studies.documents import LabelDocument, StudyDocument, table_title
from prunescope.server.studies.measures import MEASURES, axis_name
from prunescope.server.studies.query import StudyQuery, shown_query
from prunescope.store.evaluations.values import Measure
from prunescope.store.studies.table import AXES

SHOWN_LABELS = 2
"""A filter with more values than so many only counts them."""
NO_VALUE = "none"
FILE_NOTES = {"csv": "this table", "tex": "this table, with booktabs", "html": "this table", "json": "this table"}
FILE_NAMES = {"csv": "CSV", "tex": "LaTeX", "html": "HTML", "json": "JSON"}
LIKE_TABLES = {
    ("task", "calibration"): "Table 1",
    ("model", "calibration"): "Tables 2 and 4",
    ("task", "pattern"): "Table 3",
    ("task", "seqlen"): "Table 5",
}
"""What of the paper a pair of axes is laid out like."""


@dataclass(frozen=True)
class Filter:
    """The menu of an axis, whose values are checkboxes: all of them count while none is checked. ``shown`` is its
    text."""

    axis: str
    name: str
    shown: str


@dataclass(frozen=True)
class TableForm:
    """``axes`` (axis: name) can be rows and columns; ``kept`` are hidden fields."""

    action: str
    axes: dict[str, str]
    filters: tuple[Filter, ...]
    kept: dict[str, urls.State]


@dataclass(frozen=True)
class Controls:
    """Everything above the table; ``form`` and ``menus`` are missing on a shared page."""

    form: TableForm | None
    toggles: tuple[Picker, ...]
    menus: tuple[Picker, ...]
    chips: tuple[Option, ...]
    clear_href: str | None
    exports: tuple[Option, ...]


def study_controls(document: StudyDocument, here: str, *, shared: bool) -> Controls:
    query = shown_query(document)

    def href(**changes: urls.State) -> str:
        return urls.with_state(here, **query.with_(**changes).state)

    return Controls(
        form=None if shared else _form(document, query, here),
        toggles=() if shared else (*_measures(document, href), _show(document, href)),
        menus=() if shared else _menus(document, href),
        chips=() if shared else _chips(document, href),
        clear_href=href(**dict.fromkeys(document.filters)) if document.filters else None,
        exports=_exports(document),
    )


def _form(document: StudyDocument, query: StudyQuery, here: str) -> TableForm:
    table = document.table

    several = [axis for axis, labels in document.axis_labels.items() if _several(labels) or axis in document.filters]
    offered = [axis for axis in document.axes if axis in {*several, table.rows_axis, table.columns_axis}]
    return TableForm(
        action=here,
        axes={axis: axis_name(axis, document.measure) for axis in offered},
        filters=tuple(_filter(document, axis) for axis in several),
        kept=query.with_(rows=None, columns=None, **dict.fromkeys(AXES)).state,
    )


def _several(labels: Sequence[LabelDocument]) -> bool:
    """Whether an axis can be filtered: it has two values or more, not counting "none"."""
    return len(_real(labels)) > 1


def _real(labels: Sequence[LabelDocument]) -> list[LabelDocument]:
    return [label for label in labels if label.value != NO_VALUE]


def _filter(document: StudyDocument, axis: str) -> Filter:
    chosen = document.filters.get(axis, [])
    labels = document.axis_labels[axis]
    names = [each.label for each in labels if each.value in chosen]
    # The same count as in the study's facts: "none" is a choice here, and no calibration set.
    count = len(_real(labels))
    if not chosen:
        shown = f"averaged, {count}" if axis in document.table.averaged else f"all {count}"
    elif len(names) <= SHOWN_LABELS:
        shown = ", ".join(names)
    else:
        none = " and none" if NO_VALUE in chosen else ""
        shown = f"{len(names) - bool(none)} of {count}{none}"
    return Filter(axis, axis_name(axis, document.measure).capitalize(), shown)


def _measures(document: StudyDocument, href: Href) -> tuple[Picker, ...]:
    """The choice of a measure; empty for a study of one. It drops from the address what belongs to one measure only:
    tasks, groups, the paper's values."""
    if len(document.measures) < 2:
        return ()
    axes = {"rows": document.table.rows_axis, "columns": document.table.columns_axis}
    left: dict[str, urls.State] = {key: None if axis == "group" else axis for key, axis in axes.items()}
    left |= {"task": None, "group": None, "published": None}
    if document.chart and document.chart.name == "group":
        left["chart"] = None

    def option(each: Measure) -> Option:
        state = {} if each == document.measure else {"measure": None if each == document.measures[0] else each, **left}
        return Option(MEASURES[each].title, href(**state), each == document.measure)

    return (Picker("What was measured", "", tuple(map(option, document.measures))),)


def _show(document: StudyDocument, href: Href) -> Picker:
    measure = MEASURES[document.measure]
    alone = len(document.measures) == 1
    options = (
        Option(measure.title if alone else "Values", href(show=None), document.show != "difference"),
        Option(measure.difference_title, href(show="difference"), document.show == "difference"),
    )
    return Picker("What is shown", "", options)


def _menus(document: StudyDocument, href: Href) -> tuple[Picker, ...]:
    menus = []
    if len(document.tables) > 1:
        menus.append(Picker("Usual tables", "Usual tables", tuple(_usual(document, href))))
    if document.charts:
        now = document.chart
        charts = [
            Option(link.label, link.href, now is not None and link.label == now.title) for link in document.charts
        ]
        none = Option("None", href(chart=None), now is None)
        menus.append(Picker("Chart", f"Chart: {now.title.lower() if now else 'none'}", (none, *charts)))
    paper = document.published.name if document.published else None
    if papers := [*dict.fromkeys([*document.published_tables, *filter(None, [paper])])]:
        tables = [Option(table_title(name), href(published=name), name == paper) for name in papers]
        none = Option("None", href(published=None), paper is None)
        shown = f"Paper: {table_title(paper) if paper else 'none'}"
        menus.append(Picker("The paper's values", shown, (none, *tables)))
    return tuple(menus)


def _usual(document: StudyDocument, href: Href) -> list[Option]:
    options = []
    for link in document.tables:
        down, _, across = link.label.partition(" by ")
        label = f"{axis_name(down, document.measure).capitalize()} by {axis_name(across, document.measure)}"
        like = LIKE_TABLES.get((down, across)) if document.measure == "accuracy" else None
        options.append(
            Option(
                label,
                href(rows=down, columns=across, chart=None),
                (document.table.rows_axis, document.table.columns_axis) == (down, across),
                f"like {like} of the paper" if like else "",
            )
        )
    return options


def _chips(document: StudyDocument, href: Href) -> tuple[Option, ...]:
    """The filters that are set, each a link to the page without it."""
    chips = []
    for axis, values in document.filters.items():
        names = {each.value: each.label for each in document.axis_labels[axis]}
        for value in values:
            left = [other for other in values if other != value]
            chips.append(Option(names[value], href(**{axis: left or None}), False, axis_name(axis, document.measure)))
    return tuple(chips)


def _exports(document: StudyDocument) -> tuple[Option, ...]:
    query = shown_query(document).with_(chart=None)
    files = [
        Option(FILE_NAMES[form], urls.study_table(document.id, form, **query.state), False, FILE_NOTES[form])
        for form in urls.TABLE_FORMS
    ]
    count = sum(cell.measurements for row in document.table.rows for cell in row.cells if cell is not None)
    every = f"every cell and {axis_name('task', document.measure)}, every setting"
    note = every if document.filters else f"{every} ({formats.count(count)} here)"
    cells = Option("All cells, CSV", urls.study_cells(document.id, measure=query.measure), False, note)
    return (*files, cells)

"""Controls of a study's page: the two axes, the filters, the measure, the chart and the exported files.

Axes and filters are a GET form, all other controls are links, so that the page works without script and its address
contains the whole state.
"""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.parts import Href, Option, Picker, picker
from prunescope.server.studies.documents import StudyDocument
from prunescope.server.studies.measures import MEASURES
from prunescope.server.studies.shown import Shown
from prunescope.server.studies.tables import USUAL_TABLES, axis_sizes
from prunescope.store.evaluations.values import Measure
from prunescope.store.studies.published import published_table
from prunescope.store.studies.table import AXES

SHOWN_LABELS = 2
"""Maximum number of values that a filter's menu names; more are only counted."""
FILE_NAMES = {"csv": "CSV", "tex": "LaTeX", "html": "HTML", "json": "JSON"}


@dataclass(frozen=True)
class Controls:
    """The form elements above a study's table; a page opened by a share link has only the export links."""

    action: str  # the address of the form
    axes: dict[str, str]  # axis that can be rows or columns -> its name
    filters: dict[str, str]  # axis -> the selection, as its menu shows it
    kept: dict[str, urls.State]  # the form's hidden fields
    toggles: tuple[Picker, ...]
    menus: tuple[Picker, ...]
    chips: tuple[Option, ...]  # the set filters, each a link to the page without it
    clear_href: str
    exports: tuple[Option, ...]


def study_controls(shown: Shown, here: str) -> Controls:
    document, table = shown.document, shown.table
    query = shown.query

    def href(**changes: urls.State) -> str:
        return urls.with_state(here, **query.with_(**changes).state)

    sizes = axis_sizes(document.axes)
    several = [axis for axis, size in sizes.items() if size > 1 or axis in document.filters]
    filters = {axis: _selection(document, axis, sizes[axis]) for axis in several}
    offered = [axis for axis in document.axes if axis in {*filters, table.rows_axis, table.columns_axis}]
    return Controls(
        action=here,
        axes={axis: shown.measure.axis(axis) for axis in offered},
        filters=filters,
        kept=query.with_(rows=None, columns=None, **dict.fromkeys(AXES)).state,
        toggles=(*_measures(document, href), _show(shown, href)),
        menus=_menus(shown, href),
        chips=_chips(shown, href),
        clear_href=href(**dict.fromkeys(document.filters)),
        exports=_exports(shown),
    )


def _selection(document: StudyDocument, axis: str, size: int) -> str:
    """The selected values of a filter: ``averaged, 3``, ``all 3``, ``c4, ptb``, ``3 of 9 and none``."""
    chosen = document.filters.get(axis, [])
    if not chosen:
        return f"averaged, {size}" if axis in document.table.averaged else f"all {size}"
    if len(chosen) <= SHOWN_LABELS:
        return ", ".join(each.label for each in document.axis_labels[axis] if each.value in chosen)
    none = "none" in chosen
    return f"{len(chosen) - none} of {size}{' and none' if none else ''}"


def _measures(document: StudyDocument, href: Href) -> tuple[Picker, ...]:
    """The choice of a measure; empty if the study has only one. Its links drop the state that only one measure has:
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


def _show(shown: Shown, href: Href) -> Picker:
    values = shown.measure.title if len(shown.document.measures) == 1 else "Values"
    names = {None: values, "difference": shown.measure.change_title}
    return picker("What is shown", names, "difference" if shown.differences else None, lambda show: href(show=show))


def _menus(shown: Shown, href: Href) -> tuple[Picker, ...]:
    document, menus = shown.document, []
    if len(document.tables) > 1:
        menus.append(Picker("Usual tables", "Usual tables", tuple(_usual(shown, href))))
    if document.charts:
        now = document.chart.title if document.chart else None
        charts = [Option(link.label, link.href, link.label == now) for link in document.charts]
        none = Option("None", href(chart=None), now is None)
        menus.append(Picker("Chart", f"Chart: {now.lower() if now else 'none'}", (none, *charts)))
    paper = document.published.name if document.published else None
    if papers := [*dict.fromkeys([*document.published_tables, *filter(None, [paper])])]:
        tables = [Option(published_table(name).title, href(published=name), name == paper) for name in papers]
        none = Option("None", href(published=None), paper is None)
        title = document.published.title if document.published else "none"
        menus.append(Picker("The paper's values", f"Paper: {title}", (none, *tables)))
    return tuple(menus)


def _usual(shown: Shown, href: Href) -> list[Option]:
    document, axis = shown.document, shown.measure.axis
    options = []
    for link in document.tables:
        down, _, across = link.label.partition(" by ")
        like = USUAL_TABLES[down, across] if document.measure == "accuracy" else None
        options.append(
            Option(
                f"{axis(down).capitalize()} by {axis(across)}",
                href(rows=down, columns=across, chart=None),
                (document.table.rows_axis, document.table.columns_axis) == (down, across),
                f"like {like} of the paper" if like else "",
            )
        )
    return options


def _chips(shown: Shown, href: Href) -> tuple[Option, ...]:
    chips = []
    for axis, values in shown.document.filters.items():
        names = {each.value: each.label for each in shown.document.axis_labels[axis]}
        for value in values:
            left = [other for other in values if other != value]
            chips.append(Option(names[value], href(**{axis: left or None}), False, shown.measure.axis(axis)))
    return tuple(chips)


def _exports(shown: Shown) -> tuple[Option, ...]:
    document, query = shown.document, shown.query.with_(chart=None)
    files = [
        Option(
            FILE_NAMES[form],
            urls.study_table(document.id, form, **query.state),
            False,
            "this table, with booktabs" if form == "tex" else "this table",
        )
        for form in urls.TABLE_FORMS
    ]
    every = f"every cell and {shown.measure.axis('task')}, every setting"
    count = sum(cell.measurements for cell in shown.cells)
    note = every if document.filters else f"{every} ({formats.count(count)} here)"
    return (*files, Option("All cells, CSV", urls.study_cells(document.id, measure=query.measure), False, note))

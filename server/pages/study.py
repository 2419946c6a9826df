"""A study: the accuracy table, coloured around the dense model, with what stands behind each cell."""

from dataclasses import dataclass

from jobs.documents import JobState
from server import urls
from server.documents import Link, PivotCell, StudyDocument, StudyRow
from server.pages import wording
from server.pages.controls import Fact, Href, Option, Picker
from server.pages.frame import Frame
from server.pages.job_lines import Bar, JobLine, job_line
from server.pages.shades import Scale, difference_shade

SMALLEST_SCALE = 0.05
"""The colours end at five points at least: noise must not look like a loss."""
FEW_MODELS = 8
"""So many are listed at once."""
AXIS_NAMES = {"calibration": "calibration set", "seqlen": "window length"}


@dataclass(frozen=True)
class Cell:
    """``css`` of the table's cell; ``place`` is its number in the details."""

    text: str
    paper: str
    css: str
    best: bool
    href: str | None
    label: str
    place: str


@dataclass(frozen=True)
class Row:
    label: str
    dense: str
    cells: tuple[Cell, ...]
    spread: str


@dataclass(frozen=True)
class Group:
    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Details:
    """What the side shows for one cell."""

    title: str
    rows: tuple[tuple[str, str], ...]
    href: str | None
    link: str
    model_href: str | None


@dataclass(frozen=True)
class StudyPage:
    """The context of ``study.html``."""

    frame: Frame
    title: str
    chip: str
    facts: tuple[Fact, ...]
    menus: tuple[Picker, ...]
    toggles: tuple[Picker, ...]
    averaged: str
    published: str
    rows_axis: str
    columns: tuple[str, ...]
    groups: tuple[Group, ...]
    width: int
    low: str
    high: str
    details: Details | None
    data: dict[str, object]
    models: tuple[Link, ...]
    models_note: str
    models_open: bool
    attributions: tuple[Link, ...]
    export_href: str
    state: str
    state_name: str
    bar: Bar
    progress_note: str
    failed_note: str
    job: Link | None
    jobs: tuple[JobLine, ...]
    delete_href: str | None
    after_delete: str
    plotly: str
    heat_data: dict[str, object] | None


def study_page(document: StudyDocument, frame: Frame, *, here: str) -> StudyPage:
    table = document.table
    paper = document.published.name if document.published else None
    state: dict[str, urls.State] = {
        "rows": table.rows_axis,
        "columns": table.columns_axis,
        "show": document.show if document.show != "accuracy" else None,
        "published": paper,
        **document.filters,
    }

    def href(**changes: urls.State) -> str:
        return urls.with_state(here, **{**state, **changes})

    scale = Scale(max(SMALLEST_SCALE, table.largest_difference))
    end = f"{wording.decimal(100 * scale.top, 0)}"
    details = {
        f"{i}.{j}": _details(row, column, cell)
        for i, row in enumerate(table.rows)
        for j, (column, cell) in enumerate(zip(table.columns, row.cells, strict=True))
        if cell is not None
    }
    shown = next((each for each in details.values() if each.href), next(iter(details.values()), None))
    ended = document.done + document.failed
    return StudyPage(
        frame=frame,
        title=document.title,
        chip=f"{wording.count(document.done)} of {wording.plural(document.cells, 'cell')}",
        facts=_facts(document),
        menus=() if frame.shared else _menus(document, state, href),
        toggles=() if frame.shared else (_show(document, href),),
        averaged=f"Each cell is the mean over {_listed([*map(_name, table.averaged)])}." if _averages(document) else "",
        published=" Small: what the paper prints (arXiv 2503.01542)." if document.published else "",
        rows_axis=_name(table.rows_axis),
        columns=tuple(table.columns),
        groups=_groups(document, scale),
        width=len(table.columns) + 3,
        low=f"{end} below dense",
        high=f"{end} above",
        details=shown,
        data={"cells": {place: _plain(each) for place, each in details.items()}},
        models=tuple(document.models),
        models_note=wording.count(document.models_total),
        models_open=len(document.models) <= FEW_MODELS,
        attributions=tuple(document.attributions),
        export_href=urls.api(href()),
        state=document.state.value,
        state_name="Still running" if not document.state.ended else document.state.value.capitalize(),
        bar=Bar(ended, max(1, document.cells), True),
        progress_note=_progress(document),
        failed_note=f"{wording.count(document.failed)} failed" if document.failed else "none failed",
        job=None if frame.shared else document.job,
        jobs=tuple(job_line(job) for job in document.jobs),
        delete_href=urls.api(document.href) if document.state.ended and not frame.shared else None,
        after_delete=urls.studies(),
        plotly=urls.PLOTLY,
        # A map of a single row or column says no more than the table.
        heat_data=_heat(document, details, scale) if min(len(table.rows), len(table.columns)) > 1 else None,
    )


def _facts(document: StudyDocument) -> tuple[Fact, ...]:
    known = {axis: [value for value in values if value != "none"] for axis, values in document.axes.items()}
    return tuple(
        Fact("", wording.count(len(values)), _name(axis) + ("" if len(values) == 1 else "s"))
        for axis, values in known.items()
        # One window length and one allocation are what most studies have.
        if len(values) > 1 or (values and axis not in {"seqlen", "allocation"})
    )


def _name(axis: str) -> str:
    return AXIS_NAMES.get(axis, axis)


def _menus(document: StudyDocument, state: dict[str, urls.State], href: Href) -> tuple[Picker, ...]:
    rows, columns = document.table.rows_axis, document.table.columns_axis
    usual = tuple(Option(link.label, link.href, _is(link.href, state)) for link in document.tables)
    menus = [
        _axis("Rows", "rows", rows, columns, document, href),
        _axis("Columns", "columns", columns, rows, document, href),
    ]
    if len(usual) > 1:
        menus.append(Picker("Usual tables", "Usual tables", usual))
    paper = document.published.name if document.published else None
    if papers := [*dict.fromkeys([*document.published_tables, *filter(None, [paper])])]:
        tables = [Option(_title(name), href(published=name), name == paper) for name in papers]
        shown = _title(paper) if paper else "none"
        none = Option("None", href(published=None), document.published is None)
        menus.append(Picker("The paper's values", f"Paper: {shown}", (none, *tables)))
    return tuple(menus)


def _title(table: str) -> str:
    return table.replace("-", " ").capitalize()


def _show(document: StudyDocument, href: Href) -> Picker:
    options = (
        Option("Accuracy", href(show=None), document.show == "accuracy"),
        Option("Difference to dense", href(show="difference"), document.show == "difference"),
    )
    return Picker("What is shown", "", options)


def _axis(label: str, key: str, now: str, other: str, document: StudyDocument, href: Href) -> Picker:
    # Choosing the other axis swaps the two: a table needs two different ones.
    swapped = "columns" if key == "rows" else "rows"
    options = tuple(
        Option(
            _name(axis),
            href(**({key: axis, swapped: now} if axis == other else {key: axis})),
            axis == now,
            _values(values),
        )
        for axis, values in document.axes.items()
        if values
    )
    return Picker(label, f"{label}: {_name(now)}", options)


def _values(values: list[str]) -> str:
    return wording.plural(len(values), "value")


def _is(href: str, state: dict[str, urls.State]) -> bool:
    return href.partition("?")[2] == urls.with_state("", **state)[1:]


def _averages(document: StudyDocument) -> bool:
    """Whether any cell is the mean of several measurements."""
    return any(cell is not None and cell.measurements > 1 for row in document.table.rows for cell in row.cells)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _groups(document: StudyDocument, scale: Scale) -> tuple[Group, ...]:
    groups: dict[str, list[Row]] = {}
    for i, row in enumerate(document.table.rows):
        cells = tuple(
            _cell(row, column, cell, f"{i}.{j}", document.show, scale)
            for j, (column, cell) in enumerate(zip(document.table.columns, row.cells, strict=True))
        )
        spread = wording.decimal(100 * row.spread, 1) if row.spread is not None else ""
        groups.setdefault(row.group or "", []).append(
            Row(row.label, "" if row.dense is None else wording.accuracy(row.dense), cells, spread)
        )
    return tuple(Group(name.capitalize(), tuple(rows)) for name, rows in groups.items())


def _cell(row: StudyRow, column: str, cell: PivotCell | None, place: str, show: str, scale: Scale) -> Cell:
    if cell is None:
        return Cell("", "", "", False, None, f"{row.label}, {column}: not part of the study", "")
    paper = "" if cell.published is None else wording.accuracy(cell.published)
    if cell.accuracy is None:
        text, css = _waiting(cell.state)
        label = f"{row.label}, {column}: {cell.state.value}{paper and f', {paper} % in the paper'}"
        return Cell(text, paper, css, False, cell.href, label, place)
    shade = "" if cell.difference is None else _shade(cell.difference, scale)
    text = wording.points(cell.difference) if show == "difference" else wording.accuracy(cell.accuracy)
    label = f"{row.label}, {column}: {wording.accuracy(cell.accuracy)} %"
    if cell.difference is not None:
        label += f", {wording.points(cell.difference)} to dense"
    if cell.at_chance:
        label += ", near chance"
    if paper:
        label += f", {paper} % in the paper"
    return Cell(text, paper, f"{shade}{' near' if cell.at_chance else ''}", cell.best, cell.href, label, place)


def _shade(difference: float, scale: Scale) -> str:
    kind = "loss-shade" if difference < 0 else "gain-shade"
    return f"{kind} {difference_shade(difference, scale)}"


def _waiting(state: JobState) -> tuple[str, str]:
    match state:
        case JobState.FAILED | JobState.CANCELLED:
            return "✕", "failed"
        case JobState.RUNNING:
            return "◐", "waiting"
        case _:
            return "·", "waiting"


def _details(row: StudyRow, column: str, cell: PivotCell) -> Details:
    rows = []
    if cell.accuracy is not None:
        span = ""
        if cell.interval is not None:
            span = f" ({wording.accuracy(cell.interval[0])} to {wording.accuracy(cell.interval[1])})"
        rows.append(("accuracy", f"{wording.accuracy(cell.accuracy)} %{span}"))
    if cell.dense is not None:
        rows.append(("dense", f"{wording.accuracy(cell.dense)} %"))
    if cell.difference is not None:
        rows.append(("difference", f"{wording.points(cell.difference)} points"))
    if row.chance is not None:
        rows.append(("chance", f"{wording.accuracy(row.chance)} %{', not told from it' if cell.at_chance else ''}"))
    if cell.measurements > 1:
        rows.append(("mean of", f"{wording.count(cell.done)} of {wording.plural(cell.measurements, 'measurement')}"))
    if cell.published is not None:
        rows.append(("in the paper", f"{wording.accuracy(cell.published)} %"))
    rows.append(("state", cell.state.value))
    link = "See what broke" if cell.accuracy is not None else "Open its job"
    return Details(f"{row.label} · {column}", tuple(rows), cell.href, link, cell.model_href)


def _plain(details: Details) -> dict[str, object]:
    return {
        "title": details.title,
        "rows": details.rows,
        "href": details.href,
        "link": details.link,
        "model": details.model_href,
    }


def _progress(document: StudyDocument) -> str:
    if document.state.ended:
        return f"{wording.plural(document.cells, 'job')}, {document.state.value}."
    left = document.cells - document.done - document.failed
    return f"{wording.plural(left, 'job')} to go, {wording.count(document.running)} running now."


def _heat(document: StudyDocument, details: dict[str, Details], scale: Scale) -> dict[str, object]:
    table = document.table

    def label(i: int, j: int) -> str:
        found = details.get(f"{i}.{j}")
        if found is None:
            return ""
        return "<br>".join([found.title, *(f"{name} {value}" for name, value in found.rows)]).replace("&", "&amp;")

    def difference(cell: PivotCell | None) -> float | None:
        return None if cell is None or cell.difference is None else round(100 * cell.difference, 2)

    return {
        "columns": table.columns,
        "rows": [row.label for row in table.rows],
        "difference": [[difference(cell) for cell in row.cells] for row in table.rows],
        "labels": [[label(i, j) for j in range(len(table.columns))] for i in range(len(table.rows))],
        "hrefs": [[None if cell is None else cell.href for cell in row.cells] for row in table.rows],
        "largest": round(100 * scale.top, 1),
    }

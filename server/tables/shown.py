"""A study's table before it is written as a file: finished texts beside the numbers they stand for."""

from dataclasses import dataclass

from server import urls
from server.documents import PivotCell, StudyDocument
from server.pages import wording

AXIS_NAMES = {"calibration": "calibration set", "seqlen": "window length", "group": "task group"}


@dataclass(frozen=True)
class ShownCell:
    """``text`` is the value as people read it (percent, points), ``value`` the same as a share with all digits."""

    text: str
    value: float | None
    paper_text: str
    paper: float | None
    difference: float | None
    best: bool
    near_chance: bool
    note: str  # everything about the cell, in words


@dataclass(frozen=True)
class ShownRow:
    label: str
    dense_text: str
    dense: float | None
    cells: tuple[ShownCell, ...]
    spread_text: str
    spread: float | None


@dataclass(frozen=True)
class ShownGroup:
    """Rows under a heading; ``name`` is empty where they have none in common."""

    name: str
    rows: tuple[ShownRow, ...]


@dataclass(frozen=True)
class Shown:
    title: str
    caption: str
    notes: tuple[str, ...]
    rows_axis: str
    columns: tuple[str, ...]
    groups: tuple[ShownGroup, ...]
    with_paper: bool
    largest_difference: float


def shown_table(document: StudyDocument) -> Shown:
    """The table of a study as its page shows it."""
    table = document.table
    groups: dict[str, list[ShownRow]] = {}
    for row in table.rows:
        cells = tuple(
            _cell(f"{row.label}, {column}", cell, document.show)
            for column, cell in zip(table.columns, row.cells, strict=True)
        )
        groups.setdefault(row.group or "", []).append(
            ShownRow(
                label=row.label,
                dense_text="" if row.dense is None else wording.accuracy(row.dense),
                dense=row.dense,
                cells=cells,
                spread_text="" if row.spread is None else wording.decimal(100 * row.spread, 1),
                spread=row.spread,
            )
        )
    return Shown(
        title=document.title,
        caption=caption(document),
        notes=_notes(document),
        rows_axis=axis_name(table.rows_axis),
        columns=tuple(table.columns),
        groups=tuple(ShownGroup(name.capitalize(), tuple(rows)) for name, rows in groups.items()),
        with_paper=any(cell is not None and cell.published is not None for row in table.rows for cell in row.cells),
        largest_difference=table.largest_difference,
    )


def shown_state(document: StudyDocument) -> dict[str, urls.State]:
    """What the address says of the table, what it need not say left out."""
    return {
        "rows": document.table.rows_axis,
        "columns": document.table.columns_axis,
        "show": None if document.show == "accuracy" else document.show,
        "published": None if document.published is None else document.published.name,
        **document.filters,
    }


def axis_name(axis: str) -> str:
    """As people call it: ``calibration set``."""
    return AXIS_NAMES.get(axis, axis)


def caption(document: StudyDocument) -> str:
    """What the numbers are: measure, axes, what is averaged, and what is left out."""
    table = document.table
    what = (
        "Accuracy in percent"
        if document.show == "accuracy"
        else f"Accuracy {wording.MINUS} accuracy of the dense model, in points"
    )
    sentences = [f"{what}: {axis_name(table.rows_axis)} by {axis_name(table.columns_axis)}."]
    if table.averaged:
        sentences.append(f"Each cell is the mean over {listed([*map(axis_name, table.averaged)])}.")
    labels = {axis: {each.value: each.label for each in of_axis} for axis, of_axis in document.axis_labels.items()}
    for axis, values in document.filters.items():
        sentences.append(f"Only {axis_name(axis)} {listed([labels[axis][value] for value in values])}.")
    return " ".join(sentences)


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _notes(document: StudyDocument) -> tuple[str, ...]:
    cells = [cell for row in document.table.rows for cell in row.cells if cell is not None]
    notes = []
    if any(cell.best for cell in cells):
        notes.append("Bold: best of the row.")
    if any(cell.at_chance for cell in cells):
        notes.append("Italic: not told from chance.")
    if missing := sum(cell.measurements - cell.done for cell in cells):
        total = sum(cell.measurements for cell in cells)
        notes.append(f"{wording.count(missing)} of {wording.plural(total, 'measurement')} are not there.")
    if document.published is not None and any(cell.published is not None for cell in cells):
        notes.append(
            f"In parentheses: {document.published.name.replace('-', ' ').capitalize()} of {document.published.source}."
        )
    return tuple(notes)


def _cell(place: str, cell: PivotCell | None, show: str) -> ShownCell:
    if cell is None:
        return ShownCell("", None, "", None, None, False, False, f"{place}: not part of the study")
    value = cell.accuracy if show == "accuracy" else cell.difference
    text = "" if value is None else wording.accuracy(value) if show == "accuracy" else wording.points(value)
    note = f"{place}: {cell.state.value}"
    if cell.accuracy is not None:
        note = f"{place}: {wording.accuracy(cell.accuracy)} %"
        if cell.difference is not None:
            note += f", {wording.points(cell.difference)} points to dense"
        if cell.measurements > 1:
            note += f", mean of {cell.done} of {wording.plural(cell.measurements, 'measurement')}"
    return ShownCell(
        text=text,
        value=value,
        paper_text="" if cell.published is None else wording.accuracy(cell.published),
        paper=cell.published,
        difference=cell.difference,
        best=cell.best,
        near_chance=cell.at_chance,
        note=note,
    )

"""A study's table before it is written as a file: finished texts beside the numbers they stand for."""

from dataclasses import dataclass

from prunescope.server.site import formats
from prunescope.server.studies.documents import PivotCell, StudyDocument
from prunescope.server.studies.measures import MEASURES, MeasureWords, axis_name, shown_text, shown_value


@dataclass(frozen=True)
class ShownCell:
    """``text`` is the value as people read it (percent, points, a perplexity, a ratio), ``value`` the same with all
    digits, an accuracy as a share. ``gain``: how much better than dense it is, for its colour."""

    text: str
    value: float | None
    paper_text: str
    paper: float | None
    gain: float | None
    best: bool
    near_chance: bool
    holds: bool
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
    measure: str
    caption: str
    colours: str
    notes: tuple[str, ...]
    rows_axis: str
    columns: tuple[str, ...]
    groups: tuple[ShownGroup, ...]
    with_paper: bool
    scale: float  # the gain, or the loss, at which colours end


def shown_table(document: StudyDocument) -> Shown:
    """The table of a study as its page shows it."""
    table = document.table
    measure = MEASURES[document.measure]
    groups: dict[str, list[ShownRow]] = {}
    for row in table.rows:
        cells = tuple(
            _cell(f"{row.label}, {column}", cell, document, measure)
            for column, cell in zip(table.columns, row.cells, strict=True)
        )
        groups.setdefault(row.group or "", []).append(
            ShownRow(
                label=row.label,
                dense_text="" if row.dense is None else measure.text(row.dense),
                dense=row.dense,
                cells=cells,
                spread_text="" if row.spread is None else measure.spread_text(row.spread),
                spread=row.spread,
            )
        )
    return Shown(
        title=document.title,
        measure=shown_measure(document),
        caption=caption(document),
        colours=measure.colours,
        notes=_notes(document),
        rows_axis=axis_name(table.rows_axis, document.measure),
        columns=tuple(table.columns),
        groups=tuple(ShownGroup(name.capitalize(), tuple(rows)) for name, rows in groups.items()),
        with_paper=any(cell is not None and cell.published is not None for row in table.rows for cell in row.cells),
        scale=measure.scale(table.largest_difference),
    )


def shown_measure(document: StudyDocument) -> str:
    """What the numbers are, in a word or two: ``accuracy``, ``perplexity ratio``."""
    if document.show != "difference":
        return document.measure
    return {"accuracy": "accuracy difference", "perplexity": "perplexity ratio"}[document.measure]


def caption(document: StudyDocument) -> str:
    """What the numbers are: measure, axes, what is averaged, and what is left out."""
    table = document.table
    measure = MEASURES[document.measure]
    what = measure.difference_caption if document.show == "difference" else measure.caption

    def name(axis: str) -> str:
        return axis_name(axis, document.measure)

    sentences = [f"{what}: {name(table.rows_axis)} by {name(table.columns_axis)}."]
    if table.averaged:
        sentences.append(f"Each cell is the {measure.mean} over {listed([*map(name, table.averaged)])}.")
    labels = {axis: {each.value: each.label for each in of_axis} for axis, of_axis in document.axis_labels.items()}
    for axis, values in document.filters.items():
        sentences.append(f"Only {name(axis)} {listed([labels[axis][value] for value in values])}.")
    return " ".join(sentences)


def listed(names: list[str]) -> str:
    """``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _notes(document: StudyDocument) -> tuple[str, ...]:
    cells = [cell for row in document.table.rows for cell in row.cells if cell is not None]
    notes = []
    if any(cell.best for cell in cells):
        notes.append(MEASURES[document.measure].best)
    if any(cell.at_chance for cell in cells):
        notes.append("Italic: not told from chance.")
    if document.show == "difference" and any(cell.survives for cell in cells):
        notes.append("Asterisk: holds at a false discovery rate of 5 %.")
    if missing := sum(cell.measurements - cell.done for cell in cells):
        total = sum(cell.measurements for cell in cells)
        notes.append(f"{formats.count(missing)} of {formats.plural(total, 'measurement')} are not there.")
    if document.published is not None and any(cell.published is not None for cell in cells):
        notes.append(
            f"In parentheses: {document.published.name.replace('-', ' ').capitalize()} of {document.published.source}."
        )
    return tuple(notes)


def _cell(place: str, cell: PivotCell | None, document: StudyDocument, measure: MeasureWords) -> ShownCell:
    if cell is None:
        return ShownCell("", None, "", None, None, False, False, False, f"{place}: not part of the study")
    found, difference = measure.value(cell), measure.difference(cell)
    note = f"{place}: {cell.state.value}"
    if found is not None:
        note = f"{place}: {measure.text(found)}{measure.unit}"
        if difference is not None:
            note += f", {measure.difference_text(difference)}{measure.difference_unit} to dense"
        if cell.measurements > 1:
            note += f", {measure.mean} of {cell.done} of {formats.plural(cell.measurements, 'measurement')}"
    return ShownCell(
        text=shown_text(measure, cell, document.show),
        value=shown_value(measure, cell, document.show),
        paper_text="" if cell.published is None else formats.accuracy(cell.published),
        paper=cell.published,
        gain=measure.gain(cell),
        best=cell.best,
        near_chance=cell.at_chance,
        holds=cell.survives and document.show == "difference",
        note=note,
    )

"""A study's table as one HTML file without script that loads nothing."""

from html import escape

from prunescope.server.site import formats
from prunescope.server.site.palette import PALETTES, hexadecimal
from prunescope.server.studies.documents import CellDocument, RowDocument
from prunescope.server.studies.measures import MeasureWords
from prunescope.server.studies.shown import Shown

LIGHT = PALETTES["light"]
INK = hexadecimal(LIGHT.ink)
STYLE = f"""
body {{ margin: 28px; color: {INK}; background: #fff; font: 15px/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 22px; margin: 0 0 4px; }} p {{ color: #5f6876; margin: 0 0 14px; max-width: 90ch; }}
table {{ border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 5px 10px; text-align: right; border: 1px solid #fff; white-space: nowrap; }}
th {{ font-weight: 500; color: #5f6876; }} thead th {{ border-bottom: 1px solid #c9cdd4; }}
th:first-child {{ text-align: left; }} tbody th[scope=row] {{ color: {INK}; }} .quiet {{ color: #5f6876; }}
.group th {{ padding-top: 14px; text-align: left; }} small {{ display: block; color: #5f6876; }}
.near {{ background-image: repeating-linear-gradient(135deg, transparent 0 5px, rgb(128 128 128 / .18) 5px 6px); }}
"""


def table_html(table: Shown, address: str) -> str:
    """The whole file; each cell carries its value (``data-value``). ``address`` is the page's path, as text."""
    columns, title = table.table.columns, escape(table.document.title)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("dense", *columns, "spread"))
    body = "".join(
        f"<tbody>{_heading(name, len(columns) + 3)}{''.join(_row(row, table) for row in rows)}</tbody>"
        for name, rows in table.groups.items()
    )
    notes = [*(note.rstrip(".") for note in (table.caption, *table.notes)), table.measure.colours]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{escape('. '.join(notes))}.</p>"
        f'<table><thead><tr><th scope="col">{escape(table.axis(table.table.rows_axis))}</th>{head}</tr></thead>{body}'
        f"</table><p>{escape(address)}</p></body></html>\n"
    )


def _heading(name: str, width: int) -> str:
    return f'<tr class="group"><th colspan="{width}" scope="rowgroup">{escape(name)}</th></tr>' if name else ""


def _row(row: RowDocument, table: Shown) -> str:
    cells = "".join(
        _cell(f"{row.label}, {column}", cell, table)
        for column, cell in zip(table.table.columns, row.cells, strict=True)
    )
    return (
        f'<tr><th scope="row">{escape(row.label)}</th><td class="quiet">{escape(table.dense(row))}</td>{cells}'
        f'<td class="quiet">{escape(table.spread(row))}</td></tr>'
    )


def _cell(place: str, cell: CellDocument | None, table: Shown) -> str:
    if cell is None:
        return f'<td title="{escape(place)}: not part of the study"></td>'
    shade, gain = "", table.measure.gain(cell)
    if gain is not None:
        top = table.measure.scale(table.table.largest_difference)
        colour = LIGHT.shade("l" if gain < 0 else "g", min(1.0, abs(gain) / top))
        shade = f' style="background-color:{hexadecimal(colour)};color:{hexadecimal(LIGHT.text_on(colour))}"'
    near = ' class="near"' if cell.at_chance else ""
    number = table.value(cell)
    value = "" if number is None else f' data-value="{number!r}"'
    text = f"<b>{escape(table.text(cell))}</b>" if cell.best else escape(table.text(cell))
    text += "*" * table.holds(cell)
    paper = f"<small>{escape(table.paper(cell))}</small>" if table.paper(cell) else ""
    return f'<td{near}{shade}{value} title="{escape(_note(place, cell, table.measure))}">{text}{paper}</td>'


def _note(place: str, cell: CellDocument, measure: MeasureWords) -> str:
    """The tooltip of a cell: its value, its difference to dense, and the number of measurements."""
    found, difference = measure.value(cell), measure.difference(cell)
    if found is None:
        return f"{place}: {cell.state.value}"
    note = f"{place}: {measure.text(found)}{measure.unit}"
    if difference is not None:
        note += f", {measure.difference_text(difference)}{measure.difference_unit} to dense"
    if cell.measurements > 1:
        note += f", {measure.mean} of {cell.done} of {formats.plural(cell.measurements, 'measurement')}"
    return note

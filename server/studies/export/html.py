"""A study's table as one HTML file that stands alone: no script, nothing loaded, every number in full beside."""

from html import escape

from prunescope.server.site.palette import PALETTES, hexadecimal
from prunescope.server.studies.export.shown import Shown, ShownCell, ShownRow

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
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("dense", *table.columns, "spread"))
    body = "".join(
        f"<tbody>{_heading(group.name, len(table.columns) + 3)}"
        f"{''.join(_row(row, table.scale) for row in group.rows)}</tbody>"
        for group in table.groups
    )
    notes = [
        table.caption.rstrip("."),
        *(note.rstrip(".") for note in table.notes),
        table.colours,
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(table.title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{escape(table.title)}</h1><p>{escape('. '.join(notes))}.</p>"
        f'<table><thead><tr><th scope="col">{escape(table.rows_axis)}</th>{head}</tr></thead>{body}</table>'
        f"<p>{escape(address)}</p></body></html>\n"
    )


def _heading(name: str, width: int) -> str:
    return f'<tr class="group"><th colspan="{width}" scope="rowgroup">{escape(name)}</th></tr>' if name else ""


def _row(row: ShownRow, top: float) -> str:
    cells = "".join(_cell(cell, top) for cell in row.cells)
    return (
        f'<tr><th scope="row">{escape(row.label)}</th><td class="quiet">{escape(row.dense_text)}</td>{cells}'
        f'<td class="quiet">{escape(row.spread_text)}</td></tr>'
    )


def _cell(cell: ShownCell, top: float) -> str:
    shade = ""
    if cell.gain is not None:
        colour = LIGHT.shade("l" if cell.gain < 0 else "g", min(1.0, abs(cell.gain) / top))
        shade = f' style="background-color:{hexadecimal(colour)};color:{hexadecimal(LIGHT.text_on(colour))}"'
    near = ' class="near"' if cell.near_chance else ""
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    text = f"<b>{escape(cell.text)}</b>" if cell.best else escape(cell.text)
    text += "*" * cell.holds
    paper = f"<small>{escape(cell.paper_text)}</small>" if cell.paper_text else ""
    return f'<td{near}{shade}{value} title="{escape(cell.note)}">{text}{paper}</td>'

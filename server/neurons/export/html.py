"""A neuron's figure as one self-contained HTML file: text that can be selected, and every number in full."""

from html import escape

from prunescope.server.neurons.export.figure import Figure, colours, left_out, note, ramp
from prunescope.server.neurons.tokens import Cell, Pane
from prunescope.server.site.palette import Palette, hexadecimal

STYLE = """
body {{ margin: 28px; color: {ink}; background: {surface}; font: 15px/1.5 system-ui, sans-serif; }}
h1 {{ font: 600 24px/1.2 ui-monospace, Consolas, monospace; margin: 0; }}
p {{ color: {muted}; margin: 4px 0 20px; overflow-wrap: anywhere; }}
section {{ display: flex; flex-wrap: wrap; gap: 28px; margin: 0 0 28px; }}
article {{ flex: 1 1 300px; min-width: 0; }}
h2 {{ font-size: 15px; margin: 20px 0 0; }} h3 {{ font-size: 14px; margin: 0 0 8px; }}
small, .gap {{ color: {muted}; font-weight: 400; }}
.text {{ font: 14px/1.9 ui-monospace, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }}
.text span {{ padding: 2px 0; border-radius: 2px; }}
.i {{ box-shadow: inset 0 -2px 0 {ink}; }} .c {{ outline: 2px solid {accent}; }}
.legend {{ display: grid; grid-template-columns: auto 160px auto; gap: 2px 8px; align-items: center;
  justify-content: start; color: {muted}; font-size: 13px; margin-top: 10px; }}
.legend i {{ height: 8px; border-radius: 2px; }} .legend .middle {{ grid-column: 2; text-align: center; }}
"""


def neuron_html(figure: Figure) -> str:
    """The whole file; each token has its value in ``data-value`` and all of its numbers in its title."""
    neuron = figure.document
    name, label = escape(neuron.name), escape(neuron.label)
    names = ("ink", "surface", "muted", "accent")
    colours_of_style = {name: hexadecimal(getattr(figure.palette, name)) for name in names}
    body = "".join(
        f"<h2>{escape(row.title)}</h2><p>{escape(row.told)}</p>"
        f"<section>{''.join(_pane(pane, figure.palette) for pane in row.panes)}</section>"
        for row in figure.rows
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name} · {label}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE.format(**colours_of_style)}</style></head><body>"
        f"<h1>{name}</h1><p>{label} · {escape(figure.facts)}</p>{body}"
        f"<p>{escape(neuron.provenance)}</p></body></html>\n"
    )


def _pane(pane: Pane, palette: Palette) -> str:
    low, middle, high = (escape(text) for text in (pane.legend.low, pane.legend.middle, pane.legend.high))
    gradient = f"linear-gradient(90deg,{','.join(map(hexadecimal, ramp(pane, palette)))})"
    legend = (
        f'<div class="legend"><span>{low}</span><i style="background:{gradient}"></i>'
        f'<span>{high}</span><span class="middle">{middle}</span></div>'
    )
    before, after = (f'<b class="gap">{escape(text)}</b>' if text else "" for text in left_out(pane))
    cells = "".join(_cell(cell, palette) for cell in pane.cells)
    return (
        f"<article><h3>{escape(pane.title)} <small>{escape(pane.subtitle)}</small></h3>"
        f'<div class="text">{before}{cells}{after}</div>{legend}</article>'
    )


def _cell(cell: Cell, palette: Palette) -> str:
    token = cell.token
    fill, ink = colours(cell, palette)
    named = f' class="{" ".join(cell.marks)}"' if cell.marks else ""
    text = "↵\n".join(map(escape, token.parts))
    return (
        f'<span{named} style="background:{fill};color:{ink}" title="{escape(note(cell))}" '
        f'data-position="{token.position}" data-value="{cell.value!r}">{text}</span>'
    )

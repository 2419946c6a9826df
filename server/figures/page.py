"""A neuron's figure as one self-contained HTML file: text that can be selected, and every number in full."""

from html import escape

from server.documents import NeuronDocument
from server.figures.panes import Cell, Pane, Row, number

STYLE = """
body { margin: 28px; color: #1b1f23; background: #fff; font: 15px/1.5 system-ui, sans-serif; }
h1 { font: 600 24px/1.2 ui-monospace, Consolas, monospace; margin: 0; }
p { color: #667085; margin: 4px 0 20px; }
section { display: flex; flex-wrap: wrap; gap: 28px; margin: 0 0 28px; }
article { flex: 1 1 380px; min-width: 0; }
h2 { font-size: 15px; margin: 20px 0 8px; } h3 { font-size: 14px; margin: 0 0 8px; }
small { color: #667085; font-weight: 400; }
.text { font: 14px/1.9 ui-monospace, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
.text span { padding: 2px 0; border-radius: 2px; } .i { outline: 1.5px solid #1b1f23; } .s { opacity: .55; }
.legend { display: flex; gap: 8px; align-items: center; color: #667085; font-size: 13px; margin-top: 10px; }
.legend i { width: 160px; height: 8px; border-radius: 2px; }
"""


def neuron_html(neuron: NeuronDocument, rows: list[Row]) -> str:
    """The whole file; each token carries its value (``data-value``) and says all about itself when pointed at."""
    title = f"{neuron.name} · {neuron.label}"
    score = "not ranked" if neuron.score is None else f"Score {neuron.score:.3f}, rank {neuron.rank}"
    body = "".join(
        f"<h2>{escape(row.title)}</h2><section>{''.join(_pane(pane) for pane in row.panes)}</section>" for row in rows
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f"<h1>{escape(neuron.name)}</h1><p>{escape(neuron.label)} · {escape(score)}</p>{body}"
        f"<p>{escape(neuron.provenance)}</p></body></html>\n"
    )


def _pane(pane: Pane) -> str:
    legend = (
        f'<div class="legend">{number(pane.lowest)}'
        f'<i style="background:linear-gradient(90deg,{",".join(pane.ramp)})"></i>{number(pane.highest)}</div>'
    )
    return (
        f"<article><h3>{escape(pane.title)} <small>{escape(pane.subtitle)}</small></h3>"
        f'<div class="text">{"".join(map(_cell, pane.cells))}</div>{legend}</article>'
    )


def _cell(cell: Cell) -> str:
    classes = " ".join(name for name, wanted in (("i", cell.influential), ("s", cell.special)) if wanted)
    named = f' class="{classes}"' if classes else ""
    broken = "\n" if cell.breaks else ""
    return (
        f'<span{named} style="background:{cell.fill};color:{cell.ink}" title="{escape(cell.note)}" '
        f'data-position="{cell.position}" data-value="{cell.value!r}">{escape(cell.text)}</span>{broken}'
    )

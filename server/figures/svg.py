"""A neuron's figure as SVG."""

from dataclasses import dataclass
from html import escape

from server.documents import NeuronDocument
from server.figures.panes import Cell, Pane, Row, number

SIZE = 14  # px, the text's height
ADVANCE = 8.4  # px, a character of a monospaced font of that size
LINE = 24
PANE_CHARACTERS = 58
GAP = 28
MARGIN = 28
MONO = "DejaVu Sans Mono, Menlo, Consolas, monospace"
SANS = "DejaVu Sans, Helvetica, Arial, sans-serif"
MUTED = "#667085"


@dataclass(frozen=True)
class Placed:
    """A cell at its place within its pane: column and line, counted in characters and lines."""

    cell: Cell
    column: int
    line: int


def place(cells: tuple[Cell, ...], width: int = PANE_CHARACTERS) -> tuple[list[Placed], int]:
    """The cells set in lines of at most ``width`` characters, and how many lines there are."""
    placed: list[Placed] = []
    column = line = 0
    for cell in cells:
        length = len(cell.text)
        if column and column + length > width:
            column, line = 0, line + 1
        placed.append(Placed(cell, column, line))
        column += length
        if cell.breaks:
            column, line = 0, line + 1
    return placed, line + (1 if column else 0)


def neuron_svg(neuron: NeuronDocument, rows: list[Row]) -> str:
    """The whole figure: a heading, then for each example its panes side by side."""
    pane_width = PANE_CHARACTERS * ADVANCE
    panes = max(len(row.panes) for row in rows)
    width = 2 * MARGIN + panes * pane_width + (panes - 1) * GAP
    parts: list[str] = []
    y = MARGIN + 20.0
    parts.append(_text(MARGIN, y, neuron.name, 20, MONO, weight=600))
    y += 22
    parts.append(_text(MARGIN, y, _facts(neuron), 13, SANS, fill=MUTED))
    y += 34
    for row in rows:
        parts.append(_text(MARGIN, y, row.title, 13, SANS, weight=600))
        y += 24
        lines = 0
        for i, pane in enumerate(row.panes):
            drawn, height = _pane(pane, MARGIN + i * (pane_width + GAP), y)
            parts.append(drawn)
            lines = max(lines, height)
        y += 30 + lines * LINE + 60
    parts.append(_text(MARGIN, y, neuron.provenance, 12, SANS, fill=MUTED))
    total = y + MARGIN
    title = escape(f"{neuron.name}: {neuron.label}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{total:.0f}" '
        f'viewBox="0 0 {width:.0f} {total:.0f}" role="img"><title>{title}</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>'
    )


def _pane(pane: Pane, x: float, y: float) -> tuple[str, int]:
    placed, lines = place(pane.cells)
    parts = [
        _text(x, y, pane.title, 14, SANS, weight=600),
        _text(x + 10 + 8.6 * len(pane.title), y, pane.subtitle, 13, SANS, fill=MUTED),
    ]
    top = y + 14
    parts += [_cell(item, x, top) for item in placed]
    parts.append(_legend(pane, x, top + lines * LINE + 14))
    return "".join(parts), lines


def _cell(item: Placed, x: float, y: float) -> str:
    cell = item.cell
    left, top, width = x + item.column * ADVANCE, y + item.line * LINE, len(cell.text) * ADVANCE
    outline = ' stroke="#1b1f23" stroke-width="1.2"' if cell.influential else ""
    dimmed = ' opacity="0.55"' if cell.special else ""
    size = f'width="{width:.1f}" height="{LINE - 4}"'
    rect = f'<rect x="{left:.1f}" y="{top:.1f}" {size} rx="2" fill="{cell.fill}"{outline}/>'
    text = _text(left, top + 15, cell.text, SIZE, MONO, fill=cell.ink, length=width)
    data = f' data-position="{cell.position}" data-value="{cell.value!r}"'
    return f"<g{data}{dimmed}><title>{_xml(cell.note)}</title>{rect}{text}</g>"


def _legend(pane: Pane, x: float, y: float) -> str:
    low, high = number(pane.lowest), number(pane.highest)
    start, width, steps = x + 8 * len(low) + 8, 160.0, len(pane.ramp) - 1
    # Stops would need an id that is unique in the page that embeds the picture; twenty small boxes need none.
    boxes = []
    for i in range(20):
        share = i / 19 * steps
        part = min(int(share), steps - 1)
        colour = _between(pane.ramp[part], pane.ramp[part + 1], share - part)
        left = start + i * width / 20
        boxes.append(f'<rect x="{left:.1f}" y="{y:.1f}" width="{width / 20 + 0.5:.1f}" height="8" fill="{colour}"/>')
    ends = _text(x, y + 8, low, 12, SANS, fill=MUTED) + _text(start + width + 8, y + 8, high, 12, SANS, fill=MUTED)
    return "".join(boxes) + ends


def _between(first: str, second: str, share: float) -> str:
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _facts(neuron: NeuronDocument) -> str:
    score = "not ranked" if neuron.score is None else f"Score {neuron.score:.3f}"
    rank = "" if neuron.rank is None else f" · rank {neuron.rank:,} of {neuron.neuron_count:,}"
    word = "" if neuron.word is None else f" · “{neuron.word}”"
    return f"{neuron.label} · {score}{rank}{word}"


def _text(
    x: float,
    y: float,
    text: str,
    size: float,
    family: str,
    *,
    fill: str = "#1b1f23",
    weight: int = 400,
    length: float | None = None,
) -> str:
    fitted = "" if length is None or not text.strip() else f' textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{family}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'xml:space="preserve"{fitted}>{_xml(text)}</text>'
    )


def _xml(text: str) -> str:
    """Escaped; characters that XML cannot carry at all are shown as the replacement character."""
    return escape("".join(c if _in_xml(c) else "\ufffd" for c in text))


def _in_xml(c: str) -> bool:
    return c in "\t\n\r" or " " <= c < "\ud800" or "\ue000" <= c <= "\ufffd" or c > "\uffff"

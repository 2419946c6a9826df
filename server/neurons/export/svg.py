"""A neuron's figure as SVG."""

import re
import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from prunescope.server.neurons.export.figure import COLUMNS, Figure
from prunescope.server.neurons.reading import Cell, Character, Pane
from prunescope.server.site import formats
from prunescope.server.site.palette import Colour, hexadecimal

SIZE = 14  # px, the font size of the text
ADVANCE = 8.4  # px, the width of a character of a monospaced font of this size
LINE = 24
PANE_CHARACTERS = 58
PANE_WIDTH = PANE_CHARACTERS * ADVANCE
GAP = 28
MARGIN = 28
WIDTH = 2 * MARGIN + COLUMNS * PANE_WIDTH + (COLUMNS - 1) * GAP
MONO = "DejaVu Sans Mono, Menlo, Consolas, monospace"
SANS = "DejaVu Sans, Helvetica, Arial, sans-serif"
SANS_ADVANCE = 0.6  # width of an average character of a proportional font / font size, rounded up
RAMP_WIDTH = 160.0
RAMP_STEPS = 20
NEWLINE = "↵"

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Run:
    """The part of one coloured token on one line; ``line`` and ``column`` (characters): its position in the pane."""

    text: str
    column: int
    line: int
    characters: int


def characters(text: str) -> int:
    """The width of a text in columns of a monospaced font: 2 for East Asian wide characters, 0 for combining ones."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def place(cells: Sequence[Cell | Character], width: int = PANE_CHARACTERS) -> tuple[list[list[Run]], int]:
    """Break the cells into lines of at most ``width`` characters; return each cell's runs, and the number of lines.

    A cell with a newline, or longer than a line, has several runs. A word of several cells is kept on one line if it
    fits.
    """
    placed: list[list[Run]] = []
    line = column = 0
    for cell, word in zip(cells, _words(cells), strict=True):
        runs: list[Run] = []
        if column and column + word > width >= word:
            column, line = 0, line + 1
        for number, part in enumerate(cell.token.parts):
            last = number == len(cell.token.parts) - 1
            text = part if last else part + NEWLINE
            for piece in _pieces(text, width):
                length = characters(piece)
                if column and column + length > width:
                    column, line = 0, line + 1
                runs.append(Run(piece, column, line, length))
                column += length
            if not last:
                column, line = 0, line + 1
        placed.append(runs)
    return placed, line + (1 if column else 0)


def _words(cells: Sequence[Cell | Character]) -> list[int]:
    """The width in characters of the word that begins at each cell; 0 for cells within a word."""
    found = [0] * len(cells)
    length = 0
    for index in reversed(range(len(cells))):
        *ended, last = cells[index].token.parts
        length = characters(ended[0] + NEWLINE) if ended else length + characters(last)
        if index == 0 or not cells[index - 1].token.parts[-1] or cells[index].token.parts[0][:1].isspace():
            found[index], length = length, 0
    return found


def _pieces(text: str, width: int) -> list[str]:
    """Cut a text into pieces of at most ``width`` characters."""
    pieces, now = [], ""
    for c in text:
        if characters(now + c) > width:
            pieces.append(now)
            now = ""
        now += c
    return [*pieces, now] if now else pieces


def neuron_svg(figure: Figure) -> str:
    """Draw a figure: a heading, then the panes of each example, COLUMNS in a line."""
    neuron = figure.document
    draw = _Pen(figure)
    draw.bold(MARGIN, draw.y, neuron.name, 20, MONO)
    draw.y += 22
    draw.lines(f"{neuron.label} · {figure.facts}", 13, 22)
    draw.y += 12
    for row in figure.rows:
        draw.bold(MARGIN, draw.y, row.title, 13)
        draw.y += 22
        for numbers in row.numbers:
            draw.lines(numbers, 13, 22)
        draw.y += 6
        for panes in row.lines:
            draw.y = max(draw.pane(pane, MARGIN + i * (PANE_WIDTH + GAP), draw.y) for i, pane in enumerate(panes))
            draw.y += 40
    for line in figure.caption.lines:
        draw.lines(line, 12, 18)
    height = draw.y + MARGIN
    title = escape(f"{neuron.name}: {neuron.label}")
    background = figure.css_colour("surface")
    command = figure.caption.command
    again = f"<metadata>{_xml(command)}</metadata>" if command else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img"><title>{title}</title>{again}'
        f'<rect width="100%" height="100%" fill="{background}"/>{"".join(draw.parts)}</svg>'
    )


class _Pen:
    """Collects the elements of a figure; ``y`` is the height of the part drawn so far."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.ink, self.muted, self.accent = map(figure.css_colour, ("ink", "muted", "accent"))
        self.parts: list[str] = []
        self.y = MARGIN + 20.0

    def bold(self, x: float, y: float, text: str, size: float, family: str = SANS) -> None:
        self.parts.append(_text(x, y, text, size, family, self.ink, weight=600))

    def quiet(self, x: float, y: float, text: str, size: float, more: str = "") -> None:
        self.parts.append(_text(x, y, text, size, SANS, self.muted, more=more))

    def lines(self, text: str, size: float, step: float) -> None:
        """Draw a muted text, wrapped to the figure's width."""
        for line in textwrap.wrap(text, int((WIDTH - 2 * MARGIN) / (size * SANS_ADVANCE))):
            self.quiet(MARGIN, self.y, line, size)
            self.y += step

    def pane(self, pane: Pane, x: float, y: float) -> float:
        """Draw a pane; return the y of its lower end."""
        self.bold(x, y, pane.title, 14)
        for line in textwrap.wrap(pane.subtitle, int(PANE_WIDTH / (13 * SANS_ADVANCE))):
            y += 18
            self.quiet(x, y, line, 13)
        y += 12
        if pane.before:
            self.quiet(x, y + 15, f"… {formats.plural(pane.before, 'token')} left out ", 12)
            y += LINE
        placed, lines = place(pane.drawn)
        for cell, runs in zip(pane.drawn, placed, strict=True):
            if isinstance(cell, Cell):
                self.cell(cell, runs, x, y)
            else:
                self.character(cell, runs, x, y)
        y += lines * LINE
        if pane.after:
            self.quiet(x, y + 15, f"… {formats.plural(pane.after, 'token')} left out", 12)
            y += LINE
        return self.legend(pane, x, y + 14)

    def cell(self, cell: Cell, runs: Sequence[Run], x: float, y: float) -> None:
        fill, ink = self.figure.colours(cell)
        drawn = []
        for run in runs:
            left, top, width = x + run.column * ADVANCE, y + run.line * LINE, run.characters * ADVANCE
            drawn.append(_box(left, top, width, LINE - 4, fill))
            drawn += [*self.marks(cell, left, top, width), _run(run, left, top, width, ink)]
        self.token(cell, drawn)

    def character(self, character: Character, runs: Sequence[Run], x: float, y: float) -> None:
        """Draw a character once, on the mean shade of its tokens, above a stripe of each token's own shade."""
        fill, ink = self.figure.colours(character)
        pieces: list[list[str]] = [[] for _ in character.pieces]
        for run in runs:
            left, top, width = x + run.column * ADVANCE, y + run.line * LINE, run.characters * ADVANCE
            self.parts += [_box(left, top, width, LINE - 4, fill), _run(run, left, top, width, ink)]
            share = width / len(pieces)
            for number, (cell, drawn) in enumerate(zip(character.pieces, pieces, strict=True)):
                start, own = left + number * share, self.figure.colours(cell)[0]
                # The transparent box shows the token's title above its stripe, too.
                drawn.append(_box(start, top, share, LINE - 4, "none", ' pointer-events="all"'))
                drawn += [_box(start, top + LINE - 9, share, 5, own), *self.marks(cell, start, top, share)]
        for cell, drawn in zip(character.pieces, pieces, strict=True):
            self.token(cell, drawn)

    def marks(self, cell: Cell, left: float, top: float, width: float) -> list[str]:
        """The lines of an influential or selected token, and the frame of the chosen one."""
        lines = [(top + LINE - 6, self.ink)] if cell.token.influential else []
        lines += [(edge, self.accent) for edge in (top, top + LINE - 6) if cell.selected]
        drawn = [_box(left, edge, width, 2, colour) for edge, colour in lines]
        if cell.chosen:
            frame = f' rx="3" stroke="{self.accent}" stroke-width="2"'
            drawn.append(_box(left, top, width, LINE - 4, "none", frame))
        return drawn

    def token(self, cell: Cell, drawn: Sequence[str]) -> None:
        """Group what was drawn of a token, with its data."""
        token = cell.token
        marks = {"influential": token.influential, "special": token.special, "sink": token.sink, "chosen": cell.chosen}
        marks["selected"] = cell.selected
        data = "".join(f' data-{name}="true"' for name, on in marks.items() if on)
        self.parts.append(
            f'<g data-position="{token.position}" data-value="{cell.value!r}"{data}><title>{_xml(token.note)}</title>'
            f"{''.join(drawn)}</g>"
        )

    def legend(self, pane: Pane, x: float, y: float) -> float:
        """Draw the ramp, with the numbers of its ends beside and of its middle below; return the y of its lower end."""
        start = x + 8 * len(pane.legend.low) + 8
        # Boxes instead of a gradient: a gradient needs an id, which must be unique in a page that embeds the figure.
        shades = self.figure.ramp(pane)
        for i in range(RAMP_STEPS):
            colour = hexadecimal(_along(shades, i / (RAMP_STEPS - 1)))
            left, wide = start + i * RAMP_WIDTH / RAMP_STEPS, RAMP_WIDTH / RAMP_STEPS + 0.5
            self.parts.append(f'<rect x="{left:.1f}" y="{y:.1f}" width="{wide:.1f}" height="8" fill="{colour}"/>')
        self.quiet(x, y + 8, pane.legend.low, 12)
        self.quiet(start + RAMP_WIDTH + 8, y + 8, pane.legend.high, 12)
        self.quiet(start + RAMP_WIDTH / 2, y + 24, pane.legend.middle, 12, ' text-anchor="middle"')
        return y + 24


def _along(ramp: tuple[Colour, Colour, Colour], share: float) -> Colour:
    """Interpolate between the three colours of a ramp; ``share`` is in [0, 1]."""
    part = min(int(2 * share), 1)
    pairs = zip(ramp[part], ramp[part + 1], strict=True)
    red, green, blue = (round(a + (b - a) * (2 * share - part)) for a, b in pairs)
    return red, green, blue


def _box(x: float, y: float, width: float, height: float, fill: str, more: str = "") -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" fill="{fill}"{more}/>'


def _run(run: Run, left: float, top: float, width: float, ink: str) -> str:
    fitted = f' textLength="{width:.1f}" lengthAdjust="spacingAndGlyphs"' if run.text.strip() else ""
    return _text(left, top + 15, run.text, SIZE, MONO, ink, more=fitted)


def _text(
    x: float, y: float, text: str, size: float, family: str, fill: str, *, weight: int = 400, more: str = ""
) -> str:
    """A text element; ``more`` has further attributes."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="{family}" font-size="{size}" font-weight="{weight}" fill="{fill}" '
        f'xml:space="preserve"{more}>{_xml(text)}</text>'
    )


def _xml(text: str) -> str:
    """Escape a text, with ⇥ for tabs, and the replacement character for characters that XML does not allow."""
    return escape(_NOT_XML.sub("\ufffd", text).replace("\t", "⇥"))

"""A neuron's figure before it is drawn: texts, shades and numbers of the neuron's page in the colours of a theme, and
the limits of its size."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from prunescope.jobs.problems import Problem, bad_field
from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.export.caption import Caption
from prunescope.server.neurons.reading import Cell, Character, Pane, Reading, Shown, read_examples, shown_variants
from prunescope.server.neurons.view import NeuronView
from prunescope.server.site import formats
from prunescope.server.site.palette import Colour, Palette, hexadecimal

RAMPS = {"heat-ramp": (None, "h"), "signed-ramp": ("m", "h"), "difference-ramp": ("l", "g")}
"""css class of a legend -> hues of its ends; None for a legend that begins without a shade."""

MAX_DRAWN_TOKENS = 20_000
"""Of a figure, over all panes and examples."""
MAX_FIGURE_CHARACTERS = 40_000_000
"""Of an SVG or HTML file, estimated."""
MAX_PIXELS = 40_000_000
"""Of a PNG; at 4 bytes per pixel 160 MB."""

CHARACTERS_PER_TOKEN = 600
"""Estimated markup of one token in one pane, without its text and values."""
CHARACTERS_PER_VALUE = 40
VALUES = 3
"""Values written with each token of a pane: dense and pruned in its note, and its own."""
CHARACTERS_PER_LETTER = 20
"""Estimated for one letter of a token, which is written in the text and in the note, and may be escaped."""

COLUMNS = 3
"""Panes side by side in a picture and in LaTeX."""

_SIZE = re.compile(r'<svg [^>]*?width="(\d+)" height="(\d+)"')


@dataclass(frozen=True)
class Row:
    """The panes of one example, each group drawn side by side; ``numbers`` are the lines above the panes."""

    title: str
    numbers: list[str]
    groups: list[tuple[Pane, ...]]

    @property
    def lines(self) -> list[tuple[Pane, ...]]:
        """The panes of each group, COLUMNS in a line."""
        return [group[start : start + COLUMNS] for group in self.groups for start in range(0, len(group), COLUMNS)]


@dataclass(frozen=True)
class Figure:
    """A neuron's texts in one view, and the context of ``neurons/export/figure.html``; ``facts`` is the line below the
    name."""

    document: NeuronDocument
    facts: str
    rows: list[Row]
    palette: Palette
    caption: Caption

    def css_colour(self, name: str) -> str:
        """A colour of the palette, by its name, as ``#rrggbb``."""
        return hexadecimal(getattr(self.palette, name))

    def colours(self, cell: Cell | Character) -> tuple[str, str]:
        """(background, text colour) of a token as ``#rrggbb``; special tokens and sinks are muted and have no shade."""
        shade = self.palette.shade(cell.hue, cell.fraction)
        return hexadecimal(shade), hexadecimal(self.palette.muted if cell.aside else self.palette.text_on(shade))

    def spans(self, pane: Pane) -> Markup:
        """The tokens of a pane as HTML. Not in the template, which takes a third longer for thousands of tokens."""
        return Markup("".join(map(self._span, pane.drawn)))

    def _span(self, cell: Cell | Character) -> str:
        if isinstance(cell, Cell):
            return self._token(cell, "↵\n".join(map(escape, cell.token.parts)))
        fill, letters = self.colours(cell)
        pieces = "".join(self._token(piece, "") for piece in cell.pieces)
        style = f'style="background:{fill};color:{letters}"'
        spaces = f"<span {style}>{cell.spaces}</span>" if cell.spaces else ""
        return f'{spaces}<span class="joined" {style}>{escape(cell.sign)}<b>{pieces}</b></span>'

    def _token(self, cell: Cell, text: str) -> str:
        token, (fill, letters), marks = cell.token, self.colours(cell), cell.marks
        classes = f' class="{" ".join(marks)}"' if marks else ""
        return (
            f'<span{classes} style="background:{fill};color:{letters}" title="{escape(token.note)}" '
            f'data-position="{token.position}" data-value="{cell.value}">{text}</span>'
        )

    def ramp(self, pane: Pane) -> tuple[Colour, Colour, Colour]:
        """The lowest, middle and highest colour of the pane's legend."""
        low, high = RAMPS[pane.legend.ramp]
        if low is None:
            return self.palette.surface, self.palette.shade(high, 0.5), self.palette.shade(high, 1)
        return self.palette.shade(low, 1), self.palette.surface, self.palette.shade(high, 1)

    def css_ramp(self, pane: Pane) -> str:
        """The colours of `ramp` as a css list."""
        return ",".join(map(hexadecimal, self.ramp(pane)))


def neuron_figure(
    neuron: NeuronDocument, view: NeuronView, examples: Sequence[int], palette: Palette, facts: str, caption: Caption
) -> Figure:
    """The figure of some examples, given by their positions in the document. The token at position ``view.token`` is
    marked in every example that is long enough."""
    rows = []
    for place, reading in zip(examples, read_examples(neuron, view, examples), strict=True):
        label = f" · {reading.example.label}" if reading.example.label else ""
        rows.append(Row(f"Example {place + 1} of {len(neuron.examples)}{label}", _numbers(reading), reading.groups()))
    return Figure(neuron, facts, rows, palette, caption)


def _numbers(reading: Reading) -> list[str]:
    """The numbers of `Reading.token`, a line for each shown variant."""
    token = reading.token
    if token is None:
        return []
    named = len(reading.shown) > 1
    head = f"{reading.heading} {token.name}"
    place = f"token {token.position}, id {token.id}"
    lines = [_line(each, token.position) for each in reading.shown]
    if not named:
        return [f"{head}  {lines[0]}  {place}"]
    return [
        f"{head}  {place}",
        *(f"{each.variant.label}:  {line}" for each, line in zip(reading.shown, lines, strict=True)),
    ]


def _line(shown: Shown, place: int) -> str:
    token = shown.tokens[place]
    change = "" if token.change is None else f" ({formats.change(token.change)})"
    values = f"{formats.activation(token.dense)} → {formats.activation(token.pruned)}"
    return f"{values}  {formats.signed(token.difference)}{change}"


def panes_of(neuron: NeuronDocument, view: NeuronView) -> int:
    """The number of panes of each example: the dense model, and each shown variant with its difference."""
    return 1 + 2 * len(shown_variants(neuron, view))


def check_figure(neuron: NeuronDocument, panes: int, examples: Sequence[int], example: int | None) -> None:
    """Raise Problem 422 if the figure of these examples (positions in the document), with so many ``panes`` each, would
    be too large. ``example`` is the index in the query, None for all examples."""
    tokens = panes * sum(len(neuron.examples[place].tokens) for place in examples)
    if tokens > MAX_DRAWN_TOKENS:
        raise _too_large(neuron, example, f"{tokens:,} tokens in all panes", f"{MAX_DRAWN_TOKENS:,}")
    letters = sum(len(token) for place in examples for token in neuron.examples[place].tokens)
    characters = (
        tokens * (CHARACTERS_PER_TOKEN + CHARACTERS_PER_VALUE * VALUES) + panes * CHARACTERS_PER_LETTER * letters
    )
    if characters > MAX_FIGURE_CHARACTERS:
        raise _too_large(neuron, example, f"some {characters:,} characters", f"{MAX_FIGURE_CHARACTERS:,}")


def check_pixels(svg: str, neuron: NeuronDocument, example: int | None) -> None:
    """Raise Problem 422 if the PNG of an SVG would have more than MAX_PIXELS."""
    size = _SIZE.search(svg)
    assert size is not None  # `neuron_svg` writes both first
    width, height = (int(side) for side in size.groups())
    if width * height > MAX_PIXELS:
        raise _too_large(
            neuron, example, f"{width:,} x {height:,} = {width * height:,} pixels", f"{MAX_PIXELS:,} pixels"
        )


def _too_large(neuron: NeuronDocument, example: int | None, size: str, most: str) -> Problem:
    count = len(neuron.examples)
    if example is None and count > 1:
        message = f"a picture of all {count} examples is too large ({size}; at most {most}); choose one with ?example="
    else:
        message = f"a picture of this example is too large ({size}; at most {most}); take heatmap.csv"
    return bad_field("example", example, [str(each.index) for each in neuron.examples], message)

"""A neuron's figure before it is drawn: texts, shades and numbers of the neuron's page in the colours of a theme."""

from collections.abc import Sequence
from dataclasses import dataclass

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.tokens import Cell, Pane, Reading, read_example
from prunescope.server.neurons.view import View
from prunescope.server.site import formats
from prunescope.server.site.palette import Colour, Palette, hexadecimal

RAMPS = {"heat-ramp": (None, "h"), "signed-ramp": ("m", "h"), "difference-ramp": ("l", "g")}
"""css class of a legend -> hues of its ends; None for a legend that begins without a shade."""


@dataclass(frozen=True)
class Row:
    """The panes of one example, drawn side by side; ``numbers`` is the line above the panes."""

    title: str
    numbers: str
    panes: tuple[Pane, ...]


@dataclass(frozen=True)
class Figure:
    """A neuron's texts in one view, and the context of ``neurons/export/figure.html``; ``facts`` is the line below the
    name."""

    document: NeuronDocument
    facts: str
    rows: list[Row]
    palette: Palette

    def css_colour(self, name: str) -> str:
        """A colour of the palette, by its name, as ``#rrggbb``."""
        return hexadecimal(getattr(self.palette, name))

    def colours(self, cell: Cell) -> tuple[str, str]:
        """(background, text colour) of a token as ``#rrggbb``; special tokens are muted and have no shade."""
        shade = self.palette.shade(cell.hue, cell.fraction)
        return hexadecimal(shade), hexadecimal(
            self.palette.muted if cell.token.special else self.palette.text_on(shade)
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


def neuron_figure(neuron: NeuronDocument, view: View, examples: Sequence[int], palette: Palette, facts: str) -> Figure:
    """The figure of some examples, given by their positions in the document. The token at position ``view.token`` is
    marked in every example that is long enough."""
    rows = []
    for place in examples:
        reading = read_example(neuron, view, place)
        label = f" · {reading.example.label}" if reading.example.label else ""
        rows.append(Row(f"Example {place + 1} of {len(neuron.examples)}{label}", _numbers(reading), reading.panes()))
    return Figure(neuron, facts, rows, palette)


def _numbers(reading: Reading) -> str:
    """The line of numbers of `Reading.token`."""
    token = reading.token
    if token is None:
        return ""
    title = "Chosen" if token is reading.chosen else "Most telling"
    values = f"{formats.activation(token.dense)} → {formats.activation(token.pruned)}"
    change = "" if token.change is None else f" ({formats.change(token.change)})"
    difference = f"{formats.signed(token.difference)}{change}"
    return f"{title} {token.name}  {values}  {difference}  token {token.position}, id {token.id}"

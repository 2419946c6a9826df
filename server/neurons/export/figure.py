"""A neuron's figure before it is drawn: the page's own panes and numbers with the colours of a theme."""

from collections.abc import Sequence
from dataclasses import dataclass

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.tokens import Cell, Pane, Reading, read_example
from prunescope.server.neurons.view import View
from prunescope.server.site import formats
from prunescope.server.site.palette import Colour, Palette, hexadecimal

RAMPS = {"heat-ramp": (None, "h"), "signed-ramp": ("m", "h"), "difference-ramp": ("l", "g")}
"""A legend's css class -> the hues of its ends; None where the end has no shade."""


@dataclass(frozen=True)
class Row:
    """The panes of one example, side by side; ``told`` is the line of numbers above them."""

    title: str
    told: str
    panes: tuple[Pane, ...]


@dataclass(frozen=True)
class Figure:
    """A neuron as one view shows it; ``facts`` is the line of numbers under its name."""

    document: NeuronDocument
    facts: str
    rows: list[Row]
    palette: Palette


def neuron_figure(neuron: NeuronDocument, view: View, examples: Sequence[int], palette: Palette, facts: str) -> Figure:
    """The figure of some examples, given by their places in the document; ``view.token`` is marked in each of them that
    has it."""
    rows = []
    for place in examples:
        reading = read_example(neuron, view, place)
        label = f" · {reading.example.label}" if reading.example.label else ""
        rows.append(Row(f"Example {place + 1} of {len(neuron.examples)}{label}", _told(reading), reading.panes()))
    return Figure(neuron, facts, rows, palette)


def _told(reading: Reading) -> str:
    token = reading.told
    if token is None:
        return ""
    title = "Chosen" if token is reading.chosen else "Most telling"
    values = f"{formats.activation(token.dense)} → {formats.activation(token.pruned)}"
    change = "" if token.change is None else f" ({formats.change(token.change)})"
    difference = f"{formats.signed(token.difference)}{change}"
    return f"{title} {token.name}  {values}  {difference}  token {token.position}, id {token.id}"


def note(cell: Cell) -> str:
    """Everything about a token in one line."""
    token = cell.token
    return (
        f"{token.name} token {token.position}, id {token.id}: dense {formats.activation(token.dense)}, pruned "
        f"{formats.activation(token.pruned)}, {formats.signed(token.difference)}; raw: dense {token.dense_raw!r}, "
        f"pruned {token.pruned_raw!r}"
    )


def left_out(pane: Pane) -> tuple[str, str]:
    """How many tokens the window leaves out before and after the pane's text; empty where it leaves out none."""
    before, after = (f"{formats.plural(number, 'token')} left out" for number in (pane.before, pane.after))
    return f"… {before} " if pane.before else "", f" … {after}" if pane.after else ""


def colours(cell: Cell, palette: Palette) -> tuple[str, str]:
    """(background, text) of a token; a special one is not shaded, and its text is muted."""
    shade = palette.shade(cell.hue, cell.fraction)
    return hexadecimal(shade), hexadecimal(palette.muted if cell.token.special else palette.text_on(shade))


def ramp(pane: Pane, palette: Palette) -> tuple[Colour, Colour, Colour]:
    """The colours of the pane's legend: lowest, middle, highest."""
    low, high = RAMPS[pane.legend.ramp]
    if low is None:
        return palette.surface, palette.shade(high, 0.5), palette.shade(high, 1)
    return palette.shade(low, 1), palette.surface, palette.shade(high, 1)

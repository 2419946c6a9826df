"""A neuron's figure before it is drawn: the page's own panes and numbers with the colours of a theme."""

from collections.abc import Sequence
from dataclasses import dataclass

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.tokens import Cell, Pane, Reading, read_example
from prunescope.server.neurons.view import View
from prunescope.server.site import formats
from prunescope.server.site.palette import Palette, hexadecimal

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
    """A neuron as one view shows it."""

    name: str
    label: str
    facts: str
    rows: tuple[Row, ...]
    provenance: str
    palette: Palette


def neuron_figure(neuron: NeuronDocument, view: View, examples: Sequence[int], palette: Palette, facts: str) -> Figure:
    """The figure of some examples, given by their places in the document; ``view.token`` is marked in each of them that
    has it."""
    rows = tuple(_row(neuron, view, place) for place in examples)
    return Figure(neuron.name, neuron.label, facts, rows, neuron.provenance, palette)


def _row(neuron: NeuronDocument, view: View, place: int) -> Row:
    reading = read_example(neuron, view, place)
    label = f" · {reading.example.label}" if reading.example.label else ""
    return Row(f"Example {place + 1} of {len(neuron.examples)}{label}", _told(reading), reading.panes())


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


def ramp(pane: Pane, palette: Palette) -> tuple[str, str, str]:
    """The colours of the pane's legend: lowest, middle, highest."""
    low, high = RAMPS[pane.legend.ramp]
    ends = [palette.shade(hue, 1) if hue else palette.surface for hue in (low, high)]
    middle = palette.surface if low else palette.shade("h", 0.5)
    return hexadecimal(ends[0]), hexadecimal(middle), hexadecimal(ends[1])

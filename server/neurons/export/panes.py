"""A neuron's figure before it is drawn: the page's view as panes of coloured tokens, for SVG, PNG and HTML.

Everything is the page's own: the same panes, scales, windows, marks and numbers (``server/neurons/tokens.py``), in the
colours of the same theme.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prunescope.server.neurons.documents import NeuronDocument
from prunescope.server.neurons.tokens import Pane as TextPane
from prunescope.server.neurons.tokens import (
    Reading,
    TokenSpan,
    make_panes,
    most_telling,
    read_example,
    scales_of,
    tell,
)
from prunescope.server.neurons.view import View
from prunescope.server.site import formats
from prunescope.server.site.palette import Palette, Scale, hexadecimal
from prunescope.server.site.parts import Legend

RAMPS = {"heat-ramp": (None, "h"), "signed-ramp": ("m", "h"), "difference-ramp": ("l", "g")}
"""A legend's css class -> the hues of its ends; None where the end has no shade."""


@dataclass(frozen=True)
class Cell:
    """One token in one pane."""

    position: int
    parts: tuple[str, ...]  # its text between newlines
    value: float  # what the pane shows of it: the activation as the view transforms it, or the difference
    fill: str
    ink: str
    influential: bool
    special: bool
    chosen: bool
    note: str  # everything about the token, in words


@dataclass(frozen=True)
class Pane:
    """Dense, pruned, or their difference over the tokens of one example; ``before`` and ``after`` say how many tokens
    the window leaves out."""

    title: str
    subtitle: str
    legend: Legend
    ramp: tuple[str, str, str]  # the legend's colours: lowest, middle, highest
    cells: tuple[Cell, ...]
    before: str
    after: str


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
    rows = tuple(_row(neuron, view, place, palette) for place in examples)
    return Figure(neuron.name, neuron.label, facts, rows, neuron.provenance, palette)


def _row(neuron: NeuronDocument, view: View, place: int, palette: Palette) -> Row:
    dense = neuron.variants[0]
    pruned = next(variant for variant in neuron.variants if variant.name == view.variant)
    reading = read_example(neuron.examples[place], dense, pruned, place, view.activation)
    example = reading.example
    chosen = view.token if view.token is not None and view.token < len(example.tokens) else None
    titles = (("Dense", dense.label), ("Pruned", pruned.label), ("Difference", formats.AGAINST_DENSE))
    panes = make_panes(reading, view, titles, chosen)
    label = f" · {example.label}" if example.label else ""
    return Row(
        title=f"Example {place + 1} of {len(neuron.examples)}{label}",
        told=_told(reading, chosen),
        panes=tuple(
            _pane(pane, reading, values, scale, chosen, palette)
            for pane, values, scale in zip(
                panes, (reading.dense, reading.pruned, reading.difference), scales_of(reading, view), strict=True
            )
        ),
    )


def _told(reading: Reading, chosen: int | None) -> str:
    place = chosen if chosen is not None else most_telling(reading)
    if place is None:
        return ""
    told = tell(reading, place, "Chosen" if chosen is not None else "Most telling")
    percent = f" ({told.percent})" if told.percent else ""
    return f"{told.title} {told.token}  {told.dense} → {told.pruned}  {told.difference}{percent}  {told.place}"


def _pane(
    pane: TextPane, reading: Reading, values: Sequence[float], scale: Scale, chosen: int | None, palette: Palette
) -> Pane:
    low, high = RAMPS[pane.legend.ramp]
    ends = [palette.shade(hue, 1) if hue else palette.surface for hue in (low, high)]
    middle = palette.surface if low else palette.shade("h", 0.5)
    hues = "lg" if pane.key == "difference" else "mh"
    return Pane(
        title=pane.title,
        subtitle=pane.subtitle,
        legend=pane.legend,
        ramp=(hexadecimal(ends[0]), hexadecimal(middle), hexadecimal(ends[1])),
        cells=tuple(
            _cell(span, reading, values[span.position], scale, hues, span.position == chosen, palette)
            for span in pane.spans
        ),
        before=f"… {pane.before} " if pane.before else "",
        after=f" … {pane.after}" if pane.after else "",
    )


def _cell(
    span: TokenSpan, reading: Reading, value: float, scale: Scale, hues: str, chosen: bool, palette: Palette
) -> Cell:
    place = span.position
    special = reading.example.special[place]
    # A special token is outside of the scale: it is not shaded, and its text is quiet.
    shade = palette.surface if special else palette.shade(hues[value >= 0], scale.fraction(value))
    return Cell(
        position=place,
        parts=span.parts,
        value=value,
        fill=hexadecimal(shade),
        ink=hexadecimal(palette.muted if special else palette.text_on(shade)),
        influential=reading.example.influential[place],
        special=special,
        chosen=chosen,
        note=_note(reading, place),
    )


def _note(reading: Reading, place: int) -> str:
    told = tell(reading, place, "")
    raw = f"raw: dense {reading.dense_raw[place]!r}, pruned {reading.pruned_raw[place]!r}"
    return f"{told.token} {told.place}: dense {told.dense}, pruned {told.pruned}, {told.difference}; {raw}"

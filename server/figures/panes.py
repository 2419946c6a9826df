"""A neuron's figure before it is drawn: panes of coloured tokens. SVG, PNG and HTML are all made from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

from server.documents import Example, NeuronDocument

HEAT = (11, 110, 105)
GAIN = (33, 102, 172)
LOSS = (203, 90, 16)
WHITE = (255, 255, 255)
INK, PALE_INK = "#1b1f23", "#ffffff"

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Cell:
    """One token in one pane."""

    position: int
    text: str  # as it is shown: a newline is its mark
    breaks: bool  # the line ends after it
    value: float
    fill: str
    ink: str
    influential: bool
    special: bool
    note: str  # everything about the token, in words


@dataclass(frozen=True)
class Pane:
    """One variant, or a pruned variant minus dense, over the tokens of one example."""

    title: str
    subtitle: str
    lowest: float  # the ends of the colour scale
    highest: float
    ramp: tuple[str, ...]  # its colours, lowest first
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Row:
    """The panes of one example, side by side."""

    title: str
    panes: tuple[Pane, ...]


def figure_rows(neuron: NeuronDocument, examples: Sequence[int]) -> list[Row]:
    """Dense, each pruned variant, and each difference, on scales that all panes of the figure share."""
    plain = {i: [not special for special in neuron.examples[i].special] for i in examples}

    def top(values: Mapping[int, Sequence[float]]) -> float:
        # A special token (the first one above all) can be a hundred times the rest: it neither scales nor is shaded.
        return max((abs(v) for i in examples for v in compress(values[i], plain[i])), default=0.0)

    largest = max(top(dict(enumerate(variant.activations))) for variant in neuron.variants)
    dense, *pruned = neuron.variants
    gaps = {v.name: {i: _minus(v.activations[i], dense.activations[i]) for i in examples} for v in pruned}
    widest = max((top(gap) for gap in gaps.values()), default=0.0)
    signed = any(v < 0 for variant in neuron.variants for i in examples for v in variant.activations[i])
    rows = []
    for index in examples:
        example = neuron.examples[index]
        notes = _notes(neuron, example, index)
        panes = [
            Pane(
                title="Dense" if variant is dense else "Pruned",
                subtitle=variant.label,
                lowest=-largest if signed else 0.0,
                highest=largest,
                ramp=_ramp(LOSS, HEAT) if signed else (mix(HEAT, 0), mix(HEAT, 1)),
                cells=_cells(example, variant.activations[index], largest, HEAT, LOSS, notes),
            )
            for variant in neuron.variants
        ]
        panes += [
            Pane(
                title="Difference",
                subtitle=f"{variant.label} − dense",
                lowest=-widest,
                highest=widest,
                ramp=_ramp(LOSS, GAIN),
                cells=_cells(example, gaps[variant.name][index], widest, GAIN, LOSS, notes),
            )
            for variant in pruned
        ]
        label = f" · {example.label}" if example.label else ""
        rows.append(Row(title=f"Example {example.index}{label}", panes=tuple(panes)))
    return rows


def mix(colour: Colour, share: float) -> str:
    """White with ``share`` of the colour, as #rrggbb."""
    return "#" + "".join(f"{round(w + (c - w) * share):02x}" for w, c in zip(WHITE, colour, strict=True))


def number(value: float) -> str:
    """A number for people: four decimals, more digits where they would say nothing."""
    text = f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.2e}"
    return text.replace("-", "−")


def shown(token: str) -> str:
    """A token as the figure shows it: a newline by its mark, a word piece's mark as the space it stands for."""
    return token.replace("\n", "↵").replace("\t", "⇥").replace("\r", "␍").replace("▁", " ")


def _ramp(below: Colour, above: Colour) -> tuple[str, ...]:
    return (mix(below, 1), mix(WHITE, 0), mix(above, 1))


def _cells(
    example: Example, values: Sequence[float], top: float, above: Colour, below: Colour, notes: Sequence[str]
) -> tuple[Cell, ...]:
    cells = []
    for position, (token, value) in enumerate(zip(example.tokens, values, strict=True)):
        share = min(1.0, abs(value) / top) if top and not example.special[position] else 0.0
        cells.append(
            Cell(
                position=position,
                text=shown(token),
                breaks="\n" in token,
                value=value,
                fill=mix(below if value < 0 else above, share),
                ink=PALE_INK if share > 0.6 else INK,
                influential=example.influential[position],
                special=example.special[position],
                note=notes[position],
            )
        )
    return tuple(cells)


def _notes(neuron: NeuronDocument, example: Example, index: int) -> list[str]:
    notes = []
    for position, token in enumerate(example.tokens):
        values = [f"{v.name} {v.activations[index][position]!r}" for v in neuron.variants]
        notes.append(f"“{token}” token {position}, id {example.token_ids[position]}: {', '.join(values)}")
    return notes


def _minus(pruned: Sequence[float], dense: Sequence[float]) -> list[float]:
    return [p - d for p, d in zip(pruned, dense, strict=True)]

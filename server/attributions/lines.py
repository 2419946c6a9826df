"""Lines of an attribution's tables: neurons, words, controls, layers, texts."""

from collections.abc import Callable
from dataclasses import dataclass

from prunescope.server.attributions.documents import ControlsRow, ExampleSummary, LayerRow, NeuronRow, WordRow
from prunescope.server.site import formats
from prunescope.server.site.documents import Link
from prunescope.store.attributions.documents import LeftOut

Neuron = Callable[[str], str]
"""A neuron's address -> the same in its most telling text, seen in the variant that the page speaks of."""


@dataclass(frozen=True)
class WordChip:
    word: str
    lost: str
    href: str
    current: bool


@dataclass(frozen=True)
class NeuronLine:
    name: str
    href: str
    rank: str
    score: str
    word: str
    lost: str
    share: int
    direction: str


@dataclass(frozen=True)
class WordLine:
    word: str
    href: str
    lost: str
    within: str
    share: int
    direction: str
    neurons: str
    best: Link | None


@dataclass(frozen=True)
class ControlLine:
    variant: str
    rows: tuple[tuple[str, str, str], ...]
    verdict: str


@dataclass(frozen=True)
class LayerLine:
    name: str
    href: str
    ranked: str
    score: str
    lost: str
    within: str
    best: Link | None


@dataclass(frozen=True)
class TextLine:
    label: str
    text: str
    words: tuple[str, ...]
    dropped: str
    answer: str | None


def neuron_line(row: NeuronRow, neuron: Neuron) -> NeuronLine:
    """A neuron with what its word lost."""
    return NeuronLine(
        name=row.name,
        href=neuron(row.href),
        rank=formats.count(row.rank),
        score=formats.decimal(row.score),
        word=row.word or formats.NOTHING,
        lost=lost(row.drop),
        share=_share(row.drop),
        direction=_direction(row.drop),
    )


def word_line(row: WordRow, href: str, neuron: Neuron) -> WordLine:
    """What a word lost, over the best neurons on it."""
    low, high = row.low, row.high
    within = "" if low is None or high is None else formats.span(-high, -low)
    best = Link(label=row.best.name, href=neuron(row.best.href)) if row.best else None
    return WordLine(
        row.word,
        href,
        lost(row.drop),
        within,
        _share(row.drop),
        _direction(row.drop),
        formats.count(row.neurons),
        best,
    )


def control_line(row: ControlsRow) -> ControlLine:
    """The top neurons of a variant beside both controls."""
    groups = (("top neurons", row.matched), ("like activation", row.like), ("random, same layers", row.random))
    rows = tuple((label, lost(group.value), formats.within(group)) for label, group in groups)
    beyond = row.over_like.low is not None and row.over_like.low > 0
    verdict = (
        "The top neurons fell further than neurons of like activation: the interval of the difference excludes zero."
        if beyond
        else "The top neurons did not fall clearly further than neurons of like activation."
    )
    return ControlLine(row.variant.label, rows, verdict)


def layer_line(row: LayerRow, neuron: Neuron) -> LayerLine:
    """A layer, by the means of its top neurons."""
    best = Link(label=row.best.name, href=neuron(row.best.href)) if row.best else None
    over = row.over_like
    return LayerLine(
        f"Layer {row.layer}",
        row.href,
        formats.count(row.ranked),
        formats.decimal(row.score),
        lost(row.drop),
        "" if over is None else formats.within(over),
        best,
    )


def text_line(example: ExampleSummary) -> TextLine:
    """A text with its words and what the model answered; its number counts from 1, left-out ones too."""
    number = example.index + 1
    label = f"{number} · {example.label}" if example.label else str(number)
    if example.model_label:
        label += ", as the dense model answers"
    dropped = ""
    if example.dropped:
        dropped = f"named but not in the text: {', '.join(example.dropped)}"
    elif not example.words:
        dropped = "no influential word"
    return TextLine(label, example.text, tuple(example.words), dropped, example.answer)


def left_out_line(text: LeftOut) -> TextLine:
    """The start of a text that was not used, and why."""
    return TextLine(str(text.text + 1), text.start, (), f"left out: {text.reason}", None)


def lost(drop: float | None) -> str:
    """A drop as it is shown, also where there is none."""
    return formats.lost(drop) if drop is not None else formats.NOTHING


def _share(drop: float | None) -> int:
    return 0 if drop is None else round(100 * min(1.0, abs(drop)))


def _direction(drop: float | None) -> str:
    return "gain" if drop is not None and drop < 0 else "loss"

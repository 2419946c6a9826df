"""The cards below a neuron's text: its words, what pruning took from its weights, and whether others fell as far."""

from dataclasses import dataclass

from prunescope.server.neurons.documents import NeuronControls, NeuronDocument, Variant
from prunescope.server.neurons.tokens import Reading
from prunescope.server.site import formats
from prunescope.store.attributions.documents import MaskedFraction

MAX_WORDS = 12


@dataclass(frozen=True)
class WordLine:
    """One word of the table: the bar's ``share`` (0 to 100) is what was lost, or gained."""

    word: str
    dense: str
    pruned: str
    percent: str
    share: int
    direction: str  # "loss" or "gain"


@dataclass(frozen=True)
class WeightMeter:
    label: str
    percent: int
    value: str


@dataclass(frozen=True)
class Special:
    label: str
    value: str
    within: str


def word_lines(document: NeuronDocument, reading: Reading, pruned: Variant) -> tuple[tuple[WordLine, ...], str]:
    """The words of the text that is shown, or of all texts where it has none; what lost most comes first."""
    here = [
        (
            word.word,
            sum(reading.dense[place] for place in word.positions) / len(word.positions),
            sum(reading.pruned[place] for place in word.positions) / len(word.positions),
        )
        for word in reading.example.words
        if word.positions
    ]
    everywhere = [
        (word.word, before, after)
        for word in document.words
        if (before := word.values.get("dense")) is not None and (after := word.values.get(pruned.name)) is not None
    ]
    rows = sorted(here or everywhere, key=lambda row: row[2] - row[1])
    lines = tuple(_word_line(*row) for row in rows[:MAX_WORDS])
    left = len(rows) - len(lines)
    note = "in this text" if here else "in all texts"
    return lines, f"{note}, {left} more not shown" if left else note


def _word_line(word: str, before: float, after: float) -> WordLine:
    relative = None if before <= 0 else (after - before) / before
    share = 0 if relative is None else round(100 * min(1.0, abs(relative)))
    return WordLine(
        word,
        formats.activation(before),
        formats.activation(after),
        formats.change(relative),
        share,
        "loss" if after <= before else "gain",
    )


def weight_meters(masked: MaskedFraction | None) -> tuple[WeightMeter, ...]:
    """The bars of "Why it fell"."""
    if masked is None:
        return ()
    parts = (("gate, up rows", masked.incoming), ("down column", masked.outgoing))
    return tuple(
        WeightMeter(label, round(100 * share), formats.percent(share)) for label, share in parts if share is not None
    )


def weights_note(masked: MaskedFraction | None) -> str:
    """What those bars mean."""
    if masked is None or (masked.incoming is None and masked.outgoing is None):
        return "Which of this neuron's own weights were removed was not recorded."
    return (
        "of this neuron's own weights were removed. Where that is no more than the model's sparsity, "
        "what it lost comes mostly from the layers before it."
    )


def special_rows(document: NeuronDocument, controls: NeuronControls | None) -> tuple[Special, ...]:
    """The rows of "Is it special?"."""
    if controls is None:
        return ()
    groups = (
        ("top neurons", controls.matched),
        ("like activation", controls.like_activation),
        ("random, same layers", controls.random),
    )
    own = "" if controls.interval is None else formats.span(-controls.interval[1], -controls.interval[0])
    rows = [Special(document.name, formats.lost(controls.drop), own)]
    rows += [Special(label, formats.lost(group.value), formats.within(group)) for label, group in groups]
    return tuple(rows)


def specials_note(controls: NeuronControls | None) -> str:
    """How many neurons stand behind those rows."""
    if controls is None:
        return "Nothing was drawn to compare it with."
    return (
        f"Pooled change on their own words: {formats.count(controls.matched.neurons)} top neurons, "
        f"{formats.count(controls.like_activation.neurons)} of like activation, "
        f"{formats.count(controls.random.neurons)} drawn at random; 95 % interval{_over(controls.matched.texts)}."
    )


def _over(texts: int | None) -> str:
    return "" if texts is None else f" over {formats.plural(texts, 'text')}"

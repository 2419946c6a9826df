"""Context of a neuron's page (Figure 1 of arXiv 2503.01542); the address has the complete view."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log1p
from typing import Any

from prunescope.server import urls
from prunescope.server.attributions.own_text import TextPanel
from prunescope.server.corpora.page import DoesCard
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.queries import CALIBRATED
from prunescope.server.neurons.tokens import Reading, default_example, read_example, token_rows
from prunescope.server.neurons.verdict import Part, origin_of_p, verdict
from prunescope.server.neurons.view import (
    ACTIVATIONS,
    CURVES,
    SCALES,
    WINDOWS,
    View,
    example_picker,
    read_view,
    variant_picker,
    view_state,
)
from prunescope.server.neurons.why import WhyCard, why_card
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Fact, Href, Option, Picker, picker
from prunescope.store.attributions.documents import Spread

TELLING = "telling"
"""The value of `example` for the default text, in addresses of older versions."""
TAIL = 10
"""p is of a fitted tail if fewer draws than this reach the observed value (`nsa/significance.py`)."""
BAR_GAP = 0.14
"""Distance between the bars of two bins, as a share of a bin's width."""


@dataclass(frozen=True)
class WordLine:
    """The neuron's mean activations on a word; ``change`` is relative to the dense model."""

    word: str
    dense: float
    pruned: float

    @property
    def change(self) -> float | None:
        return None if self.dense <= 0 else (self.pruned - self.dense) / self.dense


@dataclass(frozen=True)
class SpreadCard:
    """The context of ``neurons/spread.html``: for each model the bars (x, y, width, height) of all bins, in percent of
    the drawing. ``edges`` are the bins' limits, ``zero`` is the x of activation 0, None if it is outside the bins."""

    dense: Spread
    pruned: Spread
    edges: list[tuple[float, float]]
    bars: list[list[tuple[str, ...]]]
    zero: str | None


@dataclass(frozen=True)
class NeuronPage:
    """The context of ``neurons/neuron.html``."""

    frame: Frame
    document: NeuronDocument
    query: str  # the view as the query of links to other neurons
    verdict: list[Part]
    chips: list[Option]
    facts: list[Fact]
    toggles: tuple[Picker, ...]
    menus: tuple[Picker, ...]
    file_query: str
    json_href: str
    reading: Reading
    why: WhyCard | None
    answering_href: str
    words: list[WordLine]
    words_here: bool  # ``words`` are the shown text's, else those of all texts
    spread: SpreadCard | None
    does: DoesCard
    data: dict[str, object]
    own: TextPanel


def default_view(document: NeuronDocument, variant: str | None = None) -> View:
    """The view without a query, or with one that only names a pruned variant (None or unknown: the first one): the
    text with the largest loss on the neuron's own word in this variant."""
    names = [each.name for each in document.variants[1:]]
    chosen = variant if variant in names else names[0]
    return View(example=default_example(document, chosen), variant=names[0], activation=document.activation)


def neuron_view(document: NeuronDocument, query: Mapping[str, str], *, every: bool = False) -> View:
    """Parse the query of a neuron's page, or of a figure of ``every`` example, whose token may be in any of them.
    Problem 422 for a wrong value."""
    lengths = {example.index: len(example.tokens) for example in document.examples}
    # `example=telling` is the default.
    spelled = {key: value for key, value in query.items() if (key, value) != ("example", TELLING)}
    return read_view(
        spelled,
        examples=[default_view(document, query.get("variant")).example, *lengths],
        variants=[variant.name for variant in document.variants[1:]],
        activation=document.activation,
        tokens=lambda example: max(lengths.values()) if every else lengths[example],
    )


def neuron_page(
    document: NeuronDocument, view: View, frame: Frame, here: str, own: TextPanel, does: DoesCard
) -> NeuronPage:
    """The context of a neuron's page. ``here`` is the path in the browser: the page's, or a share link's. ``does``:
    what the neuron does over a corpus."""
    place = next(place for place, example in enumerate(document.examples) if example.index == view.example)
    reading = read_example(document, view, place)
    token = reading.token

    def href(**changes: Any) -> str:
        return urls.with_state(here, **_state(document, replace(view, **changes)))

    examples = example_picker(document.examples, view.example, lambda example: href(example=example.index, token=None))
    label = reading.example.label
    activations = tuple(
        Option(name, href(activation=name), name == view.activation, note) for name, note in ACTIVATIONS.items()
    )
    files = {
        **_state(document, replace(view, show="all")),
        "example": view.example,
        "variant": view.variant,
        "activation": view.activation,
    }
    return NeuronPage(
        frame=frame,
        document=document,
        query=urls.with_state("", **_state(document, view)),
        verdict=verdict(document, reading.pruned),
        chips=_chips(document, href),
        facts=_facts(document, reading.pruned),
        toggles=(
            picker("Scale", SCALES, view.scale, lambda scale: href(scale=scale)),
            picker("Curve", CURVES, view.curve, lambda curve: href(curve=curve)),
            picker("Text", WINDOWS, view.window, lambda window: href(window=window)),
        ),
        menus=(
            replace(examples, shown=f"{examples.shown} · {label}") if label else examples,
            *variant_picker(document.variants, view.variant, lambda variant: href(variant=variant)),
            Picker("Activation", view.activation, activations),
        ),
        file_query=urls.with_state("", **files),
        json_href=urls.api(document.href),
        reading=reading,
        why=why_card(document, reading.pruned),
        answering_href=urls.answering(
            document.attribution, example=view.example, token=None if token is None else token.position
        ),
        words=_words(document, reading),
        words_here=any(word.positions for word in reading.example.words),
        spread=_spread_card(document, reading.pruned),
        does=does,
        data={
            "rows": token_rows(reading),
            "chosen": None if reading.chosen is None else reading.chosen.position,
            "neuron": document.name,
            "panes": ["dense", "pruned", "difference", *reading.cause_scales],
        },
        own=own,
    )


def _state(document: NeuronDocument, view: View) -> dict[str, str | int | None]:
    """The query parameters of a view: values that are not the defaults of its variant."""
    return view_state(view, default_view(document, view.variant))


def _words(document: NeuronDocument, reading: Reading) -> list[WordLine]:
    """The words of the shown text, or of all texts if the shown one has no words; largest loss first."""
    tokens = reading.tokens
    here = [
        WordLine(
            word.word,
            sum(tokens[place].dense for place in word.positions) / len(word.positions),
            sum(tokens[place].pruned for place in word.positions) / len(word.positions),
        )
        for word in reading.example.words
        if word.positions
    ]
    everywhere = [
        WordLine(word.word, before, after)
        for word in document.words
        if (before := word.values.get("dense")) is not None
        and (after := word.values.get(reading.pruned.name)) is not None
    ]
    return sorted(here or everywhere, key=lambda row: row.pruned - row.dense)


def _chips(document: NeuronDocument, href: Href) -> list[Option]:
    """The neuron's own word and the two words with the next highest activations, with links to their first texts."""
    strongest = sorted(document.words, key=lambda word: -(word.values.get("dense") or 0.0))
    names = [word for word in [document.word, *(entry.word for entry in strongest)] if word]
    where = {
        word.word: (example.index, word.positions[0])
        for example in reversed(document.examples)
        for word in example.words
        if word.positions
    }
    return [
        Option(name, href(example=where[name][0], token=where[name][1]), False)
        for name in dict.fromkeys(names)
        if name in where
    ][:3]


def _facts(document: NeuronDocument, pruned: Variant) -> list[Fact]:
    facts = [Fact("Score", formats.decimal(document.score))]
    if document.lift is not None:
        facts.append(Fact("lift", f"{formats.decimal(document.lift, 1)}{formats.TIMES}"))
    if document.p_value is not None:
        shown = formats.decimal(document.p_value) if document.p_value >= 0.001 else f"{document.p_value:.1g}"
        draws = 1 + (document.placebo or document.permutations)
        tail = document.format >= CALIBRATED and document.p_value * draws < TAIL + 0.5
        facts.append(Fact("p", shown, f"from {'the fitted tail of ' if tail else ''}{origin_of_p(document)}"))
    if document.q_value is not None:
        method = "Benjamini-Hochberg" if document.format >= CALIBRATED else "normal tail"
        facts.append(Fact("q", formats.activation(document.q_value), f"{method}, over all neurons"))
    if document.rank is not None:
        facts.append(Fact("rank", formats.count(document.rank), f"of {formats.count(document.neuron_count)}"))
    drop = document.drops.get(pruned.name)
    if document.word is not None and drop is not None:
        facts.append(Fact(f"on “{document.word}”", formats.lost(drop), "after pruning", "drop"))
    return facts


def _spread_card(document: NeuronDocument, pruned: Variant) -> SpreadCard | None:
    """The histograms of the dense model and of ``pruned``; None if the attribution has none (format 1)."""
    dense, own = document.spread.get("dense"), document.spread.get(pruned.name)
    if dense is None or own is None:
        return None
    low, high, bins = dense.minimum, dense.maximum, len(dense.histogram)
    step = (high - low) / bins
    highest = log1p(max(*dense.histogram, *own.histogram, 1))
    return SpreadCard(
        dense=dense,
        pruned=own,
        edges=list(pairwise(low + step * place for place in range(bins + 1))),
        bars=[
            [_bar(place, bins, side, 100 * log1p(count) / highest) for place, count in enumerate(spread.histogram)]
            for side, spread in enumerate((dense, own))
        ],
        zero=f"{100 * -low / (high - low):.2f}%" if low < 0 < high else None,
    )


def _bar(place: int, bins: int, side: int, height: float) -> tuple[str, ...]:
    width = 100 / bins
    x = width * (place + BAR_GAP / 2 + side * (1 - BAR_GAP) / 2)
    return tuple(f"{value:.2f}%" for value in (x, 100 - height, width * (1 - BAR_GAP) / 2, height))


def file_facts(document: NeuronDocument, view: View) -> str:
    """The line below the name in an exported figure: the facts of the page, and the settings of the view."""
    pruned = next(variant for variant in document.variants if variant.name == view.variant)
    facts = [" ".join(filter(None, (fact.before, fact.strong, fact.after))) for fact in _facts(document, pruned)]
    settings = [view.activation, SCALES[view.scale], CURVES[view.curve], WINDOWS[view.window]]
    return " · ".join([*facts, *filter(None, [document.not_ranked]), *settings])

"""Context of a neuron's page (Figure 1 of arXiv 2503.01542); the address has the complete view."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log1p
from typing import Any

from prunescope.jobs.problems import bad_field, unknown_name
from prunescope.server import urls
from prunescope.server.attributions.own_text import TextPanel
from prunescope.server.corpora.page import DoesCard
from prunescope.server.neurons.documents import NeuronDocument, Variant
from prunescope.server.neurons.queries import CALIBRATED
from prunescope.server.neurons.reading import (
    Reading,
    other_rows,
    pane_keys,
    read_examples,
    shown_variants,
    token_rows,
)
from prunescope.server.neurons.span import SpanSums, span_sums
from prunescope.server.neurons.tokens import Token, default_example
from prunescope.server.neurons.verdict import Part, origin_of_p, verdict
from prunescope.server.neurons.view import (
    ACTIVATIONS,
    BREAKS,
    CURVES,
    NEURON_SCALES,
    PROMPTS,
    WINDOWS,
    NeuronView,
    example_picker,
    read_neuron_view,
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
PANELS = {
    "verdict": "what it responds to and what pruning took",
    "facts": "Score, p, q, rank",
    "numbers": "the numbers of the shown token",
    "texts": "the panes",
    "table": "the panes as a table",
    "words": "influential words, why it changed, control neurons",
    "causes": "own weights, upstream, next token",
    "distribution": "the histogram of activations",
}
"""Name of a panel that an embedded view can show -> its contents."""
EMBEDDED = ("numbers", "texts")
"""The panels of an embedded view that does not name any."""
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

    def marks(self, token: Token) -> tuple[float, float] | None:
        """The x of a token's raw activations in both models, in percent; None for a token that is not
        counted. A value outside of the bins is at the edge."""
        low, high = self.dense.minimum, self.dense.maximum
        if token.aside or high <= low:
            return None
        first, second = (100 * (value - low) / (high - low) for value in (token.dense_raw, token.pruned_raw))
        return round(min(100.0, max(0.0, first)), 1), round(min(100.0, max(0.0, second)), 1)


@dataclass(frozen=True)
class NeuronPage:
    """The context of ``neurons/neuron.html``."""

    frame: Frame
    panels: frozenset[str]  # the shown ones of PANELS
    picture: str  # the address of the view as a PNG, with its host
    embed_href: str
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
    marks: tuple[float, float] | None  # where the shown token is in the histogram, in the dense and the pruned model
    unfold_href: str | None  # the same view with the prompt, None if the prompt is shown
    sums: SpanSums | None
    no_span_href: str  # the same view without the span
    does: DoesCard
    data: dict[str, object]
    own: TextPanel


def default_view(document: NeuronDocument, variant: str | None = None) -> NeuronView:
    """The view without a query, or with one that only names a pruned variant (None or unknown: the first one): the
    text with the largest loss on the neuron's own word in this variant."""
    names = _names(document)
    chosen = variant if variant in names else names[0]
    return NeuronView(example=default_example(document, chosen), variant=names[0], activation=document.activation)


def neuron_view(document: NeuronDocument, query: Mapping[str, str], *, every: bool = False) -> NeuronView:
    """Parse the query of a neuron's page, or of a figure of ``every`` example, whose token may be in any of them.
    Problem 422 for a wrong value."""
    lengths = {example.index: len(example.tokens) for example in document.examples}
    # `example=telling` is the default.
    spelled = {key: value for key, value in query.items() if (key, value) != ("example", TELLING)}
    return read_neuron_view(
        spelled,
        examples=[default_view(document, query.get("variant")).example, *lengths],
        variants=_names(document),
        activation=document.activation,
        tokens=lambda example: max(lengths.values()) if every else lengths[example],
    )


def read_panels(text: str | None) -> tuple[str, ...]:
    """The panels of an embedded view: names separated by commas. Problem 422 for an unknown one."""
    names = EMBEDDED if text is None else tuple(text.split(","))
    for name in names:
        if name not in PANELS:
            raise bad_field("panels", text, list(PANELS), unknown_name(name, list(PANELS)))
    return names


def _names(document: NeuronDocument) -> list[str]:
    """The names of the pruned variants."""
    return [variant.name for variant in document.variants[1:]]


def neuron_page(
    document: NeuronDocument,
    view: NeuronView,
    frame: Frame,
    here: str,
    own: TextPanel,
    does: DoesCard,
    panels: Iterable[str] = PANELS,
) -> NeuronPage:
    """The context of a neuron's page with these ``panels``. ``here`` is the path in the browser: the page's, or a share
    link's. ``does``: what the neuron does over a corpus."""
    place = next(place for place, example in enumerate(document.examples) if example.index == view.example)
    (reading,) = read_examples(document, view, [place])
    token = reading.token

    spread = _spread_card(document, reading.pruned)

    def href(**changes: Any) -> str:
        return urls.with_state(here, **_state(document, replace(view, **changes)))

    examples = example_picker(
        document.examples, view.example, lambda example: href(example=example.index, token=None, span=None)
    )
    label = reading.example.label
    activations = tuple(
        Option(name, href(activation=name), name == view.activation, note) for name, note in ACTIVATIONS.items()
    )
    files = {
        **_state(document, replace(view, show="all")),
        "example": view.example,
        "variant": view.variant,
        "activation": view.activation,
        "prompt": "folded" if reading.folded else None,
    }
    file_query = urls.with_state("", **files)
    return NeuronPage(
        frame=frame,
        panels=frozenset(panels),
        picture=f"{frame.origin}{document.heatmaps['png']}{file_query}",
        embed_href=urls.with_state(here, **_state(document, view), embed=True),
        document=document,
        query=urls.with_state("", **_state(document, view)),
        verdict=verdict(document, reading.pruned),
        chips=_chips(document, href),
        facts=_facts(document, reading.pruned),
        toggles=(
            picker("Scale", NEURON_SCALES, view.scale, lambda scale: href(scale=scale)),
            picker("Curve", CURVES, view.curve, lambda curve: href(curve=curve)),
            picker("Text", WINDOWS, view.window, lambda window: href(window=window)),
        ),
        menus=(
            replace(examples, shown=f"{examples.shown} · {label}") if label else examples,
            *variant_picker(document.variants, view.variant, lambda variant: href(variant=variant), side_by_side=True),
            Picker("Activation", view.activation, activations),
            *(
                [picker("Prompt", PROMPTS, view.prompt, lambda prompt: href(prompt=prompt))]
                if any(reading.ends)
                else []
            ),
            picker("Lines", BREAKS, view.breaks, lambda breaks: href(breaks=breaks)),
        ),
        file_query=file_query,
        json_href=urls.api(document.href),
        reading=reading,
        why=why_card(document, reading.pruned),
        answering_href=urls.answering(
            document.attribution, example=view.example, token=None if token is None else token.position
        ),
        words=_words(document, reading),
        words_here=any(word.positions for word in reading.example.words),
        spread=spread,
        marks=None if spread is None or token is None else spread.marks(token),
        unfold_href=href(prompt="shown") if reading.folded else None,
        sums=span_sums(reading),
        no_span_href=href(span=None),
        does=does,
        data={
            "rows": token_rows(reading),
            "chosen": None if reading.chosen is None else reading.chosen.position,
            "neuron": document.name,
            "panes": pane_keys(reading),
            "labels": [each.variant.label for each in reading.shown] if len(reading.shown) > 1 else ["pruned"],
            "others": other_rows(reading),
            "order": reading.order,
            "marks": [None if spread is None else spread.marks(token) for token in reading.tokens],
        },
        own=own,
    )


def _state(document: NeuronDocument, view: NeuronView) -> dict[str, str | int | None]:
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


def file_facts(document: NeuronDocument, view: NeuronView) -> str:
    """The line below the name in an exported figure: the facts of the page, and the settings of the view."""
    pruned = shown_variants(document, view)[0]
    facts = [" ".join(filter(None, (fact.before, fact.strong, fact.after))) for fact in _facts(document, pruned)]
    settings = [view.activation, NEURON_SCALES[view.scale], CURVES[view.curve], WINDOWS[view.window]]
    settings += [] if view.span is None else [f"tokens {view.span.first} to {view.span.last} selected"]
    return " · ".join([*facts, *filter(None, [document.not_ranked]), *settings])

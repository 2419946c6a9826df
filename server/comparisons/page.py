"""The page of two attributions side by side, and the list of those that one can be compared with."""

from dataclasses import dataclass

from prunescope.server import urls
from prunescope.server.attributions.page import Found
from prunescope.server.comparisons.documents import (
    ComparableAttribution,
    ComparableAttributions,
    ComparisonDocument,
    LayerComparison,
    SharedNeuron,
)
from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty, Fact, Option, Picker
from prunescope.store.attributions.comparison import Overlap

MAX_LINES = 50
MIN_SHARED_TEXTS = 0.5


@dataclass(frozen=True)
class ComparisonPage:
    """The context of ``comparisons/comparison.html``."""

    frame: Frame
    title: str
    document: ComparisonDocument
    first_note: str
    second_note: str
    verdict: str
    caution: str
    facts: tuple[Fact, ...]
    top_picker: Picker
    top: str
    other_href: str
    correlation: str
    shared: list[SharedNeuron]
    shared_note: str
    plotly: str
    layers_data: dict[str, object]
    scores_data: dict[str, object]


@dataclass(frozen=True)
class ComparablePage:
    """The context of ``comparisons/choice.html``."""

    frame: Frame
    title: str
    lead: str
    items: tuple[Found, ...]
    empty: Empty


def comparison_page(document: ComparisonDocument, frame: Frame, here: str) -> ComparisonPage:
    """The context of a comparison. ``here`` is the page's path, or that of the share link it was opened by."""
    options = tuple(
        Option(share_of_layer(top), urls.with_state(here, top=top), top == document.top) for top in document.tops
    )
    shown = f"Best {share_of_layer(document.top)} of each layer"
    shared = document.shared_neurons[:MAX_LINES]
    return ComparisonPage(
        frame=frame,
        title="Do the same neurons come out on top?",
        document=document,
        first_note=_note([setting.first for setting in document.settings if setting.differs]),
        second_note=_note([setting.second for setting in document.settings if setting.differs]),
        verdict=_verdict(document),
        caution=_caution(document),
        facts=_facts(document),
        top_picker=Picker("Neurons of each layer", shown, options),
        top=share_of_layer(document.top),
        other_href=urls.comparisons(document.first.id),
        correlation=_correlation(document),
        shared=shared,
        shared_note=_shared_note(document, len(shared)),
        plotly=urls.PLOTLY,
        layers_data=_layers_data(document),
        scores_data=_scores_data(document),
    )


def comparable_page(document: ComparableAttributions, frame: Frame) -> ComparablePage:
    return ComparablePage(
        frame=frame,
        title=f"Compare {document.attribution.label} with",
        lead=f"Other attributions of {document.dense.label}: on other texts, with another seed, with words from "
        "another source. Neurons that come out on top in both are no accident of one run.",
        items=tuple(
            Found(item.label, item.comparison_href, difference_note(item), tuple(item.words)) for item in document.items
        ),
        empty=Empty(
            "Nothing to compare it with yet",
            f"Attribute {document.dense.label} once more, on another data set, with another seed or another source of "
            "influential words. Only attributions of one dense model can be compared.",
            "Start an attribution",
            urls.new_job(kind="attribute", dense=document.model),
        ),
    )


def difference_note(item: ComparableAttribution) -> str:
    """``other texts, seed · wanda · c4 · 0.5 · 2 hours ago``."""
    differing = ", ".join(name.lower() for name in item.differs)
    parts = [f"differs in {differing}" if differing else "the same settings"]
    parts += [", ".join(variant.label for variant in item.variants), formats.ago(item.created_at)]
    return " · ".join(part for part in parts if part)


def share_of_layer(top: str) -> str:
    """A top size for display: ``5%`` with a space before the sign."""
    return top.replace("%", f"{formats.SPACE}%")


def _range(found: Overlap) -> str:
    """The 95 % range of the number that chance gives."""
    return f"{formats.count(found.low)} to {formats.count(found.high)}"


def _note(differing: list[str]) -> str:
    """The first two differing settings, in brackets."""
    return f" ({', '.join(differing[:2])})" if differing else ""


def _verdict(document: ComparisonDocument) -> str:
    found = document.together
    told = (
        f"Of the best {share_of_layer(document.top)} of each layer, {formats.count(found.shared)} of "
        f"{formats.count(min(found.first, found.second))} are the same in both; chance would give "
        f"{formats.about(found.expected)} ({_range(found)})."
    )
    p = formats.probability(found.p)
    if found.p <= 0.05:
        return f"{told} That is {formats.ratio(found.shared, found.expected)} what chance gives, p {p}."
    return f"{told} That is no more than chance may give, p {p}."


def _caution(document: ComparisonDocument) -> str:
    """A warning where most texts are the same in both: the overlap then says little about other texts."""
    fewer = min(document.first.examples, document.second.examples)
    if document.texts_in_both >= MIN_SHARED_TEXTS * fewer:
        return (
            f"{formats.plural(document.texts_in_both, 'text is', 'texts are')} the same in both: this says how far the "
            "settings matter, not whether the neurons are found again on other texts."
        )
    return ""


def _facts(document: ComparisonDocument) -> tuple[Fact, ...]:
    words = document.words_in_both
    named = f": {', '.join(words[:5])}" if words else ""
    counts = [
        (document.population, "neuron", " ranked in both"),
        (len(document.layers), "layer", ""),
        (document.texts_in_both, "text", " in common"),
        (len(words), "word", f" in common{named}"),
    ]
    return tuple(Fact("", formats.count(n), (one if n == 1 else f"{one}s") + what) for n, one, what in counts)


def _correlation(document: ComparisonDocument) -> str:
    found = document.correlation
    if found is None:
        return "A rank correlation needs three neurons and Scores that differ."
    beyond = "more than" if abs(found.value) > found.chance else "within"
    return (
        f"Rank correlation of the Scores of all {formats.count(found.neurons)} neurons (Spearman's): "
        f"{formats.decimal(found.value)}, {beyond} what chance gives (±{formats.decimal(found.chance)} in 95 % of "
        "cases)."
    )


def _shared_note(document: ComparisonDocument, shown: int) -> str:
    whole = document.together.shared
    if whole > shown:
        return (
            f"the best {formats.count(shown)} of {formats.count(whole)}; the chart shows {len(document.shared_neurons)}"
        )
    return "by their places in both"


def _layers_data(document: ComparisonDocument) -> dict[str, object]:
    overlaps = [row.overlap for row in document.layer_list]
    return {
        "layers": [f"L{row.layer}" for row in document.layer_list],
        "shared": [found.shared for found in overlaps],
        "expected": [found.expected for found in overlaps],
        "low": [found.low for found in overlaps],
        "high": [found.high for found in overlaps],
        "labels": [_label(row) for row in document.layer_list],
        "hrefs": [row.first_href for row in document.layer_list],
    }


def _label(row: LayerComparison) -> str:
    """The label of a layer's point in the chart, as lines."""
    found = row.overlap
    lines = (
        f"Layer {row.layer}",
        f"{found.shared} of {min(found.first, found.second)} shared",
        f"by chance {formats.about(found.expected)} ({_range(found)})",
        f"p {formats.probability(found.p)}, q {formats.probability(row.q)}",
    )
    return "<br>".join(lines)


def _scores_data(document: ComparisonDocument) -> dict[str, object]:
    rows = document.shared_neurons
    return {
        "x": [row.first.score for row in rows],
        "y": [row.second.score for row in rows],
        "labels": [
            f"{row.name}<br>first {formats.decimal(row.first.score)}, rank {formats.count(row.first.rank)}<br>"
            f"second {formats.decimal(row.second.score)}, rank {formats.count(row.second.rank)}"
            for row in rows
        ],
        "hrefs": [row.first.href for row in rows],
        "xTitle": "Score in the first",
        "yTitle": "Score in the second",
    }

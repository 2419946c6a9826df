"""The page of one attribution: its words, the map of Scores, the neurons that lost most."""

from collections import Counter
from dataclasses import dataclass, replace

from fastapi import Request

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.attributions.causal_page import CausalPanel, causal_panel
from prunescope.server.attributions.documents import AttributionDocument, AttributionSummary
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import TextPanel
from prunescope.server.labels import WORD_SOURCES
from prunescope.server.site import formats
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import ATTRIBUTIONS, Crumb, Frame, make_frame
from prunescope.server.site.parts import Empty, Fact, Href, Legend, Option, Picker


@dataclass(frozen=True)
class AttributionPage:
    """The context of ``attributions/attribution.html``."""

    frame: Frame
    document: AttributionDocument
    neuron_query: str  # what every link to a neuron ends with: the variant shown here
    comparison_href: str | None
    facts: tuple[Fact, ...]
    variant_picker: Picker | None
    word_hrefs: dict[str, str]  # this page with a word chosen
    words_note: str
    all_words_href: str | None
    answering_href: str | None
    causal: CausalPanel | None
    delete_href: str | None
    after_delete: str
    plotly: str
    map_legend: Legend
    map_data: dict[str, object]
    histogram_data: dict[str, object]
    own: TextPanel | None


def attribution_frame(
    request: Request,
    title: str,
    opened: OpenAttribution,
    *crumbs: Crumb,
    scripts: tuple[str, ...] = (),
    notices: tuple[str, ...] = (),
) -> Frame:
    """The frame of a page about an attribution, below the list of attributions and ``crumbs``."""
    return make_frame(
        request,
        title,
        ATTRIBUTIONS,
        *crumbs,
        section="Attributions",
        scripts=scripts,
        attribution=opened.id,
        notices=notices,
    )


def opened_crumb(opened: OpenAttribution) -> Crumb:
    """The link from a page below an attribution back to it."""
    return Crumb(opened.label, urls.attribution(opened.id))


def attribution_page(
    document: AttributionDocument, frame: Frame, here: str, own: TextPanel | None = None
) -> AttributionPage:
    """The context of an attribution's page. ``here`` is the page's path, or that of the share link it was opened by."""
    first = document.variants[0].name if document.variants else None
    variant = document.variant if document.variant != first else None

    def href(**changes: urls.State) -> str:
        state: dict[str, urls.State] = {"variant": variant, "word": document.word, **changes}
        return urls.with_state(here, **state)

    query = urls.with_state("", variant=variant)
    share_of = next((each.label for each in document.variants if each.name == document.variant), "")
    drops = [drop for layer in document.score_map.drops for drop in layer if drop is not None]
    return AttributionPage(
        frame=frame,
        document=document,
        neuron_query=query,
        comparison_href=None if frame.shared else urls.comparisons(document.id),
        facts=_facts(document),
        variant_picker=_variants(document, href) if len(document.variants) > 1 else None,
        word_hrefs={row.word: href(word=row.word) for row in document.influential_words},
        words_note=_words_note(document),
        all_words_href=href(word=None) if document.word else None,
        answering_href=None if frame.shared else urls.answering(document.id, word=document.word),
        causal=causal_panel(document.causal, document.variant) if document.causal else None,
        delete_href=None if frame.shared else urls.api(document.href),
        after_delete=urls.attributions(),
        plotly=urls.PLOTLY,
        map_legend=_map_legend(document),
        map_data={
            "layers": [f"L{layer}" for layer in document.score_map.layers],
            "ranks": document.score_map.ranks,
            "scores": document.score_map.scores,
            "labels": _map_labels(document),
            "hrefs": [[href and f"{href}{query}" for href in hrefs] for hrefs in document.score_map.hrefs],
        },
        own=own,
        histogram_data={"values": drops, "title": f"change of activation on its word, {share_of}"},
    )


def _words_note(document: AttributionDocument) -> str:
    summary = document.summary
    note = WORD_SOURCES.get(summary.source, summary.source)
    if summary.plain_question is None:
        return note
    return f"{note}, which was asked the plain question: its chat template was not used ({summary.plain_question})"


def _facts(document: AttributionDocument) -> tuple[Fact, ...]:
    summary = document.summary
    return (
        Fact("", formats.count(summary.texts), "texts" if summary.texts != 1 else "text"),
        Fact(
            "",
            formats.count(summary.influential_tokens),
            f"influential of {formats.count(summary.tokens)} tokens",
        ),
        Fact("", formats.count(len(document.layers)), "layers"),
        Fact("", formats.count(summary.ranked), f"of {formats.count(summary.neurons)} neurons ranked"),
    )


def _variants(document: AttributionDocument, href: Href) -> Picker:
    options = tuple(
        Option(variant.label, href(variant=variant.name if place else None), variant.name == document.variant)
        for place, variant in enumerate(document.variants)
    )
    shown = next((option.label for option in options if option.current), "")
    return Picker("Pruned model", shown, options)


def _map_legend(document: AttributionDocument) -> Legend:
    scores = [score for layer in document.score_map.scores for score in layer if score is not None]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    return Legend(formats.decimal(low), formats.decimal((low + high) / 2), formats.decimal(high), "heat-ramp")


def _map_labels(document: AttributionDocument) -> list[list[str | None]]:
    """The labels of the map's points: neuron, Score, word and drop, as lines."""
    scores = document.score_map
    return [
        [
            None
            if neuron is None
            else f"L{layer}/N{neuron}<br>Score {formats.decimal(score)}<br>{_plain(word)} {formats.lost(drop)}"
            for neuron, score, word, drop in zip(neurons, row, words, drops, strict=True)
        ]
        for layer, neurons, row, words, drops in zip(
            scores.layers, scores.neurons, scores.scores, scores.words, scores.drops, strict=True
        )
    ]


def _plain(word: str | None) -> str:
    """A word escaped for a chart's label, in which ``<`` is markup."""
    return "" if word is None else word.replace("&", "&amp;").replace("<", "&lt;")


@dataclass(frozen=True)
class Found:
    """An attribution in a list: its models, number of texts and influential words."""

    title: str
    href: str
    note: str
    words: tuple[str, ...]
    comparison_href: str | None = None
    damaged: str | None = None


@dataclass(frozen=True)
class AttributionsPage:
    """The context of ``attributions/list.html``."""

    frame: Frame
    items: tuple[Found, ...]
    empty: Empty
    start_href: str
    older_href: str | None


def found(attribution: AttributionSummary) -> Found:
    against = ", ".join(variant.label for variant in attribution.variants)
    if attribution.damaged is not None:
        return Found(attribution.label, attribution.href, against, (), damaged=attribution.damaged)
    texts = formats.plural(attribution.examples, "text")
    return Found(attribution.label, attribution.href, f"{against} · {texts}", tuple(attribution.words))


def attributions_page(page: Page[AttributionSummary], frame: Frame) -> AttributionsPage:
    start = urls.new_job(kind=JobKind.ATTRIBUTE)
    empty = Empty(
        "No attributions yet",
        "An attribution runs the same texts through a dense model and its pruned variants and finds the neurons that "
        "answered to the words that matter, and no longer do.",
        "Start an attribution",
        start,
    )
    models = Counter(item.dense.href for item in page.items)
    items = tuple(
        replace(found(item), comparison_href=urls.comparisons(item.id) if models[item.dense.href] > 1 else None)
        for item in page.items
    )
    return AttributionsPage(frame, items, empty, start, page.next_href)

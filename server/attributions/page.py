"""Contexts of the list of attributions and of one attribution's page."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from fastapi import Request

from prunescope.jobs.labels import WORD_SOURCES
from prunescope.server import urls
from prunescope.server.attributions.charts import Changes, changes, score_map
from prunescope.server.attributions.documents import AttributionDocument, AttributionSummary
from prunescope.server.attributions.marked import Part, marked
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import TextPanel
from prunescope.server.attributions.queries import By
from prunescope.server.site.colour_map import ColourMap
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import ATTRIBUTIONS, Crumb, Frame
from prunescope.server.site.parts import Picker, picker
from prunescope.store.attributions.causal import Effect
from prunescope.store.attributions.documents import VariantSplit
from prunescope.text.words import fold

ORDERS: dict[By, str] = {"score": "By Score", "margin": "By margin share"}
MIN_SCALE = 0.01
"""Minimum half-width of the axis in a chart of the causal stage: one percentage point."""


@dataclass(frozen=True)
class OwnBar:
    """The bar of one layer in the chart of own weights: its place in percent of the drawing, and its share."""

    layer: int
    own: float
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class AttributionPage:
    """The context of ``attributions/attribution.html``."""

    frame: Frame
    document: AttributionDocument
    neuron_query: str  # query appended to every link to a neuron: the shown variant
    comparison_href: str | None
    variant_picker: Picker | None
    order_picker: Picker | None  # None without an explanation of the same models
    explanation_picker: Picker | None  # None unless there are several
    explain_href: str | None  # the form that explains the loss of the shown variant
    word_hrefs: dict[str, str]  # word -> address of this page, filtered by that word
    marked: dict[int, Sequence[Part]]  # index of a text -> the text in parts
    marked_hrefs: dict[str, str | None]  # folded word -> the address of `word_hrefs`
    words_source: str
    sources: dict[str, str]  # word source -> its name
    answers: dict[int, str]  # index of a text that was left out -> the model's answer
    all_words_href: str | None
    answering_href: str | None
    own_bars: list[OwnBar]
    causal_scales: dict[str, tuple[float, float]]  # variant -> half-widths of the axes of accuracy and probability
    delete_href: str | None
    score_map: ColourMap
    changes: Changes | None
    own: TextPanel | None


def attribution_frame(
    request: Request,
    title: str,
    opened: OpenAttribution,
    *crumbs: Crumb,
    scripts: tuple[str, ...] = (),
    notices: tuple[str, ...] = (),
) -> Frame:
    """The frame of a page about an attribution. The breadcrumbs are the list of attributions, then ``crumbs``."""
    return Frame(
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
    """The breadcrumb that leads to the attribution's page."""
    return Crumb(opened.label, urls.attribution(opened.id))


def attribution_page(
    document: AttributionDocument, frame: Frame, here: str, own: TextPanel | None = None
) -> AttributionPage:
    """The context of an attribution's page. ``here`` is the path of the page, or of the share link that opened it."""
    first = document.variants[0].name if document.variants else None
    variant = document.variant if document.variant != first else None
    explained = document.explanation.id if document.explanation else None
    newest = document.explanations[0].value if document.explanations else None

    def href(**changes: urls.State) -> str:
        state: dict[str, urls.State] = {
            "variant": variant,
            "word": document.word,
            "by": None if document.by == "score" else document.by,
            "explanation": None if explained == newest else explained,
            **changes,
        }
        return urls.with_state(here, **state)

    def variant_href(name: str | None) -> str:
        return href(variant=None if name == first else name, explanation=None)

    query = urls.with_state("", variant=variant)
    word_hrefs = {row.word: href(word=row.word) for row in document.influential_words}
    parts = {text.index: marked(text.text, tuple(text.words)) for text in document.example_list}
    known = {fold(word): address for word, address in word_hrefs.items()}
    labels: dict[str | None, str] = {each.name: each.label for each in document.variants}
    return AttributionPage(
        frame=frame,
        document=document,
        neuron_query=query,
        comparison_href=None if frame.shared else urls.comparisons(document.id),
        variant_picker=picker("Pruned model", labels, document.variant, variant_href) if len(labels) > 1 else None,
        order_picker=picker("Order", ORDERS, document.by, lambda by: href(by=None if by == "score" else by))
        if document.explanation and not frame.shared
        else None,
        explanation_picker=_explanation_picker(document, lambda id: href(explanation=None if id == newest else id))
        if not frame.shared
        else None,
        explain_href=None if frame.shared else _explain_href(document),
        word_hrefs=word_hrefs,
        marked=parts,
        marked_hrefs={
            part.word: known.get(part.word) for each in parts.values() for part in each if part.word is not None
        },
        words_source=WORD_SOURCES.get(document.summary.source, document.summary.source),
        sources=WORD_SOURCES,
        answers={each.text: each.answer for each in document.summary.answers},
        all_words_href=href(word=None) if document.word else None,
        answering_href=None if frame.shared else urls.answering(document.id, word=document.word),
        own_bars=_own_bars(document.split),
        causal_scales={
            row.name: (_half_width(row.accuracy), _half_width(row.probability))
            for row in (document.causal.variants if document.causal else ())
        },
        delete_href=None if frame.shared else urls.api(document.href),
        score_map=score_map(document, query),
        changes=changes(document),
        own=own,
    )


def _explanation_picker(document: AttributionDocument, href: Callable[[str], str]) -> Picker | None:
    """The menu of the explanations from which margin shares can be; None unless there are several."""
    if document.explanation is None or len(document.explanations) < 2:
        return None
    names = {each.value: each.label for each in document.explanations}
    found = picker("Margin shares from", names, document.explanation.id, href)
    return replace(found, shown=f"Margin shares: {found.shown}")


def _explain_href(document: AttributionDocument) -> str | None:
    """The form that explains the loss of the shown variant, on the task of the texts if they are a task's rows."""
    reference = next((each.model for each in document.variants if each.name == document.variant), None)
    texts = document.spec.get("texts")
    task = texts.get("dataset") if isinstance(texts, Mapping) else None
    dense = str(document.spec["dense"])
    return urls.new_job(kind="explain", dense=dense, pruned=reference, task=task) if reference else None


def _own_bars(split: VariantSplit | None) -> list[OwnBar]:
    """One bar for each layer with a change. Shares can be outside of 0 to 1 (if both parts oppose each other); their
    bars are cut there."""
    layers = split.layers if split else []
    width = 100 / max(1, len(layers))
    return [
        OwnBar(
            layer=row.layer,
            own=row.own,
            x=f"{place * width + width / 8:.2f}%",
            y=f"{100 - 100 * min(1.0, max(0.0, row.own)):.2f}%",
            width=f"{width * 3 / 4:.2f}%",
            height=f"{100 * min(1.0, max(0.0, row.own)):.2f}%",
        )
        for place, row in enumerate(layers)
        if row.own is not None
    ]


def _half_width(effect: Effect) -> float:
    """The half-width of a chart's axis: the largest absolute change, interval end or draw in the chart."""
    changes = (effect.top_change, effect.random_change, effect.excess)
    bounds = [bound for each in changes for bound in (each.value, each.low or 0.0, each.high or 0.0)]
    draws = [draw - effect.base.value for draw in effect.draws]
    return max(MIN_SCALE, *map(abs, bounds), *map(abs, draws))


@dataclass(frozen=True)
class AttributionsPage:
    """The context of ``attributions/list.html``."""

    frame: Frame
    document: Page[AttributionSummary]
    comparison_hrefs: dict[str, str | None]  # id -> address; None if no other attribution has the same dense model


def attributions_page(document: Page[AttributionSummary], frame: Frame) -> AttributionsPage:
    models = Counter(item.dense.href for item in document.items)
    hrefs = {item.id: urls.comparisons(item.id) if models[item.dense.href] > 1 else None for item in document.items}
    return AttributionsPage(frame, document, hrefs)

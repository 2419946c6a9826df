"""The list of attributions as a page."""

from collections import Counter
from dataclasses import dataclass, replace

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.attributions.documents import AttributionSummary
from prunescope.server.site import formats
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Empty


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

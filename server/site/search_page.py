"""What the header's search found."""

from dataclasses import dataclass

from prunescope.server.site import formats
from prunescope.server.site.frame import Frame
from prunescope.server.site.home_documents import SearchResults

KINDS = {"neuron": "Neuron", "word": "Word", "model": "Model", "job": "Job"}


@dataclass(frozen=True)
class Hit:
    kind: str
    label: str
    note: str
    href: str


@dataclass(frozen=True)
class SearchPage:
    """The context of ``site/search.html``."""

    frame: Frame
    title: str
    note: str
    hits: tuple[Hit, ...]


def search_page(document: SearchResults, frame: Frame) -> SearchPage:
    hits = tuple(Hit(KINDS[hit.kind], hit.label, hit.note or "", hit.href) for hit in document.items)
    if not document.query.strip():
        note = "Write a word of a text, a neuron (L15/N2194, 15.2194) or a part of a model's name."
    elif not hits:
        note = "Nothing was found. A neuron is written L15/N2194 or 15.2194; words are the influential ones."
    else:
        note = formats.plural(len(hits), "hit")
    return SearchPage(frame, f"Search: {document.query}" if document.query else "Search", note, hits)

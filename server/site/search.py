"""The search page and its document: neurons, words and tokens of attributions, and everything that has a name.

Names are those of the newest SEARCHED items of each kind, from the database. Neurons are checked against the records of
attributions. Only words and tokens need the artefacts: those of the newest attributions, which stay open.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from prunescope.jobs.labels import measured_label
from prunescope.jobs.neurons import format_neuron, parse_neuron
from prunescope.jobs.problems import Problem, bad_field
from prunescope.jobs.references import references_of
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.attributions.documents import AttributionSummary
from prunescope.server.attributions.opened import MAX_OPEN, OpenAttribution
from prunescope.server.attributions.queries import attribution_list
from prunescope.server.corpora.queries import corpus_list
from prunescope.server.explanations.queries import explanation_list
from prunescope.server.jobs.queries import job_items, job_list
from prunescope.server.models.queries import model_list
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Document
from prunescope.server.site.frame import Frame, render
from prunescope.server.site.names import Names
from prunescope.server.stores import Stores, StoresHere
from prunescope.server.studies.queries import study_list
from prunescope.store.jobs.finding import starting_with

api = APIRouter(prefix=urls.API, tags=["Site"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Kind = Literal["neuron", "word", "token", "study", "attribution", "explanation", "evaluation", "model", "corpus", "job"]
HEADINGS: dict[Kind, str] = {
    "neuron": "Neurons",
    "word": "Influential words",
    "token": "Tokens in texts",
    "study": "Studies",
    "attribution": "Attributions",
    "explanation": "Explanations",
    "evaluation": "Evaluations",
    "model": "Models",
    "corpus": "Corpora",
    "job": "Jobs",
}
"""Kinds of hits in the order in which they are shown."""

MAX_HITS = 8
"""Maximum number of hits of one kind."""
SEARCHED = 200
"""Maximum number of items of one kind whose names are searched, the newest first."""
MAX_ATTRIBUTIONS = MAX_OPEN
"""Maximum number of attributions whose words are searched, the newest first: as many as stay open."""
MAX_PARTS = 12
"""Maximum number of words of a query that are searched."""
MIN_ID = 6
"""Minimum number of hexadecimal digits by which a job is found."""

_LAYERLESS = re.compile(r"[Nn](\d{1,9})")


class SearchHit(Document):
    kind: Kind
    label: str
    note: str | None
    href: str


class SearchResults(Document):
    query: str
    items: list[SearchHit]  # by kind, in the order of `HEADINGS`
    more: list[Kind]  # kinds of which not all hits are listed
    next: str | None = None


@dataclass(frozen=True)
class SearchPage:
    """The context of ``site/search.html``. ``groups``: heading -> its hits; ``more``: headings of which there are more
    hits."""

    frame: Frame
    document: SearchResults
    groups: dict[str, list[SearchHit]]
    more: list[str]


@api.get(urls.search.route, responses=problems(422), summary="Anything by its name; neurons, words and tokens")
def get_search(stores: StoresHere, q: str = "", attribution: str | None = None) -> SearchResults:
    # `q` is a neuron (``L15/N2194``, ``15.2194``, ``N652`` in any layer), a job's id, or words, all of which a name
    # must contain. Neurons, words and tokens are searched in the given attribution, or in the newest ones.
    if attribution is not None and not stores.results.exists("attribution", attribution):
        message = f"there is no attribution {attribution[:40]!r}"
        raise bad_field("attribution", attribution, "the id of an attribution", message)
    parts = q.casefold().split()[:MAX_PARTS]
    found = [*_hits(stores, parts, attribution)] if parts else []
    items: list[SearchHit] = []
    more: list[Kind] = []
    for kind in HEADINGS:
        hits = list({hit.href: hit for hit in found if hit.kind == kind}.values())
        items += hits[:MAX_HITS]
        more += [kind] if len(hits) > MAX_HITS else []
    return SearchResults(query=q, items=items, more=more)


@pages.get(urls.search.route)
def show_search(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "q", "attribution")
    document = asked.read(lambda: get_search(stores, asked.text("q") or "", asked.text("attribution")))
    if len(document.items) == 1:
        return RedirectResponse(document.items[0].href, status_code=303)
    frame = Frame(request, "Search", query=document.query, attribution=asked.text("attribution"), notices=asked.notices)
    groups = {HEADINGS[kind]: list(hits) for kind, hits in groupby(document.items, lambda hit: hit.kind)}
    return render("site/search", SearchPage(frame, document, groups, [HEADINGS[kind] for kind in document.more]))


def _hits(stores: Stores, parts: list[str], attribution: str | None) -> Iterator[SearchHit]:
    attributions = attribution_list(stores, limit=SEARCHED).items
    readable = [each for each in attributions if each.damaged is None and each.id == (attribution or each.id)]
    opened = _opened(stores, [attribution] if attribution else [each.id for each in readable[:MAX_ATTRIBUTIONS]])
    yield from _neurons(readable, parts)
    for each in opened:
        yield from _words(each, parts)
    for each in opened:
        yield from _tokens(each, parts)
    yield from _matching(_named(stores, attributions), parts)
    yield from _by_id(stores, parts)


def _opened(stores: Stores, ids: Iterable[str]) -> list[OpenAttribution]:
    opened = []
    for id in ids:
        with suppress(Problem, OSError):
            opened.append(stores.attributions.get(id))
    return opened


def _neurons(attributions: list[AttributionSummary], parts: list[str]) -> Iterator[SearchHit]:
    """The neuron that one of the words names, in every attribution that recorded it and whose name contains the other
    words."""
    for place, part in enumerate(parts):
        others = [*parts[:place], *parts[place + 1 :]]
        for each in attributions:
            if not _contains(f"{each.label} {' '.join(variant.label for variant in each.variants)}", others):
                continue
            for layer, neuron in _named_neurons(part, each.layers):
                if layer in each.layers and neuron < each.neurons:
                    href = urls.neuron(each.id, layer, neuron)
                    yield SearchHit(kind="neuron", label=format_neuron(layer, neuron), note=each.label, href=href)


def _named_neurons(text: str, layers: list[int]) -> list[tuple[int, int]]:
    """(layer, neuron) of the neuron that a word names; one for each layer, if it names no layer."""
    if match := _LAYERLESS.fullmatch(text):
        return [(layer, int(match[1])) for layer in layers]
    with suppress(Problem):
        return [parse_neuron(text)]
    return []


def _words(opened: OpenAttribution, parts: list[str]) -> Iterator[SearchHit]:
    """The influential words that contain the only part, or are equal to one of several; equal words first."""
    for word in sorted(opened.tables.words_list, key=lambda word: (word.casefold() not in parts, word)):
        if word.casefold() in parts or (len(parts) == 1 and parts[0] in word.casefold()):
            href = urls.attribution(opened.id, word=word)
            yield SearchHit(kind="word", label=word, note=opened.label, href=href)


def _tokens(opened: OpenAttribution, parts: list[str]) -> Iterator[SearchHit]:
    """The tokens of the texts that are equal to one of the parts, each at its first place."""
    left = set(parts)
    for number, example in enumerate(opened.examples, 1):
        for place, token in enumerate(example.tokens):
            name = token.strip().casefold()
            if name in left:
                left.remove(name)
                href = urls.answering(opened.id, example=example.index, token=place)
                note = f"neurons that respond to it in text {number} · {opened.label}"
                yield SearchHit(kind="token", label=token.strip(), note=note, href=href)


def _matching(named: Iterable[SearchHit], parts: list[str]) -> Iterator[SearchHit]:
    return (hit for hit in named if _contains(f"{hit.kind} {hit.label} {hit.note or ''}", parts))


def _contains(text: str, parts: Iterable[str]) -> bool:
    folded = text.casefold()
    return all(part in folded for part in parts)


def _named(stores: Stores, attributions: list[AttributionSummary]) -> Iterator[SearchHit]:
    """Everything that has a name, the newest first in each kind."""
    for study in study_list(stores, limit=SEARCHED).items:
        yield SearchHit(kind="study", label=study.title, note=None, href=study.href)
    for each in attributions:
        variants = ", ".join(variant.label for variant in each.variants)
        yield SearchHit(kind="attribution", label=each.label, note=variants or None, href=each.href)
    for explanation in explanation_list(stores, limit=SEARCHED).items:
        pruned = explanation.pruned.label
        yield SearchHit(kind="explanation", label=explanation.label, note=pruned, href=explanation.href)
    yield from _evaluations(stores)
    for model in model_list(stores, limit=SEARCHED).items:
        base = model.base.label if model.base else None
        note = base if model.reference == model.label else " · ".join(filter(None, [base, model.reference]))
        yield SearchHit(kind="model", label=model.label, note=note, href=model.href)
    for corpus in corpus_list(stores, limit=SEARCHED).items:
        yield SearchHit(kind="corpus", label=corpus.label, note=None, href=corpus.href)
    for job in job_list(stores, cells=False, limit=SEARCHED).items:
        yield SearchHit(kind="job", label=job.title, note=f"{job.state}, {job.id[:8]}", href=job.href)


def _evaluations(stores: Stores) -> Iterator[SearchHit]:
    records, _ = stores.results.list("evaluation", limit=SEARCHED)
    names = Names(stores, (reference for record in records for reference in references_of(record.spec)))
    for record in records:
        label, href = names.label(record.spec["model"]), urls.evaluation(record.id)
        yield SearchHit(kind="evaluation", label=label, note=measured_label(record.spec), href=href)


def _by_id(stores: Stores, parts: list[str]) -> Iterator[SearchHit]:
    """The jobs whose ids begin with the query."""
    start = parts[0]
    if len(parts) == 1 and len(start) >= MIN_ID and not start.strip("0123456789abcdef"):
        for job in job_items(stores, starting_with(stores.database, start, MAX_HITS)):
            yield SearchHit(kind="job", label=job.title, note=f"{job.state}, {job.id[:8]}", href=job.href)

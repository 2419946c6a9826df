"""The search page and its document: neurons, influential words, explanations, models and jobs."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from prunescope.jobs.neurons import format_neuron, parse_neuron
from prunescope.jobs.problems import Problem, bad_field
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.explanations.queries import explanation_list
from prunescope.server.models.queries import model_list
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Document
from prunescope.server.site.frame import Frame, render
from prunescope.server.stores import Stores, StoresHere
from prunescope.store.attributions.activations import NoSuchNeuron

api = APIRouter(prefix=urls.API, tags=["Site"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MAX_HITS = 20
MAX_ATTRIBUTIONS = 5
"""Maximum number of attributions searched, the newest first."""


class SearchHit(Document):
    kind: Literal["neuron", "word", "explanation", "model", "job"]
    label: str
    note: str | None
    href: str


class SearchResults(Document):
    query: str
    items: list[SearchHit]
    next: str | None = None


@dataclass(frozen=True)
class SearchPage:
    """The context of ``site/search.html``."""

    frame: Frame
    document: SearchResults


@api.get(urls.search.route, responses=problems(422), summary="Neurons, words, explanations, models and jobs by name")
def get_search(stores: StoresHere, q: str = "", attribution: str | None = None) -> SearchResults:
    # `q` is a neuron (``L15/N2194``, ``15.2194``), a part of an influential word or of the name of
    # an explanation or a model, or a job's id.
    # Neurons and words are searched in the given attribution, or in the newest ones.
    wanted = q.strip()
    if attribution is not None and not stores.results.exists("attribution", attribution):
        message = f"there is no attribution {attribution[:40]!r}"
        raise bad_field("attribution", attribution, "the id of an attribution", message)
    hits: list[SearchHit] = []
    if wanted:
        opened = _searched(stores, attribution)
        of_attributions = [*_neurons(opened, wanted), *_words(opened, wanted)]
        hits = [*of_attributions, *_explanations(stores, wanted), *_models(stores, wanted), *_jobs(stores, wanted)]
    return SearchResults(query=q, items=hits[:MAX_HITS])


@pages.get(urls.search.route)
def show_search(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "q", "attribution")
    document = asked.read(lambda: get_search(stores, asked.text("q") or "", asked.text("attribution")))
    neuron = next((hit for hit in document.items if hit.kind == "neuron"), None)
    only = neuron or (document.items[0] if len(document.items) == 1 else None)
    if only is not None:
        return RedirectResponse(only.href, status_code=303)
    frame = Frame(request, "Search", query=document.query, attribution=asked.text("attribution"), notices=asked.notices)
    return render("site/search", SearchPage(frame, document))


def _searched(stores: Stores, given: str | None) -> list[OpenAttribution]:
    ids = [given] if given else [record.id for record in stores.results.list("attribution", limit=MAX_ATTRIBUTIONS)[0]]
    opened = []
    for id in ids:
        with suppress(Problem, OSError):
            opened.append(stores.attributions.get(id))
    return opened


def _neurons(attributions: list[OpenAttribution], wanted: str) -> list[SearchHit]:
    with suppress(Problem):
        layer, neuron = parse_neuron(wanted)
        for opened in attributions:  # only the newest attribution that has this neuron
            with suppress(NoSuchNeuron):
                opened.store.check(layer, neuron)
                href = urls.neuron(opened.id, layer, neuron)
                return [SearchHit(kind="neuron", label=format_neuron(layer, neuron), note=opened.label, href=href)]
    return []


def _words(attributions: list[OpenAttribution], wanted: str) -> list[SearchHit]:
    part = wanted.casefold()
    return [
        SearchHit(kind="word", label=word, note=opened.label, href=urls.attribution(opened.id, word=word))
        for opened in attributions
        for word in sorted(opened.tables.words_list, key=lambda word: (word.casefold() != part, word))
        if part in word.casefold()
    ]


def _explanations(stores: Stores, wanted: str) -> list[SearchHit]:
    """Of the newest explanations, those whose name contains the text."""
    part = wanted.casefold()
    return [
        SearchHit(kind="explanation", label=each.label, note=each.pruned.label, href=each.href)
        for each in explanation_list(stores, limit=200).items
        if part in each.label.casefold()
    ]


def _models(stores: Stores, wanted: str) -> list[SearchHit]:
    part = wanted.casefold()
    return [
        SearchHit(kind="model", label=model.label, note=model.base.label if model.base else None, href=model.href)
        for model in model_list(stores, limit=200).items
        if part in f"{model.reference} {model.label}".casefold()
    ]


def _jobs(stores: Stores, wanted: str) -> list[SearchHit]:
    if len(wanted) != 32:
        return []
    with suppress(Problem):
        job = stores.jobs.get(wanted.lower())
        return [SearchHit(kind="job", label=job.id, note=f"{job.kind}, {job.state}", href=urls.job(job.id))]
    return []

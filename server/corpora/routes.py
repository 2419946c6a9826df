"""Routes of corpora: the list, one corpus, deletion, and one neuron."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.corpora.documents import CorpusDocument, CorpusNeuron, CorpusSummary
from prunescope.server.corpora.page import CorporaPage, CorpusNeuronPage, CorpusPage, does
from prunescope.server.corpora.queries import corpus_document, corpus_list, corpus_neuron
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import CORPORA, MODELS, Crumb, Frame, render
from prunescope.server.stores import StoresHere

api = APIRouter(prefix=urls.API, tags=["Corpora"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@api.get(urls.corpora.route, responses=problems(422), summary="Corpora, newest first")
def list_corpora(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[CorpusSummary]:
    return corpus_list(stores, cursor=cursor, limit=limit)


@pages.get(urls.corpora.route)
def show_corpora(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    document = asked.read(lambda: corpus_list(stores, cursor=asked.text("cursor")))
    frame = Frame(request, "Corpora", MODELS, section="Models", notices=asked.notices)
    return render("corpora/list", CorporaPage(frame, document))


@api.get(urls.corpus.route, responses=problems(404), summary="Running text that was read with a model")
def get_corpus(stores: StoresHere, corpus: str) -> CorpusDocument:
    return corpus_document(stores, corpus)


@pages.get(urls.corpus.route)
def show_corpus(request: Request, stores: StoresHere, corpus: str) -> Response:
    asked = Asked(request)
    document = corpus_document(stores, corpus)
    frame = Frame(request, document.label, MODELS, CORPORA, section="Models", notices=asked.notices)
    return render("corpora/corpus", CorpusPage(frame, document, delete_href=urls.api(document.href)))


@api.delete(urls.corpus.route, status_code=204, responses=problems(404, 409), summary="Remove a corpus")
def delete_corpus(stores: StoresHere, corpus: str) -> None:
    stores.results.delete("corpus", corpus)


@api.get(urls.corpus_neuron.route, responses=problems(404, 422), summary="What a neuron does over a corpus")
def get_corpus_neuron(stores: StoresHere, corpus: str, layer: int, neuron: int) -> CorpusNeuron:
    return corpus_neuron(stores, corpus, layer, neuron)


@pages.get(urls.corpus_neuron.route)
def show_corpus_neuron(request: Request, stores: StoresHere, corpus: str, layer: int, neuron: int) -> Response:
    asked = Asked(request)
    document = corpus_neuron(stores, corpus, layer, neuron)
    crumb = Crumb(document.corpus.label, document.corpus.href)
    title = f"{document.name} · {document.corpus.label}"
    frame = Frame(request, title, MODELS, CORPORA, crumb, section="Models", notices=asked.notices)
    return render("corpora/neuron", CorpusNeuronPage(frame, does(document), json_href=urls.api(document.href)))

"""The HTML pages that look further into an attribution: beside another one, and from a word or token to its neurons."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from prunescope.server import urls
from prunescope.server.documents.answering import AnsweringDocument
from prunescope.server.pages.answering import answering_page
from prunescope.server.pages.asked import Asked
from prunescope.server.pages.comparison import comparable_page, comparison_page
from prunescope.server.pages.frame import Crumb, make_frame, render
from prunescope.server.pages.routes import ATTRIBUTIONS, address
from prunescope.server.read.answering import answering_document, first_word
from prunescope.server.read.comparisons import comparable_attributions, comparison_document
from prunescope.server.stores import StoresHere

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get(urls.ANSWERING)
def show_answering(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request, "word", "example", "token", "layer")
    opened = stores.attributions.get(attribution)

    def answering() -> AnsweringDocument:
        word, example, token = asked.text("word"), asked.whole("example"), asked.whole("token")
        if word is None and token is None:
            word, example = first_word(opened), None
        return answering_document(opened, word=word, example=example, token=token, layer=asked.whole("layer"))

    document = asked.read(answering)
    if document.token is None and asked.text("word") is None and not asked.notices:
        return RedirectResponse(document.href, status_code=303)
    crumb = Crumb(document.attribution.label, document.attribution.href)
    frame = make_frame(
        request,
        "Which neurons answer",
        ATTRIBUTIONS,
        crumb,
        section="Attributions",
        attribution=attribution,
        notices=asked.notices,
    )
    return render("answering", answering_page(document, frame, here=address(request)))


@router.get(urls.COMPARISONS)
def show_comparable(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request)
    document = comparable_attributions(stores, attribution)
    crumb = Crumb(document.attribution.label, document.attribution.href)
    frame = make_frame(
        request,
        f"Compare {document.attribution.label}",
        ATTRIBUTIONS,
        crumb,
        section="Attributions",
        attribution=attribution,
        notices=asked.notices,
    )
    return render("comparable", comparable_page(document, frame))


@router.get(urls.COMPARISON)
def show_comparison(request: Request, stores: StoresHere, attribution: str, other: str) -> Response:
    asked = Asked(request, "top")
    opened = stores.attributions.get(attribution)
    second = stores.attributions.get(other)
    document = asked.read(lambda: comparison_document(opened, second, top=asked.text("top")))
    frame = make_frame(
        request,
        f"{document.first.label} beside {document.second.label}",
        ATTRIBUTIONS,
        Crumb(document.first.label, document.first.href),
        Crumb("Compare", urls.comparisons(attribution)),
        section="Attributions",
        scripts=("charts",),
        attribution=attribution,
        notices=asked.notices,
    )
    return render("comparison", comparison_page(document, frame, here=address(request)))

"""The HTML pages that look further into an attribution: beside another one, and from a word or token to its neurons."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from server import urls
from server.pages.answering import answering_page
from server.pages.comparison import comparable_page, comparison_page
from server.pages.frame import Crumb, make_frame, render
from server.pages.routes import ATTRIBUTIONS, address
from server.read.answering import answering_document, first_word
from server.read.comparisons import comparable_attributions, comparison_document
from server.stores import StoresHere

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get(urls.ANSWERING)
def show_answering(
    request: Request,
    stores: StoresHere,
    attribution: str,
    word: str | None = None,
    example: int | None = None,
    token: int | None = None,
    layer: int | None = None,
) -> Response:
    opened = stores.attributions.get(attribution)
    if word is None and token is None:
        return RedirectResponse(urls.answering(attribution, word=first_word(opened), layer=layer), status_code=303)
    document = answering_document(opened, word=word, example=example, token=token, layer=layer)
    crumb = Crumb(document.attribution.label, document.attribution.href)
    frame = make_frame(
        request, "Which neurons answer", ATTRIBUTIONS, crumb, section="Attributions", attribution=attribution
    )
    return render("answering", answering_page(document, frame, here=address(request)))


@router.get(urls.COMPARISONS)
def show_comparable(request: Request, stores: StoresHere, attribution: str) -> Response:
    document = comparable_attributions(stores, attribution)
    crumb = Crumb(document.attribution.label, document.attribution.href)
    frame = make_frame(request, "Compare", ATTRIBUTIONS, crumb, section="Attributions", attribution=attribution)
    return render("comparable", comparable_page(document, frame))


@router.get(urls.COMPARISON)
def show_comparison(
    request: Request, stores: StoresHere, attribution: str, other: str, top: str | None = None
) -> Response:
    opened = stores.attributions.get(attribution)
    document = comparison_document(opened, stores.attributions.get(other), top=top)
    frame = make_frame(
        request,
        f"{document.first.label} beside {document.second.label}",
        ATTRIBUTIONS,
        Crumb(document.first.label, document.first.href),
        Crumb("Compare", urls.comparisons(attribution)),
        section="Attributions",
        scripts=("charts",),
        attribution=attribution,
    )
    return render("comparison", comparison_page(document, frame, here=address(request)))

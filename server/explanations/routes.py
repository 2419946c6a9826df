"""Routes of explanations: the list, one explanation, its CSV files, deletion."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.explanations.documents import ExplanationDocument, ExplanationSummary
from prunescope.server.explanations.files import curves_csv, neurons_csv
from prunescope.server.explanations.page import CURVES, ExplanationsPage, explanation_page
from prunescope.server.explanations.queries import (
    explanation_document,
    explanation_list,
    margin_shares,
    read_explanation,
)
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import EXPLANATIONS, Frame, address, render
from prunescope.server.stores import StoresHere

api = APIRouter(prefix=urls.API, tags=["Explanations"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {}}}}


@api.get(urls.explanations.route, responses=problems(422), summary="Explanations, newest first")
def list_explanations(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[ExplanationSummary]:
    return explanation_list(stores, cursor=cursor, limit=limit)


@pages.get(urls.explanations.route)
def show_explanations(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    page = asked.read(lambda: explanation_list(stores, cursor=asked.text("cursor")))
    frame = Frame(
        request,
        "Explanations",
        section="Explanations",
        scripts=("site/live",),
        events_href=urls.events(),
        notices=asked.notices,
    )
    return render("explanations/list", ExplanationsPage(frame, page))


@api.get(
    urls.explanation.route, responses=problems(404), summary="What pruning broke, and through which neurons and heads"
)
def get_explanation(stores: StoresHere, explanation: str) -> ExplanationDocument:
    return explanation_document(stores, explanation)


@pages.get(urls.explanation.route)
def show_explanation(request: Request, stores: StoresHere, explanation: str) -> Response:
    asked = Asked(request, "curve")
    document = explanation_document(stores, explanation)
    curve = asked.read(lambda: asked.one_of("curve", [*CURVES]))
    scripts = ("site/views", "site/charts", "site/maps")
    frame = Frame(request, document.label, EXPLANATIONS, section="Explanations", scripts=scripts, notices=asked.notices)
    return render("explanations/explanation", explanation_page(document, frame, address(request), curve))


@api.get(
    urls.explanation_neurons.route,
    response_class=StreamingResponse,
    responses={**CSV, **problems(404)},
    summary="The shares of every neuron as CSV",
)
def get_neurons(stores: StoresHere, explanation: str) -> StreamingResponse:
    stores.results.get("explanation", explanation)
    pieces = neurons_csv(margin_shares(stores, explanation))
    return StreamingResponse(pieces, media_type="text/csv", headers=_attached(f"neurons-{explanation}.csv"))


@api.get(
    urls.explanation_curves.route,
    response_class=Response,
    responses={**CSV, **problems(404)},
    summary="What the best neurons of each ranking restore, as CSV",
)
def get_curves(stores: StoresHere, explanation: str) -> Response:
    stores.results.get("explanation", explanation)
    body = curves_csv(read_explanation(stores, explanation))
    return Response(body, media_type="text/csv", headers=_attached(f"curves-{explanation}.csv"))


# The same CSV files are available below the address of the page.
pages.add_api_route(urls.explanation_neurons.route, get_neurons, response_class=StreamingResponse)
pages.add_api_route(urls.explanation_curves.route, get_curves, response_class=Response)


@api.delete(urls.explanation.route, status_code=204, responses=problems(404, 409), summary="Remove an explanation")
def delete_explanation(stores: StoresHere, explanation: str) -> None:
    stores.results.delete("explanation", explanation)


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"'}

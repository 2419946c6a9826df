"""Routes of attributions: the list, and one attribution."""

from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.attributions.documents import AttributionDocument, AttributionSummary
from prunescope.server.attributions.own_text import Target, other_texts, own_text_form, text_panel
from prunescope.server.attributions.page import attribution_frame, attribution_page, attributions_page
from prunescope.server.attributions.queries import By, attribution_document, attribution_list
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame, address, render
from prunescope.server.stores import StoresHere

api = APIRouter(prefix=urls.API, tags=["Attributions"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Sort = Annotated[Literal["rank", "drop"], Query(description="best Score first, or largest drop first")]
Order = Annotated[By, Query(description="neurons by Score, or by margin share, which needs an explanation")]
Variant = Annotated[str | None, Query(description="the pruned variant that drops speak of; the first one else")]


@api.get(urls.attributions.route, responses=problems(422), summary="Attributions, newest first")
def list_attributions(stores: StoresHere, cursor: str | None = None, limit: int = 50) -> Page[AttributionSummary]:
    return attribution_list(stores, cursor=cursor, limit=limit)


@pages.get(urls.attributions.route)
def show_attributions(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    page = asked.read(lambda: attribution_list(stores, cursor=asked.text("cursor")))
    frame = Frame(
        request,
        "Attributions",
        section="Attributions",
        scripts=("site/live",),
        events_href=urls.events(),
        notices=asked.notices,
    )
    return render("attributions/list", attributions_page(page, frame))


@api.get(urls.attribution.route, responses=problems(404, 422), summary="Words, Scores and damage of one attribution")
def get_attribution(
    stores: StoresHere,
    attribution: str,
    variant: Variant = None,
    word: str | None = None,
    layer: int | None = None,
    sort: Sort = "rank",
    by: Order = "score",
    explanation: Annotated[str | None, Query(description="from which margin shares are; the newest else")] = None,
) -> AttributionDocument:
    opened = stores.attributions.get(attribution)
    return attribution_document(
        stores, opened, variant=variant, word=word, layer=layer, sort=sort, by=by, explanation=explanation
    )


@pages.get(urls.attribution.route)
def show_attribution(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request, "variant", "word", "by", "explanation")
    opened = stores.attributions.get(attribution)
    document = asked.read(
        lambda: attribution_document(
            stores,
            opened,
            variant=asked.text("variant"),
            word=asked.text("word"),
            by="margin" if asked.one_of("by", get_args(By)) == "margin" else "score",
            explanation=asked.text("explanation"),
        )
    )
    frame = attribution_frame(
        request, document.label, opened, scripts=("site/maps", "texts/texts"), notices=asked.notices
    )
    own = None if frame.shared else text_panel(Target(attribution), own_text_form(opened), other_texts(stores, opened))
    return render("attributions/attribution", attribution_page(document, frame, here=address(request), own=own))


@api.delete(urls.attribution.route, status_code=204, responses=problems(404, 409), summary="Remove an attribution")
def delete_attribution(stores: StoresHere, attribution: str) -> None:
    stores.results.delete("attribution", attribution)
    stores.attributions.forget(attribution)

"""The home page, search and share links."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from prunescope.jobs.problems import bad_field
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import make_frame, render
from prunescope.server.site.home import home
from prunescope.server.site.home_documents import Home, SearchResults, ShareDocument
from prunescope.server.site.home_page import home_page
from prunescope.server.site.search import search
from prunescope.server.site.search_page import search_page
from prunescope.server.site.sharing import page_exists
from prunescope.server.stores import StoresHere
from prunescope.store.shares import Share

api = APIRouter(prefix=urls.API)
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

EXAMPLE_PATH = "/attributions/9f2c0123456789ab/neurons/15/2194?example=0"


class ShareRequest(BaseModel):
    """A page of this site, with its query: exactly what the link will show."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"path": EXAMPLE_PATH}]})

    path: Annotated[str, StringConstraints(min_length=1), Field(examples=[EXAMPLE_PATH])]


@api.get("/", tags=["Site"], summary="What runs, what was made last")
@api.get("", include_in_schema=False)
def get_home(stores: StoresHere) -> Home:
    return home(stores)


@pages.get(urls.HOME)
def show_home(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request)
    frame = make_frame(request, "Start", scripts=("live",), events_href=urls.events(), notices=asked.notices)
    return render("site/home", home_page(home(stores), frame))


@api.get(urls.SEARCH, tags=["Site"], responses=problems(422), summary="Neurons, words, models and jobs by name")
def get_search(stores: StoresHere, q: str = "", attribution: str | None = None) -> SearchResults:
    return search(stores, q, attribution=attribution)


@pages.get(urls.SEARCH)
def show_search(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "q", "attribution")
    document = asked.read(lambda: search(stores, asked.text("q") or "", attribution=asked.text("attribution")))
    neuron = next((hit for hit in document.items if hit.kind == "neuron"), None)
    only = neuron or (document.items[0] if len(document.items) == 1 else None)
    if only is not None:
        return RedirectResponse(only.href, status_code=303)
    frame = make_frame(
        request, "Search", query=document.query, attribution=asked.text("attribution"), notices=asked.notices
    )
    return render("site/search", search_page(document, frame))


@api.post(
    urls.SHARES,
    tags=["Shares"],
    status_code=201,
    response_model=ShareDocument,
    responses=problems(422),
    summary="Make a link that opens a page read-only",
)
async def create_share(request: Request, stores: StoresHere, share: ShareRequest) -> Response:
    made = await _create(request, stores, share.path)
    document = _document(request, made)
    return JSONResponse(document.model_dump(mode="json"), 201, {"location": urls.shared(made.token)})


@api.get(urls.SHARES, tags=["Shares"], responses=problems(422), summary="Links that are not revoked, newest first")
def list_shares(
    request: Request, stores: StoresHere, cursor: str | None = None, limit: int = 50
) -> Page[ShareDocument]:
    items, after = stores.shares.list(cursor=cursor, limit=limit)
    return Page[ShareDocument](items=[_document(request, item) for item in items], next=after)


@api.delete(urls.SHARE, tags=["Shares"], status_code=204, responses=problems(404), summary="Revoke a link")
def revoke_share(stores: StoresHere, token: str) -> None:
    stores.shares.revoke(token)


async def _create(request: Request, stores: StoresHere, path: str) -> Share:
    if not await page_exists(request, path):
        allowed = "the path of a page, such as /attributions/<id>/neurons/<layer>/<neuron>?example=0"
        raise bad_field("path", path, allowed, f"there is no page at {path[:200]!r} that can be shared; give {allowed}")
    return await run_in_threadpool(stores.shares.create, path)


def _document(request: Request, share: Share) -> ShareDocument:
    url = str(request.base_url).rstrip("/") + urls.shared(share.token)
    return ShareDocument(token=share.token, url=url, path=share.path, created_at=share.created_at)

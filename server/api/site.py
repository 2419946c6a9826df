"""Home, search and shares over REST."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from prunescope.jobs.problems import bad_field
from prunescope.server import urls
from prunescope.server.api.answers import problems
from prunescope.server.documents import Home, Page, SearchResults, ShareDocument
from prunescope.server.read.home import home
from prunescope.server.read.search import search
from prunescope.server.sharing import page_exists
from prunescope.server.stores import StoresHere
from prunescope.store.shares import Share

router = APIRouter(prefix=urls.API)

EXAMPLE_PATH = "/attributions/9f2c0123456789ab/neurons/15/2194?example=0"


class ShareRequest(BaseModel):
    """A page of this site, with its query: exactly what the link will show."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"path": EXAMPLE_PATH}]})

    path: Annotated[str, StringConstraints(min_length=1), Field(examples=[EXAMPLE_PATH])]


@router.get("/", tags=["Site"], summary="What runs, what was made last")
@router.get("", include_in_schema=False)
def get_home(stores: StoresHere) -> Home:
    return home(stores)


@router.get(urls.SEARCH, tags=["Site"], responses=problems(422), summary="Neurons, words, models and jobs by name")
def get_search(stores: StoresHere, q: str = "", attribution: str | None = None) -> SearchResults:
    return search(stores, q, attribution=attribution)


@router.post(
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


@router.get(urls.SHARES, tags=["Shares"], responses=problems(422), summary="Links that are not revoked, newest first")
def list_shares(
    request: Request, stores: StoresHere, cursor: str | None = None, limit: int = 50
) -> Page[ShareDocument]:
    items, after = stores.shares.list(cursor=cursor, limit=limit)
    return Page[ShareDocument](items=[_document(request, item) for item in items], next=after)


@router.delete(urls.SHARE, tags=["Shares"], status_code=204, responses=problems(404), summary="Revoke a link")
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

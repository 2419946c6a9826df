"""Routes of share links: the list, making and revoking one. `server/shares/opening.py` answers the links themselves."""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from prunescope.jobs.problems import bad_field
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.shares.documents import ShareDocument, ShareRequest
from prunescope.server.shares.opening import page_title, without_digest
from prunescope.server.shares.page import SharesPage
from prunescope.server.shares.queries import share_documents, share_list
from prunescope.server.site.asked import Asked
from prunescope.server.site.documents import Page
from prunescope.server.site.frame import Frame, render
from prunescope.server.site.permalinks import digest_of, results_of
from prunescope.server.stores import Stores, StoresHere

api = APIRouter(prefix=urls.API, tags=["Shares"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@api.post(
    urls.shares.route, status_code=201, responses=problems(422), summary="Make a link that opens a page read-only"
)
async def create_share(request: Request, response: Response, stores: StoresHere, share: ShareRequest) -> ShareDocument:
    path = without_digest(share.path)
    title = await page_title(request, path)
    if title is None:
        allowed = "the path of a page, such as /attributions/<id>/neurons/<layer>/<neuron>?example=0"
        raise bad_field("path", path, allowed, f"there is no page at {path[:200]!r} that can be shared; give {allowed}")
    made = await run_in_threadpool(_created, stores, str(request.base_url), path, title)
    response.headers["location"] = made.href
    return made


def _created(stores: Stores, site: str, path: str, title: str) -> ShareDocument:
    digest = digest_of(stores, results_of(path))
    made = stores.shares.create(path, title=title, digest=digest)
    return share_documents(stores, site, [made])[0]


@api.get(urls.shares.route, responses=problems(422), summary="Links that are not revoked, newest first")
def list_shares(
    request: Request, stores: StoresHere, cursor: str | None = None, limit: int = 50
) -> Page[ShareDocument]:
    return share_list(stores, str(request.base_url), cursor=cursor, limit=limit)


@pages.get(urls.shares.route)
def show_shares(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    document = asked.read(lambda: share_list(stores, str(request.base_url), cursor=asked.text("cursor")))
    return render("shares/list", SharesPage(Frame(request, "Share links", notices=asked.notices), document))


@api.delete(urls.share.route, status_code=204, responses=problems(404), summary="Revoke a link")
def revoke_share(stores: StoresHere, token: str) -> None:
    stores.shares.revoke(token)

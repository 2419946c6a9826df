"""Share links: `/s/{token}` passes the request on to the route of the shared page, which renders it read-only.

The route finds the link's path in ``scope["shared_from"]``. Only pages can be shared, never the API, the search, a
form, another share link or another site.
"""

from contextlib import suppress
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import Message, Receive, Scope, Send

from prunescope.jobs.problems import Problem, bad_field
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.site.documents import Page
from prunescope.server.stores import StoresHere, stores_of
from prunescope.store.shares import Share

api = APIRouter(prefix=urls.API, tags=["Shares"])

SHAREABLE = (
    urls.studies.route,
    urls.study.route,
    urls.models.route,
    urls.model.route,
    urls.evaluations.route,
    urls.evaluation.route,
    urls.evaluation_task.route,
    urls.explanations.route,
    urls.explanation.route,
    urls.corpora.route,
    urls.corpus.route,
    urls.corpus_neuron.route,
    urls.attributions.route,
    urls.attribution.route,
    urls.answering.route,
    urls.comparisons.route,
    urls.comparison.route,
    urls.layer.route,
    urls.neuron.route,
    urls.home.route,
    urls.jobs.route,
    urls.job.route,
)
ROUTING_KEYS = {"path_params", "endpoint", "route", "router", "fastapi_inner_astack", "fastapi_function_astack"}
"""Keys that routing adds to the scope of the link's request."""
KEPT_HEADERS = {b"host", b"accept", b"accept-encoding"}
_PATTERNS = tuple(compile_path(template)[0] for template in SHAREABLE)
EXAMPLE_PATH = "/attributions/9f2c0123456789ab/neurons/15/2194?example=0"


class ShareRequest(BaseModel, extra="forbid", json_schema_extra={"examples": [{"path": EXAMPLE_PATH}]}):
    """A page of this site, with its query: exactly what the link will show."""

    path: str = Field(min_length=1, examples=[EXAMPLE_PATH])


class ShareDocument(Share):
    url: str  # absolute


@api.post(
    urls.shares.route, status_code=201, responses=problems(422), summary="Make a link that opens a page read-only"
)
async def create_share(request: Request, response: Response, stores: StoresHere, share: ShareRequest) -> ShareDocument:
    path = share.path
    if not await page_exists(request, path):
        allowed = "the path of a page, such as /attributions/<id>/neurons/<layer>/<neuron>?example=0"
        raise bad_field("path", path, allowed, f"there is no page at {path[:200]!r} that can be shared; give {allowed}")
    made = await run_in_threadpool(stores.shares.create, path)
    response.headers["location"] = urls.shared(made.token)
    return _document(request, made)


@api.get(urls.shares.route, responses=problems(422), summary="Links that are not revoked, newest first")
def list_shares(
    request: Request, stores: StoresHere, cursor: str | None = None, limit: int = 50
) -> Page[ShareDocument]:
    items, after = stores.shares.list(cursor=cursor, limit=limit)
    return Page[ShareDocument](items=[_document(request, item) for item in items], next=after)


@api.delete(urls.share.route, status_code=204, responses=problems(404), summary="Revoke a link")
def revoke_share(stores: StoresHere, token: str) -> None:
    stores.shares.revoke(token)


def _document(request: Request, share: Share) -> ShareDocument:
    url = str(request.base_url).rstrip("/") + urls.shared(share.token)
    return ShareDocument(url=url, **share.model_dump())


class SharedPage:
    """The ASGI application at `/s/{token}`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        token = request.path_params["token"]
        try:
            share = await run_in_threadpool(stores_of(request).shares.get, token)
        except Problem:
            detail = "This link was revoked, or it was never made. Ask whoever sent it for a new one."
            raise Problem(404, "not-shared", "The link opens nothing", detail) from None

        async def send_private(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-robots-tag", b"noindex")]
            await send(message)

        await request.app.router(shared_scope(scope, share.path, request.url.path), receive, send_private)


def shareable(path: str) -> bool:
    """Whether a path (with its query) is that of a page that can be shared; the page may not exist."""
    parts = urlsplit(path)
    plain = unquote(parts.path)
    if parts.scheme or parts.netloc or not path.startswith("/") or path.startswith("//") or ".." in plain.split("/"):
        return False
    return plain != urls.new_job() and any(pattern.match(plain) for pattern in _PATTERNS)


async def page_exists(request: Request, path: str) -> bool:
    """Whether a path is that of a page that can be shared, and its route answers with 200."""
    if not shareable(path):
        return False
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    with suppress(Problem):
        await request.app.router(shared_scope(request.scope, path, path), receive, send)
    return statuses == [200]


def shared_scope(scope: Scope, path: str, shared_from: str) -> Scope:
    """The ASGI scope of a request for `path`, derived from the scope of the link's request."""
    parts = urlsplit(path)
    return {
        **{key: value for key, value in scope.items() if key not in ROUTING_KEYS},
        "method": "GET",
        "root_path": "",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [(name, value) for name, value in scope["headers"] if name in KEPT_HEADERS],
        "shared_from": shared_from,
    }

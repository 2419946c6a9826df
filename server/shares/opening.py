"""Share links: `/s/{token}` passes the request on to the route of the shared page, which renders it read-only.

The scope of that request has three keys of its own: ``shared_from`` (the link's path), ``shared_digest`` (the digest
that the link stores) and ``dashboard_href`` (the page's address in the full dashboard). Only pages can be shared, never
the API, the search, a form, the list of links, another share link or another site.
"""

import html
import re
from contextlib import suppress
from urllib.parse import unquote, urlsplit

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.routing import compile_path
from starlette.types import Message, Receive, Scope, Send

from prunescope.jobs.problems import Problem
from prunescope.server import urls
from prunescope.server.problems import SILENT_DATABASE
from prunescope.server.site.permalinks import DIGEST
from prunescope.server.stores import stores_of
from prunescope.store.shares import Share

SHAREABLE = {
    urls.studies.route: "List of studies",
    urls.study.route: "Study",
    urls.models.route: "List of models",
    urls.model.route: "Model",
    urls.evaluations.route: "List of evaluations",
    urls.evaluation.route: "Evaluation",
    urls.evaluation_task.route: "Task",
    urls.explanations.route: "List of explanations",
    urls.explanation.route: "Explanation",
    urls.corpora.route: "List of corpora",
    urls.corpus.route: "Corpus",
    urls.corpus_neuron.route: "Neuron in a corpus",
    urls.attributions.route: "List of attributions",
    urls.attribution.route: "Attribution",
    urls.answering.route: "Neurons of a word",
    urls.comparisons.route: "List of comparisons",
    urls.comparison.route: "Comparison",
    urls.layer.route: "Layer",
    urls.neuron.route: "Neuron",
    urls.home.route: "Home page",
    urls.jobs.route: "List of jobs",
    urls.job.route: "Job",
}
"""Route of a page that can be shared -> what it is called in the list of links."""
ROUTING_KEYS = {"path_params", "endpoint", "route", "router", "fastapi_inner_astack", "fastapi_function_astack"}
"""Keys that routing adds to the scope of the link's request."""
KEPT_HEADERS = {b"host", b"accept", b"accept-encoding"}
_PATTERNS = {compile_path(template)[0]: name for template, name in SHAREABLE.items()}
_TITLE = re.compile(r"<title>(.*?) · Prunescope</title>", re.DOTALL)
MAX_HEAD_BYTES = 16 * 1024
"""The title of a page is searched in that many bytes of its HTML."""


class SharedPage:
    """The ASGI application at `/s/{token}`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        shares = stores_of(request).shares
        try:
            share = await run_in_threadpool(shares.get, request.path_params["token"])
        except Problem:
            detail = "This link was revoked, or it was never made. Ask whoever sent it for a new one."
            raise Problem(404, "not-shared", "The link opens nothing", detail) from None
        statuses: list[int] = []

        async def send_private(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                message["headers"] = [*message["headers"], (b"x-robots-tag", b"noindex")]
            await send(message)

        await request.app.router(_scope_of_link(scope, share, request.url.path), receive, send_private)
        if statuses == [200]:
            with suppress(*SILENT_DATABASE):  # the page was answered
                await run_in_threadpool(shares.opened, share)


def _scope_of_link(scope: Scope, share: Share, shared_from: str) -> Scope:
    join = "&" if "?" in share.path else "?"
    address = f"{share.path}{join}{DIGEST}={share.digest}" if share.digest else share.path
    known = {"shared_digest": share.digest, "dashboard_href": address}
    return {**shared_scope(scope, share.path, shared_from), **known}


def shareable(path: str) -> bool:
    """Whether a path (with its query) is that of a page that can be shared; the page may not exist."""
    parts = urlsplit(path)
    plain = unquote(parts.path)
    if parts.scheme or parts.netloc or not path.startswith("/") or path.startswith("//") or ".." in plain.split("/"):
        return False
    return plain != urls.new_job() and any(pattern.match(plain) for pattern in _PATTERNS)


def kind_of(path: str) -> str:
    """What the page at a path (with its query) is called in the list of links."""
    plain = unquote(urlsplit(path).path)
    return next((name for pattern, name in _PATTERNS.items() if pattern.match(plain)), "Page")


def without_digest(path: str) -> str:
    """A path without the parameter ``digest`` of a copied link, since a share link stores the present digest."""
    address, mark, query = path.partition("?")
    kept = [part for part in query.split("&") if part.partition("=")[0] != DIGEST]
    return address + (mark if kept and mark else "") + "&".join(kept)


async def page_title(request: Request, path: str) -> str | None:
    """The title of the page at a path; None if no page can be shared there, or if its route answers with another status
    than 200."""
    if not shareable(path):
        return None
    statuses: list[int] = []
    head = bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        else:
            head.extend(message.get("body", b"")[: MAX_HEAD_BYTES - len(head)])

    with suppress(Problem):
        await request.app.router(shared_scope(request.scope, path, path), receive, send)
    if statuses != [200]:
        return None
    found = _TITLE.search(head.decode(errors="ignore"))
    return html.unescape(found[1]) if found else ""


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

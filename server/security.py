"""Checks of every request (host, origin) and headers of every response.

No page of the application needs inline script or style, so the Content-Security-Policy allows none; everything comes
from this origin. There is no login: what keeps a page of another origin from reading or changing anything here is the
check of the Host header (a name that an attacker rebinds to this address is not one of ours) and, for requests that
change something, that the browser says they come from our own pages and that they carry JSON, which no form of another
page can send. A form is read only where the browser itself said that it is one of ours: a request that says nothing of
its origin must carry JSON.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prunescope.jobs.bounds import MAX_ECHO
from prunescope.jobs.problems import Problem
from prunescope.server.headers import HEADERS, media_type
from prunescope.server.problems import ErrorRenderer, answer_problem
from prunescope.server.urls import API

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM = "application/x-www-form-urlencoded"


class Security:
    """ASGI middleware around the whole application; see the module's text."""

    def __init__(self, app: ASGIApp, render: ErrorRenderer, allowed_hosts: Iterable[str] = ()) -> None:
        """``render`` makes the page of what is refused, for a browser."""
        self.app = app
        self.render = render
        names = (_without_port(host.lower()) for host in allowed_hosts)
        self.allowed_hosts = tuple(name for name in names if name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self.objection(scope["method"], Headers(scope=scope)) or _objection_to_address(scope)
        if problem is not None:
            answer = answer_problem(Request(scope), problem, self.render)
            await answer(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)

    def objection(self, method: str, headers: Headers) -> Problem | None:
        """Why a request is refused, or None."""
        host = headers.get("host", "")
        if not self.knows_host(host):
            return Problem(
                421,
                "unknown-host",
                "Not this server's name",
                f"'{host[:200]}' is no name of this server; name it in PRUNESCOPE_ALLOWED_HOSTS if it is one",
            )
        if method in SAFE_METHODS:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        foreign = (
            urlsplit(origin).netloc.lower() != host.lower()
            if origin is not None
            else site not in {None, "same-origin", "none"}
        )
        if foreign:
            return Problem(
                403,
                "foreign-origin",
                "From another site",
                f"a {method} from another origin than this server's is refused",
            )
        length = headers.get("content-length", "0")
        has_body = "transfer-encoding" in headers or length != "0"
        kind = media_type(headers)
        ours = origin is not None or site == "same-origin"
        if has_body and kind != "application/json" and not (kind == FORM and ours):
            return Problem(
                415,
                "not-json",
                "Not JSON",
                f"send the body as application/json, not as '{kind[:100] or 'an unnamed type'}'",
            )
        return None

    def knows_host(self, host: str) -> bool:
        """Loopback, any IP address (a rebound name is never one), or a configured name, also ``*.example.org``."""
        name = _without_port(host.lower())
        if name == "localhost" or name.endswith(".localhost") or _is_address(name):
            return True
        return any(
            name == allowed or allowed == "*" or (allowed.startswith("*.") and name.endswith(allowed[1:]))
            for allowed in self.allowed_hosts
        )


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.partition(":")[0].removesuffix(".")


def _objection_to_address(scope: Scope) -> Problem | None:
    # Nothing here has such a name, and PostgreSQL takes no text with a null character in it.
    if "\0" in scope["path"]:
        shown = scope["path"].replace("\0", "%00")
        return Problem(404, "not-found", "Not found", f"there is nothing at {shown[:MAX_ECHO]}")
    # A page says itself what of its query it left out.
    if b"%00" in scope.get("query_string", b"") and (
        scope["path"].startswith(API) or scope["method"] not in {"GET", "HEAD"}
    ):
        return Problem(400, "bad-address", "Not an address", "the address holds a null character (%00); leave it out")
    return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

"""Checks of host, origin and content type of every request, and security headers of every response.

The Content-Security-Policy allows no inline script or style and nothing from other origins.

There is no login. Three checks keep pages of other origins from reading or changing data:

- The Host header must be one of this server's names. This prevents DNS rebinding.
- A request that changes something must not have an Origin or Sec-Fetch-Site header of another site.
- Its body must be JSON, which an HTML form cannot send. A form is accepted only if the browser states that it comes
  from this origin.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prunescope.jobs.bounds import MAX_ECHO
from prunescope.jobs.problems import Problem
from prunescope.server.headers import EMBED_POLICY, HEADERS, media_type
from prunescope.server.problems import ErrorRenderer, answer_problem
from prunescope.server.urls import API

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM = "application/x-www-form-urlencoded"


class Security:
    """ASGI middleware that makes these checks and sets these headers."""

    def __init__(self, app: ASGIApp, render: ErrorRenderer, allowed_hosts: Iterable[str] = ()) -> None:
        """``render`` returns the error page for a rejected request of a browser."""
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
                framed = headers.get("content-security-policy") == EMBED_POLICY
                for name, value in HEADERS.items():
                    if not (framed and name == "x-frame-options"):
                        headers.setdefault(name, value)
            await send(message)

        problem = self._objection(scope["method"], Headers(scope=scope)) or _objection_to_address(scope)
        answer = answer_problem(Request(scope), problem, self.render) if problem else self.app
        await answer(scope, receive, send_with_headers)

    def _objection(self, method: str, headers: Headers) -> Problem | None:
        """The problem for which a request is rejected, or None."""
        host = headers.get("host", "")
        if not self.knows_host(host):
            detail = f"'{host[:200]}' is no name of this server; name it in PRUNESCOPE_ALLOWED_HOSTS if it is one"
            return Problem(421, "unknown-host", "Not this server's name", detail)
        if method in SAFE_METHODS:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        foreign = (
            urlsplit(origin).netloc.lower() != host.lower()
            if origin is not None
            else site not in {None, "same-origin", "none"}
        )
        if foreign:
            detail = f"a {method} from another origin than this server's is refused"
            return Problem(403, "foreign-origin", "From another site", detail)
        length = headers.get("content-length", "0")
        has_body = "transfer-encoding" in headers or length != "0"
        kind = media_type(headers)
        ours = origin is not None or site == "same-origin"
        if has_body and kind != "application/json" and not (kind == FORM and ours):
            detail = f"send the body as application/json, not as '{kind[:100] or 'an unnamed type'}'"
            return Problem(415, "not-json", "Not JSON", detail)
        return None

    def knows_host(self, host: str) -> bool:
        """Whether a Host header is localhost, an IP address (never rebound) or configured (maybe ``*.example.org``)."""
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
    # No name contains a null character, and PostgreSQL rejects texts with one.
    path = scope["path"]
    if "\0" in path:
        shown = path.replace("\0", "%00")
        return Problem(404, "not-found", "Not found", f"there is nothing at {shown[:MAX_ECHO]}")
    # Pages ignore such a parameter and show a notice.
    of_page = scope["method"] in {"GET", "HEAD"} and not path.startswith(API)
    if b"%00" in scope.get("query_string", b"") and not of_page:
        return Problem(400, "bad-address", "Not an address", "the address holds a null character (%00); leave it out")
    return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True

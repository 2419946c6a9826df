"""Responses to errors: RFC 9457 problem documents, or pages for browsers."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from prunescope.jobs.bounds import MAX_ERRORS
from prunescope.jobs.problems import FieldError, Problem, detail_of, shown, unavailable
from prunescope.server import urls
from prunescope.server.headers import HEADERS

logger = logging.getLogger(__name__)

MAX_SHOWN = 60
"""Maximum number of characters of a value quoted in a sentence."""
MEDIA_TYPE = "application/problem+json"

SILENT_DATABASE = (OperationalError, InterfaceError, PoolTimeout)

ErrorRenderer = Callable[[Request, Problem], Response]


def problem_response(problem: Problem, path: str) -> Response:
    """The response with the problem document; ``path`` is the requested path, the document's ``instance``."""
    document = {**problem.document(), "instance": path}
    # The document quotes given values, which JSON or UTF-8 may not be able to express: NaN, half of a surrogate pair.
    content = json.dumps(_finite(document), allow_nan=False)
    return Response(content, status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def wants_page(request: Request) -> bool:
    """Whether the response should be HTML: the client accepts it, and the path is not below ``/api``."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(urls.API)


def answer_problem(request: Request, problem: Problem, render: ErrorRenderer) -> Response:
    """The response to a problem: the document, or the page that ``render`` returns, with the problem's headers."""
    path = request.scope.get("shared_from", request.url.path)
    if not wants_page(request):
        return problem_response(problem, path)
    response = render(request, problem)
    response.headers.update(problem.headers)
    return response


def add_handlers(app: FastAPI, render: ErrorRenderer, explain: Callable[[Request, Problem], Problem]) -> None:
    """Answer every error with a problem document, or with the page that ``render`` returns. ``explain`` returns the
    problem that is answered for one with status 404; it may read the database."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = _problem_of(error, request)
        if problem.status == 404:
            with suppress(*SILENT_DATABASE):  # then the problem stays as it is
                problem = await run_in_threadpool(explain, request, problem)
        response = answer_problem(request, problem, render)
        # Unexpected errors are answered outside of all middleware, which would otherwise set these headers.
        response.headers.update(HEADERS)
        return response

    for kind in (Problem, HTTPException, RequestValidationError, *SILENT_DATABASE, Exception):
        app.add_exception_handler(kind, answer)


def _problem_of(error: Exception, request: Request) -> Problem:
    path = request.url.path
    match error:
        case Problem():
            return error
        case HTTPException(status_code=404):
            return Problem(404, "not-found", "Not found", f"there is nothing at {path}")
        case HTTPException(status_code=405):
            allow = ", ".join(sorted(_methods(request)))
            detail = f"{path} answers {allow}, not {request.method}"
            return Problem(405, "method-not-allowed", "Method not allowed", detail, headers={"allow": allow})
        case HTTPException():  # another error of Starlette, such as a body that cannot be parsed
            title = HTTPStatus(error.status_code).phrase
            return Problem(error.status_code, title.lower().replace(" ", "-"), title, str(error.detail))
        case RequestValidationError():
            errors = error.errors()
            fields = [_field_error(each) for each in errors[:MAX_ERRORS]]
            return Problem(
                422, "bad-request", "The request cannot be understood", detail_of(fields, len(errors)), fields
            )
        case _ if isinstance(error, SILENT_DATABASE):
            # Only the first line: SQLAlchemy adds the statement with its values on further lines.
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            logger.warning("%s %s: the database does not answer: %s", request.method, path, text)
            detail = "the database does not answer at the moment; nothing was changed"
            return unavailable("database-silent", "The database does not answer", detail)
    # The error itself is logged by the server and never shown in the response.
    return Problem(500, "internal", "Server error", "something went wrong in the server; its log says what")


def _methods(request: Request) -> set[str]:
    """All methods that the application's routes support at the request's path."""
    methods: set[str] = set()
    for route in _routes(request.app.router):
        if route.matches(request.scope)[0] != Match.NONE:
            methods |= getattr(route, "methods", None) or {"GET"}
    return methods | ({"HEAD"} if "GET" in methods else set())  # the middleware `Head` adds HEAD


def _routes(router: Any) -> Iterator[BaseRoute]:
    """All routes of a router, with those of included routers, each of which is one entry in `router.routes`."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from _routes(inner)


def _field_error(error: dict[str, Any]) -> FieldError:
    """The invalid parameter or body field that one of Pydantic's errors describes."""
    field = ".".join(map(str, error["loc"][1:])) or "body"
    context = error.get("ctx", {})
    if error["type"] == "json_invalid":
        return FieldError("body", None, "JSON", f"is not JSON: {context['error']}")
    if error["type"] == "missing":
        return FieldError(field, None, "a value", "is needed")
    given, allowed = error["input"], str(context.get("expected", error["msg"]))
    quoted = shown(given if isinstance(given, str) else shown(given, MAX_SHOWN), MAX_SHOWN)
    return FieldError(field, given, allowed, f"{quoted} is not allowed: {allowed}")

"""Errors as RFC 9457 problem documents, and as pages for browsers."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
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
"""Characters of a value inside of a sentence."""
MEDIA_TYPE = "application/problem+json"

SILENT_DATABASE = (OperationalError, InterfaceError, PoolTimeout)

ErrorRenderer = Callable[[Request, Problem], Response]


def problem_response(problem: Problem, path: str) -> Response:
    """The problem document; ``path`` is the request's, the document's ``instance``."""
    document = {**problem.document(), "instance": path}
    # What was given comes back in it, and may be what JSON or UTF-8 does not have: NaN, half of a surrogate pair.
    content = json.dumps(_finite(document), allow_nan=False)
    return Response(content, status_code=problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def wants_page(request: Request) -> bool:
    """A browser that asks for a page; below ``/api`` everything is JSON, whoever asks."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(urls.API)


def answer_problem(request: Request, problem: Problem, render: ErrorRenderer) -> Response:
    """The problem document, or for a browser the page that ``render`` makes of it, with the problem's headers."""
    path = request.scope.get("shared_from", request.url.path)
    if not wants_page(request):
        return problem_response(problem, path)
    response = render(request, problem)
    response.headers.update(problem.headers)
    return response


def add_handlers(app: FastAPI, render: ErrorRenderer) -> None:
    """Answer every error with a problem document, or with the page that ``render`` makes of it."""

    async def answer(request: Request, error: Exception) -> Response:
        response = answer_problem(request, _problem_of(error, request), render)
        # What nobody expected is answered outside of all middleware, and so without its headers.
        response.headers.update(HEADERS)
        return response

    for kind in (Problem, HTTPException, RequestValidationError, *SILENT_DATABASE, Exception):
        app.add_exception_handler(kind, answer)


def _problem_of(error: Exception, request: Request) -> Problem:
    match error:
        case Problem():
            return error
        case HTTPException():
            return _of_http(error, request)
        case RequestValidationError():
            errors = error.errors()
            fields = [_field_error(each) for each in errors[:MAX_ERRORS]]
            return Problem(
                422, "bad-request", "The request cannot be understood", detail_of(fields, len(errors)), fields
            )
        case _ if isinstance(error, SILENT_DATABASE):
            # SQLAlchemy adds the statement, with its values, on further lines.
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            logger.warning("%s %s: the database does not answer: %s", request.method, request.url.path, text)
            detail = "the database does not answer at the moment; nothing was changed"
            return unavailable("database-silent", "The database does not answer", detail)
    # The error itself goes on to the server's log, never into the answer.
    return Problem(500, "internal", "Server error", "something went wrong in the server; its log says what")


def _of_http(error: HTTPException, request: Request) -> Problem:
    """Starlette's own errors: an address or a method that does not exist, JSON that cannot be read."""
    path = request.url.path
    if error.status_code == 404:
        return Problem(404, "not-found", "Not found", f"there is nothing at {path}")
    if error.status_code == 405:
        allow = ", ".join(sorted(_methods(request)))
        detail = f"{path} answers {allow}, not {request.method}"
        return Problem(405, "method-not-allowed", "Method not allowed", detail, headers={"allow": allow})
    title = HTTPStatus(error.status_code).phrase
    return Problem(error.status_code, title.lower().replace(" ", "-"), title, str(error.detail))


def _methods(request: Request) -> set[str]:
    """Every method that some route of the application answers at this address."""
    methods: set[str] = set()
    for route in _routes(request.app.router):
        if route.matches(request.scope)[0] != Match.NONE:
            methods |= getattr(route, "methods", None) or {"GET"}
    return methods | ({"HEAD"} if "GET" in methods else set())  # HEAD is answered wherever GET is


def _routes(router: Any) -> Iterator[BaseRoute]:
    """The routes of a router and of those that it includes, which are one entry of its list each."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is None:
            yield route
        else:
            yield from _routes(inner)


def _field_error(error: dict[str, Any]) -> FieldError:
    """A field of a request's parameters or body, from Pydantic's error."""
    field = ".".join(map(str, error["loc"][1:])) or "body"
    context = error.get("ctx", {})
    if error["type"] == "json_invalid":
        return FieldError("body", None, "JSON", f"is not JSON: {context['error']}")
    if error["type"] == "missing":
        return FieldError(field, None, "a value", "is needed")
    given, allowed = error["input"], str(context.get("expected", error["msg"]))
    quoted = shown(given if isinstance(given, str) else shown(given, MAX_SHOWN), MAX_SHOWN)
    return FieldError(field, given, allowed, f"{quoted} is not allowed: {allowed}")

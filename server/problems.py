"""Errors as RFC 9457 problem documents, and as pages for browsers."""

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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


class MethodNotAllowed(Problem):
    """405, with the methods that are allowed."""

    def __init__(self, method: str, path: str, allow: str) -> None:
        detail = f"{path} answers {allow}, not {method}"
        super().__init__(405, "method-not-allowed", "Method not allowed", detail, headers={"allow": allow})


def wants_page(request: Request) -> bool:
    """A browser that asks for a page; below ``/api`` everything is JSON, whoever asks."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(urls.API)


def answer_problem(request: Request, problem: Problem, render: ErrorRenderer) -> Response:
    """The problem document, or for a browser the page that ``render`` makes of it."""
    path = request.scope.get("shared_from", request.url.path)
    if not wants_page(request):
        return problem_response(problem, path)
    response = render(request, problem)
    response.status_code = problem.status
    response.headers.update(problem.headers)
    return response


def add_handlers(app: FastAPI, render: ErrorRenderer) -> None:
    """Answer every error with a problem document, or with the page that ``render`` makes of it."""

    def answer(request: Request, problem: Problem) -> Response:
        return answer_problem(request, problem, render)

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return answer(request, error)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return answer(request, of_http(error, request))

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return answer(request, of_validation(error.errors()))

    async def on_silent_database(request: Request, error: Exception) -> Response:
        logger.warning("%s %s: the database does not answer: %s", request.method, request.url.path, first_line(error))
        detail = "the database does not answer at the moment; nothing was changed"
        return answer(request, unavailable("database-silent", "The database does not answer", detail))

    async def on_crash(request: Request, error: Exception) -> Response:
        # The error itself goes on to the server's log, never into the answer. This answer is made outside of all
        # middleware, so it brings its own headers.
        detail = "something went wrong in the server; its log says what"
        response = answer(request, Problem(500, "internal", "Server error", detail))
        response.headers.update(HEADERS)
        return response

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    for silent in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(silent, on_silent_database)
    app.add_exception_handler(Exception, on_crash)


def first_line(error: Exception) -> str:
    """An error's text up to its first line end: SQLAlchemy adds the statement, with its values, on the next ones."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def of_http(error: HTTPException, request: Request) -> Problem:
    """Starlette's own errors: an address or a method that does not exist, JSON that cannot be read."""
    path = request.url.path
    if error.status_code == 404:
        return Problem(404, "not-found", "Not found", f"there is nothing at {path}")
    if error.status_code == 405:
        return MethodNotAllowed(request.method, path, ", ".join(sorted(_methods(request))))
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


def of_validation(errors: Sequence[dict[str, object]]) -> Problem:
    """A request's parameters or body that do not fit: one entry per field, with what was given and what is allowed."""
    fields = [_field_error(error) for error in errors[:MAX_ERRORS]]
    return Problem(422, "bad-request", "The request cannot be understood", detail_of(fields, len(errors)), fields)


def _field_error(error: dict[str, object]) -> FieldError:
    place = error.get("loc")
    steps = [str(step) for step in place] if isinstance(place, tuple | list) else []
    context = error.get("ctx")
    allowed = (
        str(context["expected"]) if isinstance(context, dict) and "expected" in context else str(error.get("msg", ""))
    )
    if error.get("type") == "json_invalid":
        return FieldError(
            "body", None, "JSON", f"is not JSON: {context.get('error') if isinstance(context, dict) else ''}"
        )
    if error.get("type") == "missing":
        return FieldError(".".join(steps[1:]) or "body", None, "a value", "is needed")
    given = error.get("input")
    return FieldError(".".join(steps[1:]) or "body", given, allowed, f"{_quoted(given)} is not allowed: {allowed}")


def _quoted(given: object) -> str:
    return shown(given if isinstance(given, str) else shown(given, MAX_SHOWN), MAX_SHOWN)

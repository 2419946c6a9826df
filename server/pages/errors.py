"""Errors as pages: what went wrong, which field, what to do."""

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from prunescope.server import urls
from prunescope.server.documents import ErrorPage
from prunescope.server.pages.frame import Frame, make_frame, render


@dataclass(frozen=True)
class ErrorView:
    """The context of ``error.html``."""

    frame: Frame
    status: str
    title: str
    detail: str
    errors: tuple[str, ...]
    home_href: str | None


def error_page(request: Request, page: ErrorPage) -> Response:
    """The page of a problem document."""
    frame = make_frame(request, page.title)
    errors = tuple(f"{error['field']}: {error['message']}" for error in page.errors)
    detail = page.detail or ""
    if len(errors) == 1 and errors[0] == detail:
        errors = ()
    view = ErrorView(frame, str(page.status), page.title, detail, errors, None if frame.shared else urls.home())
    return render("error", view, page.status)

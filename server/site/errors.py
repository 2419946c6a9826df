"""Errors as pages: what went wrong, which field, what to do."""

from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import Response

from prunescope.server import urls
from prunescope.server.site.frame import Frame, make_frame, render
from prunescope.server.site.home_documents import ErrorPage


@dataclass(frozen=True)
class ErrorView:
    """The context of ``site/error.html``."""

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
    return render("site/error", view, page.status)

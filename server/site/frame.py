"""The frame of every page (title, navigation, scripts), the rendering of templates, and error pages."""

from dataclasses import dataclass, replace
from functools import lru_cache

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from prunescope.frontend import STATIC, TEMPLATES
from prunescope.jobs.labels import quoted
from prunescope.jobs.problems import Problem
from prunescope.server import urls
from prunescope.server.site import formats
from prunescope.server.site.glossary import term
from prunescope.server.static import folder_version


@dataclass(frozen=True)
class Crumb:
    label: str
    href: str | None = None


STUDIES = Crumb("Studies", urls.studies())
ATTRIBUTIONS = Crumb("Attributions", urls.attributions())
EVALUATIONS = Crumb("Evaluations", urls.evaluations())
MODELS = Crumb("Models", urls.models())
JOBS = Crumb("Jobs", urls.jobs())


@dataclass(frozen=True)
class Frame:
    """The context of ``site/base.html``. ``shared``: the page was opened by a share link and is read-only. ``section``:
    the label of the section to which the page belongs. ``notices``: sentences about ignored query parameters."""

    title: str
    section: str | None
    crumbs: tuple[Crumb, ...]
    shared: bool
    search_query: str
    search_attribution: str | None
    stylesheet: str
    scripts: tuple[str, ...]
    share_href: str | None
    events_href: str | None
    notices: tuple[str, ...]
    sections: tuple[Crumb, ...] = (STUDIES, ATTRIBUTIONS, EVALUATIONS, MODELS, JOBS)
    home_href: str = urls.home()
    search_href: str = urls.search()


def make_frame(
    request: Request,
    title: str,
    *crumbs: Crumb,
    section: str | None = None,
    scripts: tuple[str, ...] = (),
    events_href: str | None = None,
    query: str = "",
    attribution: str | None = None,
    notices: tuple[str, ...] = (),
) -> Frame:
    """The frame of a page. ``scripts`` are modules below ``frontend/static/js``, in addition to ``site/page``, which
    every page loads. ``query`` is shown in the search field, which searches neurons and words only
    in ``attribution`` if given."""
    shared = "shared_from" in request.scope
    return Frame(
        title=title,
        section=section,
        crumbs=tuple(replace(crumb, href=None) for crumb in crumbs) if shared else crumbs,
        shared=shared,
        search_query=query,
        search_attribution=attribution,
        stylesheet=file_href("css/prunescope.css"),
        scripts=tuple(file_href(f"js/{name}.js") for name in ("site/page", *scripts)),
        share_href=None if shared else urls.shares(),
        events_href=None if shared else events_href,
        notices=notices,
    )


def address(request: Request) -> str:
    """The path in the browser's address bar: the page's own, or the share link's."""
    return str(request.scope.get("shared_from", request.url.path))


def file_href(name: str) -> str:
    """The address of a static file, with the common version of all static files."""
    return urls.static(f"{folder_version(STATIC)}/{name}")


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The Jinja environment: values are escaped, undefined names raise; the filters are the functions of `formats`,
    `quoted` and `term`."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(formats.FILTERS, quoted=quoted, term=term)
    return templates


def render(template: str, page: object, status: int = 200) -> HTMLResponse:
    """The response with ``templates/<template>.html``, rendered with the context ``page``."""
    html = environment().get_template(f"{template}.html").render(page=page)
    return HTMLResponse(html, status_code=status, headers={"cache-control": "no-cache"})


@dataclass(frozen=True)
class ErrorPage:
    """The context of ``site/error.html``; ``errors`` are the invalid fields if the problem's detail is not the same."""

    frame: Frame
    problem: Problem
    errors: list[str]


def error_page(request: Request, problem: Problem) -> HTMLResponse:
    """The error page of a problem."""
    told = [f"{field['field']}: {field['message']}" for field in problem.document()["errors"]]
    errors = [] if told == [problem.detail] else told
    return render("site/error", ErrorPage(make_frame(request, problem.title), problem, errors), problem.status)

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
from prunescope.server.site.permalinks import Removed, asked_results, digest_of
from prunescope.server.static import folder_version, plotly_address
from prunescope.server.stores import stores_of


@dataclass(frozen=True)
class Crumb:
    label: str
    href: str | None = None


STUDIES = Crumb("Studies", urls.studies())
ATTRIBUTIONS = Crumb("Attributions", urls.attributions())
EVALUATIONS = Crumb("Evaluations", urls.evaluations())
EXPLANATIONS = Crumb("Explanations", urls.explanations())
CORPORA = Crumb("Corpora", urls.corpora())
MODELS = Crumb("Models", urls.models())
JOBS = Crumb("Jobs", urls.jobs())
GUIDE = Crumb("Guide", urls.guide())
LISTS = (STUDIES, ATTRIBUTIONS, EVALUATIONS, EXPLANATIONS, CORPORA, MODELS, JOBS, GUIDE)


class Frame:
    """The frame of a page, the context of ``site/base.html``."""

    sections = (STUDIES, EXPLANATIONS, ATTRIBUTIONS, EVALUATIONS, MODELS, JOBS, GUIDE)

    def __init__(
        self,
        request: Request,
        title: str,
        *crumbs: Crumb,
        section: str | None = None,
        scripts: tuple[str, ...] = (),
        events_href: str | None = None,
        query: str = "",
        attribution: str | None = None,
        notices: tuple[str, ...] = (),
        permalink: bool = True,
    ) -> None:
        """``section``: the label of the section to which the page belongs. ``scripts``: modules below
        ``frontend/static/js``, in addition to ``site/page``, which every page loads. ``query``: shown in the search
        field, which searches neurons and words only in ``attribution`` if given. ``notices``: sentences about ignored
        query parameters. ``permalink``: whether a copied link has the digest of the results that the page shows, which
        is read from the database."""
        self.title, self.section, self.notices = title, section, notices
        self.search_query, self.search_attribution = query, attribution
        version = folder_version(STATIC)
        self.stylesheet = urls.static(f"{version}/css/prunescope.css")
        self.scripts = [urls.static(f"{version}/js/{name}.js") for name in ("site/page", *scripts)]
        self.shared = "shared_from" in request.scope  # opened by a share link: read-only
        self.crumbs = [replace(crumb, href=None) for crumb in crumbs] if self.shared else crumbs
        self.share_href = None if self.shared else urls.api(urls.shares())
        results = asked_results(request) if permalink and not self.shared else ()
        self.digest = digest_of(stores_of(request), results) if results else None
        self.dashboard_href: str | None = request.scope.get("dashboard_href")  # of the shared page
        self.events_href = None if self.shared else events_href
        self.origin = str(request.base_url).rstrip("/")
        self.embedded = False

    def embed(self) -> None:
        """Leave out what a page in another site's frame does not have: header, footer, and all that a shared page has
        not."""
        self.embedded = self.shared = True
        self.crumbs, self.share_href, self.events_href, self.digest = [], None, None, None

    @property
    def plotly(self) -> str:
        """The address of Plotly's script, for pages with charts."""
        return plotly_address()


def address(request: Request) -> str:
    """The path in the browser's address bar: the page's own, or the share link's."""
    return str(request.scope.get("shared_from", request.url.path))


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The Jinja environment: values are escaped, undefined names raise; the filters are the functions of `formats`
    and `quoted`; `urls` is global."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(formats.FILTERS, quoted=quoted)
    templates.globals["urls"] = urls
    return templates


def render(template: str, page: object, status: int = 200) -> HTMLResponse:
    """The response with ``templates/<template>.html``, rendered with the context ``page``."""
    html = environment().get_template(f"{template}.html").render(page=page)
    return HTMLResponse(html, status_code=status, headers={"cache-control": "no-cache"})


@dataclass(frozen=True)
class ErrorPage:
    """The context of ``site/error.html``; ``errors`` are the invalid fields if the problem's detail is not the same.
    ``items``: the list to which the address belongs; ``again_href``: the form with the spec of a removed result."""

    frame: Frame
    problem: Problem
    errors: list[str]
    items: Crumb | None
    again_href: str | None


def error_page(request: Request, problem: Problem) -> HTMLResponse:
    """The error page of a problem."""
    told = [f"{field['field']}: {field['message']}" for field in problem.document()["errors"]]
    errors = [] if told == [problem.detail] else told
    path = str(request.scope["path"])
    items = next((each for each in LISTS if each.href and path.startswith(f"{each.href}/")), None)
    job = problem.job if isinstance(problem, Removed) else None
    again_href = urls.new_job(**{"from": job.id}) if job else None
    frame = Frame(request, problem.title, permalink=False)
    return render("site/error", ErrorPage(frame, problem, errors, items, again_href), problem.status)

"""The HTML pages: each is the view of the same document that its sister address under /api/v1 answers."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from prunescope.jobs.documents import JobKind, JobState
from prunescope.server import urls
from prunescope.server.api.models import get_matrices
from prunescope.server.documents import JobDetail, LayerHeatmap, Link, TaskExamples
from prunescope.server.filters import TABLE_PARAMETERS
from prunescope.server.own_texts import check_neuron, then_href
from prunescope.server.pages import evaluation as evaluations
from prunescope.server.pages import lists
from prunescope.server.pages.asked import Asked
from prunescope.server.pages.attribution import attribution_page
from prunescope.server.pages.form import fill_form, form_page
from prunescope.server.pages.frame import Crumb, make_frame, render
from prunescope.server.pages.home import home_page
from prunescope.server.pages.job import job_page
from prunescope.server.pages.layer import ROWS, layer_page
from prunescope.server.pages.matrices import TITLES
from prunescope.server.pages.model import model_page
from prunescope.server.pages.neuron import neuron_page, neuron_view
from prunescope.server.pages.search import search_page
from prunescope.server.pages.study import study_page
from prunescope.server.pages.texts import text_panel
from prunescope.server.pages.view import VIEW, read_view
from prunescope.server.read.attributions import attribution_document, attribution_list
from prunescope.server.read.evaluations import evaluation_document, evaluation_list, task_examples
from prunescope.server.read.form import beginning, job_form
from prunescope.server.read.home import home
from prunescope.server.read.jobs import job_detail, job_list
from prunescope.server.read.layers import layer_heatmap, most_rows
from prunescope.server.read.models import model_document, model_list
from prunescope.server.read.neurons import neuron_document
from prunescope.server.read.search import search
from prunescope.server.read.studies import study_document, study_list
from prunescope.server.read.texts import other_texts, own_text_form
from prunescope.server.stores import StoresHere
from prunescope.store.study_table import AXES

router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

JOBS = Crumb("Jobs", urls.jobs())
STUDIES = Crumb("Studies", urls.studies())
ATTRIBUTIONS = Crumb("Attributions", urls.attributions())
EVALUATIONS = Crumb("Evaluations", urls.evaluations())
MODELS = Crumb("Models", urls.models())


def address(request: Request) -> str:
    """The path that the browser shows: the page's own, or the share link's."""
    return str(request.scope.get("shared_from", request.url.path))


@router.get(urls.HOME)
def show_home(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request)
    frame = make_frame(request, "Start", scripts=("live",), events_href=urls.events(), notices=asked.notices)
    return render("home", home_page(home(stores), frame))


@router.get(urls.JOBS)
def show_jobs(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "kind", "state", "cursor")
    page = asked.read(
        lambda: job_list(stores, kind=asked.text("kind"), state=asked.text("state"), cursor=asked.text("cursor"))
    )
    kind, state = asked.text("kind"), asked.text("state")
    frame = make_frame(
        request, "Jobs", section="Jobs", scripts=("live",), events_href=urls.events(), notices=asked.notices
    )
    start = [] if frame.shared else home(stores).start
    of_kind, in_state = JobKind(kind) if kind else None, JobState(state) if state else None
    return render("jobs", lists.jobs_page(page, frame, kind=of_kind, state=in_state, start=start))


@router.get(urls.NEW_JOB)
def show_job_form(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, any_other=True)
    began = asked.read(lambda: beginning(stores, asked.text("from")))
    kind = began.kind if began else JobKind(asked.read(lambda: asked.one_of("kind", list(JobKind))) or JobKind.PRUNE)
    offered = job_form(stores)
    form = asked.read(lambda: fill_form(offered, kind, asked.values, began))
    left_out = tuple(f"{each}. It was left out." for each in began.left_out) if began else ()
    notices = (*asked.notices, *left_out)
    frame = make_frame(request, "New job", JOBS, section="Jobs", scripts=("form",), notices=notices)
    return render("form", form_page(offered, kind, form, frame, began))


@router.get(urls.JOB)
def show_job(request: Request, stores: StoresHere, job: str) -> Response:
    asked = Asked(request, "neuron", "variant")
    document = job_detail(stores, job)
    # The cells of a study are followed as in a list.
    live = urls.events() if document.children and not document.state.ended else None
    scripts = ("job",) if live is None else ("job", "live")
    then = asked.read(lambda: _then(document, asked))
    title = f"{document.title} · job {document.id[:8]}"
    frame = make_frame(request, title, JOBS, section="Jobs", scripts=scripts, events_href=live, notices=asked.notices)
    return render("job", job_page(document, frame, then))


def _then(document: JobDetail, asked: Asked) -> Link | None:
    """What to open of an attribution. Problem 422 for a neuron that is none."""
    neuron = asked.text("neuron")
    check_neuron(neuron)
    if neuron is None or not document.result or "attribution" not in document.result:
        return None
    href = then_href(document.result["attribution"], neuron, asked.text("variant"))
    return Link(label=f"Open {neuron}", href=href)


@router.get(urls.STUDIES)
def show_studies(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    page = asked.read(lambda: study_list(stores, cursor=asked.text("cursor")))
    frame = make_frame(
        request, "Studies", section="Studies", scripts=("live",), events_href=urls.events(), notices=asked.notices
    )
    return render("studies", lists.studies_page(page, frame))


@router.get(urls.STUDY)
def show_study(request: Request, stores: StoresHere, study: str) -> Response:
    asked = Asked(request, *AXES, *TABLE_PARAMETERS)
    document = asked.read(
        lambda: study_document(
            stores,
            study,
            rows=asked.text("rows"),
            columns=asked.text("columns"),
            measure=asked.text("measure"),
            show=asked.text("show"),
            published=asked.text("published"),
            chart=asked.text("chart"),
            where=asked.all(AXES),
        )
    )
    live = None if document.state.ended else urls.events()
    scripts = ("study", "charts", *(() if live is None else ("live",)))
    frame = make_frame(
        request,
        document.title,
        STUDIES,
        section="Studies",
        scripts=scripts,
        events_href=live,
        notices=asked.notices,
    )
    return render("study", study_page(document, frame, here=address(request)))


@router.get(urls.MODELS)
def show_models(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    page = asked.read(lambda: model_list(stores, cursor=asked.text("cursor")))
    frame = make_frame(request, "Models", section="Models", notices=asked.notices)
    return render("models", lists.models_page(page, frame))


# The table of a model's matrices is a file beside its page, as it is beside its document.
router.add_api_route(urls.MODEL_MATRICES, get_matrices, response_class=Response)


@router.get(urls.MODEL)
def show_model(request: Request, stores: StoresHere, model: str) -> Response:
    asked = Asked(request, "map")
    document = model_document(stores, model)
    shown = asked.read(lambda: asked.one_of("map", [*TITLES]))
    scripts = ("views", "charts") if document.layers else ()
    frame = make_frame(request, document.label, MODELS, section="Models", scripts=scripts, notices=asked.notices)
    chosen = next((each for each in TITLES if each == shown), None)
    return render("model", model_page(document, frame, here=address(request), shown=chosen))


@router.get(urls.EVALUATIONS)
def show_evaluations(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    page = asked.read(lambda: evaluation_list(stores, cursor=asked.text("cursor")))
    frame = make_frame(request, "Evaluations", section="Evaluations", notices=asked.notices)
    return render("evaluations", lists.evaluations_page(page, frame))


@router.get(urls.EVALUATION)
def show_evaluation(request: Request, stores: StoresHere, evaluation: str) -> Response:
    asked = Asked(request)
    document = evaluation_document(stores, evaluation)
    frame = make_frame(request, document.label, EVALUATIONS, section="Evaluations", notices=asked.notices)
    return render("evaluation", evaluations.evaluation_page(document, frame))


@router.get(urls.EVALUATION_TASK)
def show_task(request: Request, stores: StoresHere, evaluation: str, task: str) -> Response:
    asked = Asked(request, "against", "cursor", "limit")

    def examples() -> TaskExamples:
        limit = asked.whole("limit")
        sized = {} if limit is None else {"limit": limit}
        return task_examples(
            stores, evaluation, task, against=asked.text("against"), cursor=asked.text("cursor"), **sized
        )

    document = asked.read(examples)
    crumb = Crumb(document.evaluation.label, document.evaluation.href)
    frame = make_frame(
        request,
        f"{task} · {document.model.label}",
        EVALUATIONS,
        crumb,
        section="Evaluations",
        notices=asked.notices,
    )
    return render("task", evaluations.task_page(document, frame))


@router.get(urls.ATTRIBUTIONS)
def show_attributions(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "cursor")
    page = asked.read(lambda: attribution_list(stores, cursor=asked.text("cursor")))
    frame = make_frame(
        request,
        "Attributions",
        section="Attributions",
        scripts=("live",),
        events_href=urls.events(),
        notices=asked.notices,
    )
    return render("attributions", lists.attributions_page(page, frame))


@router.get(urls.ATTRIBUTION)
def show_attribution(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request, "variant", "word")
    opened = stores.attributions.get(attribution)
    record = stores.results.many("attribution", [attribution]).get(attribution)
    document = asked.read(
        lambda: attribution_document(opened, variant=asked.text("variant"), word=asked.text("word"), record=record)
    )
    frame = make_frame(
        request,
        document.label,
        ATTRIBUTIONS,
        section="Attributions",
        scripts=("charts", "texts"),
        attribution=attribution,
        notices=asked.notices,
    )
    own = None if frame.shared else text_panel(attribution, own_text_form(opened), other_texts(stores, opened))
    return render("attribution", attribution_page(document, frame, here=address(request), own=own))


@router.get(urls.LAYER)
def show_layer(request: Request, stores: StoresHere, attribution: str, layer: int) -> Response:
    asked = Asked(request, "sort", "cursor", *VIEW)
    opened = stores.attributions.get(attribution)

    def heatmap() -> LayerHeatmap:
        sort: Literal["rank", "drop"] = "drop" if asked.one_of("sort", ["rank", "drop"]) == "drop" else "rank"
        example, cursor = asked.whole("example"), asked.text("cursor")
        rows = min(ROWS, most_rows(opened, example))
        return layer_heatmap(opened, layer, example=example, sort=sort, neurons=rows, cursor=cursor)

    document = asked.read(heatmap)
    view = asked.read(
        lambda: read_view(
            asked.values,
            examples=[example.index for example in document.examples],
            variants=[variant.name for variant in document.variants[1:]],
            activation=opened.summary.activation,
        )
    )
    crumb = Crumb(document.attribution.label, document.attribution.href)
    frame = make_frame(
        request,
        f"Layer {layer} · {document.attribution.label}",
        ATTRIBUTIONS,
        crumb,
        section="Attributions",
        scripts=("layer",),
        attribution=attribution,
        notices=asked.notices,
    )
    return render(
        "layer", layer_page(document, view, frame, here=address(request), activation=opened.summary.activation)
    )


@router.get(urls.NEURON)
def show_neuron(request: Request, stores: StoresHere, attribution: str, layer: int, neuron: int) -> Response:
    asked = Asked(request, *VIEW)
    opened = stores.attributions.get(attribution)
    document = neuron_document(opened, layer, neuron)
    view = asked.read(lambda: neuron_view(document, asked.values))
    frame = make_frame(
        request,
        f"{document.name} · {document.label}",
        ATTRIBUTIONS,
        Crumb(document.label, document.attribution_href),
        Crumb(f"Layer {layer}", document.layer_href),
        section="Attributions",
        scripts=("neuron", "texts"),
        attribution=attribution,
        notices=asked.notices,
    )
    own = text_panel(attribution, own_text_form(opened), neuron=document.name, variant=asked.text("variant"))
    page = neuron_page(document, view, frame, address(request), own=None if frame.shared else own)
    return render("neuron", page)


@router.get(urls.SEARCH)
def show_search(request: Request, stores: StoresHere) -> Response:
    asked = Asked(request, "q", "attribution")
    document = asked.read(lambda: search(stores, asked.text("q") or "", attribution=asked.text("attribution")))
    neuron = next((hit for hit in document.items if hit.kind == "neuron"), None)
    only = neuron or (document.items[0] if len(document.items) == 1 else None)
    if only is not None:
        return RedirectResponse(only.href, status_code=303)
    frame = make_frame(
        request, "Search", query=document.query, attribution=asked.text("attribution"), notices=asked.notices
    )
    return render("search", search_page(document, frame))

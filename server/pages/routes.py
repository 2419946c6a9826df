"""The HTML pages: each is the view of the same document that its sister address under /api/v1 answers."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from jobs.documents import JobKind, JobState
from jobs.problems import Problem
from server import urls
from server.api.models import get_matrices
from server.documents import Link
from server.filters import Filters
from server.own_texts import then_href
from server.pages import evaluation as evaluations
from server.pages import lists
from server.pages.attribution import attribution_page
from server.pages.form import form_page
from server.pages.frame import Crumb, make_frame, render
from server.pages.home import home_page
from server.pages.job import job_page
from server.pages.layer import ROWS, layer_page
from server.pages.model import model_page
from server.pages.neuron import TELLING, neuron_page, telling_example
from server.pages.search import search_page
from server.pages.study import study_page
from server.pages.texts import text_panel
from server.pages.view import read_view
from server.read.attributions import attribution_document, attribution_list
from server.read.evaluations import evaluation_document, evaluation_list, task_examples
from server.read.form import job_form
from server.read.home import home
from server.read.jobs import job_detail, job_list
from server.read.layers import layer_heatmap, most_rows
from server.read.models import model_document, model_list
from server.read.neurons import neuron_document
from server.read.search import search
from server.read.studies import study_document, study_list
from server.read.texts import other_texts, own_text_form
from server.stores import StoresHere

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
    frame = make_frame(request, "Start", scripts=("live",), events_href=urls.events())
    return render("home", home_page(home(stores), frame))


@router.get(urls.JOBS)
def show_jobs(
    request: Request,
    stores: StoresHere,
    kind: JobKind | None = None,
    state: JobState | None = None,
    cursor: str | None = None,
) -> Response:
    page = job_list(stores, kind=kind, state=state, cursor=cursor)
    frame = make_frame(request, "Jobs", section="Jobs", scripts=("live",), events_href=urls.events())
    start = [] if frame.shared else home(stores).start
    return render("jobs", lists.jobs_page(page, frame, kind=kind, state=state, start=start))


@router.get(urls.NEW_JOB)
def show_job_form(request: Request, stores: StoresHere, kind: JobKind = JobKind.PRUNE) -> Response:
    frame = make_frame(request, "New job", JOBS, section="Jobs", scripts=("form",))
    return render("form", form_page(job_form(stores), kind, request.query_params, frame))


@router.get(urls.JOB)
def show_job(
    request: Request, stores: StoresHere, job: str, neuron: str | None = None, variant: str | None = None
) -> Response:
    document = job_detail(stores, job)
    # The cells of a study are followed as in a list.
    live = urls.events() if document.children and not document.state.ended else None
    scripts = ("job",) if live is None else ("job", "live")
    frame = make_frame(request, document.title, JOBS, section="Jobs", scripts=scripts, events_href=live)
    then = None
    if document.result and "attribution" in document.result and neuron is not None:
        then = Link(label=f"Open {neuron}", href=then_href(document.result["attribution"], neuron, variant))
    return render("job", job_page(document, frame, then))


@router.get(urls.STUDIES)
def show_studies(request: Request, stores: StoresHere, cursor: str | None = None) -> Response:
    frame = make_frame(request, "Studies", section="Studies", scripts=("live",), events_href=urls.events())
    return render("studies", lists.studies_page(study_list(stores, cursor=cursor), frame))


@router.get(urls.STUDY)
def show_study(
    request: Request,
    stores: StoresHere,
    where: Filters,
    study: str,
    rows: str | None = None,
    columns: str | None = None,
    measure: str | None = None,
    show: str | None = None,
    published: str | None = None,
    chart: str | None = None,
) -> Response:
    document = study_document(
        stores,
        study,
        rows=rows,
        columns=columns,
        measure=measure,
        show=show,
        published=published,
        chart=chart,
        where=where,
    )
    live = None if document.state.ended else urls.events()
    scripts = ("study", "charts", *(() if live is None else ("live",)))
    frame = make_frame(request, document.title, STUDIES, section="Studies", scripts=scripts, events_href=live)
    return render("study", study_page(document, frame, here=address(request)))


@router.get(urls.MODELS)
def show_models(request: Request, stores: StoresHere, cursor: str | None = None) -> Response:
    frame = make_frame(request, "Models", section="Models")
    return render("models", lists.models_page(model_list(stores, cursor=cursor), frame))


# The table of a model's matrices is a file beside its page, as it is beside its document.
router.add_api_route(urls.MODEL_MATRICES, get_matrices, response_class=Response)


@router.get(urls.MODEL)
def show_model(
    request: Request, stores: StoresHere, model: str, map: Literal["error", "sparsity"] | None = None
) -> Response:
    document = model_document(stores, model)
    scripts = ("views", "charts") if document.layers else ()
    frame = make_frame(request, document.label, MODELS, section="Models", scripts=scripts)
    return render("model", model_page(document, frame, here=address(request), shown=map))


@router.get(urls.EVALUATIONS)
def show_evaluations(request: Request, stores: StoresHere, cursor: str | None = None) -> Response:
    frame = make_frame(request, "Evaluations", section="Evaluations")
    return render("evaluations", lists.evaluations_page(evaluation_list(stores, cursor=cursor), frame))


@router.get(urls.EVALUATION)
def show_evaluation(request: Request, stores: StoresHere, evaluation: str) -> Response:
    document = evaluation_document(stores, evaluation)
    frame = make_frame(request, document.label, EVALUATIONS, section="Evaluations")
    return render("evaluation", evaluations.evaluation_page(document, frame))


@router.get(urls.EVALUATION_TASK)
def show_task(
    request: Request,
    stores: StoresHere,
    evaluation: str,
    task: str,
    against: str | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Response:
    document = task_examples(stores, evaluation, task, against=against, cursor=cursor, limit=limit)
    crumb = Crumb(document.evaluation.label, document.evaluation.href)
    frame = make_frame(request, f"{task} · {document.model.label}", EVALUATIONS, crumb, section="Evaluations")
    return render("task", evaluations.task_page(document, frame))


@router.get(urls.ATTRIBUTIONS)
def show_attributions(request: Request, stores: StoresHere, cursor: str | None = None) -> Response:
    frame = make_frame(request, "Attributions", section="Attributions", scripts=("live",), events_href=urls.events())
    return render("attributions", lists.attributions_page(attribution_list(stores, cursor=cursor), frame))


@router.get(urls.ATTRIBUTION)
def show_attribution(
    request: Request, stores: StoresHere, attribution: str, variant: str | None = None, word: str | None = None
) -> Response:
    opened = stores.attributions.get(attribution)
    record = stores.results.many("attribution", [attribution]).get(attribution)
    document = attribution_document(opened, variant=variant, word=word, record=record)
    frame = make_frame(
        request,
        document.label,
        ATTRIBUTIONS,
        section="Attributions",
        scripts=("charts", "texts"),
        attribution=attribution,
    )
    own = None if frame.shared else text_panel(attribution, own_text_form(opened), other_texts(stores, opened))
    return render("attribution", attribution_page(document, frame, here=address(request), own=own))


@router.get(urls.LAYER)
def show_layer(
    request: Request,
    stores: StoresHere,
    attribution: str,
    layer: int,
    example: int | None = None,
    sort: Literal["rank", "drop"] = "rank",
    cursor: str | None = None,
) -> Response:
    opened = stores.attributions.get(attribution)
    document = layer_heatmap(
        opened, layer, example=example, sort=sort, neurons=min(ROWS, most_rows(opened, example)), cursor=cursor
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
    )
    view = read_view(
        request.query_params,
        examples=[example.index for example in document.examples],
        variants=[variant.name for variant in document.variants[1:]],
        activation=opened.summary.activation,
    )
    return render(
        "layer", layer_page(document, view, frame, here=address(request), activation=opened.summary.activation)
    )


@router.get(urls.NEURON)
def show_neuron(request: Request, stores: StoresHere, attribution: str, layer: int, neuron: int) -> Response:
    opened = stores.attributions.get(attribution)
    document = neuron_document(opened, layer, neuron)
    frame = make_frame(
        request,
        f"{document.name} · {document.label}",
        ATTRIBUTIONS,
        Crumb(document.label, document.attribution_href),
        Crumb(f"Layer {layer}", document.layer_href),
        section="Attributions",
        scripts=("neuron", "texts"),
        attribution=attribution,
    )
    query = dict(request.query_params)
    telling = query.get("example") == TELLING
    if telling:
        query["example"] = str(telling_example(document, query.get("variant")))
    view = read_view(
        _checked(query, [str(example.index) for example in document.examples]),
        examples=[example.index for example in document.examples],
        variants=[variant.name for variant in document.variants[1:]],
        activation=document.activation,
    )
    own = text_panel(attribution, own_text_form(opened), neuron=document.name, variant=query.get("variant"))
    page = neuron_page(document, view, frame, address(request), telling=telling, own=None if frame.shared else own)
    return render("neuron", page)


def _checked(query: Mapping[str, str], examples: list[str]) -> Mapping[str, str]:
    """404 for an example that is not there: a link must not silently show another text."""
    example = query.get("example")
    if example is not None and example not in examples:
        limits = f"the examples are {examples[0]} to {examples[-1]}"
        raise Problem(404, "not-found", "No such example", f"example {example[:20]}: {limits}")
    return query


@router.get(urls.SEARCH)
def show_search(request: Request, stores: StoresHere, q: str = "", attribution: str | None = None) -> Response:
    document = search(stores, q, attribution=attribution)
    neuron = next((hit for hit in document.items if hit.kind == "neuron"), None)
    only = neuron or (document.items[0] if len(document.items) == 1 else None)
    if only is not None:
        return RedirectResponse(only.href, status_code=303)
    frame = make_frame(request, "Search", query=q, attribution=attribution)
    return render("search", search_page(document, frame))

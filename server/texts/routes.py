"""An attribution's texts word by word; jobs for typed texts and for other words.

The forms of the pages are sent to the pages' own addresses: without script the answer is the next page; a script asks
for JSON, gets the job's document and follows the job.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from prunescope.jobs.documents import JobKind, JobState
from prunescope.jobs.problems import Problem, bad_field
from prunescope.jobs.specs import parse_spec
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import then_href
from prunescope.server.limits import submissions
from prunescope.server.problems import wants_page
from prunescope.server.site.asked import Asked
from prunescope.server.site.frame import Crumb, Frame, make_frame, render
from prunescope.server.stores import Stores, StoresHere
from prunescope.server.texts.documents import AttributionTexts, OtherWords, OwnTexts, TextJob
from prunescope.server.texts.form import Fields, Form, check_typed, first_value, text_index, typed_texts, words_of
from prunescope.server.texts.page import choosing_page, texts_page
from prunescope.server.texts.queries import attribution_texts, text_words
from prunescope.server.texts.specs import check_neuron, other_words_spec, own_text_spec, submit_texts, text_job

api = APIRouter(prefix=urls.API, tags=["Attributions"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

Neuron = Annotated[str | None, Query(description="L15/N2194: then_href leads to this neuron")]


Variant = Annotated[str | None, Query(description="a pruned variant: then_href shows it")]


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": TextJob, "description": "The job that queues, runs or has succeeded with the same spec"},
    202: {"description": "Queued; Location is the new job's address"},
    **problems(404, 422),
}


@api.get(urls.TEXTS, responses=problems(404), summary="Texts word by word, and others through the same models")
def get_texts(stores: StoresHere, attribution: str) -> AttributionTexts:
    return attribution_texts(stores, stores.attributions.get(attribution))


@pages.get(urls.TEXTS)
def show_texts(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request, "first", "neuron", "variant")
    opened = stores.attributions.get(attribution)
    document = attribution_texts(stores, opened)

    def place() -> int:
        check_neuron(asked.text("neuron"))
        opened.variant(asked.text("variant"))
        first = asked.whole("first") or 0
        if first >= max(1, len(document.texts)):
            allowed = f"0 to {len(document.texts) - 1}"
            raise bad_field("first", first, allowed, f"{first} is not the place of a text, {allowed}")
        return first

    first = asked.read(place)
    frame = _frame(request, opened, "Texts and words", asked.notices)
    neuron, variant = asked.text("neuron"), asked.text("variant")
    return render("texts/texts", texts_page(document, frame, attribution, first=first, neuron=neuron, variant=variant))


@api.post(
    urls.TEXTS,
    status_code=202,
    response_model=TextJob,
    responses=_ANSWERS,
    summary="Run a text of your own through the same models",
)
async def post_text(
    http: Request,
    stores: StoresHere,
    attribution: str,
    request: Annotated[OwnTexts, Body(examples=[{"text": "A badly lit, crappy room."}])],
    neuron: Neuron = None,
    variant: Variant = None,
) -> Response:
    def work() -> Response:
        opened = stores.attributions.get(attribution)
        return submitted(stores, own_text_spec(opened.spec, request.given(), request.source), neuron, variant)

    return await submissions(http).take(work)


@pages.post(urls.TEXTS)
async def send_text(
    request: Request,
    stores: StoresHere,
    attribution: str,
    fields: Form,
    neuron: str | None = None,
    variant: str | None = None,
) -> Response:
    """One text or several, their label, and where their words come from; with ``manual`` the words are asked for next,
    unless they come along."""
    return await submissions(request).take(lambda: _send_text(request, stores, attribution, fields, neuron, variant))


def _send_text(
    request: Request, stores: Stores, attribution: str, fields: Fields, neuron: str | None, variant: str | None
) -> Response:
    opened = stores.attributions.get(attribution)
    texts = typed_texts(fields)
    check_typed(texts)
    source = first_value(fields, "source") or None
    chosen = "one" in fields
    try:
        spec = own_text_spec(opened.spec, [text.model_dump() for text in texts], source)
        if source == "manual" and not chosen:
            parse_spec(JobKind.ATTRIBUTE, {**spec, "words": {"source": "cot"}})  # all but the words must be right
            asked = [text_words(i, text.text, [], text.label) for i, text in enumerate(texts)]
            frame = _frame(request, opened, "Choose the words")
            return render("texts/texts", choosing_page(asked, frame, attribution, neuron=neuron, variant=variant))
        return _go(request, stores, spec, neuron, variant)
    except Problem as problem:
        if not wants_page(request):
            raise
        said = _said(problem)
        if chosen:
            asked = [text_words(i, text.text, text.words or [], text.label) for i, text in enumerate(texts)]
            frame = _frame(request, opened, "Choose the words")
            page = choosing_page(asked, frame, attribution, neuron=neuron, variant=variant, wrong=said)
        else:
            typed = {name: first_value(fields, name) for name in ("text", "label", "source")}
            frame = _frame(request, opened, "Texts and words")
            document = attribution_texts(stores, opened)
            page = texts_page(document, frame, attribution, neuron=neuron, variant=variant, given=typed, wrong=said)
        return render("texts/texts", page, problem.status)


@api.post(
    urls.WORDS,
    status_code=202,
    response_model=TextJob,
    responses=_ANSWERS,
    summary="Run the same texts with influential words chosen by hand",
)
async def post_words(
    http: Request,
    stores: StoresHere,
    attribution: str,
    request: OtherWords,
    neuron: Neuron = None,
    variant: Variant = None,
) -> Response:
    def work() -> Response:
        spec = other_words_spec(stores.attributions.get(attribution), request.words)
        return submitted(stores, spec, neuron, variant)

    return await submissions(http).take(work)


@pages.post(urls.WORDS)
async def send_words(
    request: Request,
    stores: StoresHere,
    attribution: str,
    fields: Form,
    neuron: str | None = None,
    variant: str | None = None,
) -> Response:
    """The words of the texts that were shown; what has no field was not marked."""
    return await submissions(request).take(lambda: _send_words(request, stores, attribution, fields, neuron, variant))


def _send_words(
    request: Request, stores: Stores, attribution: str, fields: Fields, neuron: str | None, variant: str | None
) -> Response:
    opened = stores.attributions.get(attribution)
    try:
        words = {index: words_of(fields, index) for index in map(text_index, fields.get("shown", []))}
        return _go(request, stores, other_words_spec(opened, words), neuron, variant)
    except Problem as problem:
        if not wants_page(request):
            raise
        frame = _frame(request, opened, "Texts and words")
        document = attribution_texts(stores, opened)
        page = texts_page(document, frame, attribution, neuron=neuron, variant=variant, wrong_words=_said(problem))
        return render("texts/texts", page, problem.status)


def submitted(stores: Stores, spec: dict[str, Any], neuron: str | None, variant: str | None) -> Response:
    """202 with the new job, 200 with the one that is known; Problem 422, and nothing is queued."""
    check_neuron(neuron)
    job, created = submit_texts(stores, spec)
    content = text_job(stores, job, neuron, variant).model_dump(mode="json")
    headers = {"location": urls.api(urls.job(job.id))}
    return JSONResponse(content, status_code=202 if created else 200, headers=headers)


def _go(request: Request, stores: Stores, spec: dict[str, object], neuron: str | None, variant: str | None) -> Response:
    if not wants_page(request):
        return submitted(stores, spec, neuron, variant)
    check_neuron(neuron)
    job, _ = submit_texts(stores, spec)
    done = job.state is JobState.SUCCEEDED
    state = {"neuron": neuron, "variant": variant}
    href = then_href(job.artefact_id, neuron, variant) if done else urls.job(job.id, **state)
    return RedirectResponse(href, status_code=303)


def _said(problem: Problem) -> str:
    return "; ".join(error.message for error in problem.errors) or problem.detail


def _frame(request: Request, opened: OpenAttribution, title: str, notices: tuple[str, ...] = ()) -> Frame:
    crumbs = (Crumb("Attributions", urls.attributions()), Crumb(opened.label, urls.attribution(opened.id)))
    return make_frame(
        request,
        f"{title} · {opened.label}",
        *crumbs,
        section="Attributions",
        scripts=("texts",),
        attribution=opened.id,
        notices=notices,
    )

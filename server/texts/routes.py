"""Addresses of an attribution's texts, and of jobs with own texts or with other influential words.

The pages' forms are sent to the pages' own addresses. The answer is the next page, or the job's document if a script
accepts JSON.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from prunescope.jobs.documents import JobKind, JobState
from prunescope.jobs.problems import Problem, bad_field
from prunescope.jobs.specs import parse_spec
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import Target
from prunescope.server.attributions.page import attribution_frame, opened_crumb
from prunescope.server.jobs.queries import job_document
from prunescope.server.problems import wants_page
from prunescope.server.site.asked import Asked
from prunescope.server.site.frame import Frame, render
from prunescope.server.stores import Stores, StoresHere
from prunescope.server.texts.documents import AttributionTexts, OtherWords, OwnTexts, TextJob
from prunescope.server.texts.form import Fields, Form, first_value, shown_words, typed_texts
from prunescope.server.texts.page import choosing_page, texts_page
from prunescope.server.texts.queries import attribution_texts, other_words_spec, own_text_spec, text_words
from prunescope.store import submission

api = APIRouter(prefix=urls.API, tags=["Attributions"])
pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

TargetQuery = Annotated[Target, Depends()]

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": TextJob, "description": "The job that queues, runs or has succeeded with the same spec"},
    202: {"description": "Queued; Location is the new job's address"},
    **problems(404, 422),
}


@api.get(
    urls.attribution_texts.route,
    responses=problems(404),
    summary="Texts word by word, and others through the same models",
)
def get_texts(stores: StoresHere, attribution: str) -> AttributionTexts:
    return attribution_texts(stores, stores.attributions.get(attribution))


@pages.get(urls.attribution_texts.route)
def show_texts(request: Request, stores: StoresHere, attribution: str) -> Response:
    asked = Asked(request, "first", "neuron", "variant")
    opened = stores.attributions.get(attribution)
    document = attribution_texts(stores, opened)

    def read() -> tuple[Target, int]:
        target = Target(attribution, asked.text("neuron"), asked.text("variant"))
        target.check()
        opened.variant(target.variant)
        first = asked.whole("first") or 0
        if first >= max(1, len(document.texts)):
            allowed = f"0 to {len(document.texts) - 1}"
            raise bad_field("first", first, allowed, f"{first} is not the place of a text, {allowed}")
        return target, first

    target, first = asked.read(read)
    frame = _frame(request, opened, "Texts and words", asked.notices)
    return render("texts/texts", texts_page(document, frame, target, first=first))


@api.post(
    urls.attribution_texts.route,
    status_code=202,
    response_model=TextJob,
    responses=_ANSWERS,
    summary="Run a text of your own through the same models",
)
async def post_text(
    http: Request,
    stores: StoresHere,
    target: TargetQuery,
    request: Annotated[OwnTexts, Body(examples=[{"text": "A badly lit, crappy room."}])],
) -> Response:
    def submit() -> Response:
        spec = own_text_spec(stores.attributions.get(target.attribution).spec, request.given(), request.source)
        return _submit(http, stores, spec, target)

    return await stores.submissions.take(submit)


@pages.post(urls.attribution_texts.route)
async def send_text(request: Request, stores: StoresHere, target: TargetQuery, fields: Form) -> Response:
    """Submit own texts. If the source of words is ``manual`` and the form has no words, the next page asks for them."""
    return await stores.submissions.take(lambda: _send_text(request, stores, target, fields))


def _send_text(request: Request, stores: Stores, target: Target, fields: Fields) -> Response:
    opened = stores.attributions.get(target.attribution)
    texts = typed_texts(fields)
    source = first_value(fields, "source") or None
    chosen = "one" in fields

    def choosing(wrong: str = "", status: int = 200) -> Response:
        found = [text_words(i, text["text"], text["words"] or [], text["label"]) for i, text in enumerate(texts)]
        frame = _frame(request, opened, "Choose the words")
        return render("texts/texts", choosing_page(found, frame, target, wrong), status)

    try:
        spec = own_text_spec(opened.spec, texts, source)
        if source == "manual" and not chosen:
            parse_spec(JobKind.ATTRIBUTE, {**spec, "words": {"source": "auto"}})  # checks all fields but the words
            return choosing()
        return _submit(request, stores, spec, target)
    except Problem as problem:
        if not wants_page(request):
            raise
        if chosen:
            return choosing(_message(problem), problem.status)
        typed = {name: first_value(fields, name) for name in ("text", "label", "source")}
        frame = _frame(request, opened, "Texts and words")
        page = texts_page(attribution_texts(stores, opened), frame, target, given=typed, wrong=_message(problem))
        return render("texts/texts", page, problem.status)


@api.post(
    urls.attribution_words.route,
    status_code=202,
    response_model=TextJob,
    responses=_ANSWERS,
    summary="Run the same texts with influential words chosen by hand",
)
async def post_words(http: Request, stores: StoresHere, target: TargetQuery, request: OtherWords) -> Response:
    def submit() -> Response:
        spec = other_words_spec(stores.attributions.get(target.attribution), request.words)
        return _submit(http, stores, spec, target)

    return await stores.submissions.take(submit)


@pages.post(urls.attribution_words.route)
async def send_words(request: Request, stores: StoresHere, target: TargetQuery, fields: Form) -> Response:
    """Submit the marked words of the form's texts."""

    def submit() -> Response:
        opened = stores.attributions.get(target.attribution)
        try:
            return _submit(request, stores, other_words_spec(opened, shown_words(fields)), target)
        except Problem as problem:
            if not wants_page(request):
                raise
            frame = _frame(request, opened, "Texts and words")
            page = texts_page(attribution_texts(stores, opened), frame, target, wrong_words=_message(problem))
            return render("texts/texts", page, problem.status)

    return await stores.submissions.take(submit)


def _submit(request: Request, stores: Stores, spec: dict[str, Any], target: Target) -> Response:
    """Submit a spec as a job, and redirect a browser to the job's page, or to the result of a succeeded job. Other
    clients get the job's document, with status 202 for a new job, 200 for an existing one. Problem 422."""
    target.check()
    job, created = submission.submit(stores, JobKind.ATTRIBUTE, spec, send=None)
    if created:
        stores.announce(job)
    if wants_page(request):
        done = job.state is JobState.SUCCEEDED
        href = target.result_href(job.artefact_id) if done else urls.job(job.id, **target.state)
        return RedirectResponse(href, status_code=303)
    document = TextJob(**dict(job_document(stores, job)), then_href=target.result_href(job.artefact_id))
    headers = {"location": urls.api(urls.job(job.id))}
    return JSONResponse(document.model_dump(mode="json"), status_code=202 if created else 200, headers=headers)


def _message(problem: Problem) -> str:
    return "; ".join(error.message for error in problem.errors) or problem.detail


def _frame(request: Request, opened: OpenAttribution, title: str, notices: tuple[str, ...] = ()) -> Frame:
    title = f"{title} · {opened.label}"
    return attribution_frame(request, title, opened, opened_crumb(opened), scripts=("texts/texts",), notices=notices)

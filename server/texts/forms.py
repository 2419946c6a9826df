"""Where a text of one's own, and words that were clicked, are sent to: forms of our own pages, with script or without.

Without script the answer is the next page. A script asks for JSON and gets the job's document, which it follows.
"""

import re
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic_core import PydanticCustomError

from prunescope.jobs.documents import JobKind, JobState
from prunescope.jobs.problems import Problem, bad_field
from prunescope.jobs.specs import parse_spec
from prunescope.jobs.specs.texts import check_given
from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.limits import submissions
from prunescope.server.problems import wants_page
from prunescope.server.site.asked import Asked
from prunescope.server.site.frame import Crumb, Frame, make_frame, render
from prunescope.server.stores import Stores, StoresHere
from prunescope.server.texts.page import choosing_page, texts_page
from prunescope.server.texts.queries import attribution_texts, text_words
from prunescope.server.texts.routes import OwnText, submitted
from prunescope.server.texts.specs import check_neuron, other_words_spec, own_text_spec, submit_texts, then_href

pages = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)

MAX_FIELDS = 50_000


Fields = dict[str, list[str]]


async def form_fields(request: Request) -> Fields:
    """The fields of a form; line ends as programs write them. Problem 422 for what cannot be read."""
    try:
        body = await request.body()
        given = await run_in_threadpool(_parsed, body)
    except ValueError as error:  # not UTF-8, or too many fields
        raise Problem(422, "bad-request", "The request cannot be understood", f"the form: {error}") from None
    return {name: [value.replace("\r\n", "\n") for value in values] for name, values in given.items()}


def _parsed(body: bytes) -> Fields:
    return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)


Form = Annotated[Fields, Depends(form_fields)]


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
    texts = _typed(fields)
    _check_typed(texts)
    source = _one(fields, "source") or None
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
            typed = {name: _one(fields, name) for name in ("text", "label", "source")}
            frame = _frame(request, opened, "Texts and words")
            document = attribution_texts(stores, opened)
            page = texts_page(document, frame, attribution, neuron=neuron, variant=variant, given=typed, wrong=said)
        return render("texts/texts", page, problem.status)


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
        words = {index: _words(fields, index) for index in map(_index, fields.get("shown", []))}
        return _go(request, stores, other_words_spec(opened, words), neuron, variant)
    except Problem as problem:
        if not wants_page(request):
            raise
        frame = _frame(request, opened, "Texts and words")
        document = attribution_texts(stores, opened)
        page = texts_page(document, frame, attribution, neuron=neuron, variant=variant, wrong_words=_said(problem))
        return render("texts/texts", page, problem.status)


def _go(request: Request, stores: Stores, spec: dict[str, object], neuron: str | None, variant: str | None) -> Response:
    if not wants_page(request):
        return submitted(stores, spec, neuron, variant)
    check_neuron(neuron)
    job, _ = submit_texts(stores, spec)
    done = job.state is JobState.SUCCEEDED
    state = {"neuron": neuron, "variant": variant}
    href = then_href(job.artefact_id, neuron, variant) if done else urls.job(job.id, **state)
    return RedirectResponse(href, status_code=303)


def _typed(fields: Fields) -> list[OwnText]:
    """Texts as a spec has them: an empty line begins the next one; labels are one for all, or one for each. Nothing is
    checked yet: the spec is, and the page then says what is wrong."""
    if "one" in fields:
        labels = fields.get("one-label", [])
        return [
            OwnText.model_construct(text=text, label=label or None, words=_words(fields, index))
            for index, (text, label) in enumerate(zip(fields["one"], labels, strict=False))
        ]
    texts = [part.strip() for part in re.split(r"\n\s*\n", _one(fields, "text")) if part.strip()] or [""]
    labels = [label.strip() for label in _one(fields, "label").split(",")]
    if len(labels) != len(texts):
        labels = [_one(fields, "label").strip()] * len(texts)
    return [
        OwnText.model_construct(text=text, label=label or None, words=None)
        for text, label in zip(texts, labels, strict=True)
    ]


def _check_typed(texts: list[OwnText]) -> None:
    # Before any word is looked for, and before the page that asks for words shows every text.
    try:
        check_given([[text.model_dump() for text in texts]])
    except PydanticCustomError as error:
        raise Problem(422, "bad-spec", "The spec cannot be run", error.message()) from None


def _words(fields: Fields, index: int) -> list[str]:
    """The clicked words of a text, and those that were typed, each once."""
    typed = [word.strip() for word in ",".join(fields.get(f"more.{index}", [])).split(",")]
    return list(dict.fromkeys(word for word in [*fields.get(f"word.{index}", []), *typed] if word))


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Problem(422, "bad-request", "The request cannot be understood", f"shown: {text[:20]!r} is no text")
    return int(text)


def _one(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]


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

"""Texts of one's own, and other words, through the models of an attribution."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from prunescope.jobs.bounds import (
    MAX_NAME,
    MAX_ROWS,
    MAX_TEXTS,
    MAX_WORD_CHARACTERS,
    MAX_WORDS,
)
from prunescope.jobs.vocabulary import WORD_SOURCES
from prunescope.server import urls
from prunescope.server.answers import problems
from prunescope.server.limits import submissions
from prunescope.server.stores import Stores, StoresHere
from prunescope.server.texts.documents import AttributionTexts, TextJob
from prunescope.server.texts.queries import attribution_texts
from prunescope.server.texts.specs import check_neuron, other_words_spec, own_text_spec, submit_texts, text_job

api = APIRouter(prefix=urls.API, tags=["Attributions"])

Words = Annotated[list[Annotated[str, StringConstraints(max_length=MAX_WORD_CHARACTERS)]], Field(max_length=MAX_WORDS)]


class OwnText(BaseModel):
    """A text, and what is known of it."""

    model_config = ConfigDict(extra="forbid")

    text: str  # how long it and the label may be, the spec that is made of them says
    label: str | None = None
    words: Words | None = Field(default=None, description="its influential words, where they are chosen by hand")


class OwnTexts(BaseModel):
    """One text, or several."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    label: str | None = None
    words: Words | None = None
    texts: list[OwnText] | None = Field(default=None, max_length=MAX_TEXTS, description="several texts, instead of one")
    source: str | None = Field(
        default=None,
        max_length=MAX_NAME,
        description=f"of influential words: {', '.join(WORD_SOURCES)}; left out: as in the attribution",
    )

    @model_validator(mode="after")
    def _one_or_several(self) -> "OwnTexts":
        if (self.text is None) == (self.texts is None):
            raise ValueError("give a text, or several as texts")
        return self

    def given(self) -> list[dict[str, Any]]:
        """The texts as a spec has them."""
        if self.texts is not None:
            return [text.model_dump() for text in self.texts]
        return [{"text": self.text, "label": self.label, "words": self.words}]


class OtherWords(BaseModel):
    """The influential words of an attribution's texts, chosen by hand."""

    model_config = ConfigDict(extra="forbid")

    words: dict[Annotated[int, Field(ge=0, le=MAX_ROWS)], Words] = Field(
        max_length=MAX_TEXTS,
        description="by a text's index; a text that is not named keeps its own",
        examples=[{"0": ["badly", "crappy"]}],
    )


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


def submitted(stores: Stores, spec: dict[str, Any], neuron: str | None, variant: str | None) -> Response:
    """202 with the new job, 200 with the one that is known; Problem 422, and nothing is queued."""
    check_neuron(neuron)
    job, created = submit_texts(stores, spec)
    content = text_job(stores, job, neuron, variant).model_dump(mode="json")
    headers = {"location": urls.api(urls.job(job.id))}
    return JSONResponse(content, status_code=202 if created else 200, headers=headers)

"""Reads the forms of an attribution's texts: typed texts, and words that were clicked."""

import re
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic_core import PydanticCustomError

from prunescope.jobs.problems import Problem
from prunescope.jobs.specs.texts import check_given
from prunescope.server.texts.documents import OwnText

MAX_FIELDS = 50_000


Fields = dict[str, list[str]]


async def form_fields(request: Request) -> Fields:
    """The fields of a form, with ``\\n`` for line ends. Problem 422 for a body that cannot be read."""
    try:
        body = await request.body()
        given = await run_in_threadpool(_parsed, body)
    except ValueError as error:  # not UTF-8, or too many fields
        raise Problem(422, "bad-request", "The request cannot be understood", f"the form: {error}") from None
    return {name: [value.replace("\r\n", "\n") for value in values] for name, values in given.items()}


def _parsed(body: bytes) -> Fields:
    return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)


Form = Annotated[Fields, Depends(form_fields)]


def typed_texts(fields: Fields) -> list[OwnText]:
    """Texts as a spec has them: an empty line begins the next one; labels are one for all, or one for each. Nothing is
    checked yet: the spec is, and the page then says what is wrong."""
    if "one" in fields:
        labels = fields.get("one-label", [])
        return [
            OwnText.model_construct(text=text, label=label or None, words=words_of(fields, index))
            for index, (text, label) in enumerate(zip(fields["one"], labels, strict=False))
        ]
    texts = [part.strip() for part in re.split(r"\n\s*\n", first_value(fields, "text")) if part.strip()] or [""]
    labels = [label.strip() for label in first_value(fields, "label").split(",")]
    if len(labels) != len(texts):
        labels = [first_value(fields, "label").strip()] * len(texts)
    return [
        OwnText.model_construct(text=text, label=label or None, words=None)
        for text, label in zip(texts, labels, strict=True)
    ]


def check_typed(texts: list[OwnText]) -> None:
    # Before any word is looked for, and before the page that asks for words shows every text.
    try:
        check_given([[text.model_dump() for text in texts]])
    except PydanticCustomError as error:
        raise Problem(422, "bad-spec", "The spec cannot be run", error.message()) from None


def words_of(fields: Fields, index: int) -> list[str]:
    """The clicked words of a text, and those that were typed, each once."""
    typed = [word.strip() for word in ",".join(fields.get(f"more.{index}", [])).split(",")]
    return list(dict.fromkeys(word for word in [*fields.get(f"word.{index}", []), *typed] if word))


def text_index(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise Problem(422, "bad-request", "The request cannot be understood", f"shown: {text[:20]!r} is no text")
    return int(text)


def first_value(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]

"""Parses the HTML forms of an attribution's texts: own texts, and words marked by a click."""

import re
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic_core import PydanticCustomError

from prunescope.jobs.problems import Problem
from prunescope.jobs.specs.texts import check_given

MAX_FIELDS = 50_000

Fields = dict[str, list[str]]


async def form_fields(request: Request) -> Fields:
    """The fields of a form, with line ends as ``\\n``. Problem 422 for a body that cannot be decoded."""
    body = await request.body()

    def parse() -> Fields:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)

    try:
        given = await run_in_threadpool(parse)
    except ValueError as error:  # not UTF-8, or too many fields
        raise _unreadable(f"the form: {error}") from None
    return {name: [value.replace("\r\n", "\n") for value in values] for name, values in given.items()}


Form = Annotated[Fields, Depends(form_fields)]


def typed_texts(fields: Fields) -> list[dict[str, Any]]:
    """The texts of a form as a spec's `texts`; an empty line separates two texts. The field ``label`` has one label for
    all texts, or as many as texts, separated by commas.

    Problem 422 for sizes above the limits. Everything else is checked with the spec.
    """
    if "one" in fields:
        pairs = zip(fields["one"], fields.get("one-label", []), strict=False)
        texts = [
            {"text": text, "label": label or None, "words": words_of(fields, index)}
            for index, (text, label) in enumerate(pairs)
        ]
    else:
        parts = [part.strip() for part in re.split(r"\n\s*\n", first_value(fields, "text")) if part.strip()] or [""]
        labels = [label.strip() for label in first_value(fields, "label").split(",")]
        if len(labels) != len(parts):
            labels = [first_value(fields, "label").strip()] * len(parts)
        texts = [
            {"text": text, "label": label or None, "words": None} for text, label in zip(parts, labels, strict=True)
        ]
    try:
        check_given([texts])
    except PydanticCustomError as error:
        raise Problem(422, "bad-spec", "The spec cannot be run", error.message()) from None
    return texts


def words_of(fields: Fields, index: int) -> list[str]:
    """The words of one text that were marked by a click or typed, without duplicates."""
    typed = [word.strip() for word in ",".join(fields.get(f"more.{index}", [])).split(",")]
    return list(dict.fromkeys(word for word in [*fields.get(f"word.{index}", []), *typed] if word))


def shown_words(fields: Fields) -> dict[int, list[str]]:
    """The words of each text of the form, by the text's index. Problem 422 for an invalid index."""
    shown = fields.get("shown", [])
    for text in shown:
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise _unreadable(f"shown: {text[:20]!r} is no text")
    return {index: words_of(fields, index) for index in map(int, shown)}


def first_value(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]


def _unreadable(why: str) -> Problem:
    return Problem(422, "bad-request", "The request cannot be understood", why)

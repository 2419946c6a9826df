"""Reads the forms of an attribution's texts: typed texts, and words that were clicked."""

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
    """The fields of a form, with ``\\n`` for line ends. Problem 422 for a body that cannot be read."""
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
    """Texts as a spec has them: an empty line begins the next one; labels are one for all, or one for each. Only their
    sizes are checked (Problem 422), before any word is looked for; the spec is, and the page then says what is wrong.
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
    """The clicked words of a text, and those that were typed, each once."""
    typed = [word.strip() for word in ",".join(fields.get(f"more.{index}", [])).split(",")]
    return list(dict.fromkeys(word for word in [*fields.get(f"word.{index}", []), *typed] if word))


def shown_words(fields: Fields) -> dict[int, list[str]]:
    """The words of each text that was shown, by its index. Problem 422 for an index that cannot be read."""
    shown = fields.get("shown", [])
    for text in shown:
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise _unreadable(f"shown: {text[:20]!r} is no text")
    return {index: words_of(fields, index) for index in map(int, shown)}


def first_value(fields: Fields, name: str) -> str:
    return fields.get(name, [""])[0]


def _unreadable(why: str) -> Problem:
    return Problem(422, "bad-request", "The request cannot be understood", why)

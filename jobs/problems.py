"""Errors that a user can correct, as RFC 9457 problem documents.

    Problem                 any error that is reported as a problem document
      bad_spec(errors)      422: a spec names something that does not exist or is not allowed
      not_found(...)        404
      conflict(...)         409: the resource is in use, or its state does not allow the request
      unavailable(...)      503: temporarily impossible, with the seconds after which to try again

REST answers with `document()` as `application/problem+json`; the command line prints `str(problem)` (one line) and
exits with 2; a failed job keeps the document in its `error`.
"""

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prunescope.jobs.bounds import MAX_ALLOWED, MAX_ECHO, MAX_ERRORS, MAX_INTEGER, MAX_MESSAGE, MAX_NAMES_LISTED

RETRY_SECONDS = 5
"""Default of the header Retry-After in a 503 response."""
MAX_ANSWERS = 20
"""Model answers included in one problem document."""


@dataclass(frozen=True)
class FieldError:
    """One invalid field: its dotted path (`pattern.sparsity`), the given value, what is allowed, and a sentence."""

    field: str
    given: object
    allowed: str | list[str] | None
    message: str

    def document(self) -> dict[str, Any]:
        """This error as JSON for the problem document; long texts and lists are shortened."""
        given = self.given
        if not isinstance(given, int | float | bool | None) or (isinstance(given, int) and abs(given) > MAX_INTEGER):
            given = cut(given, MAX_ECHO) if isinstance(given, str) else shown(given, MAX_ECHO)
        allowed = self.allowed
        if isinstance(allowed, str):
            allowed = cut(allowed, MAX_MESSAGE)
        elif allowed is not None:
            allowed = [cut(each, MAX_ECHO) for each in allowed[:MAX_ALLOWED]]
        return {
            "field": cut(self.field, MAX_ECHO),
            "given": given,
            "allowed": allowed,
            "message": cut(self.message, MAX_MESSAGE),
        }


@dataclass(frozen=True)
class AnswerToText:
    """The model's answer about one text, reported when a job failed because of its answers."""

    text: str
    answer: str

    def document(self) -> dict[str, str]:
        """This answer as JSON for the problem document; both texts are shortened."""
        return {"text": cut(self.text, MAX_ECHO), "answer": cut(self.answer, MAX_ECHO)}


class Problem(Exception):
    """An error with an HTTP status, a stable code, and a sentence that says what is wrong and how to correct it.

    `headers` are added to the HTTP response. `answers` are the model's answers that made the job fail (code
    `no-influential-words`).
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        detail: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        answers: Sequence[AnswerToText] = (),
    ) -> None:
        super().__init__(detail)
        self.headers = dict(headers or {})
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors[:MAX_ERRORS])
        self.answers = tuple(answers)

    def document(self) -> dict[str, Any]:
        """The RFC 9457 document: type, title, status, detail, and the extension members `code`, `errors` and, if there
        are any, `answers` (the first MAX_ANSWERS, as {text, answer})."""
        document: dict[str, Any] = {
            "type": f"urn:prunescope:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": [error.document() for error in self.errors],
        }
        if self.answers:
            document["answers"] = [answer.document() for answer in self.answers[:MAX_ANSWERS]]
        return document


def bad_spec(errors: Sequence[FieldError], count: int | None = None) -> Problem:
    """The 422 Problem for an invalid spec. It lists at most MAX_ERRORS errors. `count` is the total number of errors if
    `errors` does not contain all of them."""
    return Problem(422, "bad-spec", "The spec cannot be run", detail_of(errors, count), errors)


def detail_of(errors: Sequence[FieldError], count: int | None = None) -> str:
    """One line with the first MAX_ERRORS fields and messages, and the number of further errors. `count` is the total
    (None: the length of `errors`)."""
    listed = [f"{cut(error.field, MAX_ECHO)}: {cut(error.message, MAX_MESSAGE)}" for error in errors[:MAX_ERRORS]]
    more = (len(errors) if count is None else count) - len(listed)
    return "; ".join([*listed, *([f"and {more} more"] if more else [])])


def bad_field(field: str, given: object, allowed: str | list[str] | None, message: str) -> Problem:
    """The 422 Problem for a single invalid field."""
    return bad_spec([FieldError(field, given, allowed, message)])


def not_found(what: str, name: str) -> Problem:
    """The 404 Problem: `what` is a noun ("job", "attribution"), `name` the requested identifier."""
    return Problem(404, "not-found", f"No such {what}", f"there is no {what} '{name}'")


def conflict(detail: str) -> Problem:
    """The 409 Problem: the request is valid, but the current state does not allow it."""
    return Problem(409, "conflict", "Not possible now", detail)


def unavailable(code: str, title: str, detail: str, seconds: int = RETRY_SECONDS) -> Problem:
    """The 503 Problem: the request is valid and may be sent again after `seconds`."""
    return Problem(503, code, title, detail, headers={"retry-after": str(seconds)})


def unknown_name(given: object, known: Iterable[str]) -> str:
    """An error message for an unknown name: similar known names first, then all of them.

    >>> unknown_name("wandaa", ["magnitude", "wanda"])
    "'wandaa' is not known; did you mean 'wanda'? Known: magnitude, wanda"
    """
    names = list(known)
    near = near_names(given, names)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ";"
    listed = ", ".join(cut(name, MAX_ECHO) for name in names[:MAX_NAMES_LISTED])
    more = f" and {len(names) - MAX_NAMES_LISTED} more" if len(names) > MAX_NAMES_LISTED else ""
    return f"{shown(given, MAX_ECHO)} is not known{hint} {'Known' if near else 'known'}: {listed}{more}"


def near_names(given: object, known: Iterable[str]) -> list[str]:
    """At most three known names that are similar to the given one."""
    # The comparison takes time proportional to the product of both lengths.
    if not isinstance(given, str) or len(given) > MAX_ECHO:
        return []
    names = [name for name, _ in zip(known, range(MAX_ALLOWED), strict=False) if len(name) <= MAX_ECHO]
    return difflib.get_close_matches(given.lower(), names, n=3, cutoff=0.6)


def cut(text: str, length: int) -> str:
    """The text itself, or its beginning and an ellipsis: at most `length` characters."""
    return text if len(text) <= length else text[: length - 1] + "…"


def shown(value: object, length: int) -> str:
    """The value's repr, cut to `length` characters. The time taken does not depend on the value's size."""
    if isinstance(value, str):
        return cut(repr(value[:length]), length)
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return f"an integer of {value.bit_length()} bits"
    return cut(_SHORT.repr(value), length)


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxother = 4, MAX_ECHO
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 20
_SHORT.maxstring = 60

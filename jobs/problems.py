"""Errors that a user can mend, as RFC 9457 problem documents.

    Problem                 anything that is answered with a problem document
      bad_spec(errors)      422: a spec names something that is not there or not allowed
      not_found(...)        404
      conflict(...)         409: something else uses it, or the state does not allow it
      unavailable(...)      503: the database does not answer, or a limit is reached; try again later

REST answers with `document()` as `application/problem+json`; the command line prints `str(problem)` (one line) and
exits with 2; a failed job keeps the document in its `error`.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

RETRY_SECONDS = 5
"""What a 503 advises in Retry-After."""

LONGEST_ECHO = 200
"""A value given by the user is echoed up to this many characters."""


@dataclass(frozen=True)
class FieldError:
    """One field that is wrong: its dotted path (`pattern.sparsity`), what was given, what is allowed, and a
    sentence."""

    field: str
    given: object
    allowed: str | list[str] | None
    message: str

    def document(self) -> dict[str, Any]:
        """This error as it stands in the problem document; long texts are cut."""
        given = self.given
        if not isinstance(given, int | float | bool | None):
            given = given if isinstance(given, str) else repr(given)
            given = given if len(given) <= LONGEST_ECHO else given[: LONGEST_ECHO - 1] + "…"
        return {"field": self.field, "given": given, "allowed": self.allowed, "message": self.message}


class Problem(Exception):
    """An error with an HTTP status, a stable code, and a sentence that says what to do about it."""

    def __init__(self, status: int, code: str, title: str, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.errors = tuple(errors)

    def document(self) -> dict[str, Any]:
        """RFC 9457: type, title, status, detail; and `code` and `errors` as extension members."""
        return {
            "type": f"urn:prunescope:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": [error.document() for error in self.errors],
        }


def bad_spec(errors: Sequence[FieldError]) -> Problem:
    """422: nothing was queued; each error names its field."""
    detail = "; ".join(f"{error.field}: {error.message}" for error in errors)
    return Problem(422, "bad-spec", "The spec cannot be run", detail, errors)


def bad_field(field: str, given: object, allowed: str | list[str] | None, message: str) -> Problem:
    """422 for a single field."""
    return bad_spec([FieldError(field, given, allowed, message)])


def not_found(what: str, name: str) -> Problem:
    """404: `what` is a noun ("job", "attribution"), `name` the identifier that was asked for."""
    return Problem(404, "not-found", f"No such {what}", f"there is no {what} '{name}'")


def conflict(detail: str) -> Problem:
    """409: the request is fine, but not in the present state."""
    return Problem(409, "conflict", "Not possible now", detail)


def unavailable(detail: str) -> Problem:
    """503: the request is fine and may succeed when it is sent again after RETRY_SECONDS."""
    return Problem(503, "unavailable", "Not available at the moment", detail)


def unknown_name(given: object, known: Iterable[str]) -> str:
    """A sentence for a name that is not known: near names first, then all of them.

    >>> unknown_name("wandaa", ["magnitude", "wanda"])
    "'wandaa' is not known; did you mean 'wanda'? Known: magnitude, wanda"
    """
    names = list(known)
    near = near_names(given, names)
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ";"
    return f"{given!r} is not known{hint} {'Known' if near else 'known'}: {', '.join(names)}"


def near_names(given: object, known: Iterable[str]) -> list[str]:
    """At most three known names that look like the one given."""
    return difflib.get_close_matches(str(given).lower(), list(known), n=3, cutoff=0.6)

"""The query parameters of a page. An invalid one is ignored, and the page shows a notice.

The function that builds the document validates parameters by raising Problem 422, which is also the JSON address's
response. For a page, `Asked.read` drops the invalid parameter, keeps the error message as a notice, and calls the
function again. The parameter ``digest`` of a result's page is checked here for all pages.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from fastapi import Request

from prunescope.jobs.problems import FieldError, Problem, bad_field, cut, unknown_name
from prunescope.server.site.permalinks import DIGEST, asked_results, link_digest, notice_of

MAX_ALLOWED = 12
"""Maximum number of allowed values listed in a notice."""
MAX_SHOWN = 60
"""Maximum number of characters of an invalid value in a notice."""
MAX_NOTICE = 400
MAX_DIGITS = 9

Made = TypeVar("Made")


class Asked:
    """The query parameters of a page. All names but those in ``known`` are ignored, except with ``any_other``."""

    def __init__(self, request: Request, *known: str, any_other: bool = False) -> None:
        self._values: dict[str, list[str]] = {}
        self.notices: tuple[str, ...] = ()
        """A sentence for each ignored value, and one if a result was made again after the link to it was made."""
        results = asked_results(request)
        for name, value in request.query_params.multi_items():
            if name == DIGEST and results:
                continue
            if not any_other and name not in known:
                message = f"{unknown_name(_cut(name), known)}" if known else "this page has no parameters"
                self._note(f"{_cut(name)}: {message}. It was left out.")
            elif "\0" in value:
                self._note(f"{name}: the value holds a null character. {_INSTEAD}")
            elif value not in self._values.setdefault(name, []):
                self._values[name].append(value)
        digest = link_digest(request) if results else None
        notice = None if digest is None else notice_of(request, results, digest)
        if notice is not None:
            self._note(notice)

    @property
    def values(self) -> dict[str, str]:
        """Name -> value of the parameters that are not ignored; the last value if there are several."""
        return {name: values[-1] for name, values in self._values.items()}

    def text(self, name: str) -> str | None:
        return self.values.get(name)

    def all(self, names: Sequence[str]) -> dict[str, list[str]]:
        """Name -> all values, for the given names that are in the query."""
        return {name: [*values] for name, values in self._values.items() if name in names}

    def whole(self, name: str) -> int | None:
        """The value as a non-negative integer, None if it is missing. Raises Problem 422 for any other value."""
        text = self.text(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS):
            raise bad_field(name, text, "a whole number from 0", f"{_cut(text)!r} is no whole number from 0")
        return int(text)

    def one_of(self, name: str, known: Sequence[str]) -> str | None:
        """The value if it is one of ``known``, or None. Raises Problem 422."""
        text = self.text(name)
        if text is not None and text not in known:
            raise bad_field(name, text, list(known), unknown_name(text, known))
        return text

    def read(self, make: Callable[[], Made]) -> Made:
        """The result of ``make``. If it raises Problem 422 about a parameter, the parameter is ignored from then on and
        ``make`` is called again; other Problems are raised."""
        while True:
            try:
                return make()
            except Problem as problem:
                wrong = [error for error in problem.errors if error.field in self._values]
                if problem.status != 422 or not wrong:
                    raise
                for error in wrong:
                    self._leave_out(error)

    def _leave_out(self, error: FieldError) -> None:
        values = self._values.get(error.field, [])
        given = str(error.given)
        if given in values and len(values) > 1:
            values.remove(given)  # the other values of a filter remain
        else:
            given = values[-1] if values else given
            self._values.pop(error.field, None)
        self._note(_sentence(error, given))

    def _note(self, notice: str) -> None:
        if notice not in self.notices:
            self.notices += (notice,)


_INSTEAD = "The default is shown instead."


def _sentence(error: FieldError, given: str) -> str:
    message = error.message if len(error.message) <= MAX_NOTICE - MAX_SHOWN else "is not known"
    if _cut(given) not in message and given not in message:
        message = f"{_cut(given)!r} {message}"
    allowed = [error.allowed] if isinstance(error.allowed, str) else error.allowed or []
    if not all(value in message for value in allowed):
        more = f" and {len(allowed) - MAX_ALLOWED} more" if len(allowed) > MAX_ALLOWED else ""
        message = f"{message}; allowed: {', '.join(map(_cut, allowed[:MAX_ALLOWED]))}{more}"
    return f"{error.field}: {message}. {_INSTEAD}"


def _cut(text: str) -> str:
    return cut(text, MAX_SHOWN)

"""The settings of a command or a call of the API: what its options say, else the environment, else the defaults."""

from collections.abc import Mapping

from pydantic import ValidationError

from prunescope.errors import Refusal
from prunescope.jobs.settings import Settings

MAX_SHOWN = 100
"""Characters of a value that is quoted."""


def read_settings(prefix: str = "--", /, **given: object) -> Settings:
    """Settings with the options that were given; None stands for an option that was not. `prefix` stands before an
    option's name in an error.

    Raises:
        Refusal: an option or a variable of the environment has a value that it cannot have.
    """
    options = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**options)  # type: ignore[arg-type]
    except ValueError as error:
        raise Refusal(_sentence(error, options, prefix)) from None


def _sentence(error: ValueError, options: Mapping[str, object], prefix: str) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    parts = []
    for details in error.errors(include_url=False):
        name = str(details["loc"][0])
        place = f"{prefix}{name}" if name in options else f"PRUNESCOPE_{name.upper()}"
        given = repr(details["input"])
        shown = given if len(given) <= MAX_SHOWN else f"{given[: MAX_SHOWN - 1]}…"
        said = _lower_first(details["msg"].removeprefix("Value error, "))
        parts.append(f"{place}: {said}" if given in said else f"{place} {shown}: {said}")
    return "; ".join(parts)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]

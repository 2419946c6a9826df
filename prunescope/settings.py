"""Reads the settings of the command or of an API call: from its options, else from the environment, else the
defaults."""

from collections.abc import Mapping

from pydantic import ValidationError

from prunescope.errors import Refusal
from prunescope.jobs.settings import Settings

MAX_SHOWN = 100
"""Maximum length in characters of a value that an error quotes."""


def read_settings(prefix: str = "--", /, **given: object) -> Settings:
    """The settings, with the options in `given`; an option that is None is read from the environment, or has its
    default. `prefix` is put before an option's name in errors.

    Raises:
        Refusal: an option or an environment variable has an invalid value.
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

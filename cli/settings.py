"""The settings of a command: what its options say, else the environment, else the defaults."""

from pydantic import ValidationError

from cli.errors import Refusal
from jobs.settings import Settings


def read_settings(**given: object) -> Settings:
    """Settings with the options that were given; None stands for an option that was not.

    Raises:
        Refusal: an option or a variable of the environment has a value that it cannot have.
    """
    options = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**options)  # type: ignore[arg-type]
    except ValueError as error:
        raise Refusal(_sentence(error)) from None


def _sentence(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    parts = []
    for details in error.errors(include_url=False):
        name = "_".join(str(step) for step in details["loc"])
        parts.append(f"PRUNESCOPE_{name.upper()} {details['input']!r}: {details['msg'].lower()}")
    return "; ".join(parts)

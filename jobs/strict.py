"""The base class of specs (frozen, unknown fields forbidden), and conversion of pydantic's errors to field errors."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from prunescope.jobs.bounds import MAX_ECHO, MAX_ERRORS
from prunescope.jobs.problems import FieldError, Problem, bad_spec, cut, near_names, shown, unknown_name

_ERROR_TYPE = "prunescope_refused"
MAX_SHOWN = 60
"""Characters of a value quoted in a sentence."""


class Strict(BaseModel):
    """A frozen model that forbids extra fields; its error for an unknown field lists the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _known_fields_only(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    known = list(cls.model_fields)
                    near = near_names(key, known)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    raise validation_error(
                        f"unknown field {shown(key, MAX_ECHO)}; {hint}known: {', '.join(known)}",
                        allowed=known,
                        field=cut(str(key), MAX_ECHO),
                        given=data[key],
                    )
                _check_boolean(cls, key, data[key])
        return data


def _check_boolean(model: type[BaseModel], field: str, value: object) -> None:
    """Raise a validation error if a number is given as `true`, which Python treats as 1, or a boolean as "yes" or 1."""
    types = _types_of(model, field)
    if bool in types:
        wrong = isinstance(value, str | int | float) and not isinstance(value, bool) and not types & {str, int, float}
        allowed = "true or false"
    else:
        each = value if isinstance(value, list | tuple) else [value]
        wrong = bool(types & {int, float}) and any(isinstance(one, bool) for one in each)
        allowed = "a number"
    if wrong:
        raise validation_error(
            f"{shown(value, MAX_SHOWN)} is not allowed: {allowed}", allowed=allowed, field=field, given=value
        )


@cache
def _types_of(model: type[BaseModel], field: str) -> frozenset[type]:
    """The types that a field's annotation names, at any depth."""
    found: set[type] = set()
    pending: list[object] = [model.model_fields[field].annotation]
    while pending:
        annotation = pending.pop()
        pending.extend(get_args(annotation))
        if isinstance(annotation, type):
            found.add(annotation)
    return frozenset(found)


def validation_error(
    message: str, *, allowed: str | list[str] | None = None, field: str | None = None, given: object = ...
) -> PydanticCustomError:
    """An error for a validator to raise. `message` is a complete sentence and `allowed` says what is valid. `field` is
    the invalid sub-field, None for the validated value itself; `given` is the invalid value, by default the value that
    pydantic validated."""
    context: dict[str, Any] = {"message": message, "allowed": allowed, "field": field}
    if given is not ...:
        context["given"] = given
    # A template argument, because the message itself may contain braces.
    return PydanticCustomError(_ERROR_TYPE, "{message}", context)


def one_of(name: str, known: Iterable[str]) -> str:
    """Return `name` if it is in `known`, for use in validators. Raises a validation error that lists the known names
    otherwise."""
    names = list(known)
    if name not in names:
        raise validation_error(unknown_name(name, names), allowed=names)
    return name


def problem_of(error: ValidationError, data: object, *, prefix: str = "") -> Problem:
    """The 422 Problem for a failed validation of `data`, with one entry for each invalid field, at most MAX_ERRORS.
    `prefix` is prepended to the field paths."""
    listed = error.errors(include_url=False)[:MAX_ERRORS]
    return bad_spec([_field_error(details, data, prefix) for details in listed], error.error_count())


def _field_error(details: ErrorDetails, data: object, prefix: str) -> FieldError:
    context: Mapping[str, Any] = details.get("ctx", {})
    path, place = _path_in_data(details["loc"], data, missing=details["type"] == "missing")
    # For a scalar short form ("0:4") the error quotes the user's text, not the part that was parsed from it.
    given: object = details["input"] if isinstance(place, Mapping | list | tuple) else place
    kind = details["type"]
    match kind:
        case "prunescope_refused":
            if context["field"]:
                path.append(context["field"])
            given = context.get("given", given)
            allowed, message = context["allowed"], context["message"]
        case "missing":
            given, allowed, message = None, "a value", "is needed"
        case "too_short":
            allowed = f"at least {context['min_length']}"
            message = f"needs {allowed}"
        case "too_long":
            allowed = f"at most {context['max_length']}"
            message = f"takes {allowed}"
        case "union_tag_invalid":
            path.append(context["discriminator"].strip("'"))
            names = [name.strip(" '") for name in context["expected_tags"].split(",")]
            given, allowed = context["tag"], names
            message = unknown_name(given, names)
        case "union_tag_not_found":
            path.append(context["discriminator"].strip("'"))
            given, allowed, message = None, "a value", "is needed"
        case _:
            allowed = _lower_first(details["msg"]).removeprefix("input ")
            message = f"{shown(given, MAX_SHOWN)} is not allowed: {allowed}"
    return FieldError(".".join([*([prefix] if prefix else []), *path]) or "spec", given, allowed, message)


def _path_in_data(location: Sequence[int | str], data: object, *, missing: bool) -> tuple[list[str], object]:
    """(field path, value at that path) of an error location from pydantic. Steps that do not exist in `data` are union
    tags and are dropped, except the last step if the field is missing; the value is its parent's then."""
    path: list[str] = []
    here = data
    for index, step in enumerate(location):
        inside = step in here if isinstance(here, Mapping) else isinstance(step, int) and isinstance(here, list | tuple)
        if inside:
            here = here[step]  # type: ignore[index]  # `inside` says that the step exists
        elif not (missing and index == len(location) - 1):
            continue  # a union tag
        path.append(str(step))
    return path, here


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]

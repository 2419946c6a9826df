"""Fills the fields of the job form from an address or an earlier job."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from prunescope.jobs.documents import JobKind
from prunescope.jobs.problems import bad_field, near_names, unknown_name
from prunescope.server.labels import spec_fields, typed, typed_pattern
from prunescope.server.new_job.fields import Field, Section
from prunescope.server.site.documents import Choice

SHORT_NAMES = frozenset({"kind", "from", "model", "dense", "pruned", "task"})
"""What an address may say beside the fields' own paths."""


def check_given(sections: Sequence[Section], given: Mapping[str, str]) -> None:
    """Raises the Problem 422 for a parameter that names no field, or has a value that its field does not accept."""
    fields = {field.path: field for section in sections for field in section.fields}
    for name, value in given.items():
        field = fields.get(name)
        if field is None:
            if name not in SHORT_NAMES:
                near = near_names(name, fields)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise bad_field(name, value, None, f"{value[:60]!r} was left out, the form has no such field{hint}")
        elif field.control == "select":
            _check_choices(name, [value], field.choices)
        elif field.control == "checks" and name != "pruned":
            _check_choices(name, value.split(","), field.choices)
        elif field.shape == "number" and value and not _is_number(value):
            raise bad_field(name, value, "a number", f"{value[:60]!r} is no number")
    if "task" in given:
        offered = [each for field in fields.values() for each in field.choices if _is_task(field)]
        if offered:
            _check_choices("task", given["task"].split(","), offered)


def _is_task(field: Field) -> bool:
    return field.path in {"tasks", "texts.dataset"}


def _check_choices(name: str, values: Sequence[str], choices: Iterable[Choice]) -> None:
    known = [choice.value for choice in choices]
    for value in values:
        if value not in known:
            raise bad_field(name, ",".join(values), [each or "(empty)" for each in known], unknown_name(value, known))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def filled(fields: tuple[Field, ...], given: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields with the values that stand under their own paths. A choice of an earlier job that is not offered any
    more is added."""
    return tuple(_filled(field, given[field.path]) if field.path in given else field for field in fields)


def _filled(field: Field, value: str) -> Field:
    choices = field.choices
    if field.control == "select" and value not in [each.value for each in choices]:
        choices = (*choices, Choice(value=value, label=value or "as in the job", note="as in the job"))
    return replace(field, value=value, choices=choices)


def values_of(kind: JobKind, spec: Mapping[str, Any]) -> dict[str, str]:
    """A spec as the values of the form's fields; what the form has no field for is left out."""
    if kind is JobKind.STUDY:
        return _study(spec)
    plain = {name: value for name, value in spec.items() if name not in {"texts", "pruned", "tasks"}}
    values = {path: typed(value) for path, value in spec_fields(plain).items()}
    if kind is JobKind.PRUNE and isinstance(spec.get("calibration"), Mapping):
        values["calibration.dataset"] = typed(spec["calibration"].get("dataset"))
    if kind is JobKind.EVALUATE:
        values["tasks"] = ",".join(map(str, spec.get("tasks") or ()))
    if kind is JobKind.ATTRIBUTE:
        values |= {"pruned": ",".join(map(str, spec.get("pruned") or ())), **_texts(spec.get("texts"))}
    return values


def _texts(texts: object) -> dict[str, str]:
    if isinstance(texts, Mapping):
        values = {f"texts.{name}": typed(value) for name, value in texts.items() if name not in {"words", "indices"}}
        if "indices" in texts:
            return {**values, "texts-from": "rows", "texts.indices": ", ".join(map(str, texts["indices"]))}
        return {**values, "texts-from": "task"}
    given = [each if isinstance(each, Mapping) else {"text": each} for each in _list(texts)]
    words = [", ".join(map(str, _list(each.get("words")))) for each in given]
    return {
        "texts-from": "own",
        "texts": "\n\n".join(str(each.get("text", "")) for each in given),
        "texts-words": "\n".join(words) if any(words) else "",
    }


def _study(spec: Mapping[str, Any]) -> dict[str, str]:
    calibrations = [each for each in _list(spec.get("calibrations")) if isinstance(each, Mapping)]
    attributions = [each for each in _list(spec.get("attributions")) if isinstance(each, Mapping)]
    texts = attributions[0].get("texts") if attributions else None
    return {
        "name": typed(spec.get("name")),
        "models": ", ".join(map(str, _list(spec.get("models")))),
        "methods": ",".join(_names(spec.get("methods"), "name")),
        "patterns": ", ".join(typed_pattern(each) for each in _list(spec.get("patterns"))),
        "calibrations": ",".join(_names(calibrations, "dataset")),
        "calibrations.samples": _common(calibrations, "samples"),
        "calibrations.seqlen": _common(calibrations, "seqlen"),
        "tasks": ",".join(map(str, _list(spec.get("tasks")))),
        "limit": typed(spec.get("limit")),
        "newline": typed(spec.get("newline")) or "real",
        "attribution": str(texts.get("dataset") or "") if isinstance(texts, Mapping) else "",
    }


def _names(values: object, field: str) -> list[str]:
    named = [str(each.get(field)) if isinstance(each, Mapping) else str(each) for each in _list(values)]
    return [*dict.fromkeys(named)]


def _common(values: Sequence[Mapping[str, Any]], field: str) -> str:
    found = {typed(value.get(field)) for value in values}
    return found.pop() if len(found) == 1 else ""


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()

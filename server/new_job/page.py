"""The context of the job form. Its fields are filled in from the spec of a job and from the query, which is checked."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from prunescope.jobs.documents import JobKind
from prunescope.jobs.labels import spec_fields, typed, typed_pattern
from prunescope.jobs.problems import bad_field, near_names, unknown_name
from prunescope.server import urls
from prunescope.server.jobs.commands import LABELS, Form
from prunescope.server.new_job.documents import JobForm
from prunescope.server.new_job.fields import Field, Sections
from prunescope.server.new_job.queries import SourceJob
from prunescope.server.new_job.sections import sections_of
from prunescope.server.site.documents import Choice
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Picker, picker

SHORT_NAMES = frozenset({"kind", "from", "model", "dense", "pruned", "task"})
"""Query parameters that are allowed in addition to the paths of the fields."""


@dataclass(frozen=True)
class FormPage:
    """The context of ``new_job/form.html``."""

    frame: Frame
    document: JobForm
    kind: JobKind
    kinds: Picker
    sections: Sections
    check_href: str
    forms: Mapping[Form, str]  # the other forms of the job -> their labels
    example: str
    began: SourceJob | None  # the job from which the form is filled in
    began_spec: str  # its spec as JSON
    kept: list[str]  # the parts of its spec that are submitted unchanged, because the form has no fields for them


def fill_form(document: JobForm, kind: JobKind, given: Mapping[str, str], began: SourceJob | None) -> Sections:
    """The sections of the form with their fields filled in, from the job ``began`` and from the query ``given``, which
    takes precedence. Raises Problem 422 for a query parameter that the form has no field for, or whose value the field
    does not accept."""
    before = {} if began is None else _values_of(kind, began.spec)
    values = {**before, **given}
    sections = sections_of(kind, document, values)
    _check_given(sections, given)
    values.pop("pruned", None)  # `sections_of` has ticked known models and put the others into a separate field
    return {title: [_filled(field, values) for field in fields] for title, fields in sections.items()}


def _check_given(sections: Sections, given: Mapping[str, str]) -> None:
    """Raise Problem 422 for a query parameter without a field, or with a value that the field does not accept."""
    fields = {field.path: field for same in sections.values() for field in same}
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
    tasks = fields.get("tasks") or fields.get("texts.dataset")
    if "task" in given and tasks is not None:
        _check_choices("task", given["task"].split(","), tasks.choices)


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


def _filled(field: Field, given: Mapping[str, str]) -> Field:
    """The field with the value that ``given`` has for its path. A value that is not among the choices of a menu, which
    comes from an earlier job, is added to them."""
    if field.path not in given:
        return field
    value, choices = given[field.path], field.choices
    if field.control == "select" and value not in [each.value for each in choices]:
        choices = (*choices, Choice(value=value, label=value or "as in the job", note="as in the job"))
    return replace(field, value=value, choices=choices)


def _values_of(kind: JobKind, spec: Mapping[str, Any]) -> dict[str, str]:
    """Path -> value of the form's fields, from a spec. Parts of the spec without a field are omitted."""
    if kind is JobKind.STUDY:
        return _study(spec)
    plain = {name: value for name, value in spec.items() if name != "texts"}
    values = {path: typed(value) for path, value in spec_fields(plain).items()}
    if kind is JobKind.EXPLAIN:
        values |= {
            "explained-from": "text" if spec.get("perplexity") else "task",
            "neurons": ", ".join(map(str, spec.get("neurons", ()))),
            "heads": "" if spec.get("heads", True) else "false",
        }
    if kind is JobKind.CORPUS:
        values |= {
            "models": ", ".join(spec.get("models", ())),
            "layers": _listed(spec.get("layers")),
            "writes": "" if spec.get("writes", True) else "false",
        }
    if kind is JobKind.EVALUATE:
        values |= {"tasks": ",".join(spec.get("tasks", ())), **_perplexity(spec)}
    if kind is JobKind.ATTRIBUTE:
        causal = spec.get("causal") or {}
        values |= {"layers": _listed(spec.get("layers")), "causal.layers": _listed(causal.get("layers"))}
        values |= {"pruned": ",".join(spec.get("pruned", ())), **_texts(spec.get("texts", ()))}
    return values


def _listed(values: Iterable[object] | None) -> str:
    return ", ".join(map(str, values or ()))


def _perplexity(spec: Mapping[str, Any]) -> dict[str, str]:
    """The fields of perplexity; of a spec without it, none, so that they have their defaults."""
    asked = spec.get("perplexity")
    if not asked:
        return {}
    others = {f"perplexity.{name}": typed(asked.get(name)) for name in ("seqlen", "windows", "bos")}
    return {"perplexity.datasets": _listed(asked["datasets"]), **others}


def _texts(texts: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, str]:
    if isinstance(texts, Mapping):
        values = {f"texts.{name}": typed(value) for name, value in texts.items() if name not in {"words", "indices"}}
        if "indices" in texts:
            return {**values, "texts-from": "rows", "texts.indices": ", ".join(map(str, texts["indices"]))}
        return {**values, "texts-from": "task"}
    words = [", ".join(each["words"] or ()) for each in texts]
    return {
        "texts-from": "own",
        "texts": "\n\n".join(each["text"] for each in texts),
        "texts-words": "\n".join(words) if any(words) else "",
    }


def _study(spec: Mapping[str, Any]) -> dict[str, str]:
    calibrations = spec.get("calibrations", ())
    texts = spec["attributions"][0]["texts"] if spec.get("attributions") else None
    return {
        "name": typed(spec.get("name")),
        "models": ", ".join(spec.get("models", ())),
        "methods": ",".join(dict.fromkeys(method["name"] for method in spec.get("methods", ()))),
        "patterns": ", ".join(map(typed_pattern, spec.get("patterns", ()))),
        "calibrations": ",".join(dict.fromkeys(str(each["dataset"]) for each in calibrations)),
        "calibrations.samples": _common(calibrations, "samples"),
        "calibrations.seqlen": _common(calibrations, "seqlen"),
        "allocations": ",".join(dict.fromkeys(each["name"] for each in spec.get("allocations", ()))),
        "seqlens": _listed(spec.get("seqlens")),
        "seeds": _listed(spec.get("seeds")),
        **_perplexity(spec),
        "tasks": ",".join(spec.get("tasks", ())),
        "limit": typed(spec.get("limit")),
        "newline": typed(spec.get("newline")) or "real",
        "attribution": texts["dataset"] if isinstance(texts, Mapping) else "",
    }


def _common(values: Sequence[Mapping[str, Any]], field: str) -> str:
    """The value of a field that all dictionaries have in common; empty if they differ."""
    found = {typed(value.get(field)) for value in values}
    return found.pop() if len(found) == 1 else ""


def form_page(document: JobForm, kind: JobKind, sections: Sections, frame: Frame, began: SourceJob | None) -> FormPage:
    """The context of a form whose fields `fill_form` has filled in."""
    kinds = {each: each.capitalize() for each in document.kinds}
    return FormPage(
        frame=frame,
        document=document,
        kind=kind,
        kinds=picker("Kind of job", kinds, kind, lambda other: urls.new_job(kind=other)),
        sections=sections,
        check_href=urls.job_check(),
        forms=LABELS,
        example=json.dumps({"kind": kind, "spec": document.examples[kind]}, indent=2, ensure_ascii=False),
        began=began,
        began_spec="" if began is None else json.dumps(began.spec),
        kept=[] if began is None else _kept(began.spec, sections),
    )


def _kept(spec: Mapping[str, object], sections: Sections) -> list[str]:
    """The values of a spec for which the form has no field, with their paths."""
    paths = {field.path for fields in sections.values() for field in fields}
    return [f"{path} {value}" for path, value in spec_fields(spec).items() if path not in paths and value is not None]

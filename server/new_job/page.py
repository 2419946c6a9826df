"""The context of the job form: its sections for each kind of job, with their fields filled in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from prunescope.jobs.documents import JobKind
from prunescope.server import urls
from prunescope.server.labels import spec_fields
from prunescope.server.new_job.attribute import attribute_sections
from prunescope.server.new_job.documents import JobForm, MethodChoice
from prunescope.server.new_job.fields import (
    Field,
    Section,
    checks,
    model,
    number,
    select,
    shown,
)
from prunescope.server.new_job.queries import Beginning
from prunescope.server.new_job.values import check_given, filled, values_of
from prunescope.server.site.documents import Choice, Link
from prunescope.server.site.frame import Frame
from prunescope.server.site.parts import Option, Picker

LEADS = {
    JobKind.PRUNE: "Take weights out of a model. The result is a model of its own, with a report of every matrix.",
    JobKind.EVALUATE: "Measure a model on tasks, beside the dense model where that was measured too.",
    JobKind.ATTRIBUTE: "Run the same texts through a dense model and its pruned variants: which neurons lost most?",
    JobKind.STUDY: "Prune models in every combination, measure all of them, and put the accuracies into one table.",
}
PATTERN_HINT = "a sparsity from 0 to below 1, such as 0.5; or n:m, such as 2:4, which keeps n of every m weights"
NEWLINES = [
    Choice(value="real", label="line breaks"),
    Choice(value="literal", label="a backslash and an n", note="as the paper's Figure 1 shows its prompt"),
]
MODES = [
    Choice(value="concat", label="several fill a window"),
    Choice(value="single", label="one in each window", note="windows are as long as the longest of them"),
]
WITHOUT_FIELDS = ("layers", "seqlens", "allocations", "seeds", "perplexity")
"""Parts of a spec that the form has no fields for and that are more than a value."""
BOS = [
    Choice(value="auto", label="where the tokenizer puts one"),
    Choice(value="always", label="always"),
    Choice(value="never", label="never", note="as the published code cuts running text"),
]
PATTERN = r"\s*(0?\.\d+|0|\d+\s*:\s*\d+)\s*"


@dataclass(frozen=True)
class BeganFrom:
    """The job that the form was filled in from; ``spec`` (JSON) includes what the form has no field for."""

    job: Link
    spec: str
    kept: str


@dataclass(frozen=True)
class FormPage:
    """The context of ``new_job/form.html``."""

    frame: Frame
    title: str
    lead: str
    kind: str
    kinds: Picker
    sections: tuple[Section, ...]
    models: list[Choice]
    submit_href: str
    estimate_href: str | None
    job_page: str
    docs_href: str
    example: str
    began: BeganFrom | None


def fill_form(
    document: JobForm, kind: JobKind, given: Mapping[str, str], began: Beginning | None
) -> tuple[Section, ...]:
    """``given`` is the query: what it names (model, dense, pruned, task, or any field's path) is filled in, over what
    the job ``began`` had. Problem 422 for what a field cannot hold."""
    make = {
        JobKind.PRUNE: _prune,
        JobKind.EVALUATE: _evaluate,
        JobKind.ATTRIBUTE: attribute_sections,
        JobKind.STUDY: _study,
    }[kind]
    before = {} if began is None else values_of(kind, began.spec)
    values = {**before, **given}
    sections = make(document, values)
    check_given(sections, given)
    values.pop("pruned", None)  # known ones are ticked, the others stand in a field of their own
    return tuple(replace(each, fields=filled(each.fields, values)) for each in sections)


def form_page(
    document: JobForm, kind: JobKind, sections: tuple[Section, ...], frame: Frame, began: Beginning | None
) -> FormPage:
    """The page of a form whose fields `fill_form` has filled in."""
    kinds = tuple(
        Option(each.value.capitalize(), urls.new_job(kind=each.value), each is kind) for each in document.kinds
    )
    return FormPage(
        frame=frame,
        title="New job" if began is None else "Edit and start",
        lead=LEADS[kind],
        kind=kind.value,
        kinds=Picker("Kind of job", "", kinds),
        sections=sections,
        models=document.models,
        submit_href=urls.api(urls.jobs()),
        estimate_href=urls.study_estimate() if kind is JobKind.STUDY else None,
        job_page=urls.jobs(),
        docs_href=urls.DOCS,
        example=json.dumps({"kind": kind.value, "spec": document.examples[kind]}, indent=2, ensure_ascii=False),
        began=None if began is None else _began(began, sections),
    )


def _began(began: Beginning, sections: tuple[Section, ...]) -> BeganFrom:
    paths = {field.path for section in sections for field in section.fields}
    whole = [name for name in WITHOUT_FIELDS if began.spec.get(name) and name not in paths]
    kept = [
        f"{path} {value}"
        for path, value in spec_fields(began.spec).items()
        if path not in paths and value is not None and path.partition(".")[0] not in whole
    ]
    kept += whole
    unseen = "" if not kept else f"Kept as it was, without a field here: {', '.join(kept)}."
    return BeganFrom(Link(label=began.title, href=began.href), json.dumps(began.spec), unseen)


def _prune(form: JobForm, given: Mapping[str, str]) -> tuple[Section, ...]:
    calibrated = "|".join(method.value for method in form.methods if method.needs_calibration)
    return (
        Section("Model", (model("model", "Model", given.get("model", "demo")),)),
        Section(
            "Method",
            (
                select("method.name", "Method", form.methods, "wanda"),
                Field("pattern", "Pattern", value="0.5", hint=PATTERN_HINT, needed=True, pattern=PATTERN),
                *_options("method", form.methods),
                select("allocation.name", "Each layer loses", form.allocations, "uniform"),
                *_options("allocation", form.allocations),
            ),
        ),
        Section(
            "Calibration",
            tuple(replace(field, when=field.when or f"method.name={calibrated}") for field in _calibration(form)),
        ),
    )


def _options(path: str, methods: list[MethodChoice]) -> tuple[Field, ...]:
    fields = []
    for method in methods:
        for option in method.options:
            choices = [Choice(value=name, label=name) for name in option.allowed or ()]
            numeric = option.type in {"number", "integer"}
            fields.append(
                Field(
                    f"{path}.{option.name}",
                    option.name.replace("_", " ").capitalize(),
                    control="select" if choices else "number" if numeric else "text",
                    shape="number" if numeric else "text",
                    value="" if option.default is None else str(option.default),
                    choices=choices,
                    hint=option.note or "",
                    step="any" if option.type == "number" else "",
                    when=f"{path}.name={method.value}",
                )
            )
    return tuple(fields)


def _calibration(form: JobForm) -> tuple[Field, ...]:
    examples = [each.value for each in form.calibration_sets if each.group == "examples"]
    return (
        select("calibration.dataset", "Text", form.calibration_sets, "demo"),
        shown(select("calibration.mode", "Examples", MODES, "concat"), f"calibration.dataset={'|'.join(examples)}"),
        number("calibration.samples", "Windows", "32", least="1", hint="how many windows of text"),
        number("calibration.seqlen", "Tokens each", "128", least="2", hint="empty: the model's context, at most 2048"),
        select("calibration.bos", "Windows begin with BOS", BOS, "auto"),
        number("calibration.seed", "Seed", "0", least="0"),
    )


def _evaluate(form: JobForm, given: Mapping[str, str]) -> tuple[Section, ...]:
    return (
        Section("Model", (model("model", "Model", given.get("model", "demo")),)),
        Section(
            "Tasks",
            (
                checks("tasks", "Tasks", form.tasks, given.get("task", "reviews")),
                number("limit", "Rows of each", "100", least="1", hint="empty: all of them"),
                select("newline", "Prompt lines end in", NEWLINES, "real"),
                number("seed", "Seed", "0", least="0"),
            ),
        ),
    )


def _study(form: JobForm, given: Mapping[str, str]) -> tuple[Section, ...]:
    return (
        Section(
            "Models",
            (
                Field("name", "Name", placeholder="What is compared"),
                Field(
                    "models",
                    "Models",
                    shape="list",
                    value=given.get("model", "demo"),
                    needed=True,
                    hint="separated by commas",
                ),
            ),
        ),
        Section(
            "Ways of pruning",
            (
                checks("methods", "Methods", form.methods, "wanda,magnitude"),
                Field("patterns", "Patterns", shape="list", value="0.5, 2:4", needed=True, hint=PATTERN_HINT),
                checks("calibrations", "Calibration sets", form.calibration_sets, "demo"),
                number("calibrations.samples", "Windows", "32", least="1"),
                number("calibrations.seqlen", "Tokens each", "128", least="2"),
                select("calibrations.bos", "Windows begin with BOS", BOS, "auto"),
            ),
        ),
        Section(
            "What is measured",
            (
                checks("tasks", "Tasks", form.tasks, "reviews"),
                number("limit", "Rows of each", "100", least="1", hint="empty: all of them"),
                select("newline", "Prompt lines end in", NEWLINES, "real"),
                select(
                    "attribution",
                    "Neurons",
                    [Choice(value="", label="no attribution"), *form.tasks],
                    "reviews",
                    hint="ten of its rows through every pruned model",
                ),
            ),
        ),
    )

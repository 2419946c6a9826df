"""The form that starts a job: one section after another, built from what a spec may name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from jobs.documents import JobKind
from server import urls
from server.documents import Choice, JobForm, MethodChoice
from server.pages.controls import Option, Picker
from server.pages.frame import Frame

Control = Literal["text", "number", "select", "checks", "area", "models"]
Shape = Literal["text", "number", "flag", "list", "texts", "words"]
"""How the script turns what was written into JSON."""

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
SPECIAL_TOKENS = [
    Choice(value="", label="left out", note="tokens like <s>, whose activation can dwarf that of all words"),
    Choice(value="true", label="counted", note="tokens like <s> are in the sums of the Score"),
]
MODES = [
    Choice(value="concat", label="several fill a window"),
    Choice(value="single", label="one in each window", note="windows are as long as the longest of them"),
]
PATTERN = r"\s*(0?\.\d+|0|\d+\s*:\s*\d+)\s*"


@dataclass(frozen=True)
class Choosable:
    value: str
    label: str
    note: str
    chosen: bool


@dataclass(frozen=True)
class Choices:
    """Boxes to be ticked that belong together; the title is empty where there is nothing to tell apart."""

    title: str
    choices: tuple[Choosable, ...]


@dataclass(frozen=True)
class Field:
    """One control: ``path`` is where its value goes in the spec, ``when`` (path=value|value) when it is shown."""

    path: str
    label: str
    control: Control = "text"
    shape: Shape = "text"
    value: str = ""
    choices: tuple[Choosable, ...] = ()
    groups: tuple[Choices, ...] = ()
    hint: str = ""
    placeholder: str = ""
    needed: bool = False
    least: str = ""
    most: str = ""
    step: str = ""
    pattern: str = ""
    when: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class FormPage:
    """The context of ``form.html``."""

    frame: Frame
    title: str
    lead: str
    kind: str
    kinds: Picker
    sections: tuple[Section, ...]
    models: tuple[Choosable, ...]
    submit_href: str
    estimate_href: str | None
    job_page: str
    docs_href: str
    example: str


def form_page(document: JobForm, kind: JobKind, given: Mapping[str, str], frame: Frame) -> FormPage:
    """``given`` is the query: what it names (model, dense, pruned, task, or any field's path) is filled in."""
    sections = {
        JobKind.PRUNE: _prune,
        JobKind.EVALUATE: _evaluate,
        JobKind.ATTRIBUTE: _attribute,
        JobKind.STUDY: _study,
    }[kind](document, given)
    kinds = tuple(
        Option(each.value.capitalize(), urls.new_job(kind=each.value), each is kind) for each in document.kinds
    )
    return FormPage(
        frame=frame,
        title="New job",
        lead=LEADS[kind],
        kind=kind.value,
        kinds=Picker("Kind of job", "", kinds),
        sections=tuple(replace(each, fields=_filled(each.fields, given)) for each in sections),
        models=_choices(document.models),
        submit_href=urls.api(urls.jobs()),
        estimate_href=urls.study_estimate() if kind is JobKind.STUDY else None,
        job_page=urls.jobs(),
        docs_href=urls.DOCS,
        example=json.dumps({"kind": kind.value, "spec": document.examples[kind]}, indent=2, ensure_ascii=False),
    )


def _filled(fields: tuple[Field, ...], given: Mapping[str, str]) -> tuple[Field, ...]:
    """The fields with the values that the query gives under their own paths; a choice that is not offered is left."""
    filled = []
    for field in fields:
        value = given.get(field.path)
        if value is not None and field.control == "select":
            if any(choice.value == value for choice in field.choices):
                choices = tuple(replace(choice, chosen=choice.value == value) for choice in field.choices)
                field = replace(field, choices=choices)
        elif value is not None and field.control != "checks":
            field = replace(field, value=value)
        filled.append(field)
    return tuple(filled)


def _prune(form: JobForm, given: Mapping[str, str]) -> tuple[Section, ...]:
    calibrated = "|".join(method.value for method in form.methods if method.needs_calibration)
    return (
        Section("Model", (_model("model", "Model", given.get("model", "demo")),)),
        Section(
            "Method",
            (
                _select("method.name", "Method", form.methods, "wanda"),
                Field("pattern", "Pattern", value="0.5", hint=PATTERN_HINT, needed=True, pattern=PATTERN),
                *_options("method", form.methods),
                _select("allocation.name", "Each layer loses", form.allocations, "uniform"),
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
            choices = tuple(Choosable(name, name, "", name == option.default) for name in option.allowed or ())
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
        _select("calibration.dataset", "Text", form.calibration_sets, "demo"),
        _shown(_select("calibration.mode", "Examples", MODES, "concat"), f"calibration.dataset={'|'.join(examples)}"),
        _number("calibration.samples", "Windows", "32", least="1", hint="how many windows of text"),
        _number("calibration.seqlen", "Tokens each", "128", least="2", hint="empty: the model's context, at most 2048"),
        _number("calibration.seed", "Seed", "0", least="0"),
    )


def _evaluate(form: JobForm, given: Mapping[str, str]) -> tuple[Section, ...]:
    return (
        Section("Model", (_model("model", "Model", given.get("model", "demo")),)),
        Section(
            "Tasks",
            (
                _checks("tasks", "Tasks", form.tasks, given.get("task", "reviews")),
                _number("limit", "Rows of each", "100", least="1", hint="empty: all of them"),
                _select("newline", "Prompt lines end in", NEWLINES, "real"),
                _number("seed", "Seed", "0", least="0"),
            ),
        ),
    )


def _attribute(form: JobForm, given: Mapping[str, str]) -> tuple[Section, ...]:
    pruned = [model for model in form.models if model.group == "pruned"]
    chosen = given.get("pruned", "")
    known = any(model.value == chosen for model in pruned)
    sources = [Choice(value="", label="automatic", note="the texts' own, else named by the model"), *form.word_sources]
    return (
        Section(
            "Models",
            (
                _model("dense", "Dense model", given.get("dense", "demo")),
                _checks("pruned", "Pruned variants", pruned, chosen),
                Field(
                    "pruned+",
                    "Other variants",
                    shape="list",
                    value="" if known else chosen,
                    hint="any model of the same shape: hub ids or folders below a model root, separated by commas",
                ),
            ),
        ),
        Section(
            "Texts",
            (
                Field(
                    "texts-from",
                    "Where they come from",
                    control="select",
                    choices=(
                        Choosable("task", "rows of a task", "", True),
                        Choosable("own", "my own texts", "", False),
                    ),
                ),
                _shown(_select("texts.dataset", "Task", form.tasks, given.get("task", "reviews")), "texts-from=task"),
                _shown(_number("texts.count", "How many", "10", least="1", most="1000"), "texts-from=task"),
                _shown(_number("texts.seed", "Seed of the rows", "0", least="0"), "texts-from=task"),
                Field(
                    "texts",
                    "Texts",
                    control="area",
                    shape="texts",
                    hint="an empty line begins the next text",
                    needed=True,
                    when="texts-from=own",
                ),
                Field(
                    "texts-words",
                    "Their influential words",
                    control="area",
                    shape="words",
                    hint="a line for each text, words separated by commas; empty: they are found",
                    when="texts-from=own",
                ),
                _shown(
                    _select("prompt", "Prompt around them", form.prompts, "none"),
                    "texts-from=own",
                ),
            ),
        ),
        Section(
            "How",
            (
                _select("words.source", "Influential words", sources, ""),
                _select("activation", "Activation", form.activations, "relu"),
                _number("permutations", "Permutations", "1000", least="0", hint="0: no p-values"),
                *_sums(),
                _number("seed", "Seed", "0", least="0"),
            ),
        ),
        _causal(form),
    )


def _causal(form: JobForm) -> Section:
    """Fields of the causal stage, all but the first shown once a task is chosen."""
    asked = f"causal.task={'|'.join(task.value for task in form.tasks)}"
    tasks = [Choice(value="", label="not asked"), *form.tasks]
    hint = "measures it without the top neurons, and with their weights given back to the pruned models"
    return Section(
        "Is it causal",
        (
            _select("causal.task", "Task", tasks, "", hint=hint),
            _shown(_number("causal.limit", "Rows", "200", least="1", hint="the task's first ones"), asked),
            _shown(
                _number("causal.draws", "Draws", "20", least="2", hint="of as many other neurons of the same layers"),
                asked,
            ),
            _shown(
                _number("causal.neurons", "Top neurons", "", least="1", hint="empty: 5 % of the ranked, 10 to 100"),
                asked,
            ),
        ),
    )


def _sums() -> tuple[Field, ...]:
    """What the sums of the Score leave out."""
    floor = "a neuron is ranked from this quantile of its layer's denominators on; 0: all with a positive one"
    special = replace(_select("special_tokens", "Special tokens", SPECIAL_TOKENS, ""), shape="flag")
    return (
        replace(_number("floor", "Denominator floor", "0.05", least="0", most="0.99", hint=floor), step="any"),
        special,
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
                _checks("methods", "Methods", form.methods, "wanda,magnitude"),
                Field("patterns", "Patterns", shape="list", value="0.5, 2:4", needed=True, hint=PATTERN_HINT),
                _checks("calibrations", "Calibration sets", form.calibration_sets, "demo"),
                _number("calibrations.samples", "Windows", "32", least="1"),
                _number("calibrations.seqlen", "Tokens each", "128", least="2"),
            ),
        ),
        Section(
            "What is measured",
            (
                _checks("tasks", "Tasks", form.tasks, "reviews"),
                _number("limit", "Rows of each", "100", least="1", hint="empty: all of them"),
                _select("newline", "Prompt lines end in", NEWLINES, "real"),
                _select(
                    "attribution",
                    "Neurons",
                    [Choice(value="", label="no attribution"), *form.tasks],
                    "reviews",
                    hint="ten of its rows through every pruned model",
                ),
            ),
        ),
    )


def _model(path: str, label: str, value: str) -> Field:
    hint = "demo, a hub id (with @revision), pruned:<id>, or a folder below a model root"
    return Field(path, label, control="models", value=value, hint=hint, needed=True)


def _number(path: str, label: str, value: str, *, least: str = "", most: str = "", hint: str = "") -> Field:
    return Field(
        path, label, control="number", shape="number", value=value, least=least, most=most, hint=hint, step="1"
    )


def _select(path: str, label: str, choices: list[Choice] | list[MethodChoice], chosen: str, *, hint: str = "") -> Field:
    return Field(path, label, control="select", choices=_choices(choices, chosen), hint=hint)


def _checks(path: str, label: str, choices: list[Choice] | list[MethodChoice], chosen: str) -> Field:
    titles = list(dict.fromkeys(each.group or "" for each in choices))
    groups = tuple(
        Choices(
            title if len(titles) > 1 else "",
            _choices([each for each in choices if (each.group or "") == title], chosen),
        )
        for title in titles
    )
    return Field(path, label, control="checks", shape="list", groups=groups)


def _choices(choices: list[Choice] | list[MethodChoice], chosen: str = "") -> tuple[Choosable, ...]:
    wanted = chosen.split(",")
    return tuple(Choosable(each.value, each.label, each.note or "", each.value in wanted) for each in choices)


def _shown(field: Field, when: str) -> Field:
    return replace(field, when=when)

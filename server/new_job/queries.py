"""Builds the document of the job form's options, and reads the job from which the form is filled in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prunescope.jobs.documents import JobKind
from prunescope.jobs.hub_cache import cached_models
from prunescope.jobs.problems import Problem, bad_field
from prunescope.jobs.specs import parse_spec
from prunescope.jobs.vocabulary import (
    ACTIVATIONS,
    ALLOCATIONS,
    CALIBRATION_SETS,
    EXAMPLE_SETS,
    METHODS,
    NO_PROMPT,
    PROMPTS,
    TASKS,
    WORD_SOURCES,
)
from prunescope.server import urls
from prunescope.server.jobs.documents import EXAMPLES
from prunescope.server.jobs.queries import job_document
from prunescope.server.models.queries import model_list
from prunescope.server.new_job.documents import JobForm, MethodChoice, OptionField
from prunescope.server.site.documents import Choice
from prunescope.server.stores import Stores

WORD_NOTES = {
    "auto": "the texts' own, else cot; occlusion where that gives none",
    "manual": "the rows' or texts' own",
    "cot": "the dense model lists words of the text",
    "cot-free": "the dense model is asked for them and answers freely",
    "occlusion": "the words whose absence costs the right label most",
    "gradient": "a faster estimate of occlusion",
}
CALIBRATION_NOTES = {
    "c4": "web pages",
    "wikitext2": "Wikipedia articles",
    "ptb": "newspaper sentences",
    "arc_challenge": "school science questions, the hard ones",
    "arc_easy": "school science questions, the easy ones",
    "boolq": "passages with a yes-or-no question",
    "rte": "does one sentence follow from another",
    "sst2": "phrases of film reviews",
    "wnli": "what a pronoun stands for",
    "demo": "passages that ship with the project",
}
ACTIVATION_NOTES = {"relu": "positive activations", "abs": "magnitudes", "raw": "signed, as they are"}


@dataclass(frozen=True)
class SourceJob:
    """The job from which a form is filled in: the fields of its spec that this version accepts, and a sentence for each
    omitted field."""

    kind: JobKind
    spec: dict[str, Any]
    left_out: tuple[str, ...]
    title: str
    href: str


def source_job(stores: Stores, id: str | None) -> SourceJob | None:
    """The job from which a form is filled in; None if ``id`` is None. Raises Problem 422 for an unknown job."""
    if id is None:
        return None
    job = stores.jobs.many([id]).get(id)
    if job is None:
        raise bad_field("from", id, "the id of a job", f"there is no job {id[:40]!r}")
    spec, left_out = _accepted(job.kind, job.spec)
    return SourceJob(job.kind, spec, left_out, job_document(stores, job).title, urls.job(job.id))


def _accepted(kind: JobKind, spec: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(the fields of a spec of any version that this version accepts, a sentence for each omitted field)."""
    kept, left_out = dict(spec), []
    while True:
        try:
            parse_spec(kind, kept)
        except Problem as problem:
            wrong = {error.field.partition(".")[0]: error for error in problem.errors}
            named = [name for name in wrong if name in kept]
            if named:
                left_out += [f"{wrong[name].field}: {wrong[name].message}" for name in named]
                kept = {name: value for name, value in kept.items() if name not in named}
                continue
        return kept, tuple(left_out)


def job_form(stores: Stores) -> JobForm:
    """All options of the form, and an example spec of each kind."""
    models = model_list(stores, limit=200).items
    known = {model.reference for model in models}
    return JobForm(
        kinds=list(JobKind),
        models=[
            Choice(value=model.reference, label=model.label, group=model.kind, note=model.base and model.base.label)
            for model in models
        ]
        + [Choice(value=name, label=name, group="hub cache") for name in cached_models() if name not in known],
        methods=[_method(name, options) for name, options in METHODS.items()],
        allocations=[_method(name, options) for name, options in ALLOCATIONS.items()],
        calibration_sets=[
            Choice(
                value=name,
                label=name,
                group="examples" if name in EXAMPLE_SETS else "running text",
                note=CALIBRATION_NOTES.get(name),
            )
            for name in CALIBRATION_SETS
        ],
        tasks=[Choice(value=name, label=name, group=group) for name, group in TASKS.items()],
        prompts=[Choice(value=name, label=name) for name in (NO_PROMPT, *PROMPTS)],
        word_sources=[Choice(value=name, label=name, note=WORD_NOTES.get(name)) for name in WORD_SOURCES],
        activations=[Choice(value=name, label=name, note=ACTIVATION_NOTES.get(name)) for name in ACTIVATIONS],
        examples=EXAMPLES,
    )


def _method(name: str, model: Any) -> MethodChoice:
    """A method or an allocation as an option. ``model`` is the class of its spec."""
    schema = model.model_json_schema()["properties"]
    return MethodChoice(
        value=name,
        label=name,
        note=(model.__doc__ or "").partition("\n")[0] or None,
        needs_calibration=model.calibrated,
        options=[
            OptionField.model_validate({**about, "name": field}) for field, about in schema.items() if field != "name"
        ],
    )

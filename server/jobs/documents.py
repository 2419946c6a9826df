"""Jobs, and the form that starts them."""

from typing import Any

from prunescope.jobs.documents import JobKind, JobSummary, LogLine
from prunescope.server.site.documents import Document, Link


class JobItem(JobSummary):
    """A job as lists, the home page and events have it, and what a person can do with it."""

    title: str  # "Prune demo · wanda · c4 · 0.5"
    href: str
    events_href: str
    result_href: str | None  # the page of what it made, once it is made
    can_cancel: bool
    can_retry: bool
    cancelling: bool  # asked to stop, not stopped yet
    study: Link | None  # the study whose cell it is


class JobDocument(JobItem):
    """One job with its whole spec: only its own address, and the answers to its submission, carry that."""

    spec: dict[str, Any]


class JobDetail(JobDocument):
    """One job live: with the lines it logged and, for a study, its cells."""

    log: list[LogLine]
    children: list[JobItem]  # the first of them, in the order of the plan
    children_total: int
    children_done: int  # how many of all of them have succeeded
    children_next_href: str | None  # the others (JSON)


class Choice(Document):
    """One value a form offers."""

    value: str
    label: str
    group: str | None = None
    note: str | None = None


class MethodChoice(Choice):
    """A method, or an allocation, with its options."""

    needs_calibration: bool
    options: list["OptionField"]


class OptionField(Document):
    """One option of a method: from its model's JSON schema."""

    name: str
    type: str  # "number", "integer", "string", "boolean"
    default: str | float | int | bool | None
    allowed: list[str] | None = None
    note: str | None = None


class JobForm(Document):
    """What a spec may name, for the form and for programs that write specs."""

    kinds: list[JobKind]
    models: list[Choice]
    methods: list[MethodChoice]
    allocations: list[MethodChoice]
    calibration_sets: list[Choice]
    tasks: list[Choice]
    prompts: list[Choice]  # none, and the tasks whose prompt goes around any text
    word_sources: list[Choice]
    activations: list[Choice]
    examples: dict[JobKind, dict[str, object]]  # a spec of each kind that can be submitted as it is

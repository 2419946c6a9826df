"""The JSON documents of the job form: its options, and what is known of a job before it is submitted."""

from pydantic import Field

from prunescope.jobs.documents import Estimate, JobKind
from prunescope.server.jobs.commands import Command
from prunescope.server.jobs.documents import JobItem
from prunescope.server.site.documents import Choice, Document


class MethodChoice(Choice):
    """A method or an allocation, with its options."""

    needs_calibration: bool
    options: list["OptionField"]


class OptionField(Document):
    """One option of a method or an allocation, from its JSON schema."""

    name: str
    type: str = "string"  # "number", "integer", "string", "boolean"
    default: str | float | int | bool | None = None
    allowed: list[str] | None = Field(default=None, validation_alias="enum")
    note: str | None = Field(default=None, validation_alias="description")


class JobForm(Document):
    """The values that a spec may have, for the form and for REST clients."""

    kinds: list[JobKind]
    models: list[Choice]
    methods: list[MethodChoice]
    allocations: list[MethodChoice]
    calibration_sets: list[Choice]
    tasks: list[Choice]
    prompts: list[Choice]  # "none", and the tasks whose prompt can be put around any text
    word_sources: list[Choice]
    activations: list[Choice]
    examples: dict[JobKind, dict[str, object]]  # an example spec of each kind


class Memory(Document):
    """The bytes of the largest model's weights as they are stored, and how many of them are in memory at once;
    ``hidden``: the bytes of the calibration windows' hidden states, which are in memory while a model is pruned."""

    model: str
    weights: int
    at_once: int
    hidden: int | None = None


class JobCheck(Document):
    """A valid spec that is not submitted: with its defaults filled in, the job that has it already, its estimated work,
    and the same job in other forms."""

    spec: dict[str, object]
    known: JobItem | None  # what submitting it would return; None if it would be queued
    estimate: Estimate
    memory: Memory | None  # None if no model is on this machine
    commands: list[Command]

"""The JSON document of the job form's options."""

from pydantic import Field

from prunescope.jobs.documents import JobKind
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

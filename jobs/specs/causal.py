"""Whether the top neurons of an attribution matter for a task: what is measured, and against what."""

from typing import Annotated

from pydantic import Field, field_validator

from jobs.strict import Strict, one_of, refused
from jobs.vocabulary import TASKS


class Causal(Strict):
    """Task accuracy without the top neurons of the dense model, and with their weights given back to a pruned one, each
    against `draws` times as many other neurons of the same layers."""

    task: str
    limit: int | None = Field(default=200, ge=1, description="rows of the task, its first ones; null: all")
    draws: int = Field(default=20, ge=2, le=1000, description="of other neurons")
    neurons: int | None = Field(
        default=None, ge=1, le=100_000, description="top neurons; null: those that the controls speak of"
    )
    layers: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        default=None, description="where the top neurons are looked for; null: in all recorded layers"
    )

    @field_validator("task")
    @classmethod
    def _known(cls, name: str) -> str:
        return one_of(name, TASKS)

    @field_validator("layers")
    @classmethod
    def _some_layers(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if layers is not None and not layers:
            raise refused("no layer was given; leave the field out for all of them", allowed="at least one layer")
        return layers if layers is None else tuple(sorted(set(layers)))

"""Options of an attribution's causal stage, which tests whether the top neurons affect the accuracy on a task."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from prunescope.jobs.bounds import (
    MAX_CAUSAL_NEURONS,
    MAX_CAUSAL_PASSES,
    MAX_DRAWN_NEURONS,
    MAX_DRAWS,
    MAX_NAME,
    MAX_ROWS,
)
from prunescope.jobs.specs.evaluate import Layers
from prunescope.jobs.strict import Strict, one_of, validation_error
from prunescope.jobs.vocabulary import TASKS


class Causal(Strict):
    """The causal stage measures the accuracy on `task` of the dense model with its top neurons ablated, and of each
    pruned model with the dense weights of these neurons restored. The controls are `draws` random sets of ranked
    neurons, each with as many neurons of every layer and of similar size as the top neurons."""

    task: str = Field(max_length=MAX_NAME)
    limit: int | None = Field(default=200, ge=1, le=MAX_ROWS, description="first rows of the task; null: all")
    draws: int = Field(default=20, ge=2, le=MAX_DRAWS, description="random sets of neurons")
    neurons: int | None = Field(
        default=None,
        ge=1,
        le=MAX_CAUSAL_NEURONS,
        description="number of top neurons; null: as many as are compared with controls",
    )
    layers: Layers | None = Field(
        default=None,
        description="layers from which the top neurons are taken; null: all recorded layers",
    )

    @field_validator("task")
    @classmethod
    def _known(cls, name: str) -> str:
        return one_of(name, TASKS)

    @model_validator(mode="after")
    def _not_too_much(self) -> Self:
        for field, count, most in (
            ("limit", self.limit, MAX_CAUSAL_PASSES),
            ("neurons", self.neurons, MAX_DRAWN_NEURONS),
        ):
            if count is not None and count * self.draws > most:
                raise validation_error(
                    f"{count} {field} x {self.draws} draws are {count * self.draws:,}; at most {most:,}",
                    allowed=f"at most {most // self.draws} with {self.draws} draws",
                    field=field,
                    given=count,
                )
        return self

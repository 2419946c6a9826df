"""The spec of an explanation: which rows pruning broke, and how much of their lost margin each neuron carries."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from prunescope.jobs.bounds import (
    DEFAULT_WINDOW,
    MAX_CAUSAL_NEURONS,
    MAX_COUNTS,
    MAX_EXPLAIN_DRAWS,
    MAX_EXPLAIN_ROWS,
    MAX_NAME,
    MAX_REFERENCE,
    MAX_SEQLEN,
    MAX_STEPS,
    MIN_EXPLAIN_ROWS,
)
from prunescope.jobs.problems import unknown_name
from prunescope.jobs.specs.evaluate import Reference, Seed
from prunescope.jobs.specs.perplexity import Bos
from prunescope.jobs.strict import Strict, one_of, validation_error
from prunescope.jobs.vocabulary import PERPLEXITY_FILES, PERPLEXITY_SETS, TASKS

Rows = Literal["broken", "fell", "all"]
"""The rows over which restored margins are summed. `broken`: right in the dense model and wrong in the pruned
one; `fell`: the margin is lower in the pruned model; `all`: every row."""

DEFAULT_COUNTS = (1, 3, 10, 30, 100, 500)


class Windows(Strict):
    """Non-overlapping windows of a held-out text, in place of a task's rows. `dataset` is a named set or a file (.txt,
    .jsonl). Each window has `seqlen` tokens (None: the model's context length, at most DEFAULT_WINDOW)."""

    dataset: Annotated[str, StringConstraints(min_length=1, max_length=MAX_REFERENCE)]
    seqlen: int | None = Field(
        default=None, ge=2, le=MAX_SEQLEN, description=f"tokens of a window; null: at most {DEFAULT_WINDOW}"
    )
    bos: Bos = "auto"

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in PERPLEXITY_SETS and not name.endswith(PERPLEXITY_FILES):
            files = f"a file that ends with {' or '.join(PERPLEXITY_FILES)}"
            raise validation_error(
                f"{unknown_name(name, PERPLEXITY_SETS)}; or {files}", allowed=[*PERPLEXITY_SETS, files]
            )
        return name


class ExplainSpec(Strict):
    """Explain what pruning broke on a task or a held-out text, and through which neurons.

    `limit` is the number of rows of the task, or of windows of the text, used from the start. Each half of them ranks
    the neurons, and the other half measures what the best ones restore, in the numbers of `neurons`; 5 % of all neurons
    and all of them are always measured too. `heads`: also attention heads. `sinks`: whether position 0 and special
    tokens are counted. `content`: rank by the share that does not shift the answer towards one label. `steps`: steps of
    integrated gradients. `draws`: random draws of neurons in the same layers.
    """

    dense: Reference
    pruned: Reference
    task: str | None = Field(default=None, max_length=MAX_NAME)
    perplexity: Windows | None = None
    rows: Rows = "broken"
    limit: int = Field(default=200, ge=MIN_EXPLAIN_ROWS, le=MAX_EXPLAIN_ROWS, description="first rows of the task")
    neurons: tuple[Annotated[int, Field(ge=1, le=MAX_CAUSAL_NEURONS)], ...] = Field(
        default=DEFAULT_COUNTS, min_length=1, max_length=MAX_COUNTS, description="numbers of neurons to restore"
    )
    steps: int = Field(default=8, ge=1, le=MAX_STEPS, description="steps of integrated gradients")
    heads: bool = Field(default=True, description="whether attention heads are measured too")
    sinks: bool = Field(default=False, description="whether position 0 and special tokens are counted")
    content: bool = Field(default=False, description="rank by the share without the shift towards one label")
    draws: int = Field(default=5, ge=2, le=MAX_EXPLAIN_DRAWS, description="random draws of neurons in the same layers")
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """A bare name of a text becomes an object; the rows of a text are those whose margin fell unless it says `all`,
        because no answer of a text is right or wrong."""
        if not isinstance(data, Mapping):
            return data
        filled = dict(data)
        if isinstance(filled.get("perplexity"), str):
            filled["perplexity"] = {"dataset": filled["perplexity"]}
        if filled.get("perplexity") is not None and filled.get("rows") is None:
            filled["rows"] = "fell"
        return filled

    @field_validator("task")
    @classmethod
    def _known_task(cls, name: str | None) -> str | None:
        return name if name is None else one_of(name, TASKS)

    @field_validator("neurons")
    @classmethod
    def _ascending(cls, counts: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(counts)))

    @model_validator(mode="after")
    def _two_models(self) -> Self:
        if self.pruned == self.dense:
            raise validation_error(
                f"{self.pruned!r} is the dense model already",
                allowed="another model",
                field="pruned",
                given=self.pruned,
            )
        return self

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.task is None) == (self.perplexity is None):
            raise validation_error(
                "needs either a task or a text for perplexity",
                allowed=list(TASKS),
                field="task",
                given=self.task,
            )
        if self.perplexity is not None and self.rows == "broken":
            raise validation_error(
                "windows of a text have no right answer that pruning could break; use fell or all",
                allowed=["fell", "all"],
                field="rows",
                given=self.rows,
            )
        if self.perplexity is not None and self.content:
            raise validation_error(
                "windows of a text have no labels; leave content out", allowed="false", field="content", given=True
            )
        return self

    @property
    def source(self) -> str:
        """The name of the task or of the text."""
        return self.task if self.task is not None else self.perplexity.dataset if self.perplexity else ""

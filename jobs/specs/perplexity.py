"""The part of an evaluation's spec that requests perplexity on held-out text."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from prunescope.jobs.bounds import MAX_PERPLEXITY_TEXTS, MAX_REFERENCE, MAX_SEQLEN, MAX_WINDOWS
from prunescope.jobs.problems import unknown_name
from prunescope.jobs.strict import Strict, validation_error
from prunescope.jobs.vocabulary import PERPLEXITY_FILES, PERPLEXITY_SETS

Bos = Literal["auto", "always", "never"]
"""Whether every window of text begins with the tokenizer's BOS token. `auto`: if the tokenizer adds BOS to texts."""


class Perplexity(Strict):
    """Perplexity on non-overlapping windows of held-out text.

    `datasets` are named sets or files (.txt, .jsonl). Windows have `seqlen` tokens (None: the model's context length,
    at most 2048); the first `windows` of them are used (None: all, except 256 of c4). `bos`: whether each window begins
    with BOS (`auto`: if the tokenizer adds BOS to texts). Most published figures use `never`.
    """

    datasets: tuple[Annotated[str, StringConstraints(max_length=MAX_REFERENCE)], ...] = Field(
        min_length=1, max_length=MAX_PERPLEXITY_TEXTS
    )
    seqlen: int | None = Field(default=None, ge=2, le=MAX_SEQLEN)
    windows: int | None = Field(default=None, ge=1, le=MAX_WINDOWS)
    bos: Bos = "auto"

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        """Accept a bare list of names as `{"datasets": names}`."""
        return {"datasets": data} if isinstance(data, list | tuple) else data

    @field_validator("datasets")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for index, name in enumerate(names):
            if name not in PERPLEXITY_SETS and not name.endswith(PERPLEXITY_FILES):
                files = f"a file that ends with {' or '.join(PERPLEXITY_FILES)}"
                raise validation_error(
                    f"{unknown_name(name, PERPLEXITY_SETS)}; or {files}",
                    allowed=[*PERPLEXITY_SETS, files],
                    field=str(index),
                    given=name,
                )
        if len(set(names)) < len(names):
            raise validation_error("names a text twice", allowed="each text once")
        return names

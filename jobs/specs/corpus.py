"""The spec of a corpus: running text that is read with a dense model and its variants, to describe every neuron."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from prunescope.jobs.bounds import (
    DEFAULT_CORPUS_TOKENS,
    MAX_CORPUS_EXAMPLES,
    MAX_CORPUS_MODELS,
    MAX_CORPUS_TOKENS,
    MAX_REFERENCE,
    MAX_SEQLEN,
    MIN_CORPUS_TOKENS,
)
from prunescope.jobs.problems import unknown_name
from prunescope.jobs.specs.evaluate import Layers, Reference, Seed
from prunescope.jobs.strict import Strict, validation_error
from prunescope.jobs.vocabulary import CALIBRATION_SETS, CORPUS_FILES


class CorpusSpec(Strict):
    """Read a corpus once with each model: every neuron's extreme examples, the distribution of its activations, and the
    tokens that it writes.

    `models`: first the dense model, then any variants of it. `dataset`: a calibration set, or a file (.txt, .jsonl).
    `tokens` are counted at most, fewer if the text ends. `seqlen`: tokens of a window (None: 256, or the model's
    context length if that is shorter). `examples`: how many are kept for each neuron and sign. `writes`: whether the
    tokens that neurons write are computed. `sinks`: whether position 0 of every window and the dense model's attention
    sinks are counted as other tokens.
    """

    models: tuple[Reference, ...] = Field(min_length=1, max_length=MAX_CORPUS_MODELS)
    dataset: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_REFERENCE)]
    tokens: int = Field(default=DEFAULT_CORPUS_TOKENS, ge=MIN_CORPUS_TOKENS, le=MAX_CORPUS_TOKENS)
    seqlen: int | None = Field(default=None, ge=2, le=MAX_SEQLEN)
    examples: int = Field(default=10, ge=1, le=MAX_CORPUS_EXAMPLES)
    layers: Layers | None = None
    writes: bool = True
    sinks: bool = False
    seed: Seed = 0

    @field_validator("models")
    @classmethod
    def _different(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        for index, reference in enumerate(models):
            if reference in models[:index]:
                raise validation_error(
                    f"{reference!r} is named twice", allowed="each model once", field=str(index), given=reference
                )
        return models

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in CALIBRATION_SETS and not name.endswith(CORPUS_FILES):
            files = f"a file that ends with {' or '.join(CORPUS_FILES)}"
            raise validation_error(
                f"{unknown_name(name, CALIBRATION_SETS)}; or {files}", allowed=[*CALIBRATION_SETS, files]
            )
        return name

    @model_validator(mode="after")
    def _not_read_too_often(self) -> Self:
        most = MAX_CORPUS_TOKENS // len(self.models)
        if self.tokens > most:
            raise validation_error(
                f"{self.tokens:,} tokens through {len(self.models)} models are {self.tokens * len(self.models):,}; "
                f"at most {MAX_CORPUS_TOKENS:,}: give fewer tokens, or fewer models at a time",
                allowed=f"at most {most} tokens for {len(self.models)} models",
                field="tokens",
                given=self.tokens,
            )
        return self

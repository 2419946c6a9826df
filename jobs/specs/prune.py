"""The spec of a prune job: method, sparsity pattern, allocation over layers, calibration set."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, field_validator, model_validator

from prunescope.jobs.bounds import (
    DEFAULT_SAMPLES,
    MAX_CALIBRATION_TOKENS,
    MAX_NAME,
    MAX_REFERENCE,
    MAX_SAMPLES,
    MAX_SEQLEN,
    MODEL_CONTEXT,
)
from prunescope.jobs.specs.evaluate import Reference, Seed
from prunescope.jobs.specs.perplexity import Bos
from prunescope.jobs.strict import Strict, one_of, validation_error
from prunescope.jobs.vocabulary import (
    ALLOCATIONS,
    CALIBRATION_SETS,
    EXAMPLE_SETS,
    METHODS,
    OWL,
    RIA,
    Magnitude,
    Noise,
    RandomMask,
    SparseGPT,
    Uniform,
    Wanda,
)

LONGEST_PATTERN = 40
"""Maximum length of a pattern in text form, such as `2:4`, in characters."""
T = TypeVar("T")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Method = Annotated[
    Magnitude | Wanda | SparseGPT | RIA | RandomMask | Noise, Field(discriminator="name"), BeforeValidator(_named)
]
"""`{name, ...options}`; a bare name is the method with its default options."""

Allocation = Annotated[Uniform | OWL, Field(discriminator="name"), BeforeValidator(_named)]
"""How sparsity is distributed over layers: `{name, ...options}`, or a bare name."""


class Unstructured(Strict):
    """Unstructured sparsity: the share `sparsity` of the weights is removed, with no constraint on their positions."""

    kind: Literal["unstructured"] = "unstructured"
    sparsity: float = Field(json_schema_extra={"minimum": 0, "exclusiveMaximum": 1})

    @field_validator("sparsity")
    @classmethod
    def _in_range(cls, sparsity: float) -> float:
        if not 0 <= sparsity < 1:
            raise validation_error(f"sparsity {sparsity:g} is not in [0, 1)", allowed="0 <= sparsity < 1")
        return sparsity

    def __str__(self) -> str:
        return f"{self.sparsity:g}"


class NofM(Strict):
    """An n:m pattern: of every `m` consecutive weights in a row, `n` are kept."""

    kind: Literal["n_m"] = "n_m"
    n: int = Field(ge=1, le=1024)
    m: int = Field(ge=2, le=1024)

    @model_validator(mode="after")
    def _fewer_than_all(self) -> Self:
        if self.n >= self.m:
            raise validation_error(
                f"pattern {self.n}:{self.m} keeps {self.n} of {self.m}; n must be smaller than m",
                allowed="0 < n < m",
                given=str(self),
            )
        return self

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"


def _written_pattern(value: Any) -> Any:
    """Accept the short forms `"2:4"` and `0.5`, and fill in a missing `kind` from the other fields."""
    if isinstance(value, str):
        if len(value) > LONGEST_PATTERN:
            raise validation_error(
                f"{len(value)} characters are no pattern; write 0.5 or 2:4", allowed=["0.5", "2:4"], given=value
            )
        if match := re.fullmatch(r"(\d+)\s*:\s*(\d+)", value.strip()):
            return {"kind": "n_m", "n": int(match[1]), "m": int(match[2])}
        return {"kind": "unstructured", "sparsity": value}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"kind": "unstructured", "sparsity": value}
    if isinstance(value, Mapping) and "kind" not in value:
        return {"kind": "n_m" if "n" in value or "m" in value else "unstructured", **value}
    return value


Pattern = Annotated[Unstructured | NofM, Field(discriminator="kind"), BeforeValidator(_written_pattern)]


class Calibration(Strict):
    """The calibration set: `samples` windows of a named dataset or a file.

    `seqlen` is the window length in tokens (None: the model's context length, at most 2048). `mode` applies to sets of
    examples (task sets, demo, .jsonl files): `concat` fills each window with examples, `single` puts one example into
    each window. `bos`: whether each window begins with BOS (`auto`: if the tokenizer adds BOS to texts).
    """

    dataset: str | None = Field(default=None, max_length=MAX_NAME)
    file: str | None = Field(default=None, max_length=MAX_REFERENCE)
    mode: Literal["concat", "single"] | None = None
    samples: int | None = Field(default=None, ge=1, le=MAX_SAMPLES)
    seqlen: int | None = Field(default=None, ge=2, le=MAX_SEQLEN)
    seed: Seed = 0
    bos: Bos = "auto"

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """Fill in the defaults, so that specs with and without explicit defaults have the same canonical form, which
        their fingerprint hashes."""
        if not isinstance(data, Mapping):
            return data
        defaults: dict[str, Any] = {}
        # All windows of token ids (.safetensors) are used; only text has a default number of windows.
        if data.get("samples") is None and not str(data.get("file")).endswith(".safetensors"):
            defaults["samples"] = DEFAULT_SAMPLES
        if data.get("mode") is None and _has_examples(data.get("dataset"), data.get("file")):
            defaults["mode"] = "concat"
        return {**data, **defaults}

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return name if name is None else one_of(name, CALIBRATION_SETS)

    @field_validator("file")
    @classmethod
    def _readable(cls, name: str | None) -> str | None:
        kinds = [".txt", ".jsonl", ".safetensors"]
        if name is not None and not name.endswith(tuple(kinds)):
            raise validation_error(
                f"{name!r} is no calibration file; its name ends with {', '.join(kinds)}", allowed=kinds
            )
        return name

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset is None) == (self.file is None):
            raise validation_error(
                "names either a dataset or a file",
                allowed=[*(f"dataset: {name}" for name in CALIBRATION_SETS), "file: PATH"],
            )
        return self

    @model_validator(mode="after")
    def _mode_fits(self) -> Self:
        if self.mode is not None and not _has_examples(self.dataset, self.file):
            raise validation_error(
                f"{self.dataset or self.file} is not a set of examples and has no mode {self.mode!r}; leave it out",
                allowed=[*(f"dataset: {name}" for name in EXAMPLE_SETS), "file: PATH.jsonl"],
                field="mode",
                given=self.mode,
            )
        return self

    def check_tokens(self, seqlen: int | None, field: str) -> None:
        """Raise a validation error that names `field` if samples x `seqlen` exceeds MAX_CALIBRATION_TOKENS. `seqlen`
        None is checked as MODEL_CONTEXT tokens, the maximum of the default, since the model's context length is not
        known here."""
        length = seqlen or MODEL_CONTEXT
        if self.samples is None or self.samples * length <= MAX_CALIBRATION_TOKENS:
            return
        most = MAX_CALIBRATION_TOKENS // length
        unknown = "" if seqlen else " (a model's context may be that long; give seqlen)"
        raise validation_error(
            f"{self.samples} windows of {length} tokens{unknown} are {self.samples * length:,} tokens, whose hidden "
            f"states are all in memory; at most {MAX_CALIBRATION_TOKENS:,}, which is {most} windows",
            allowed=f"at most {most} windows of {length} tokens",
            field=field,
            given=self.samples,
        )

    @model_validator(mode="after")
    def _bos_fits(self) -> Self:
        if self.bos == "always" and str(self.file).endswith(".safetensors"):
            raise validation_error(
                f"{self.file} holds windows of token ids, which are used unchanged; leave bos out",
                allowed=["auto", "never"],
                field="bos",
                given=self.bos,
            )
        return self

    def __str__(self) -> str:
        """The set's or file's name, and mode and BOS if they differ from the defaults: `c4`, `rte single`, `c4 without
        BOS`."""
        name = self.dataset or str(self.file).rpartition("/")[2]
        mode = " single" if self.mode == "single" else ""
        return f"{name}{mode}{_BOS_WORDS[self.bos]}"

    @property
    def label(self) -> str:
        """The name, the number and length of the windows, and the seed if it is not 0: `c4 128x2048`, `rte single 32
        windows seed 1`."""
        match self.samples, self.seqlen:
            case None, None:
                windows = None
            case None, length:
                windows = f"{length} tokens"
            case count, None:
                windows = f"{count} windows"
            case count, length:
                windows = f"{count}x{length}"
        seed = f"seed {self.seed}" if self.seed else None
        return " ".join(part for part in (str(self), windows, seed) if part)


_BOS_WORDS: Mapping[Bos, str] = {"auto": "", "always": " with BOS", "never": " without BOS"}


def _has_examples(dataset: object, file: object) -> bool:
    """Whether a calibration set consists of separate examples, so that it has a mode."""
    return dataset in EXAMPLE_SETS or (dataset is None and str(file).endswith(".jsonl"))


class PruneSpec(Strict):
    """Make a pruned copy of a model. A calibration set is required if the method or the allocation uses activations,
    and ignored otherwise."""

    model: Reference
    method: Method
    pattern: Pattern
    allocation: Allocation = Uniform()
    calibration: Calibration | None = None

    @model_validator(mode="before")
    @classmethod
    def _calibration_ignored(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            method, allocation = _model(data.get("method"), METHODS), _model(data.get("allocation"), ALLOCATIONS)
            if method and not method.calibrated and not (allocation and allocation.calibrated):
                return {**data, "calibration": None}
        return data

    @model_validator(mode="after")
    def _allocation_fits(self) -> Self:
        if isinstance(self.allocation, OWL) and isinstance(self.pattern, NofM):
            raise validation_error(
                f"owl gives each layer a sparsity of its own, but {self.pattern} is the same share everywhere",
                allowed=["uniform", "owl with an unstructured pattern"],
                field="allocation",
                given=self.allocation.name,
            )
        return self

    @model_validator(mode="after")
    def _calibration_given(self) -> Self:
        needing = next((part.name for part in (self.method, self.allocation) if part.calibrated), None)
        if needing and self.calibration is None:
            raise validation_error(
                f"{needing} needs a calibration set",
                allowed=[f"dataset: {name}" for name in CALIBRATION_SETS],
                field="calibration",
                given=None,
            )
        return self

    @model_validator(mode="after")
    def _calibration_fits_in_memory(self) -> Self:
        if self.calibration is not None:
            self.calibration.check_tokens(self.calibration.seqlen, "calibration.samples")
        return self

    @property
    def label(self) -> str:
        """Method, calibration set, pattern and, if it is not uniform, allocation: `wanda · c4 128x2048 · 0.5`,
        `magnitude · 2:4`.

        Different specs have different labels, unless they differ only in the model or in a calibration file's folder.
        """
        allocation = None if isinstance(self.allocation, Uniform) else option_label(self.allocation)
        calibration = None if self.calibration is None else self.calibration.label
        parts = (option_label(self.method), calibration, str(self.pattern), allocation)
        return " · ".join(part for part in parts if part is not None)


def option_label(part: Method | Allocation) -> str:
    """The name of a method or an allocation, with the options that differ from the defaults: `ria (exponent=1.0)`."""
    options = part.model_dump(exclude={"name"}, exclude_defaults=True)
    if not options:
        return part.name
    return f"{part.name} ({', '.join(f'{key}={value}' for key, value in options.items())})"


def _model(value: Any, known: Mapping[str, T]) -> T | None:
    """The class registered in `known` under the name in a document that is not validated yet; None if there is none."""
    name = value.get("name") if isinstance(value, Mapping) else value
    return known.get(name) if isinstance(name, str) else None

"""What a job is asked to do: one frozen model for each kind, with the fields of the REST documents.

Every default is filled in while a spec is read, so that two ways of writing the same thing have the same canonical form
(and the same fingerprint). What needs more than the spec itself (does the folder exist, is the file there) is checked
by `store/submission.py`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from jobs.documents import JobKind
from jobs.problems import bad_field, unknown_name
from jobs.strict import Strict, one_of, problem_of, refused
from jobs.vocabulary import (
    ACTIVATIONS,
    CALIBRATION_SETS,
    METHODS,
    NO_PROMPT,
    TASKS,
    TASKS_WITH_WORDS,
    WORD_SOURCES,
    Magnitude,
    Wanda,
)
from jobs.words import occurs

DEFAULT_SAMPLES = 128
MOST_SAMPLES = 65_536
MOST_CELLS = 20_000
MOST_VARIANTS = 256
"""Pruned models that one attribution compares with a dense one."""

Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _named_method(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Method = Annotated[Magnitude | Wanda, Field(discriminator="name"), BeforeValidator(_named_method)]
"""`{name, ...options}`; a bare name stands for the method with its default options."""


class Unstructured(Strict):
    """A share of the weights goes, wherever they stand."""

    kind: Literal["unstructured"] = "unstructured"
    sparsity: float = Field(json_schema_extra={"minimum": 0, "exclusiveMaximum": 1})

    @field_validator("sparsity")
    @classmethod
    def _in_range(cls, sparsity: float) -> float:
        if not 0 <= sparsity < 1:
            raise refused(f"sparsity {sparsity:g} is not in [0, 1)", allowed="0 <= sparsity < 1")
        return sparsity

    def __str__(self) -> str:
        return f"{self.sparsity:g}"


class NofM(Strict):
    """Of every `m` consecutive weights in a row `n` are kept."""

    kind: Literal["n_m"] = "n_m"
    n: int = Field(ge=1, le=1024)
    m: int = Field(ge=2, le=1024)

    @model_validator(mode="after")
    def _fewer_than_all(self) -> Self:
        if self.n >= self.m:
            raise refused(
                f"pattern {self.n}:{self.m} keeps {self.n} of {self.m}; n must be smaller than m",
                allowed="0 < n < m",
                given=str(self),
            )
        return self

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"


def _written_pattern(value: Any) -> Any:
    """`"2:4"` and `0.5` as they are written on the command line; a document without `kind` says it by its fields."""
    if isinstance(value, str):
        if match := re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", value):
            return {"kind": "n_m", "n": int(match[1]), "m": int(match[2])}
        return {"kind": "unstructured", "sparsity": value}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"kind": "unstructured", "sparsity": value}
    if isinstance(value, Mapping) and "kind" not in value:
        return {"kind": "n_m" if "n" in value or "m" in value else "unstructured", **value}
    return value


Pattern = Annotated[Unstructured | NofM, Field(discriminator="kind"), BeforeValidator(_written_pattern)]


class Calibration(Strict):
    """The text that steers pruning: a named set or a file. `seqlen` None means the model's context, at most 2048
    tokens."""

    dataset: str | None = None
    file: str | None = None
    samples: int | None = Field(default=None, ge=1, le=MOST_SAMPLES)
    seqlen: int | None = Field(default=None, ge=2, le=1_000_000)
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _default_samples(cls, data: Any) -> Any:
        # Windows of token ids (.safetensors) are taken as they are; text is cut into this many.
        if (
            isinstance(data, Mapping)
            and data.get("samples") is None
            and not str(data.get("file")).endswith(".safetensors")
        ):
            return {**data, "samples": DEFAULT_SAMPLES}
        return data

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        return name if name is None else one_of(name, CALIBRATION_SETS)

    @field_validator("file")
    @classmethod
    def _readable(cls, name: str | None) -> str | None:
        kinds = [".txt", ".jsonl", ".safetensors"]
        if name is not None and not name.endswith(tuple(kinds)):
            raise refused(f"{name!r} is no calibration file; it ends with {', '.join(kinds)}", allowed=kinds)
        return name

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset is None) == (self.file is None):
            raise refused(
                "names either a dataset or a file",
                allowed=[*(f"dataset: {name}" for name in CALIBRATION_SETS), "file: PATH"],
            )
        return self


class PruneSpec(Strict):
    """Make a pruned copy of a model. A method that looks at no text asks for no calibration and ignores one."""

    model: Reference
    method: Method
    pattern: Pattern
    calibration: Calibration | None = None

    @model_validator(mode="before")
    @classmethod
    def _calibration_ignored(cls, data: Any) -> Any:
        if isinstance(data, Mapping):
            method = data.get("method")
            name = method.get("name") if isinstance(method, Mapping) else method
            if isinstance(name, str) and name in METHODS and not METHODS[name].calibrated:
                return {**data, "calibration": None}
        return data

    @model_validator(mode="after")
    def _calibration_given(self) -> Self:
        if self.method.calibrated and self.calibration is None:
            raise refused(
                f"{self.method.name} needs a calibration set",
                allowed=[f"dataset: {name}" for name in CALIBRATION_SETS],
                field="calibration",
                given=None,
            )
        return self


def _known_tasks(names: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name not in TASKS:
            raise refused(unknown_name(name, TASKS), allowed=list(TASKS), field=str(index), given=name)
    if len(set(names)) < len(names):
        raise refused("names a task twice", allowed="each task once")
    return names


class EvaluateSpec(Strict):
    """Measure a model on tasks; `limit` rows of each (None: all), drawn by `seed`."""

    model: Reference
    tasks: tuple[str, ...] = Field(min_length=1)
    limit: int | None = Field(default=None, ge=1)
    seed: Seed = 0

    _tasks = field_validator("tasks")(_known_tasks)


class TaskTexts(Strict):
    """`count` rows of a task, drawn by `seed`."""

    dataset: str
    count: int = Field(default=10, ge=1, le=1000)
    seed: Seed = 0

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        return one_of(name, TASKS)


class GivenText(Strict):
    """A text of the user's own, with its label and influential words where they are known."""

    text: str = Field(max_length=200_000)
    label: str | None = Field(default=None, max_length=200)
    words: tuple[str, ...] | None = None

    @field_validator("text")
    @classmethod
    def _not_empty(cls, text: str) -> str:
        if not text.strip():
            raise refused("the text is empty; give at least one word", allowed="a text with at least one word")
        return text

    @model_validator(mode="after")
    def _words_in_text(self) -> Self:
        for index, word in enumerate(self.words or ()):
            if not occurs(word, self.text):
                raise refused(
                    f"the word {word!r} is not in the text; give whole words as the text spells them",
                    allowed="a whole word of the text",
                    field=f"words.{index}",
                    given=word,
                )
        return self


def _texts_form(value: Any) -> str | None:
    # Without a discriminator pydantic would try both forms and report the errors of both.
    if isinstance(value, Mapping | TaskTexts):
        return "task"
    return "given" if isinstance(value, list | tuple) else None


Texts = Annotated[
    Annotated[TaskTexts, Tag("task")] | Annotated[tuple[GivenText, ...], Tag("given")],
    Discriminator(
        _texts_form,
        custom_error_type="texts_form",
        custom_error_message="give a task's rows as {dataset, count, seed}, or a list of texts",
    ),
]


def _texts_item(item: Any) -> Any:
    """A bare string in a list of texts is the text."""
    return {"text": item} if isinstance(item, str) else item


class Words(Strict):
    """Where influential words come from."""

    source: str

    @field_validator("source")
    @classmethod
    def _known(cls, name: str) -> str:
        return one_of(name, WORD_SOURCES)


class Reading(Strict):
    """How texts are read in an attribution: which texts, prompt, words, activation, layers, significance."""

    texts: Texts
    prompt: str = NO_PROMPT
    words: Words = Words(source="cot")
    activation: str = "relu"
    layers: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    permutations: int = Field(default=1000, ge=0, le=100_000)
    seed: Seed = 0

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """A task's own prompt around its rows, none around given texts; manual words where the texts carry them, else
        cot."""
        if not isinstance(data, Mapping):
            return data
        texts = data.get("texts")
        filled = dict(data)
        task = str(texts.get("dataset")) if isinstance(texts, Mapping) else ""
        if filled.get("prompt") is None:
            filled["prompt"] = task if task in TASKS else NO_PROMPT
        if filled.get("words") is None:
            filled["words"] = {"source": "manual" if _carries_words(texts) else "cot"}
        elif isinstance(filled["words"], str):
            filled["words"] = {"source": filled["words"]}
        if isinstance(texts, list | tuple):
            filled["texts"] = [_texts_item(item) for item in texts]
        return filled

    @field_validator("texts", mode="after")
    @classmethod
    def _some(cls, texts: TaskTexts | tuple[GivenText, ...]) -> TaskTexts | tuple[GivenText, ...]:
        if isinstance(texts, tuple) and not texts:
            raise refused("no text was given; give at least one", allowed="at least one text")
        return texts

    @field_validator("prompt")
    @classmethod
    def _known_prompt(cls, name: str) -> str:
        return one_of(name, [NO_PROMPT, *TASKS])

    @field_validator("activation")
    @classmethod
    def _known_activation(cls, name: str) -> str:
        return one_of(name, ACTIVATIONS)

    @field_validator("layers")
    @classmethod
    def _some_layers(cls, layers: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if layers is not None and not layers:
            raise refused("no layer was given; leave the field out for all of them", allowed="at least one layer")
        return layers if layers is None else tuple(sorted(set(layers)))

    @model_validator(mode="after")
    def _manual_words_given(self) -> Self:
        if self.words.source != "manual":
            return self
        others = [source for source in WORD_SOURCES if source != "manual"]
        if isinstance(self.texts, TaskTexts):
            if self.texts.dataset not in TASKS_WITH_WORDS:
                raise refused(
                    f"the rows of {self.texts.dataset} carry no words of their own; use {' or '.join(others)}",
                    allowed=others,
                    field="words.source",
                    given="manual",
                )
            return self
        for index, text in enumerate(self.texts):
            if not text.words:
                raise refused(
                    f"text {index} has no words; give some, or set words.source to {' or '.join(others)}",
                    allowed="at least one word of the text",
                    field=f"texts.{index}.words",
                    given=None,
                )
        return self


def _carries_words(texts: object) -> bool:
    if isinstance(texts, Mapping):
        return str(texts.get("dataset")) in TASKS_WITH_WORDS
    return isinstance(texts, Iterable) and any(isinstance(text, Mapping) and text.get("words") for text in texts)


class AttributeSpec(Reading):
    """The same texts through a dense model and its pruned variants, neuron by neuron."""

    dense: Reference
    pruned: tuple[Reference, ...] = Field(min_length=1, max_length=MOST_VARIANTS)

    @model_validator(mode="after")
    def _variants_differ(self) -> Self:
        seen: set[str] = set()
        for index, reference in enumerate(self.pruned):
            if reference == self.dense or reference in seen:
                other = "the dense model" if reference == self.dense else "an earlier variant"
                raise refused(
                    f"{reference!r} is {other} already",
                    allowed="each model once",
                    field=f"pruned.{index}",
                    given=reference,
                )
            seen.add(reference)
        return self


class StudyAttribution(Reading):
    """An attribution of a study: its pruned variants are the study's pruned models of `dense` (None: one for each
    model)."""

    dense: Reference | None = None


class StudySpec(Strict):
    """A grid: models x methods x patterns x calibrations x seeds, each measured on the tasks, beside the dense models.

    `seeds` draws each calibration set anew; without it a calibration's own seed counts. `limit` rows of each task
    (None: all).
    """

    name: str | None = Field(default=None, max_length=200)
    models: tuple[Reference, ...] = Field(min_length=1)
    methods: tuple[Method, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    tasks: tuple[str, ...] = ()
    attributions: tuple[StudyAttribution, ...] = ()
    seeds: tuple[Seed, ...] = ()
    limit: int | None = Field(default=None, ge=1)

    _tasks = field_validator("tasks")(_known_tasks)

    @field_validator("models", "methods", "patterns", "calibrations", "seeds")
    @classmethod
    def _each_once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value for index, value in enumerate(values) if value not in values[:index])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        def needs(field: str, because: str, allowed: list[str] | str) -> Exception:
            return refused(f"needs at least one: {because}", allowed=allowed, field=field, given=[])

        if not self.methods and not self.tasks:
            raise needs("tasks", "a study without methods measures its models on tasks", list(TASKS))
        if self.methods and not self.patterns:
            raise needs("patterns", "methods are given", ["0.5", "2:4"])
        calibrated = [method.name for method in self.methods if method.calibrated]
        if calibrated and not self.calibrations:
            raise needs(
                "calibrations",
                f"{calibrated[0]} needs a calibration set",
                [f"dataset: {name}" for name in CALIBRATION_SETS],
            )
        if self.attributions and not self.methods:
            raise needs("methods", "an attribution compares a dense model with pruned ones", list(METHODS))
        for index, attribution in enumerate(self.attributions):
            if attribution.dense is not None and attribution.dense not in self.models:
                raise refused(
                    unknown_name(attribution.dense, self.models),
                    allowed=list(self.models),
                    field=f"attributions.{index}.dense",
                    given=attribution.dense,
                )
        draws = len(self.calibrations) * max(1, len(self.seeds))
        variants = len(self.patterns) * sum(draws if method.calibrated else 1 for method in self.methods)
        cells = len(self.models) * (1 + 2 * variants + len(self.attributions))
        if cells > MOST_CELLS:
            raise refused(
                f"the grid has up to {cells} cells; at most {MOST_CELLS}", allowed=f"at most {MOST_CELLS} cells"
            )
        if self.attributions and variants > MOST_VARIANTS:
            raise refused(
                f"the grid has {variants} pruned models of each model; an attribution compares at most {MOST_VARIANTS}",
                allowed=f"at most {MOST_VARIANTS} pruned models",
                field="attributions",
                given=None,
            )
        return self


Spec = PruneSpec | EvaluateSpec | AttributeSpec | StudySpec

SPECS: dict[JobKind, type[PruneSpec] | type[EvaluateSpec] | type[AttributeSpec] | type[StudySpec]] = {
    JobKind.PRUNE: PruneSpec,
    JobKind.EVALUATE: EvaluateSpec,
    JobKind.ATTRIBUTE: AttributeSpec,
    JobKind.STUDY: StudySpec,
}


def parse_kind(kind: str) -> JobKind:
    """The kind with this name; Problem 422 when there is none."""
    kinds = [str(known) for known in JobKind]
    if kind not in kinds:
        raise bad_field("kind", kind, kinds, unknown_name(kind, kinds))
    return JobKind(kind)


def parse_spec(kind: str, document: Mapping[str, Any]) -> Spec:
    """The spec of this kind, defaults filled in; Problem 422 that names each wrong field, what was given and what is
    allowed."""
    model = SPECS[parse_kind(kind)]
    if not isinstance(document, Mapping):
        raise bad_field("spec", document, "an object", "is not an object")
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise problem_of(error, document) from None

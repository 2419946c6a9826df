"""The spec of an attribution: texts, influential words, prompt, activation, and how significance is computed."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from prunescope.jobs.bounds import (
    DEFAULT_PLACEBO,
    MAX_NAME,
    MAX_PERMUTATIONS,
    MAX_PERMUTED_TEXTS,
    MAX_PLACEBO,
    MAX_PLACEBO_TEXTS,
    MAX_READ_CHARACTERS,
    MAX_VARIANTS,
    MIN_PLACEBO,
)
from prunescope.jobs.specs.causal import Causal
from prunescope.jobs.specs.evaluate import Layers, Name, Reference, Seed
from prunescope.jobs.specs.texts import GivenText, TaskRows, TaskTexts, Texts, carries_words, check_given, texts_item
from prunescope.jobs.strict import Strict, one_of, validation_error
from prunescope.jobs.vocabulary import (
    ACTIVATIONS,
    LABEL_SOURCES,
    NO_PROMPT,
    PROMPTS,
    TASKS,
    TASKS_WITH_WORDS,
    TASKS_WITHOUT_LABEL,
    WORD_SOURCES,
)


class Words(Strict):
    """The source of the influential words, and whether only content words are used."""

    source: str = Field(
        max_length=MAX_NAME,
        description="auto: the text's own words, else cot, else occlusion; manual: given with the texts; cot: listed "
        "by the dense model from the words of the text; cot-free: in its free answer; occlusion, gradient: measured on "
        "the label",
    )
    # The document omits False, so that specs from before this field existed keep their fingerprints.
    content: bool = Field(
        default=False,
        description="leave out English function words, numbers and punctuation, unless the user gave them",
        exclude_if=lambda content: not content,
    )

    @field_validator("source")
    @classmethod
    def _known(cls, name: str) -> str:
        return one_of(name, WORD_SOURCES)


def _enough_draws(placebo: int) -> int:
    if 0 < placebo < MIN_PLACEBO:
        raise validation_error(
            f"{placebo} draws of placebo words cannot give a p-value of 0.05; at least {MIN_PLACEBO}, or 0 for none",
            allowed=f"0, or {MIN_PLACEBO} to {MAX_PLACEBO}",
        )
    return placebo


class Reading(Strict):
    """The part of an attribution's spec that does not name models: texts, prompt, words, activation, layers,
    significance."""

    texts: Texts
    prompt: Name = NO_PROMPT
    words: Words = Words(source="auto")
    activation: Name = "relu"
    layers: Layers | None = None
    placebo: Annotated[int, AfterValidator(_enough_draws)] = Field(
        default=DEFAULT_PLACEBO,
        ge=0,
        le=MAX_PLACEBO,
        description="draws of other words in place of the influential ones, from which p-values come; 0: none",
    )
    permutations: int = Field(default=1000, ge=0, le=MAX_PERMUTATIONS)
    floor: float = Field(
        default=0.05, ge=0, lt=1, description="quantile of a layer's denominators below which a neuron is not ranked"
    )
    special_tokens: bool = Field(default=False, description="whether the Score's sums include tokens such as <s>")
    sinks: bool = Field(
        default=False, description="whether position 0 of every text and attention sinks are counted as other tokens"
    )
    seed: Seed = 0
    # The document omits None, so that specs from before this field existed keep their fingerprints.
    causal: Causal | None = Field(default=None, exclude_if=lambda causal: causal is None)

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        """Fill in defaults: for task rows the task's prompt, for supplied texts no prompt; the word source `manual` if
        the texts list words, else `auto`. Bare names of a word source and of a causal task, and bare texts, become
        objects."""
        if not isinstance(data, Mapping):
            return data
        texts = data.get("texts")
        check_given([texts])
        filled = dict(data)
        task = str(texts.get("dataset")) if isinstance(texts, Mapping) else ""
        if filled.get("prompt") is None:
            filled["prompt"] = task if task in TASKS else NO_PROMPT
        words = {"source": filled["words"]} if isinstance(filled.get("words"), str) else filled.get("words") or {}
        if isinstance(words, Mapping) and words.get("source") is None:
            words = {**words, "source": "manual" if carries_words(texts) else "auto"}
        filled["words"] = words
        if isinstance(filled.get("causal"), str):
            filled["causal"] = {"task": filled["causal"]}
        if isinstance(texts, list | tuple):
            filled["texts"] = [texts_item(item) for item in texts]
        return filled

    @field_validator("texts", mode="after")
    @classmethod
    def _some(cls, texts: TaskTexts | TaskRows | tuple[GivenText, ...]) -> TaskTexts | TaskRows | tuple[GivenText, ...]:
        if isinstance(texts, tuple) and not texts:
            raise validation_error("no text was given; give at least one", allowed="at least one text")
        return texts

    @property
    def count(self) -> int:
        """The number of requested texts; a task may have fewer rows."""
        return len(self.texts) if isinstance(self.texts, tuple) else self.texts.size

    @property
    def characters(self) -> int:
        """The number of characters of all supplied texts; 0 for task rows, whose lengths are not known here."""
        return sum(len(text.text) for text in self.texts) if isinstance(self.texts, tuple) else 0

    @model_validator(mode="after")
    def _not_too_much(self) -> Self:
        if self.placebo * self.count > MAX_PLACEBO_TEXTS:
            most = MAX_PLACEBO_TEXTS // self.count
            raise validation_error(
                f"{self.placebo} draws of placebo words for {self.count} texts are {self.placebo * self.count:,}; at "
                f"most {MAX_PLACEBO_TEXTS:,}, which is {most} draws",
                allowed=f"at most {most} draws for {self.count} texts",
                field="placebo",
                given=self.placebo,
            )
        if self.permutations * self.count > MAX_PERMUTED_TEXTS:
            most = MAX_PERMUTED_TEXTS // self.count
            raise validation_error(
                f"{self.permutations} permutations of {self.count} texts are {self.permutations * self.count:,}; "
                f"at most {MAX_PERMUTED_TEXTS:,}, which is {most} permutations",
                allowed=f"at most {most} permutations of {self.count} texts",
                field="permutations",
                given=self.permutations,
            )
        return self

    @field_validator("prompt")
    @classmethod
    def _known_prompt(cls, name: str) -> str:
        return one_of(name, [NO_PROMPT, *TASKS])

    @field_validator("activation")
    @classmethod
    def _known_activation(cls, name: str) -> str:
        return one_of(name, ACTIVATIONS)

    @model_validator(mode="after")
    def _causal_layers_recorded(self) -> Self:
        recorded = None if self.layers is None else frozenset(self.layers)
        for layer in (self.causal and self.causal.layers) or ():
            if recorded is not None and layer not in recorded:
                raise validation_error(
                    f"layer {layer} is not among the recorded layers; add it to layers, or leave it out",
                    allowed=[str(known) for known in sorted(recorded)],
                    field="causal.layers",
                    given=layer,
                )
        return self

    @model_validator(mode="after")
    def _prompt_fits(self) -> Self:
        task = self.texts.dataset if isinstance(self.texts, TaskTexts | TaskRows) else None
        allowed = [NO_PROMPT, *PROMPTS] if task is None or task in PROMPTS else [task, NO_PROMPT, *PROMPTS]
        if self.prompt not in allowed:
            raise validation_error(
                f"the prompt of {self.prompt} is made from several fields of its rows; it cannot be used for other "
                "texts",
                allowed=allowed,
                field="prompt",
                given=self.prompt,
            )
        return self

    @model_validator(mode="after")
    def _label_to_measure(self) -> Self:
        source = self.words.source
        if source not in LABEL_SOURCES or not isinstance(self.texts, TaskTexts | TaskRows):
            return self
        if self.texts.dataset in TASKS_WITHOUT_LABEL:
            raise validation_error(
                f"{source} measures the label after a text, but each choice of {self.texts.dataset} is a complete "
                "sentence; use auto or cot",
                allowed=["auto", "cot", "cot-free"],
                field="words.source",
                given=source,
            )
        return self

    @model_validator(mode="after")
    def _manual_words_given(self) -> Self:
        if self.words.source != "manual":
            return self
        others = [source for source in WORD_SOURCES if source != "manual"]
        if isinstance(self.texts, TaskTexts | TaskRows):
            if self.texts.words is None and self.texts.dataset not in TASKS_WITH_WORDS:
                raise validation_error(
                    f"the rows of {self.texts.dataset} have no influential words; use {' or '.join(others)}",
                    allowed=others,
                    field="words.source",
                    given="manual",
                )
            return self
        some = any(text.words for text in self.texts)
        for index, text in enumerate(self.texts):
            # An empty list means that the text has no influential words; no list means that none were chosen.
            if text.words is None or not (text.words or some):
                raise validation_error(
                    f"text {index} has no words; give some, or set words.source to {' or '.join(others)}",
                    allowed="at least one word of the text",
                    field=f"texts.{index}.words",
                    given=None,
                )
        return self


class AttributeSpec(Reading):
    """An attribution: run the same texts through a dense model and its pruned variants and compare their neurons."""

    dense: Reference
    pruned: tuple[Reference, ...] = Field(min_length=1, max_length=MAX_VARIANTS)

    @model_validator(mode="after")
    def _variants_differ(self) -> Self:
        seen: set[str] = set()
        for index, reference in enumerate(self.pruned):
            if reference == self.dense or reference in seen:
                other = "the dense model" if reference == self.dense else "an earlier variant"
                raise validation_error(
                    f"{reference!r} is {other} already",
                    allowed="each model once",
                    field=f"pruned.{index}",
                    given=reference,
                )
            seen.add(reference)
        return self

    @model_validator(mode="after")
    def _not_read_too_often(self) -> Self:
        models = 1 + len(self.pruned)
        if self.characters * models > MAX_READ_CHARACTERS:
            raise validation_error(
                f"{self.characters:,} characters through {models} models are {self.characters * models:,}; "
                f"at most {MAX_READ_CHARACTERS:,}: give fewer texts, or fewer variants at a time",
                allowed=f"at most {MAX_READ_CHARACTERS // models} characters for {models} models",
                field="texts",
                given=self.characters,
            )
        return self

"""Which texts an attribution reads: rows of a task, drawn or chosen, or the user's own, with words where somebody chose
them."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from jobs.specs.evaluate import Seed
from jobs.strict import Strict, one_of, refused
from jobs.vocabulary import TASKS, TASKS_WITH_WORDS
from text.words import WordIndex

RowWords = Annotated[
    tuple[tuple[str, ...], ...] | None,
    Field(
        default=None,
        description="influential words of each row, in order, chosen by hand; a row may have none",
        exclude_if=lambda words: words is None,  # a spec without them keeps the fingerprint that it always had
    ),
]


class _Rows(Strict):
    """Rows of a task, perhaps with influential words that somebody chose for each of them."""

    dataset: str
    words: RowWords

    @property
    def size(self) -> int:
        """How many rows are asked for."""
        raise NotImplementedError

    @field_validator("dataset")
    @classmethod
    def _known(cls, name: str) -> str:
        return one_of(name, TASKS)

    @model_validator(mode="after")
    def _words_of_each(self) -> Self:
        if self.words is None:
            return self
        if len(self.words) != self.size:
            raise refused(
                f"words are given for {len(self.words)} of {self.size} rows; give each row a list, if an empty one",
                allowed=f"{self.size} lists of words",
                field="words",
                given=len(self.words),
            )
        if not any(self.words):
            raise refused("no row has a word; choose one at least", allowed="a word", field="words", given=[])
        return self


class TaskTexts(_Rows):
    """`count` rows of a task, drawn by `seed`."""

    count: int = Field(default=10, ge=1, le=1000)
    seed: Seed = 0

    @property
    def size(self) -> int:
        """How many rows are asked for; a task may have fewer."""
        return self.count


class TaskRows(_Rows):
    """Rows of a task by their places in its file or split, from 0, in the order given: those that an evaluation told
    of."""

    indices: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=1000)

    @property
    def size(self) -> int:
        """How many rows are asked for."""
        return len(self.indices)

    @field_validator("indices")
    @classmethod
    def _each_once(cls, indices: tuple[int, ...]) -> tuple[int, ...]:
        for place, index in enumerate(indices):
            if index in indices[:place]:
                raise refused(f"row {index} is named twice", allowed="each row once", field=str(place), given=index)
        return indices


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
        if not self.words:
            return self
        words = WordIndex(self.text)
        for index, word in enumerate(self.words):
            if not words.occurrences(word):
                raise refused(
                    f"the word {word!r} is not in the text; give whole words as the text spells them",
                    allowed="a whole word of the text",
                    field=f"words.{index}",
                    given=word,
                )
        return self


def _texts_form(value: Any) -> str | None:
    # Without a discriminator pydantic would try all forms and report the errors of all.
    if isinstance(value, TaskRows) or (isinstance(value, Mapping) and "indices" in value):
        return "rows"
    if isinstance(value, Mapping | TaskTexts):
        return "task"
    return "given" if isinstance(value, list | tuple) else None


Texts = Annotated[
    Annotated[TaskTexts, Tag("task")]
    | Annotated[TaskRows, Tag("rows")]
    | Annotated[tuple[GivenText, ...], Tag("given")],
    Discriminator(
        _texts_form,
        custom_error_type="texts_form",
        custom_error_message="give a task's rows as {dataset, count, seed} or {dataset, indices}, or a list of texts",
    ),
]


def texts_item(item: Any) -> Any:
    """A bare string in a list of texts is the text."""
    return {"text": item} if isinstance(item, str) else item


def carries_words(texts: object) -> bool:
    """A document's texts bring influential words along."""
    if isinstance(texts, Mapping):
        return bool(texts.get("words")) or str(texts.get("dataset")) in TASKS_WITH_WORDS
    return isinstance(texts, Iterable) and any(isinstance(text, Mapping) and text.get("words") for text in texts)

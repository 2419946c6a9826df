"""The texts of an attribution's spec: random or chosen rows of a task, or texts in the spec itself, with optional
words."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import Discriminator, Field, StringConstraints, Tag, field_validator, model_validator

from prunescope.jobs.bounds import (
    DEFAULT_TEXTS,
    MAX_ALL_CHARACTERS,
    MAX_LABEL_CHARACTERS,
    MAX_MATCHED_CHARACTERS,
    MAX_NAME,
    MAX_ROWS,
    MAX_ROWS_READ,
    MAX_TEXT_CHARACTERS,
    MAX_TEXTS,
    MAX_WORD_CHARACTERS,
    MAX_WORDS,
)
from prunescope.jobs.specs.evaluate import Seed
from prunescope.jobs.strict import Strict, one_of, validation_error
from prunescope.jobs.vocabulary import TASKS, TASKS_WITH_WORDS
from prunescope.text.words import WordIndex

TextWords = Annotated[
    tuple[Annotated[str, StringConstraints(max_length=MAX_WORD_CHARACTERS)], ...], Field(max_length=MAX_WORDS)
]
RowWords = Annotated[
    Annotated[tuple[TextWords, ...], Field(max_length=MAX_ROWS_READ)] | None,
    Field(
        default=None,
        description="influential words of each row, in the order of the rows; a row may have none",
        exclude_if=lambda words: words is None,  # so that specs from before this field keep their fingerprints
    ),
]


class _Rows(Strict):
    """Rows of a task, with optional influential words for each row."""

    dataset: str = Field(max_length=MAX_NAME)
    words: RowWords

    @property
    def size(self) -> int:
        """The number of requested rows."""
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
            raise validation_error(
                f"words are given for {len(self.words)} of {self.size} rows; give each row a list, which may be empty",
                allowed=f"{self.size} lists of words",
                field="words",
                given=len(self.words),
            )
        if not any(self.words):
            raise validation_error("no row has a word; give at least one", allowed="a word", field="words", given=[])
        return self


class TaskTexts(_Rows):
    """`count` rows of a task, drawn by `seed`."""

    count: int = Field(default=DEFAULT_TEXTS, ge=1, le=MAX_ROWS_READ)
    seed: Seed = 0

    @property
    def size(self) -> int:
        """The number of requested rows; a task may have fewer."""
        return self.count


class TaskRows(_Rows):
    """Rows of a task in the given order. Each index is the row's position in the task's file or split, counted from 0,
    as evaluations report it."""

    indices: tuple[Annotated[int, Field(ge=0, le=MAX_ROWS)], ...] = Field(min_length=1, max_length=MAX_ROWS_READ)

    @property
    def size(self) -> int:
        """The number of requested rows."""
        return len(self.indices)

    @field_validator("indices")
    @classmethod
    def _each_once(cls, indices: tuple[int, ...]) -> tuple[int, ...]:
        seen: set[int] = set()
        for position, index in enumerate(indices):
            if index in seen:
                raise validation_error(
                    f"row {index} is named twice", allowed="each row once", field=str(position), given=index
                )
            seen.add(index)
        return indices


class GivenText(Strict):
    """A text supplied in the spec, with an optional label (the correct answer) and optional influential words."""

    text: str = Field(max_length=MAX_TEXT_CHARACTERS)
    label: str | None = Field(default=None, max_length=MAX_LABEL_CHARACTERS)
    words: TextWords | None = None

    @field_validator("text")
    @classmethod
    def _not_empty(cls, text: str) -> str:
        if not text.strip():
            raise validation_error("the text is empty; give at least one word", allowed="a text with at least one word")
        return text

    @model_validator(mode="after")
    def _words_in_text(self) -> Self:
        if not self.words:
            return self
        words = WordIndex(self.text)
        for index, word in enumerate(self.words):
            if word not in words:
                raise validation_error(
                    f"the word {word!r} is not in the text; give whole words as the text spells them",
                    allowed="a whole word of the text",
                    field=f"words.{index}",
                    given=word,
                )
        return self


def _texts_form(value: Any) -> str | None:
    # Without a discriminator pydantic would try all forms and report the errors of each.
    if isinstance(value, TaskRows) or (isinstance(value, Mapping) and "indices" in value):
        return "rows"
    if isinstance(value, Mapping | TaskTexts):
        return "task"
    return "given" if isinstance(value, list | tuple) else None


Texts = Annotated[
    Annotated[TaskTexts, Tag("task")]
    | Annotated[TaskRows, Tag("rows")]
    | Annotated[tuple[GivenText, ...], Field(max_length=MAX_TEXTS), Tag("given")],
    Discriminator(
        _texts_form,
        custom_error_type="texts_form",
        custom_error_message="give a task's rows as {dataset, count, seed} or {dataset, indices}, or a list of texts",
    ),
]


def check_given(lists: Iterable[object], field: str = "texts") -> None:
    """Raise a validation error that names `field` if the lists of texts in a document hold, all together, too many
    texts, characters or words to search for. Runs before validation, so that only few enough texts are validated."""
    texts = [item for given in lists if isinstance(given, list | tuple) for item in given]
    if len(texts) > MAX_TEXTS:
        raise validation_error(
            f"{len(texts):,} texts are given; at most {MAX_TEXTS:,}",
            allowed=f"at most {MAX_TEXTS} texts",
            field=field,
            given=len(texts),
        )
    characters = matched = 0
    for item in texts:
        text, words = (item.get("text"), item.get("words")) if isinstance(item, Mapping) else (item, None)
        size = len(text) if isinstance(text, str) else 0
        characters += size
        matched += size * len(words) if isinstance(words, list | tuple) else 0
    for count, most, what in (
        (characters, MAX_ALL_CHARACTERS, "characters"),
        (matched, MAX_MATCHED_CHARACTERS, "characters times words to look for in them"),
    ):
        if count > most:
            message = f"the texts have {count:,} {what}; at most {most:,} together"
            raise validation_error(message, allowed=f"at most {most} {what}", field=field, given=count)


def texts_item(item: Any) -> Any:
    """`{"text": item}` for a bare string in a list of texts; any other item unchanged."""
    return {"text": item} if isinstance(item, str) else item


def carries_words(texts: object) -> bool:
    """Whether the texts of a spec that is not validated yet come with influential words."""
    if isinstance(texts, Mapping):
        return bool(texts.get("words")) or str(texts.get("dataset")) in TASKS_WITH_WORDS
    return isinstance(texts, Iterable) and any(isinstance(text, Mapping) and text.get("words") for text in texts)

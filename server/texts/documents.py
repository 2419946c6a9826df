"""The JSON of an attribution's texts, word by word, and of jobs with typed texts."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from prunescope.jobs.bounds import MAX_NAME, MAX_ROWS, MAX_TEXTS, MAX_WORD_CHARACTERS, MAX_WORDS
from prunescope.jobs.vocabulary import WORD_SOURCES
from prunescope.server.attributions.documents import OtherText, OwnTextForm
from prunescope.server.jobs.documents import JobDocument
from prunescope.server.site.documents import Document, Link

Words = Annotated[list[Annotated[str, StringConstraints(max_length=MAX_WORD_CHARACTERS)]], Field(max_length=MAX_WORDS)]


class WordSpan(Document):
    """A word of a text: ``text[start:end]``. Spans of one ``word`` (in any case) are marked together."""

    start: int
    end: int
    word: str
    marked: bool  # influential


class TextWords(Document):
    """One text without the prompt around it: its influential words, and every word that could be one."""

    index: int
    label: str | None
    text: str
    words: list[str]
    spans: list[WordSpan]  # in order, none over another
    covered: list[str]  # influential words that stand only inside of longer ones, so that no span is theirs


class AttributionTexts(Document):
    """An attribution's texts, the form that attributes a text the reader types, and other attributions of the same
    models."""

    attribution: Link
    texts: list[TextWords]
    own: OwnTextForm
    others: list[OtherText]  # newest first
    href: str


class TextJob(JobDocument):
    """The job of a typed text, or of other words; ``then_href`` is the page of its result: the attribution, or the
    neuron that was asked for."""

    then_href: str


class OwnText(BaseModel):
    """A text with its label and its influential words, where they are given."""

    model_config = ConfigDict(extra="forbid")

    text: str  # the spec made of it limits its length, and the label's
    label: str | None = None
    words: Words | None = Field(default=None, description="its influential words, where they are chosen by hand")


class OwnTexts(BaseModel):
    """One text, or several."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = None
    label: str | None = None
    words: Words | None = None
    texts: list[OwnText] | None = Field(default=None, max_length=MAX_TEXTS, description="several texts, instead of one")
    source: str | None = Field(
        default=None,
        max_length=MAX_NAME,
        description=f"of influential words: {', '.join(WORD_SOURCES)}; left out: as in the attribution",
    )

    @model_validator(mode="after")
    def _one_or_several(self) -> "OwnTexts":
        if (self.text is None) == (self.texts is None):
            raise ValueError("give a text, or several as texts")
        return self

    def given(self) -> list[dict[str, Any]]:
        """The texts as a spec has them."""
        if self.texts is not None:
            return [text.model_dump() for text in self.texts]
        return [{"text": self.text, "label": self.label, "words": self.words}]


class OtherWords(BaseModel):
    """The influential words of an attribution's texts, chosen by hand."""

    model_config = ConfigDict(extra="forbid")

    words: dict[Annotated[int, Field(ge=0, le=MAX_ROWS)], Words] = Field(
        max_length=MAX_TEXTS,
        description="by a text's index; a text that is not named keeps its own",
        examples=[{"0": ["badly", "crappy"]}],
    )

"""JSON documents of an attribution's texts with their words, and the bodies of requests that start a job with other
texts or words."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, StringConstraints, model_validator

from prunescope.jobs.bounds import MAX_NAME, MAX_ROWS, MAX_TEXTS, MAX_WORD_CHARACTERS, MAX_WORDS
from prunescope.jobs.vocabulary import WORD_SOURCES
from prunescope.server.attributions.documents import OtherText, OwnTextForm
from prunescope.server.jobs.documents import JobDocument
from prunescope.server.site.documents import Document, Link
from prunescope.store.attributions.documents import FoundWord

Words = Annotated[list[Annotated[str, StringConstraints(max_length=MAX_WORD_CHARACTERS)]], Field(max_length=MAX_WORDS)]


class WordSpan(Document):
    """One occurrence of a word, ``text[start:end]``. All occurrences of a word (in any case) have the same ``word``."""

    start: int
    end: int
    word: str
    marked: bool  # influential


class TextWords(Document):
    """One text without the prompt, its influential words, and the occurrences of all of its words."""

    index: int
    label: str | None
    text: str
    words: list[str]
    spans: list[WordSpan]  # in order, without overlaps
    source: str | None = None  # the source that found the words; None if they are not known to come from one
    found: list[FoundWord] = Field(default=[])  # the words with their probability or effect
    covered: list[str]  # influential words without a span: they occur only within longer influential words


class AttributionTexts(Document):
    """An attribution's texts, the form for an own text, and other attributions of the same models."""

    attribution: Link
    texts: list[TextWords]
    own: OwnTextForm
    others: list[OtherText]  # newest first
    href: str


class TextJob(JobDocument):
    """The attribute job of a request; ``then_href`` is the page of the resulting attribution, or of the requested
    neuron in it."""

    then_href: str


class OwnText(BaseModel, extra="forbid"):
    """A text, optionally with its label and its influential words."""

    text: str  # the spec limits the lengths of text and label
    label: str | None = None
    words: Words | None = Field(default=None, description="its influential words, where they are chosen by hand")


class OwnTexts(BaseModel, extra="forbid"):
    """The body of a request with one own text, or several."""

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
        """The texts in the form of a spec's `texts`."""
        if self.texts is not None:
            return [text.model_dump() for text in self.texts]
        return [{"text": self.text, "label": self.label, "words": self.words}]


class OtherWords(BaseModel, extra="forbid"):
    """The body of a request with other influential words for an attribution's texts."""

    words: dict[Annotated[int, Field(ge=0, le=MAX_ROWS)], Words] = Field(
        max_length=MAX_TEXTS,
        description="by a text's index; a text that is not named keeps its own",
        examples=[{"0": ["badly", "crappy"]}],
    )

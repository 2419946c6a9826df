"""An attribution's texts, word by word, and other texts through the same models."""

from datetime import datetime

from prunescope.server.jobs.documents import JobDocument
from prunescope.server.site.documents import Choice, Document, Link


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


class OtherText(Document):
    """An attribution of the same models on other texts, or on the same with other words."""

    id: str
    label: str  # the beginning of a text that somebody typed, or the name of a task
    note: str  # "1 text · words by gradient"
    own: bool  # typed, and not rows of a task
    created_at: datetime
    href: str


class OwnTextForm(Document):
    """What a text of one's own may say, and what it takes over from the attribution."""

    sources: list[Choice]  # of the influential words of a text of one's own
    source: str  # the one that is taken unless another is named
    labels: list[str]  # those of its texts
    prompt: str  # goes around a text of one's own
    prompt_note: str | None  # why it is not this attribution's
    settings: str  # one line: what else stays the same


class AttributionTexts(Document):
    """What was read, what may be read by the same models with the same settings, and what has been."""

    attribution: Link
    texts: list[TextWords]
    own: OwnTextForm
    others: list[OtherText]  # newest first
    href: str


class TextJob(JobDocument):
    """The job of a text of one's own, or of other words; ``then_href`` is where its result will be: the attribution, or
    in it the neuron that was asked for."""

    then_href: str

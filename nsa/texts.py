"""The input texts of an attribution, and the words found in them."""

from dataclasses import dataclass

SENTIMENT = "sentiment"
SENTIMENT_LABELS = ("negative", "positive")
"""The labels of every sentiment prompt."""


@dataclass(frozen=True)
class Text:
    """One text with the prompt around it: the model reads `before + text + after`.

    `words`: the influential words that the user gave, for the word source `manual`. `group` is the group of the text's
    task, which determines the question for influential words. `choices` are the possible labels, from which the model
    chooses when there is no `label`.
    """

    text: str
    label: str | None = None
    words: tuple[str, ...] | None = None
    before: str = ""
    after: str = ""
    group: str = SENTIMENT
    choices: tuple[str, ...] = ()

    @property
    def start(self) -> str:
        """The beginning of the text, for messages."""
        return start_of(self.text)

    @property
    def prompt(self) -> str:
        """The whole text that the model reads."""
        return self.before + self.text + self.after


@dataclass(frozen=True)
class FoundWords:
    """The influential words of a text: `words` that occur in it, `dropped` words that were named but do not occur in
    it, the model's `answer` if the model was asked, and `plain_reason`, the reason why its chat template was not
    used."""

    words: tuple[str, ...]
    dropped: tuple[str, ...]
    answer: str | None
    plain_reason: str | None = None


def start_of(text: str, longest: int = 60) -> str:
    """Return the start of a text as one line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"

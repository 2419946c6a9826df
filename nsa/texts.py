"""The texts that an attribution starts from, and the words found in them."""

from dataclasses import dataclass

SENTIMENT = "sentiment"
SENTIMENT_LABELS = ("negative", "positive")
"""Of every sentiment prompt."""


@dataclass(frozen=True)
class Text:
    """One text with the prompt around it: the model reads `before + text + after`.

    `group` is the group of the text's task; it decides how a model is asked for influential words. `choices` are the
    labels that it may have: where it has none of its own, the model's own answer is one of them.
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
        """The beginning of the text, to name it by."""
        return start_of(self.text)

    @property
    def prompt(self) -> str:
        """What the model reads."""
        return self.before + self.text + self.after


@dataclass(frozen=True)
class FoundWords:
    """Influential words that stand in the text, named words that do not, and the model's answer where it was asked;
    `plain_reason` is why its chat template was not used."""

    words: tuple[str, ...]
    dropped: tuple[str, ...]
    answer: str | None
    plain_reason: str | None = None


def start_of(text: str, longest: int = 60) -> str:
    """The start of a text as one line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"

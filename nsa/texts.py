"""The input texts of an attribution, and the words found in them."""

from dataclasses import dataclass
from typing import Any

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
    """The influential words of a text.

    `words` occur in it; `dropped` were named but do not occur in it. `source` is the word source that found them.
    `amounts` has one number for each word: its probability in the model's answer if the source is `cot`, its effect on
    the label's log-probability in nats if it is `occlusion` or `gradient`; it is empty for the other sources. `answer`
    is the model's answer if the model was asked, `plain_reason` the reason why its chat template was not used. `label`
    is the model's own label if the text had none and the source needs one.
    """

    words: tuple[str, ...]
    dropped: tuple[str, ...]
    answer: str | None
    plain_reason: str | None = None
    source: str = "manual"
    amounts: tuple[float, ...] = ()
    label: str | None = None

    def document(self) -> dict[str, Any]:
        """The source and the words with their numbers, as a JSON document."""
        kind = {"cot": "probability", "occlusion": "effect", "gradient": "effect"}.get(self.source)
        amounts = [{kind: amount} for amount in self.amounts] if kind and self.amounts else [{} for _ in self.words]
        named = [{"word": word, **amount} for word, amount in zip(self.words, amounts, strict=True)]
        return {"source": self.source, "words": named}


def start_of(text: str, longest: int = 60) -> str:
    """Return the start of a text as one line of at most `longest` characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"

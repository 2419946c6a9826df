"""What an attribution raises when its texts or models cannot be used.

BadInput
├── BadText
│   ├── NoInfluentialWords   no influential word is left in any text
│   └── TextsTooLong         every text is longer than the model's context
├── ModelsDiffer             a variant has another shape or another tokenizer than the dense model
└── NotFinite                a number is NaN, or too large for what is kept (lm/errors.py)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from prunescope.lm.errors import BadInput, BadText, NotFinite

__all__ = ["ModelsDiffer", "NoInfluentialWords", "NotFinite", "TextsTooLong"]


@dataclass(frozen=True)
class ModelAnswer:
    """What the model answered when it was asked for the influential words of a text."""

    text: str
    answer: str


class NoInfluentialWords(BadText):
    """No influential word is left in any text: there is nothing to attribute.

    `answers` are what the model said of the texts, in their order; empty where no model was asked for words.
    """

    code: ClassVar[str] = "no-influential-words"

    def __init__(self, message: str, answers: Sequence[ModelAnswer] = ()) -> None:
        super().__init__(message)
        self.answers = tuple(answers)


class TextsTooLong(BadText):
    """Every text, with the prompt around it, is longer than the model's context."""

    code: ClassVar[str] = "texts-too-long"


class ModelsDiffer(BadInput):
    """A variant that cannot be compared with the dense model."""

    code: ClassVar[str] = "models-differ"

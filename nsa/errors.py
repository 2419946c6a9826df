"""Errors of an attribution whose texts or models cannot be used.

BadInput
├── BadText
│   ├── NoInfluentialWords   no text has an influential word
│   └── TextsTooLong         every text is longer than the model's context
├── ModelsDiffer             a variant has another shape or another tokenizer than the dense model
└── NotFinite                a number is NaN, or too large for the stored dtype (lm/errors.py)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from prunescope.lm.errors import BadInput, BadText, NotFinite

__all__ = ["ModelsDiffer", "NoInfluentialWords", "NotFinite", "TextsTooLong"]


@dataclass(frozen=True)
class ModelAnswer:
    """The model's answer when it was asked for the influential words of a text."""

    text: str
    answer: str


class NoInfluentialWords(BadText):
    """No text has an influential word, so no neuron can be attributed.

    `answers` are the model's answers about the texts, in order; empty when the word source is not the model.
    """

    code: ClassVar[str] = "no-influential-words"

    def __init__(self, message: str, answers: Sequence[ModelAnswer] = ()) -> None:
        super().__init__(message)
        self.answers = tuple(answers)


class TextsTooLong(BadText):
    """Every text, with the prompt around it, is longer than the model's context."""

    code: ClassVar[str] = "texts-too-long"


class ModelsDiffer(BadInput):
    """A variant has another shape or tokenizer than the dense model and cannot be compared with it."""

    code: ClassVar[str] = "models-differ"

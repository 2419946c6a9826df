"""What an attribution raises when its texts or models cannot be used.

BadInput
├── BadText
│   ├── NoInfluentialWords   no influential word is left in any text
│   └── TextsTooLong         every text is longer than the model's context
├── ModelsDiffer             a variant has another shape or another tokenizer than the dense model
└── NotFinite                a number is NaN, or too large for what is kept (lm/errors.py)
"""

from typing import ClassVar

from lm.errors import BadInput, BadText, NotFinite

__all__ = ["ModelsDiffer", "NoInfluentialWords", "NotFinite", "TextsTooLong"]


class NoInfluentialWords(BadText):
    """No influential word is left in any text: there is nothing to attribute."""

    code: ClassVar[str] = "no-influential-words"


class TextsTooLong(BadText):
    """Every text, with the prompt around it, is longer than the model's context."""

    code: ClassVar[str] = "texts-too-long"


class ModelsDiffer(BadInput):
    """A variant that cannot be compared with the dense model."""

    code: ClassVar[str] = "models-differ"

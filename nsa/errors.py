"""What an attribution raises when its texts or models cannot be used.

BadInput
├── BadText
│   ├── NoInfluentialWords   no influential word is left in any text
│   └── TextsTooLong         every text is longer than the model's context
├── ModelsDiffer             a variant has another shape or another tokenizer than the dense model
└── NotFinite                an activation is NaN, or too large for what is kept
"""

from typing import ClassVar

from lm.errors import BadInput, BadText


class NoInfluentialWords(BadText):
    """No influential word is left in any text: there is nothing to attribute."""

    code: ClassVar[str] = "no-influential-words"


class TextsTooLong(BadText):
    """Every text, with the prompt around it, is longer than the model's context."""

    code: ClassVar[str] = "texts-too-long"


class ModelsDiffer(BadInput):
    """A variant that cannot be compared with the dense model."""

    code: ClassVar[str] = "models-differ"


class NotFinite(BadInput):
    """An activation that is NaN or beyond float16; the text names layer and neuron."""

    code: ClassVar[str] = "not-finite"

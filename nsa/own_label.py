"""A text that nobody labelled takes the label that the model itself finds likeliest, for the word sources that measure
a label: they then tell which words the model's own answer hangs on."""

from dataclasses import replace

from prunescope.lm.loading import LanguageModel
from prunescope.nsa.labels import MEASURED_BY, asked
from prunescope.nsa.occlusion import label_log_probabilities
from prunescope.nsa.texts import Text


def with_label(lm: LanguageModel, text: Text, source: str) -> Text:
    """The text with its label; where it has none, but choices, and `source` needs one, with the likeliest choice.

    Where even the prompt with a choice is too long for the context the first choice stands: the source then says so.
    Raises NotFinite.
    """
    if text.label or not text.choices or source not in MEASURED_BY:
        return text
    prompt = text.before + text.text + asked(text)
    amounts = [label_log_probabilities(lm, [prompt], choice)[0] for choice in text.choices]
    fitting = {choice: amount for choice, amount in zip(text.choices, amounts, strict=True) if amount is not None}
    return replace(text, label=max(fitting, key=lambda choice: fitting[choice], default=text.choices[0]))

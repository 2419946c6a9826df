"""Labels an unlabelled text with the model's own answer, for the word sources that need a label: they then measure
which words that answer depends on."""

from dataclasses import replace

from prunescope.lm.loading import LanguageModel
from prunescope.nsa.labels import MEASURED_BY, asked
from prunescope.nsa.occlusion import label_log_probabilities
from prunescope.nsa.texts import Text


def with_label(lm: LanguageModel, text: Text, source: str) -> Text:
    """The text, labelled with its likeliest choice when it has choices but no label and `source` needs a label.

    When the prompt exceeds the context length with every choice, the first choice is taken; the source then reports the
    text as too long. Raises NotFinite.
    """
    if text.label or not text.choices or source not in MEASURED_BY:
        return text
    prompt = text.before + text.text + asked(text)
    amounts = [label_log_probabilities(lm, [prompt], choice)[0] for choice in text.choices]
    fitting = {choice: amount for choice, amount in zip(text.choices, amounts, strict=True) if amount is not None}
    return replace(text, label=max(fitting, key=lambda choice: fitting[choice], default=text.choices[0]))

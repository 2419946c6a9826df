"""Labels an unlabelled text with the model's own answer, for the word sources that need a label. They then measure
which words this answer depends on."""

from dataclasses import replace

from prunescope.lm.loading import LanguageModel
from prunescope.nsa.labels import asked
from prunescope.nsa.occlusion import label_log_probabilities
from prunescope.nsa.texts import Text


def with_label(lm: LanguageModel, text: Text) -> Text:
    """Return the text; if it has choices but no label, labelled with the choice that the model finds most likely.

    When the prompt exceeds the context length with every choice, the first choice is used; the source then reports the
    text as too long. Raises NotFinite when a choice's log-probability is not finite.
    """
    if text.label or not text.choices:
        return text
    prompt = text.before + text.text + asked(text)
    amounts = [label_log_probabilities(lm, [prompt], choice)[0] for choice in text.choices]
    fitting = {choice: amount for choice, amount in zip(text.choices, amounts, strict=True) if amount is not None}
    return replace(text, label=max(fitting, key=lambda choice: fitting[choice], default=text.choices[0]))

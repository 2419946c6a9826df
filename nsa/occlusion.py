"""Occlusion: the drop of the label's log-probability when a word is removed from the text."""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch

from prunescope.lm.architecture import context_length
from prunescope.lm.finite import not_finite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.labels import asked, called, label_of, labelled
from prunescope.nsa.texts import Text
from prunescope.text.words import WordIndex

MAX_LOGITS = 1 << 26  # in one batch


def label_drops(lm: LanguageModel, text: Text, words: Sequence[str] | None = None) -> dict[str, float] | None:
    """Return each of `words` (None: each distinct word of the text) -> the drop of the label's log-probability, in
    nats, when all its occurrences are removed.

    The label follows the prompt after a space. A sentiment text without a prompt is followed by the question of the
    paper's Figure 1. Returns None when text, question and label exceed the context length. A word has no entry when the
    text without it exceeds the context length. Raises BadText for a text without a label, NotFinite, naming the word,
    for a log-probability that is not finite.
    """
    label, after = label_of(text, "occlusion"), asked(text)
    index = WordIndex(text.text)
    words = index.distinct() if words is None else words
    prompts = [text.text, *(without(index.occurrences(word), text.text) for word in words)]
    places = [called(text), *(f"{called(text)} without {word!r}" for word in words)]
    found = label_log_probabilities(lm, [text.before + prompt + after for prompt in prompts], label, places)
    whole, *rest = found
    if whole is None:
        return None
    return {word: whole - left for word, left in zip(words, rest, strict=True) if left is not None}


def without(places: Sequence[tuple[int, int]], text: str) -> str:
    """Return the text without the character ranges `places` (ascending) and without the space before each."""
    rest, place = "", 0
    for start, end in places:
        rest += text[place : start - 1 if start > place and text[start - 1].isspace() else start]
        place = end
    return rest + text[place:]


@torch.no_grad()
def label_log_probabilities(
    lm: LanguageModel, prompts: Sequence[str], label: str, named: Sequence[str] | None = None
) -> list[float | None]:
    """Return log P(" " + label | prompt) in nats for every prompt; None for a prompt that exceeds the context length.

    Raises NotFinite for a result that is NaN or infinite; `named` are the prompts' names in its message (default: their
    first 60 characters).
    """
    tokenizer, model = lm.tokenizer, lm.model
    assert tokenizer is not None
    rows = [(found.tokens.ids, found.count) for found in (labelled(tokenizer, prompt, label) for prompt in prompts)]
    limit = context_length(model)
    groups = defaultdict(list)  # equal lengths need no padding
    for place, (whole, count) in enumerate(rows):
        if len(whole) <= limit:
            groups[len(whole), count].append(place)
    result: list[float | None] = [None] * len(prompts)
    for (length, count), places in groups.items():
        vocabulary = model.config.get_text_config().vocab_size
        size = max(1, MAX_LOGITS // (length * vocabulary))
        for first in range(0, len(places), size):
            batch = places[first : first + size]
            ids = torch.tensor([rows[place][0] for place in batch], device=model.device)
            logits = model(input_ids=ids, use_cache=False).logits[:, -count - 1 : -1].float()
            chosen = logits.log_softmax(-1).gather(2, ids[:, -count:, None])[..., 0].sum(1)
            for place, value in zip(batch, chosen.tolist(), strict=True):
                if not math.isfinite(value):
                    where = named[place] if named else f"the text {prompts[place][:60]!r}"
                    raise not_finite(f"{where}, label {label!r}", model, torch.tensor(rows[place][0]), lm.reference)
                result[place] = value
    return result

"""Generates a model's answer to a question by greedy decoding."""

from dataclasses import dataclass

import torch

from prunescope.lm.architecture import context_length
from prunescope.lm.finite import not_finite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.next_logits import NextLogits
from prunescope.nsa.prompts import question
from prunescope.nsa.word_lists import is_finished, is_one_line, parse_answer

__all__ = ["Answer", "answer", "parse_answer"]

MAX_TOKENS = 128
MIN_TOKENS = 32
"""Minimum number of tokens that the context must have free for an answer; enough for a list of about ten words."""


@dataclass(frozen=True)
class Answer:
    """The model's answer. `plain_reason` is the reason why the tokenizer's chat template was not used; None if it was
    used or there is none."""

    text: str
    plain_reason: str | None


@torch.no_grad()
def answer(lm: LanguageModel, prompt: str, most: int = MAX_TOKENS) -> Answer | None:
    """Greedily continue `prompt` until the list of words in the answer is complete, an end token is generated, or
    `most` tokens are generated.

    Without a chat template, the answer also ends after its first line, unless this line announces or begins a list.
    Returns None when the context length leaves too few tokens for an answer. Raises NotFinite when a token's logits are
    NaN or infinite.
    """
    tokenizer, model = lm.tokenizer, lm.model
    assert tokenizer is not None
    asked = question(tokenizer, prompt)
    ids = asked.ids
    limit = min(most, context_length(model) - len(ids))
    if limit < min(most, MIN_TOKENS):
        return None
    ends = end_ids(lm)
    next_logits, text = NextLogits(model), ""
    generated: list[int] = []
    for _ in range(limit):
        logits = next_logits.after([*ids, *generated])
        chosen = int(logits.argmax())
        if not bool(logits[chosen].isfinite()):  # argmax treats NaN as the largest; other logits may be -inf by design
            place = f"the answer to {prompt[-60:]!r}, token {len(generated)}"
            raise not_finite(place, model, torch.tensor([*ids, *generated]), lm.reference)
        if chosen in ends:
            break
        generated.append(chosen)
        text = str(tokenizer.decode(generated, skip_special_tokens=True))
        if is_finished(text) or (not asked.chat and is_one_line(text)):
            break
    return Answer(text, asked.plain_reason)


def end_ids(lm: LanguageModel) -> set[int]:
    """Return the ids of the tokens that end an answer, from the tokenizer, the config and the generation config."""
    named = [lm.tokenizer.eos_token_id if lm.tokenizer else None, lm.model.config.get_text_config().eos_token_id]
    generation = lm.model.generation_config
    if generation is not None:
        named.append(generation.eos_token_id)
    return {token for ids in named if ids is not None for token in (ids if isinstance(ids, list) else [ids])}

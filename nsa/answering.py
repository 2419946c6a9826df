"""A model's own answer to a question, token by token, always the likeliest one."""

from dataclasses import dataclass

import torch

from lm.architecture import context_length
from lm.finite import not_finite
from lm.loading import LanguageModel
from nsa.prompts import question
from nsa.word_lists import is_finished, is_one_line, parse_answer

__all__ = ["Answer", "answer", "parse_answer"]

MOST_TOKENS = 128
LEAST_TOKENS = 32
"""Room that an answer needs: a list of some ten words."""


@dataclass(frozen=True)
class Answer:
    """What the model wrote; `plain_reason` says why its chat template was not used, where it has one."""

    text: str
    plain_reason: str | None


@torch.no_grad()
def answer(lm: LanguageModel, prompt: str, most: int = MOST_TOKENS) -> Answer | None:
    """The greedy continuation of `prompt` up to the end of its list of words, an end token or `most` tokens.

    As plain text it also ends with its first line, unless that announces a list or begins one. None when the context
    has no room for an answer. Raises NotFinite for a token whose logits are NaN or infinite.
    """
    tokenizer, model = lm.tokenizer, lm.model
    assert tokenizer is not None
    asked = question(tokenizer, prompt)
    ids = asked.ids
    room = min(most, context_length(model) - len(ids))
    if room < min(most, LEAST_TOKENS):
        return None
    ends = _end_ids(lm)
    step, past, text = torch.tensor([ids], device=model.device), None, ""
    written: list[int] = []
    for _ in range(room):
        output = model(input_ids=step, past_key_values=past, use_cache=True)
        logits = output.logits[0, -1]
        chosen = int(logits.argmax())
        if not bool(logits[chosen].isfinite()):  # NaN is the largest of all for argmax; others may be -inf by design
            place = f"the answer to {prompt[-60:]!r}, token {len(written)}"
            raise not_finite(place, model, torch.tensor([*ids, *written]), lm.reference)
        if chosen in ends:
            break
        written.append(chosen)
        text = str(tokenizer.decode(written, skip_special_tokens=True))
        if is_finished(text) or (not asked.chat and is_one_line(text)):
            break
        step, past = torch.tensor([[chosen]], device=model.device), output.past_key_values
    return Answer(text, asked.plain_reason)


def _end_ids(lm: LanguageModel) -> set[int]:
    named = [lm.tokenizer.eos_token_id if lm.tokenizer else None, lm.model.config.get_text_config().eos_token_id]
    generation = lm.model.generation_config
    if generation is not None:
        named.append(generation.eos_token_id)
    return {token for ids in named if ids is not None for token in (ids if isinstance(ids, list) else [ids])}

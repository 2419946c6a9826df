"""A model's own answer to a question, token by token, always the likeliest one; and the list of words in it."""

import re

import torch

from lm.architecture import context_length
from lm.finite import not_finite
from lm.loading import LanguageModel
from nsa.prompts import question_ids

MOST_TOKENS = 128
LEAST_TOKENS = 32
"""Room that an answer needs: a list of some ten words."""

# Chat models like to repeat the words that the answer was to follow.
_LIST = re.compile(r"^[ \t]*(?:Influential words:[ \t]*)?\[([^\[\]\n]*)\]", re.MULTILINE | re.IGNORECASE)
_QUOTED = re.compile(r"""(["'])(.+)\1""")


def parse_answer(text: str) -> tuple[str, ...]:
    """The words of a model's answer: a line that begins with `[word1,word2,...]`, blanks after the commas or not, the
    words bare or in quotes.

    An answer of any other form names no words; neither does a list with an empty place.
    """
    found = _LIST.search(text)
    if found is None:
        return ()
    words = [_QUOTED.sub(r"\2", word.strip()).strip() for word in found.group(1).split(",")]
    return tuple(words) if all(words) else ()


@torch.no_grad()
def answer(lm: LanguageModel, prompt: str, most: int = MOST_TOKENS) -> str | None:
    """The greedy continuation of `prompt` up to the end of its list of words, an end token or `most` tokens.

    Without a chat template it also ends with its first line. None when the context has no room for an answer.
    Raises NotFinite for a token whose logits are NaN or infinite.
    """
    tokenizer, model = lm.tokenizer, lm.model
    assert tokenizer is not None
    ids = question_ids(tokenizer, prompt)
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
        if _LIST.search(text) or (tokenizer.chat_template is None and "\n" in text.lstrip()):
            break
        step, past = torch.tensor([[chosen]], device=model.device), output.past_key_values
    return text


def _end_ids(lm: LanguageModel) -> set[int]:
    named = [lm.tokenizer.eos_token_id if lm.tokenizer else None, lm.model.config.get_text_config().eos_token_id]
    generation = lm.model.generation_config
    if generation is not None:
        named.append(generation.eos_token_id)
    return {token for ids in named if ids is not None for token in (ids if isinstance(ids, list) else [ids])}

"""Generates a model's answer to a question by greedy decoding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import context_length
from prunescope.lm.finite import not_finite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.prompts import question
from prunescope.nsa.word_lists import is_finished, is_one_line, parse_answer

__all__ = ["Answer", "answer", "parse_answer"]

MAX_TOKENS = 128
MIN_TOKENS = 32
"""Minimum number of tokens that the context must have free for an answer; enough for a list of about ten words."""

CACHE_TOLERANCE = 0.05
"""Maximum relative difference between logits with and without the key-value cache that is attributed to rounding."""


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
    ends = _end_ids(lm)
    next_logits, text = _NextLogits(model), ""
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


class _NextLogits:
    """Computes the next token's logits for a growing text, with the key-value cache if it gives the same result as a
    full pass.

    Some architectures have no cache (GPT-1), and some have one that is wrong or fails. Therefore the second call
    compares the cache with a full pass; if the two differ, all later calls are full passes.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._calls = 0
        self._cached = True
        self._past: object = None

    def after(self, ids: Sequence[int]) -> Float[Tensor, " vocabulary"]:
        """Return the logits of the token after `ids`, which are the ids of the previous call and one more."""
        self._calls += 1
        found = self._from_cache(ids) if self._cached else None
        if found is not None and self._calls != 2:
            return found
        whole: Float[Tensor, " vocabulary"] = self._model(input_ids=self._tensor(ids), use_cache=False).logits[0, -1]
        self._cached = found is not None and _alike(found, whole)
        return whole

    def _from_cache(self, ids: Sequence[int]) -> Float[Tensor, " vocabulary"] | None:
        """Return the logits computed with the cache; None when the model has no cache or it fails."""
        new = ids if self._past is None else ids[-1:]
        try:
            output = self._model(input_ids=self._tensor(new), past_key_values=self._past, use_cache=True)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # models raise various types; the caller then runs a full pass
            return None
        self._past = getattr(output, "past_key_values", None)
        logits: Float[Tensor, " vocabulary"] = output.logits[0, -1]
        return None if self._past is None else logits

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], device=self._model.device)


def _alike(one: Float[Tensor, " vocabulary"], other: Float[Tensor, " vocabulary"]) -> bool:
    """Return whether the finite logits are equal up to rounding."""
    finite = one.isfinite() & other.isfinite()  # some logits are -inf by design
    one, other = one[finite].float(), other[finite].float()
    return bool((one - other).norm() <= CACHE_TOLERANCE * other.norm())


def _end_ids(lm: LanguageModel) -> set[int]:
    """Return the ids of the tokens that end an answer, from the tokenizer, the config and the generation config."""
    named = [lm.tokenizer.eos_token_id if lm.tokenizer else None, lm.model.config.get_text_config().eos_token_id]
    generation = lm.model.generation_config
    if generation is not None:
        named.append(generation.eos_token_id)
    return {token for ids in named if ids is not None for token in (ids if isinstance(ids, list) else [ids])}

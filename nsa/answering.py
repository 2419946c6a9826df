"""A model's own answer to a question, token by token, always the likeliest one."""

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
"""Room that an answer needs: a list of some ten words."""

CACHE_TOLERANCE = 0.05
"""How far logits from a cache may be from those of a whole pass, relative to these: half precision rounds."""


@dataclass(frozen=True)
class Answer:
    """What the model wrote; `plain_reason` says why its chat template was not used, where it has one."""

    text: str
    plain_reason: str | None


@torch.no_grad()
def answer(lm: LanguageModel, prompt: str, most: int = MAX_TOKENS) -> Answer | None:
    """The greedy continuation of `prompt` up to the end of its list of words, an end token or `most` tokens.

    As plain text it also ends with its first line, unless that announces a list or begins one. None when the context
    has no room for an answer. Raises NotFinite for a token whose logits are NaN or infinite.
    """
    tokenizer, model = lm.tokenizer, lm.model
    assert tokenizer is not None
    asked = question(tokenizer, prompt)
    ids = asked.ids
    room = min(most, context_length(model) - len(ids))
    if room < min(most, MIN_TOKENS):
        return None
    ends = _end_ids(lm)
    reading, text = _Reading(model), ""
    written: list[int] = []
    for _ in range(room):
        logits = reading.logits_after([*ids, *written])
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
    return Answer(text, asked.plain_reason)


class _Reading:
    """Reads a text that grows by a token at a time: from the model's cache, where that gives what a whole pass does.

    Some architectures keep none (GPT-1), and some have one that is wrong or fails: it is tried with the second text.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._texts = 0
        self._cached = True
        self._past: object = None

    def logits_after(self, ids: Sequence[int]) -> Float[Tensor, " vocabulary"]:
        """The logits of the token behind `ids`."""
        self._texts += 1
        found = self._from_cache(ids) if self._cached else None
        if found is not None and self._texts != 2:
            return found
        whole: Float[Tensor, " vocabulary"] = self._model(input_ids=self._tensor(ids), use_cache=False).logits[0, -1]
        self._cached = found is not None and _alike(found, whole)
        return whole

    def _from_cache(self, ids: Sequence[int]) -> Float[Tensor, " vocabulary"] | None:
        """The same, read behind what the cache holds; None where there is none, or it fails."""
        new = ids if self._past is None else ids[-1:]
        try:
            output = self._model(input_ids=self._tensor(new), past_key_values=self._past, use_cache=True)
        except torch.OutOfMemoryError:
            raise
        except Exception:  # each model's own code fails in its own way; a whole pass does without a cache
            return None
        self._past = getattr(output, "past_key_values", None)
        logits: Float[Tensor, " vocabulary"] = output.logits[0, -1]
        return None if self._past is None else logits

    def _tensor(self, ids: Sequence[int]) -> Tensor:
        return torch.tensor([list(ids)], device=self._model.device)


def _alike(one: Float[Tensor, " vocabulary"], other: Float[Tensor, " vocabulary"]) -> bool:
    finite = one.isfinite() & other.isfinite()  # some logits are -inf by design
    one, other = one[finite].float(), other[finite].float()
    return bool((one - other).norm() <= CACHE_TOLERANCE * other.norm())


def _end_ids(lm: LanguageModel) -> set[int]:
    named = [lm.tokenizer.eos_token_id if lm.tokenizer else None, lm.model.config.get_text_config().eos_token_id]
    generation = lm.model.generation_config
    if generation is not None:
        named.append(generation.eos_token_id)
    return {token for ids in named if ids is not None for token in (ids if isinstance(ids, list) else [ids])}

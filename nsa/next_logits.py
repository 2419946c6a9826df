"""Next-token logits of a growing sequence, with the key-value cache where it gives the same result as a full pass."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedModel

CACHE_TOLERANCE = 0.05
"""Maximum relative difference between logits with and without the key-value cache that is attributed to rounding."""


class NextLogits:
    """Computes the next token's logits for a growing sequence of tokens.

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

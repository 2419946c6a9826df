"""The divergence of a pruned variant's next-token prediction from the dense model's, at every token.

    KL(dense || pruned) = sum over the vocabulary of p (log p - log p')      in nats

p is the dense model's probability of each next token, p' the variant's. The decoder's results are recorded in the
passes that record activations (`nsa.recording`); logits are computed from them for pieces of the vocabulary and
accumulated as in an online softmax, so that neither two models nor all logits are in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.nsa.split.changes import MAX_PAIRS, MAX_WEIGHTS, slices

MAX_ERROR = 0.02
"""Maximum relative error (Frobenius norm) of the logits that a head computes."""

TRIED_TOKENS = 16
"""Number of tokens whose logits a head must reproduce."""


@dataclass(frozen=True)
class Head:
    """How logits follow from the decoder's result h: l = scale (W h + b), or cap tanh(l / cap) if there is a cap."""

    scale: float = 1.0
    cap: float | None = None

    def logits(self, hidden: Tensor, rows: Tensor, bias: Tensor | None) -> Float[Tensor, "tokens vocabulary"]:
        """Return the logits of the tokens of the vocabulary whose rows of W (and b) are given."""
        found = (hidden @ rows.T if bias is None else torch.addmm(bias, hidden, rows.T)) * self.scale
        return found if self.cap is None else self.cap * torch.tanh(found / self.cap)


@dataclass(frozen=True)
class Predictions:
    """One model's next-token predictions: the module of its output embedding, the type in which the model computes, and
    the decoder's results [tokens, width] at some tokens."""

    embedding: nn.Module
    dtype: torch.dtype
    hidden: Callable[[slice], Float[np.ndarray, "tokens width"]]


@torch.no_grad()
def find_head(model: PreTrainedModel, token_ids: Sequence[int]) -> Head | None:
    """Return the head that computes the model's logits from its decoder's result, tried with a few tokens; None if it
    is not an output embedding with at most a scale or a soft cap (final_logit_softcapping of the config)."""
    embedding = model.get_output_embeddings()
    if embedding is None:
        return None
    ids = torch.tensor([list(token_ids[:TRIED_TOKENS])], device=model.device)
    hidden = model.base_model(input_ids=ids, use_cache=False)[0][0].float()
    logits = model(input_ids=ids, use_cache=False).logits[0].float()
    weight, bias = _tensors(embedding)
    if hidden.shape[1] != weight.shape[1] or logits.shape[1] != len(weight):
        return None
    plain = Head().logits(hidden, weight.float(), None if bias is None else bias.float())
    heads = [Head(), Head(scale=float((plain * logits).sum() / (plain * plain).sum()))]
    if cap := getattr(model.config.get_text_config(decoder=True), "final_logit_softcapping", None):
        heads.append(Head(cap=float(cap)))
    for head in heads:
        found = head.logits(hidden, weight.float(), None if bias is None else bias.float())
        if float((found - logits).norm()) <= MAX_ERROR * float(logits.norm()):
            return head
    return None


def comparable(dense: nn.Module | None, pruned: nn.Module | None) -> bool:
    """Return whether both output embeddings exist and have one shape."""
    return dense is not None and pruned is not None and _tensors(dense)[0].shape == _tensors(pruned)[0].shape


@torch.no_grad()
def divergences(
    head: Head, dense: Predictions, pruned: Predictions, tokens: int, device: torch.device
) -> Float[np.ndarray, " tokens"]:
    """Return KL(dense || pruned) in nats of the prediction after each token."""
    state = torch.zeros(5, tokens, dtype=torch.float64)
    state[:2] = -torch.inf
    for rows in _rows(dense.embedding):
        parts = [_converted(side, rows, device) for side in (dense, pruned)]
        size = max(1, MAX_PAIRS // max(len(parts[0][0]), parts[0][0].shape[1]))
        for some in slices(slice(0, tokens), size):
            logits = [
                head.logits(torch.from_numpy(side.hidden(some)).to(device), *part)
                for side, part in zip((dense, pruned), parts, strict=True)
            ]
            state[:, some] = _accumulated(state[:, some].to(device), logits[0], logits[1]).cpu()
    largest, largest_pruned, total, total_pruned, difference = state
    found = difference / total - (largest + total.log()) + (largest_pruned + total_pruned.log())
    kl: np.ndarray = found.clamp(min=0).float().numpy()  # rounding can make it slightly negative
    return kl


def _accumulated(
    state: Float[Tensor, "5 tokens"], dense: Float[Tensor, "tokens some"], pruned: Float[Tensor, "tokens some"]
) -> Float[Tensor, "5 tokens"]:
    """Add the logits of some of the vocabulary. The state is, for each token: the largest logit of both models, the sum
    of exp(logit - largest) of both, and the sum of exp(dense logit - largest) times (dense - pruned logit). Overwrites
    `pruned`."""
    largest = torch.maximum(state[0], dense.amax(1).double())
    largest_pruned = torch.maximum(state[1], pruned.amax(1).double())
    weights = (dense - largest[:, None].float()).exp_()
    differences = dense - pruned
    weights_pruned = pruned.sub_(largest_pruned[:, None].float()).exp_()
    before, before_pruned = (state[0] - largest).exp(), (state[1] - largest_pruned).exp()
    return torch.stack(
        [
            largest,
            largest_pruned,
            state[2] * before + weights.sum(1),
            state[3] * before_pruned + weights_pruned.sum(1),
            state[4] * before + torch.linalg.vecdot(weights, differences),
        ]
    )


def _rows(embedding: nn.Module) -> Iterator[slice]:
    rows, width = _tensors(embedding)[0].shape
    return slices(slice(0, rows), max(1, MAX_WEIGHTS // width))


def _converted(side: Predictions, rows: slice, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return some rows of an output embedding and its bias in float32, rounded to the type in which the model computes
    before."""
    weight, bias = _tensors(side.embedding)
    return (
        weight[rows].to(device=device, dtype=side.dtype).float(),
        None if bias is None else bias[rows].to(device=device, dtype=side.dtype).float(),
    )


def _tensors(embedding: nn.Module) -> tuple[Tensor, Tensor | None]:
    weight, bias = cast(Tensor, embedding.weight), cast(Tensor | None, getattr(embedding, "bias", None))
    return weight.detach(), None if bias is None else bias.detach()

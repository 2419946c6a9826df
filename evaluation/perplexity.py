"""Perplexity on held-out text, as in the published code of GPTQ, SparseGPT and Wanda.

Windows do not overlap and are independent. Every token of a window except the first is predicted from the tokens before
it, and the perplexity is exp of the mean negative log-likelihood. The published code multiplies each window's mean by
`seqlen` and divides the sum by the number of all tokens, which gives the same mean over `seqlen - 1` predictions per
window. One departure: the published code computes the softmax in the model's dtype (float16), this module in float32.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev

import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

from prunescope.evaluation.batches import BatchSize, batch_size, in_batches
from prunescope.lm.errors import NotFinite
from prunescope.lm.finite import FLOAT32, is_narrow, not_finite

LARGEST_NLL = 700.0
"""Maximum mean negative log-likelihood in nats; exp of a larger one overflows a double."""

UNUSABLE = "its weights are not those of a working language model"


@dataclass(frozen=True)
class Perplexity:
    """A perplexity with its 95 % confidence interval.

    `perplexity` is exp(`nll`); `nll` is the mean negative log-likelihood in nats over all predicted tokens. `tokens` is
    their number, `windows` x (`seqlen` - 1).

    `interval` treats the windows as a sample: exp(mean -/+ t standard errors), with Student's t of `windows` - 1
    degrees of freedom. Neighbouring windows are similar, so the interval is somewhat too narrow. It is None for a
    single window, or if its upper end exceeds e^700. To compare two models on the same windows, use paired differences,
    which are much more precise than two intervals.

    `nlls` are the mean negative log-likelihoods of the windows, in order, for paired comparisons.
    """

    perplexity: float
    nll: float
    interval: tuple[float, float] | None
    tokens: int
    windows: int
    seqlen: int
    nlls: tuple[float, ...]


def _no_report(done: int, total: int) -> None:
    pass


def perplexity(
    model: PreTrainedModel,
    windows: Int[Tensor, "samples tokens"],
    *,
    batch: int | None = None,
    name: str | None = None,
    on_batch: Callable[[int, int], None] = _no_report,
) -> Perplexity:
    """Measure the model's perplexity on windows of at least two tokens.

    `batch` is the batch size in windows; None chooses it by the free memory (`batches.batch_size`). The batch size is
    halved when the GPU's memory runs out, and no batch that succeeded is computed again. `name` is the model's name in
    errors.

    `on_batch(windows done, total windows)` is called before the first and after every batch, and may raise Cancelled.
    Raises NotFinite, naming the window, when the model computes NaN or infinity, or when the perplexity exceeds e^700;
    OutOfMemory when a single window does not fit.
    """
    total, seqlen = windows.shape
    size = batch_size(model) if batch is None else BatchSize(batch * seqlen, batch)
    nlls: list[float] = []
    on_batch(0, total)
    for _, found in in_batches(windows.unbind(), len, size, partial(window_nlls, model)):
        for number, nll in enumerate(found, start=len(nlls)):
            if not math.isfinite(nll):
                place, of = f"window {number + 1} of {total}", f"for its {seqlen} tokens"
                raise not_finite(place, model, windows[number], name, of=of)
        nlls += found
        on_batch(len(nlls), total)
    mean = fmean(nlls)
    if mean > LARGEST_NLL:
        raise NotFinite(
            f"{name or type(model).__name__} has a mean negative log-likelihood of {mean:.0f} nats a token, too large "
            f"for a finite perplexity; {FLOAT32 if is_narrow(model) else UNUSABLE}"
        )
    return Perplexity(math.exp(mean), mean, _interval(nlls), total * (seqlen - 1), total, seqlen, tuple(nlls))


def window_nlls(model: PreTrainedModel, some: Sequence[Int[Tensor, " tokens"]]) -> list[float]:
    """The mean negative log-likelihood of each window's predicted tokens (nats, computed in float32), from one forward
    pass."""
    with torch.inference_mode():
        ids = torch.stack(list(some)).to(model.device)
        logits = model(input_ids=ids, use_cache=False).logits
        # One window at a time, because the float32 copy of the logits takes the most memory if the vocabulary is large.
        return torch.stack(
            [functional.cross_entropy(row[:-1].float(), own[1:]) for row, own in zip(logits, ids, strict=True)]
        ).tolist()


def _interval(nlls: list[float]) -> tuple[float, float] | None:
    if len(nlls) < 2:
        return None
    from scipy.stats import t  # the import takes a second

    mean, error = fmean(nlls), stdev(nlls) / math.sqrt(len(nlls))
    reach = float(t.ppf(0.975, len(nlls) - 1)) * error
    if mean + reach > LARGEST_NLL:
        return None
    return math.exp(max(0.0, mean - reach)), math.exp(mean + reach)

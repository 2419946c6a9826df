"""Perplexity on held-out text, as in the published code of GPTQ, SparseGPT and Wanda.

Windows do not overlap and are independent. Every token of a window but its first is predicted from those before it, and
the perplexity is exp of the mean negative log-likelihood. The published code multiplies each window's mean by its
`seqlen` tokens and divides the sum by all windows' tokens, which is the mean over the same `seqlen - 1` predictions.
One departure: there the softmax is in the model's dtype (float16), here in float32.
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
"""In nats; exp of more overflows a double."""

UNUSABLE = "its weights do not make a language model"


@dataclass(frozen=True)
class Perplexity:
    """A perplexity with its interval. `perplexity` = exp(`nll`), where `nll` is the mean negative log-likelihood in
    nats over all predicted `tokens`, `windows` x (`seqlen` - 1).

    `interval` is a 95 % interval that treats the windows as a sample: exp of their mean -/+ t standard errors, with
    Student's t of `windows` - 1 degrees of freedom. Neighbouring windows are similar, so it is somewhat too narrow. To
    compare two models on the same windows use paired differences, which are much more precise than two intervals. None
    for a single window, or if the upper end exceeds e^700.

    `nlls` are the windows' means, in order, for paired comparisons of models.
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

    The batch size is `batch` windows, or depends on the free memory (`batches.batch_size`); it is halved when the GPU's
    memory runs out, and no window is computed twice.

    `on_batch(windows done, total windows)` is called before the first and after every batch, and may raise Cancelled.
    `name` is the model's name in errors. Raises NotFinite, naming the window, for NaN or infinity, and OutOfMemory when
    a single window does not fit.
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
            f"{name or type(model).__name__} has a mean negative log-likelihood of {mean:.0f} nats a token, whose "
            f"perplexity is no number any more; {FLOAT32 if is_narrow(model) else UNUSABLE}"
        )
    return Perplexity(math.exp(mean), mean, _interval(nlls), total * (seqlen - 1), total, seqlen, tuple(nlls))


def window_nlls(model: PreTrainedModel, some: Sequence[Int[Tensor, " tokens"]]) -> list[float]:
    """The mean negative log-likelihood (nats, float32) of each window's tokens except its first, in one forward
    pass."""
    with torch.inference_mode():
        ids = torch.stack(list(some)).to(model.device)
        logits = model(input_ids=ids, use_cache=False).logits
        # Window by window, because the float32 copy of a large vocabulary's logits takes the most memory.
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

"""Perplexity on held-out text, as the published code of GPTQ, SparseGPT and Wanda takes it.

Windows do not overlap, each is read by itself, every token of a window but its first is predicted from those before it,
and exp of the mean negative log-likelihood is the perplexity. The published code multiplies each window's mean by its
`seqlen` tokens and divides by all windows' tokens in the end, which is the mean over the same `seqlen - 1` predictions.
One departure: its softmax is taken in the model's own type (float16), ours in float32.
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
"""Nats; e to the power of more is beyond the numbers that a computer writes."""

UNUSABLE = "its weights do not make a language model"


@dataclass(frozen=True)
class Perplexity:
    """`perplexity` = exp(`nll`); `nll` is the mean negative log-likelihood in nats of all `tokens` that were predicted,
    `windows` x (`seqlen` - 1).

    `interval` is a 95 % interval, the windows taken for a sample of such text: exp of the windows' mean -/+ t standard
    errors, with Student's t of `windows` - 1 degrees of freedom. Neighbouring windows of one text are alike, so it is
    somewhat too narrow; two models on the same windows differ far more surely than their intervals say. None for a
    single window, or where it has no end below e^700.

    `nlls` are the windows' own means, in their order: two models on the same windows are compared by them.
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
    """The model's perplexity on windows of at least two tokens.

    How many windows go through the model at once depends on what memory is free (`batches.batch_size`), unless `batch`
    is given; either is halved when the GPU's memory runs out, and no window is read twice.

    `on_batch(windows done, windows in all)` is called before the first and after every batch, and may raise Cancelled.
    `name` is what errors call the model. Raises NotFinite, with the window, when it gives NaN or infinity, OutOfMemory
    when a single window is too much.
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
    """The mean negative log-likelihood (nats, float32) of each window's tokens but its first; one pass."""
    with torch.inference_mode():
        ids = torch.stack(list(some)).to(model.device)
        logits = model(input_ids=ids, use_cache=False).logits
        # One window after another: the float32 copy of a large vocabulary's logits is the largest thing here.
        return torch.stack(
            [functional.cross_entropy(row[:-1].float(), own[1:]) for row, own in zip(logits, ids, strict=True)]
        ).tolist()


def _interval(nlls: list[float]) -> tuple[float, float] | None:
    if len(nlls) < 2:
        return None
    from scipy.stats import t  # a second to import

    mean, error = fmean(nlls), stdev(nlls) / math.sqrt(len(nlls))
    reach = float(t.ppf(0.975, len(nlls) - 1)) * error
    if mean + reach > LARGEST_NLL:
        return None
    return math.exp(max(0.0, mean - reach)), math.exp(mean + reach)

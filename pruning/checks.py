"""Checks before and during pruning: patterns, calibration windows, and finite weights.

BadInput
└── NumericalError       numerically unusable values; `prune` adds advice that depends on the dtype of computation
    └── NotFinite        NaN or infinity
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunescope.lm.architecture import context_length, linears, weight_view
from prunescope.lm.errors import BadData, BadInput
from prunescope.lm.positions import length_switches
from prunescope.pruning.patterns import NofM, Pattern


class NumericalError(BadInput):
    """Numerically unusable values; `prune` adds advice that depends on the dtype of computation."""

    code: ClassVar[str] = "numerical-error"


class NotFinite(NumericalError):
    """NaN or infinity; the message names the place where it was computed."""

    code: ClassVar[str] = "not-finite"


def check_fits(layers: Sequence[nn.Module], pattern: Pattern) -> None:
    """Raise BadPattern when an n:m pattern does not fit one of the layers' matrices: m must divide the number of
    columns."""
    for index, layer in enumerate(layers):
        for name, module in linears(layer).items():
            if isinstance(pattern, NofM):
                pattern.check_fits(weight_view(module).shape[1], f"layer {index} {name}")


def check_windows(
    model: PreTrainedModel, windows: Int[Tensor, "samples tokens"], lengths: Int[Tensor, " samples"] | None
) -> None:
    """Raise BadData when the windows are empty, longer than the model's context, or contain unknown token ids, when
    `lengths` does not match them, or when padding would change the position encoding of short texts
    (`length_switches`)."""
    if not windows.numel():
        raise BadData(
            f"calibration windows have shape {list(windows.shape)}; [samples, tokens] is needed, neither of them 0"
        )
    samples, tokens = windows.shape
    if lengths is not None and (lengths.shape != (samples,) or lengths.min() < 1 or lengths.max() > tokens):
        raise BadData(
            f"lengths {list(lengths.shape)} from {int(lengths.min())} to {int(lengths.max())} do not belong to "
            f"{samples} windows of {tokens} tokens: one of 1 to {tokens} is needed for each"
        )
    context = context_length(model)
    if tokens > context:
        raise BadData(f"windows of {tokens} tokens, but the model reads at most {context}: give a smaller seqlen")
    for switch in length_switches(model):
        if lengths is not None and int(lengths.min()) <= switch < tokens:
            raise BadData(
                f"texts of {int(lengths.min())} tokens padded to {tokens}: in a window of more than {switch} tokens "
                f"the model encodes the positions of all tokens differently (longrope); give a seqlen of at most "
                f"{switch}, or fill the windows (mode concat)"
            )
    vocabulary = len(cast(Tensor, model.get_input_embeddings().weight))
    low, high = int(windows.min()), int(windows.max())
    if low < 0 or high >= vocabulary:
        raise BadData(
            f"token id {low if low < 0 else high} is not among the model's {vocabulary}: "
            f"the windows were made with another tokenizer"
        )


def check_finite(weight: Float[Tensor, "rows columns"], place: str) -> None:
    """Raise NotFinite, with `place` in the message, when a weight is NaN or infinite."""
    # A sum that includes NaN or infinity is not finite. The second check is for an overflow of finite numbers.
    if not bool(weight.float().sum().isfinite()) and not bool(weight.isfinite().all()):
        raise NotFinite(f"{place}: the weights hold {'NaN' if bool(weight.isnan().any()) else 'infinity'}")


def advice(error: NumericalError, dtype: torch.dtype) -> str:
    """Return advice on a numerical error that occurred when computing in `dtype`, to be appended to its message; may be
    empty."""
    if dtype == torch.float16:
        return "; float16 holds at most 65504: compute in a wider type (--dtype float32 or bfloat16)"
    if dtype == torch.bfloat16:
        return "; compute in a type with more digits (--dtype float32)"
    if isinstance(error, NotFinite):
        used = str(dtype).removeprefix("torch.")
        return f"; computed in {used} already: the checkpoint is damaged, or does not belong to its config"
    return ""


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Prefix the message of a BadInput raised in the block with `place`."""
    try:
        yield
    except BadInput as error:
        raise type(error)(f"{place}: {error}") from error

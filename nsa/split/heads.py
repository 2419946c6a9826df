"""The attention heads of a model, and what they write while texts are recorded.

A head is a block of consecutive input features of its layer's output projection (`lm.attention`). Its write into a
dimension of the residual stream is these features times their output weights for it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from torch import nn
from transformers import PreTrainedModel

from prunescope.lm.attention import attention_before_mlp, attention_outputs
from prunescope.lm.errors import UnsupportedModel
from prunescope.nsa.archive import Archive


@dataclass(frozen=True)
class Heads:
    """The output projection of every layer's attention, the number of heads of a layer, and for every layer whether its
    MLP reads what its attention writes (not so where both are computed in parallel)."""

    outputs: list[nn.Module]
    count: int
    before_mlp: list[bool]


def heads_of(model: PreTrainedModel) -> Heads | None:
    """Return the attention heads of a model; None if its output projections cannot be found (`attention_outputs`)."""
    try:
        outputs, count = attention_outputs(model)
    except UnsupportedModel:
        return None
    return Heads(outputs, count, attention_before_mlp(model, outputs))


def attention_of(variant: str) -> str:
    """Return the name of the temporary file with the inputs of a variant's attention outputs at the influential
    tokens."""
    return f"attention/{variant}"


def spool_influential(
    archive: Archive,
    name: str,
    influential: Bool[np.ndarray, " tokens"],
    layer: int,
    start: int,
    values: Float[np.ndarray, "some width"],
) -> None:
    """Write the values of a text's tokens from the first to the last influential one to a temporary file. `start` is
    the position of the text's first token."""
    places = np.flatnonzero(influential[start : start + len(values)])
    if len(places):
        archive.spool(name, layer, start + int(places[0]), values[places[0] : places[-1] + 1])

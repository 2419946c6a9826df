"""Splits the change of every neuron of a layer, at every token, into the effect of its own weights and the effect of
changed inputs (damage upstream).

With W, x the dense model's weights of the neuron and input of its MLP, W', x' those of the pruned model, and f the
MLP's form (`nsa.split.form`):

    change     f(W', x') - f(W, x)
    own        half of [f(W', x') - f(W, x')] + [f(W', x) - f(W, x)]
    upstream   half of [f(W', x') - f(W', x)] + [f(W, x') - f(W, x)]

Own and upstream add up to the change. Each is the mean of the two orders in which weights and inputs can be exchanged
(the Shapley value of two players), so neither is favoured. A neuron whose weights are unchanged has an own part of
exactly 0. All of it is computed in float32.

The same with A(f) in place of f, where A is the attribution's transform of activations, splits the change of A, and so
the drop on a word.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from prunescope.nsa.examples import Positions
from prunescope.nsa.split.form import Form, input_width, parts_of

MAX_WEIGHTS = 1 << 22
"""Maximum number of weights of one matrix that are converted to float32 at once (16 MiB)."""

MAX_PAIRS = 1 << 20
"""Maximum number of (neuron, token) or (input dimension, token) pairs that are computed at once, for each model's
inputs."""

Inputs = Callable[[slice], Float[np.ndarray, "tokens hidden"]]
"""Returns the MLP's inputs at some tokens."""


@dataclass(frozen=True)
class Parts:
    """The own and the upstream part of a change; tensors of the same shape."""

    own: Tensor
    upstream: Tensor


@dataclass(frozen=True)
class Side:
    """One model's side of the split of one layer: the layer, the type in which its model computes, and the inputs of
    its MLP."""

    layer: nn.Module
    dtype: torch.dtype
    inputs: Inputs


@dataclass(frozen=True)
class Block:
    """The split of some neurons of a layer.

    `own` [neurons, tokens] are the own parts of the change of f. `words` are the means over the tokens of each word of
    A(f(W, x)), and of the own and upstream parts of its change. `product` is the sum of own part times change of f over
    the neurons and the counted tokens, and `square` that of the squared change, so product / square is the share of the
    change that the own parts explain.
    """

    own: Float[np.ndarray, "neurons tokens"]
    words: Float[np.ndarray, "3 neurons words"]
    product: float
    square: float


def split(dense: Tensor, dense_on_pruned: Tensor, pruned_on_dense: Tensor, pruned: Tensor) -> Parts:
    """Split pruned - dense = f(W', x') - f(W, x). The others are f(W, x') and f(W', x)."""
    own = (pruned - dense_on_pruned + (pruned_on_dense - dense)) / 2
    upstream = (pruned - pruned_on_dense + (dense_on_pruned - dense)) / 2
    return Parts(own, upstream)


@dataclass(frozen=True)
class Marks:
    """The tokens over which parts are pooled: 1 at the tokens of each word, and the counted tokens."""

    words: Float[Tensor, "words tokens"]
    counted: Bool[Tensor, " tokens"]

    @staticmethod
    def of(positions: Positions) -> "Marks":
        """Return the marks of an attribution's words and counted tokens."""
        words = torch.zeros(len(positions.words), len(positions.text))
        for row, places in zip(words, positions.words.values(), strict=True):
            row[torch.from_numpy(places)] = 1
        return Marks(words, torch.from_numpy(positions.counted))


def split_block(
    form: Form,
    dense: Side,
    pruned: Side,
    neurons: slice,
    marks: Marks,
    change: Callable[[Tensor], Tensor],
    device: torch.device,
) -> Block:
    """Split the changes of some neurons of one layer. `change` is the transform A (`scoring.transform`).

    Temporary memory depends on neither the number of neurons nor that of tokens, except for `own`, in float16.
    """
    own = np.empty((neurons.stop - neurons.start, len(marks.counted)), dtype=np.float16)
    sums = np.zeros((3, len(own), len(marks.words)))
    product = square = 0.0
    for rows, some, values in _pieces(form, dense, pruned, neurons, len(marks.counted), device):
        of_a = [change(each) for each in values]
        raw, transformed = split(*values), split(*of_a)
        place = slice(rows.start - neurons.start, rows.stop - neurons.start)
        own[place, some] = raw.own.to("cpu", torch.float16).numpy()
        words = marks.words[:, some].to(device).T
        for kind, each in enumerate((of_a[0], transformed.own, transformed.upstream)):
            sums[kind, place] += (each @ words).double().cpu().numpy()
        changes = ((raw.own + raw.upstream) * marks.counted[some].to(device)).flatten()
        product += float(raw.own.flatten() @ changes)
        square += float(changes @ changes)
    return Block(own, sums / np.maximum(marks.words.sum(1).numpy(), 1), product, square)


def _pieces(
    form: Form, dense: Side, pruned: Side, neurons: slice, tokens: int, device: torch.device
) -> Iterator[tuple[slice, slice, tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """Yield f(W, x), f(W, x'), f(W', x) and f(W', x') of pieces of the neurons at pieces of the tokens, as (neurons,
    tokens, values). Weights are converted once; both models' inputs go through a matrix together."""
    hidden = input_width(dense.layer)
    size = max(1, MAX_WEIGHTS // hidden)
    for rows in slices(neurons, size):
        weights = [parts_of(side.layer, rows, device, side.dtype) for side in (dense, pruned)]
        for some in slices(slice(0, tokens), max(1, MAX_PAIRS // max(rows.stop - rows.start, hidden))):
            both = torch.cat([torch.from_numpy(side.inputs(some)).to(device) for side in (dense, pruned)])
            of_dense, of_pruned = (form.activations(parts, both).chunk(2, dim=1) for parts in weights)
            yield rows, some, (of_dense[0], of_dense[1], of_pruned[0], of_pruned[1])


def slices(whole: slice, size: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `size` items of a slice."""
    for first in range(whole.start, whole.stop, size):
        yield slice(first, min(first + size, whole.stop))

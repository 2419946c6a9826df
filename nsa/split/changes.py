"""Splits the change of every neuron of a layer, at every token, into the effect of its own weights and the effect of
changed inputs (damage upstream).

With W, x the dense model's weights of the neuron and input of its MLP, W', x' those of the pruned model, and f the
MLP's form (`nsa.split.form`):

    change     f(W', x') - f(W, x)
    own        half of [f(W', x') - f(W, x')] + [f(W', x) - f(W, x)]
    upstream   half of [f(W', x') - f(W', x)] + [f(W, x') - f(W, x)]

Own and upstream add up to the change. Each is the mean of the two orders in which weights and inputs can be exchanged
(the Shapley value of two players), so neither is favoured. A neuron whose weights are unchanged has an own part of
exactly 0, and a token whose input is unchanged an upstream part of exactly 0.

f is computed in float32. If both models compute in float32, f(W, x) and f(W', x') are the recorded activations, rounded
to float16. Activations of a model that computes in a 16-bit type have its rounding errors, which can be as large as a
change, so f(W, x) and f(W', x') are computed again.

The same with A(f) in place of f, where A is the attribution's transform of activations, splits the change of A, and so
the drop on a word.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from prunescope.nsa.examples import Positions
from prunescope.nsa.split.form import Form, Part, input_width, parts_of

MAX_WEIGHTS = 1 << 22
"""Maximum number of weights of one matrix that are converted to float32 at once (16 MiB)."""

MAX_PAIRS = 1 << 20
"""Maximum number of (neuron, token) or (input dimension, token) pairs that are computed at once, for each model's
inputs."""

Inputs = Callable[[slice], Float[np.ndarray, "tokens hidden"]]
"""Returns the MLP's inputs at some tokens."""

Recorded = tuple[Float[np.ndarray, "neurons tokens"], Float[np.ndarray, "neurons tokens"]]
"""Recorded activations (float16) of some neurons of a layer, of the dense and of the pruned model."""


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
    upstream = (pruned - pruned_on_dense + (dense_on_pruned - dense)) / 2
    return Parts(own_part(dense, dense_on_pruned, pruned_on_dense, pruned), upstream)


def own_part(dense: Tensor, dense_on_pruned: Tensor, pruned_on_dense: Tensor, pruned: Tensor) -> Tensor:
    """Return the own part of the change; the arguments are those of `split`."""
    return (pruned - dense_on_pruned).add_(pruned_on_dense - dense).div_(2)


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
    recorded: Recorded | None = None,
) -> Block:
    """Split the changes of some neurons of one layer. `change` is the transform A (`scoring.transform`). `recorded`:
    both models' activations f(W, x) and f(W', x'); None: they are computed, too.

    Temporary memory depends on neither the number of neurons nor that of tokens, except for `own`, in float16.
    """
    own = np.empty((neurons.stop - neurons.start, len(marks.counted)), dtype=np.float16)
    sums = np.zeros((3, len(own), len(marks.words)))
    product = square = 0.0
    for place, some, values in _pieces(form, dense, pruned, neurons, len(marks.counted), device, recorded):
        own_parts = own_part(*values)
        own[place, some] = own_parts.to("cpu", torch.float16).numpy()
        changes = (values[3] - values[0]).mul_(marks.counted[some].to(device)).flatten()
        product += float(own_parts.flatten() @ changes)
        square += float(changes @ changes)
        spelling = marks.words[:, some].any(0).nonzero()[:, 0].to(device)  # few tokens are of a word
        words = marks.words[:, some].to(device)[:, spelling].T
        of_a = [change(each[:, spelling]) for each in values]
        transformed = split(*of_a)
        for kind, each in enumerate((of_a[0], transformed.own, transformed.upstream)):
            sums[kind, place] += (each @ words).double().cpu().numpy()
    return Block(own, sums / np.maximum(marks.words.sum(1).numpy(), 1), product, square)


def _pieces(
    form: Form,
    dense: Side,
    pruned: Side,
    neurons: slice,
    tokens: int,
    device: torch.device,
    recorded: Recorded | None,
) -> Iterator[tuple[slice, slice, tuple[Tensor, Tensor, Tensor, Tensor]]]:
    """Yield f(W, x), f(W, x'), f(W', x) and f(W', x') of pieces of the neurons at pieces of the tokens, as (neurons
    counted from the first of `neurons`, tokens, values). Weights are converted once."""
    hidden = input_width(dense.layer)
    size = max(1, MAX_WEIGHTS // hidden)
    for rows in slices(neurons, size):
        place = slice(rows.start - neurons.start, rows.stop - neurons.start)
        weights = [parts_of(side.layer, rows, device, side.dtype) for side in (dense, pruned)]
        same_weights = ~_changed(*weights)
        for some in slices(slice(0, tokens), max(1, MAX_PAIRS // max(rows.stop - rows.start, hidden))):
            x, x_pruned = (torch.from_numpy(side.inputs(some)).to(device) for side in (dense, pruned))
            if recorded is None:
                before, after = form.activations(weights[0], x), form.activations(weights[1], x_pruned)
            else:
                before, after = (torch.from_numpy(each[place, some]).to(device).float() for each in recorded)
            dense_on_pruned, pruned_on_dense = form.activations(weights[0], x_pruned), form.activations(weights[1], x)
            same = ~_differ(x, x_pruned)
            if same.any():
                dense_on_pruned[:, same], pruned_on_dense[:, same] = before[:, same], after[:, same]
            if same_weights.any():
                dense_on_pruned[same_weights], pruned_on_dense[same_weights] = after[same_weights], before[same_weights]
            yield place, some, (before, dense_on_pruned, pruned_on_dense, after)


def _differ(some: Float[Tensor, "rows columns"], others: Float[Tensor, "rows columns"]) -> Bool[Tensor, " rows"]:
    """Return which rows differ."""
    return (some - others).abs_().amax(1) != 0


def _changed(dense: Sequence[Part], pruned: Sequence[Part]) -> Bool[Tensor, " neurons"]:
    """Return which neurons have a weight or bias that differs between the two models."""
    differ = [
        _differ(rows, others) | (False if bias is None or other is None else bias != other)
        for (rows, bias), (others, other) in zip(dense, pruned, strict=True)
    ]
    return torch.stack(differ).any(0)


def slices(whole: slice, size: int) -> Iterator[slice]:
    """Yield consecutive slices of at most `size` items of a slice."""
    for first in range(whole.start, whole.stop, size):
        yield slice(first, min(first + size, whole.stop))

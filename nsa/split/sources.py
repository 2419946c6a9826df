"""The changed weights that moved a neuron most, and the neurons and attention heads that write what these weights read.

    contribution of weight (i, d)     mean over the influential tokens of (W' - W)_id x'_td

Summed over d this is exactly the own part of the mean change of the neuron's pre-activation (z' - z = (W' - W) x' +
W (x' - x)). Input dimension d of an MLP is dimension d of the residual stream after a norm. A writer is a neuron of a
lower layer, or an attention head of a lower layer or of the MLP's own layer. What it writes into dimension d is the
mean over the influential tokens, in the dense model, of its contribution to what its layer adds there:

    neuron j      W_down[d, j] times the mean activation of j
    head h        sum over the features c of h of W_out[d, c] times the mean of feature c

Norms, biases and the embedding are left out.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.nsa.archive import MAX_VALUES, Archive
from prunescope.nsa.split.changes import MAX_WEIGHTS, Inputs, Side, slices
from prunescope.nsa.split.form import input_width, parts_of
from prunescope.nsa.split.heads import Heads, attention_of

WEIGHTS = 5
"""Number of changed weights that are stored of a neuron."""

WRITERS = 5
"""Number of neurons and attention heads that are stored of an input dimension."""


def mean_inputs(inputs: Inputs, tokens: Int[np.ndarray, " some"]) -> Float[np.ndarray, " width"]:
    """Return the mean of recorded inputs at these tokens."""
    total = sum(inputs(slice(token, token + 1))[0].astype(np.float64) for token in tokens.tolist())
    mean: np.ndarray = total / max(1, len(tokens))
    return mean


def changed_weights(
    dense: Side, pruned: Side, neurons: int, inputs: Float[np.ndarray, " hidden"], device: torch.device
) -> Float[np.ndarray, "neurons columns"]:
    """Return the weights with the largest contributions of every neuron of a layer, the largest magnitude first, for
    the variant's mean MLP `inputs`.

    The 2 x WEIGHTS columns are the indices of the weights, matrix * hidden + input dimension (matrices in the order of
    `Form.names`), and their contributions. Missing ones (fewer weights have changed) are NaN.
    """
    mean = torch.from_numpy(inputs).float().to(device)
    rows = []
    for some in slices(slice(0, neurons), max(1, MAX_WEIGHTS // len(inputs))):
        both = [parts_of(side.layer, some, device, side.dtype) for side in (dense, pruned)]
        moved = torch.cat([(after - before) * mean for (before, _), (after, _) in zip(*both, strict=True)], dim=1)
        places = moved.abs().topk(min(WEIGHTS, moved.shape[1]), dim=1).indices
        sizes = moved.gather(1, places)
        known = sizes != 0
        rows.append(torch.cat([places.float().where(known, torch.nan), sizes.where(known, torch.nan)], 1).cpu().numpy())
    return np.concatenate(rows)


def writers(
    model: PreTrainedModel,
    layers: Sequence[int],
    archive: Archive,
    dense: str,
    tokens: Int[np.ndarray, " some"],
    heads: Heads | None,
) -> tuple[Int[np.ndarray, "layers hidden writers"], Float[np.ndarray, "layers hidden writers"]] | None:
    """Return the neurons of lower recorded layers and the attention heads that write most into each input dimension of
    each layer's MLP, the largest magnitude first, and how much they write (NaN: no further writer).

    A neuron is layer * neurons + neuron, a head (number of layers) * neurons + layer * heads + head; -1: none. Heads
    are those of lower recorded layers and, if the MLP reads what the attention of its own layer writes, of that layer.
    `heads` None: there are only neurons. Returns None if an MLP does not read as many dimensions as it writes.
    """
    found = decoder_layers(model)
    shapes = {weight_view(down_projection(layer)).shape for layer in found}
    (hidden, neurons), *others = shapes
    if others or any(input_width(layer) != hidden for layer in found):
        return None
    best = np.full((len(found), hidden, WRITERS), -1, dtype=np.int32)
    sizes = np.full(best.shape, np.nan, dtype=np.float32)
    largest = _Largest(hidden, weight_view(down_projection(found[0])).device)
    for layer in layers:
        first_head = len(found) * neurons + layer * (heads.count if heads else 0)
        if heads and heads.before_mlp[layer]:
            largest.add(slice(0, hidden), _written_by_heads(heads, layer, archive, dense, tokens), first_head)
        best[layer], sizes[layer] = largest.arrays()
        if heads and not heads.before_mlp[layer]:
            largest.add(slice(0, hidden), _written_by_heads(heads, layer, archive, dense, tokens), first_head)
        activations = torch.from_numpy(_mean_activations(archive, dense, layer, neurons, tokens)).to(largest.device)
        down = weight_view(down_projection(found[layer]))
        for some in slices(slice(0, hidden), max(1, MAX_VALUES // neurons)):
            largest.add(some, down[some].float() * activations, layer * neurons)
    return best, sizes


class _Largest:
    """The WRITERS writers of largest magnitude into each of `hidden` dimensions, among those that were added."""

    def __init__(self, hidden: int, device: torch.device) -> None:
        self.device = device
        self._writers = torch.full((hidden, WRITERS), -1, device=device)
        self._sizes = torch.zeros(hidden, WRITERS, device=device)

    def add(self, dimensions: slice, written: Float[Tensor, "some writers"], first: int) -> None:
        """Add what consecutive writers, numbered from `first` on, write into some dimensions."""
        places = written.abs().topk(min(WRITERS, written.shape[1]), dim=1).indices
        writers = torch.cat([self._writers[dimensions], places + first], 1)
        sizes = torch.cat([self._sizes[dimensions], written.gather(1, places)], 1)
        kept = sizes.abs().topk(WRITERS, dim=1).indices
        self._writers[dimensions], self._sizes[dimensions] = writers.gather(1, kept), sizes.gather(1, kept)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """The writers [hidden, writers] (-1: none) and what they write (NaN: none)."""
        sizes = self._sizes.where(self._writers >= 0, torch.nan)
        return self._writers.cpu().numpy(), sizes.cpu().numpy()


def _written_by_heads(
    heads: Heads, layer: int, archive: Archive, dense: str, tokens: Int[np.ndarray, " some"]
) -> Float[Tensor, "hidden heads"]:
    """Return what each head of a layer writes into each dimension, the mean over these tokens."""
    weight = weight_view(heads.outputs[layer])
    inputs = mean_inputs(partial(archive.spooled, attention_of(dense), layer), tokens)
    written = weight.float() * torch.from_numpy(inputs.astype(np.float32)).to(weight.device)
    return written.reshape(len(weight), heads.count, -1).sum(2)


def _mean_activations(
    archive: Archive, dense: str, layer: int, neurons: int, tokens: Int[np.ndarray, " some"]
) -> Float[np.ndarray, " neurons"]:
    total = np.zeros(neurons)
    for some in slices(slice(0, len(tokens)), max(1, MAX_VALUES // neurons)):
        total += archive.rows(dense, layer, np.arange(neurons), tokens[some]).sum(1, dtype=np.float64)
    mean: np.ndarray = (total / max(1, len(tokens))).astype(np.float32)
    return mean

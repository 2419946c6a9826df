"""The changed weights that moved a neuron most, and the neurons of lower layers that write what these weights read.

    contribution of weight (i, d)     mean over the influential tokens of (W' - W)_id x'_td

Summed over d this is exactly the own part of the mean change of the neuron's pre-activation (z' - z = (W' - W) x' +
W (x' - x)). Input dimension d of an MLP is dimension d of the residual stream after a norm. What neuron j of a lower
layer writes there is measured by its output weight for d times its mean activation over the influential tokens in the
dense model; the norm, the attention and the embedding are left out.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, down_projection, weight_view
from prunescope.nsa.archive import MAX_VALUES, Archive
from prunescope.nsa.split.changes import MAX_WEIGHTS, Side, slices
from prunescope.nsa.split.form import input_width, parts_of

WEIGHTS = 5
"""Number of changed weights that are stored of a neuron."""

WRITERS = 3
"""Number of neurons that are stored of an input dimension."""


def mean_inputs(side: Side, tokens: Int[np.ndarray, " some"]) -> Float[np.ndarray, " hidden"]:
    """Return the mean input of a layer's MLP at these tokens."""
    total = sum(side.inputs(slice(token, token + 1))[0].astype(np.float64) for token in tokens.tolist())
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
    model: PreTrainedModel, layers: Sequence[int], archive: Archive, dense: str, tokens: Int[np.ndarray, " some"]
) -> tuple[Int[np.ndarray, "layers hidden writers"], Float[np.ndarray, "layers hidden writers"]] | None:
    """Return the neurons of lower recorded layers that write most into each input dimension of each layer's MLP, the
    largest magnitude first (layer * neurons + neuron; -1: none), and how much (NaN: none). None if an MLP does not read
    as many dimensions as it writes."""
    found = decoder_layers(model)
    shapes = {weight_view(down_projection(layer)).shape for layer in found}
    (hidden, neurons), *others = shapes
    if others or any(input_width(layer) != hidden for layer in found):
        return None
    best = np.full((len(found), hidden, WRITERS), -1, dtype=np.int32)
    sizes = np.full(best.shape, np.nan, dtype=np.float32)
    device = weight_view(down_projection(found[0])).device
    running = torch.full((hidden, WRITERS), -1, device=device), torch.zeros(hidden, WRITERS, device=device)
    for layer in layers:
        best[layer] = running[0].cpu().numpy()
        sizes[layer] = running[1].where(running[0] >= 0, torch.nan).cpu().numpy()
        activations = torch.from_numpy(_mean_activations(archive, dense, layer, neurons, tokens)).to(device)
        down = weight_view(down_projection(found[layer]))
        for some in slices(slice(0, hidden), max(1, MAX_VALUES // neurons)):
            written = down[some].float() * activations
            places = written.abs().topk(min(WRITERS, neurons), dim=1).indices
            of = torch.cat([running[0][some], places + layer * neurons], 1)
            size = torch.cat([running[1][some], written.gather(1, places)], 1)
            kept = size.abs().topk(WRITERS, dim=1).indices
            running[0][some], running[1][some] = of.gather(1, kept), size.gather(1, kept)
    return best, sizes


def _mean_activations(
    archive: Archive, dense: str, layer: int, neurons: int, tokens: Int[np.ndarray, " some"]
) -> Float[np.ndarray, " neurons"]:
    total = np.zeros(neurons)
    for some in slices(slice(0, len(tokens)), max(1, MAX_VALUES // neurons)):
        total += archive.rows(dense, layer, np.arange(neurons), tokens[some]).sum(1, dtype=np.float64)
    mean: np.ndarray = (total / max(1, len(tokens))).astype(np.float32)
    return mean

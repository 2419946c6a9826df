"""The baseline: SparseGPT (Frantar and Alistarh, arXiv 2301.00774) organised as its published code is.

The maths is that of `pruning.methods.sparsegpt`; only the organisation of the computation differs, whose cost the
benchmark measures:

    one window at a time through the layer, twice, the last layer included
    a Hessian and its factorisation for each linear, though q, k and v (gate and up) read the same input
    the down-projection's product and every other output computed in the pass that only needs inputs
    a column loop over a copy of the block stored by rows, one outer product over the whole rest of the block a column
    a full sort for each block's threshold

Written for the benchmark after the paper's Algorithm 1; no part of the project uses it.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from prunescope.lm.architecture import decoder_layers, linears, weight_view
from prunescope.lm.hooks import record_inputs
from prunescope.pruning.capture import capture
from prunescope.pruning.patterns import NofM, Pattern

BLOCK, DAMPING = 128, 0.01


class Hessian:
    """H = 2/n * sum of x x^T over one linear's inputs, n the number of windows so far, in float32."""

    def __init__(self, columns: int, device: torch.device) -> None:
        self.total = torch.zeros(columns, columns, device=device)
        self.windows = 0

    def add(self, inputs: Float[Tensor, "1 tokens columns"]) -> None:
        """Add one window."""
        self.total *= self.windows / (self.windows + 1)
        self.windows += 1
        rows = inputs.reshape(-1, inputs.shape[-1]).float() * (2 / self.windows) ** 0.5
        self.total += rows.T @ rows


@torch.no_grad()
def prune(
    model: PreTrainedModel, pattern: Pattern, windows: Int[Tensor, "samples tokens"], device: torch.device
) -> None:
    """Prune all linears in the decoder layers in place; the layers are processed on `device`."""
    layers = list(decoder_layers(model))
    inputs = capture(model, layers, windows, 1, device)
    for index, layer in enumerate(layers):
        layer.to(device)
        modules = linears(layer)
        hessians = {name: Hessian(weight_view(module).shape[1], device) for name, module in modules.items()}
        with record_inputs(modules, partial(_receive, hessians)):
            for _, run in inputs.run(index, layer):
                run()
        for name, module in modules.items():
            weight = weight_view(module)
            weight.copy_(solved(weight.to(torch.float32, copy=True), hessians[name].total, pattern))
        inputs.advance(index, layer)
        layer.to("cpu")


def _receive(hessians: dict[str, Hessian], name: str, inputs: Tensor) -> None:
    hessians[name].add(inputs)


def solved(
    weight: Float[Tensor, "rows columns"], hessian: Float[Tensor, "columns columns"], pattern: Pattern
) -> Float[Tensor, "rows columns"]:
    """The pruned and updated weights; `weight` and `hessian` are overwritten."""
    columns = weight.shape[1]
    factor = _factor(weight, hessian)
    for start in range(0, columns, BLOCK):
        stop = min(start + BLOCK, columns)
        block, inner = weight[:, start:stop].clone(), factor[start:stop, start:stop]
        diagonal = inner.diagonal()
        final, errors = torch.zeros_like(block), torch.zeros_like(block)
        gone = torch.zeros_like(block, dtype=torch.bool)
        if not isinstance(pattern, NofM):
            scores = block.square() / diagonal.square()
            gone = scores <= scores.flatten().sort().values[int(scores.numel() * pattern.sparsity)]
        for column in range(stop - start):
            if isinstance(pattern, NofM) and column % pattern.m == 0:
                group = slice(column, column + pattern.m)
                scores = block[:, group].square() / diagonal[group].square()
                lowest = scores.topk(pattern.m - pattern.n, dim=1, largest=False).indices
                gone.scatter_(1, column + lowest, True)
            before = block[:, column]
            after = before.clone()
            after[gone[:, column]] = 0
            error = (before - after) / diagonal[column]
            final[:, column] = after
            block[:, column:] -= error.unsqueeze(1) @ inner[column, column:].unsqueeze(0)
            errors[:, column] = error
        weight[:, start:stop] = final
        weight[:, stop:] -= errors @ factor[start:stop, stop:]
    return weight


def _factor(
    weight: Float[Tensor, "rows columns"], hessian: Float[Tensor, "columns columns"]
) -> Float[Tensor, "columns columns"]:
    """The upper Cholesky factor of the damped Hessian's inverse; weights of inputs that are always zero are set to
    zero."""
    diagonal = hessian.diagonal()
    dead = diagonal == 0
    diagonal[dead] = 1
    weight[:, dead] = 0
    diagonal += DAMPING * diagonal.mean()
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor

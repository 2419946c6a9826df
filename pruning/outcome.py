"""Carrying a decision out: write it, then verify and measure what stands there now."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lm.architecture import weight_view
from pruning.methods.protocol import Decision
from pruning.patterns import Pattern
from pruning.reports import MatrixReport
from pruning.verification import verified_sparsity
from pruning.visit import Visit


def carry_out(
    visit: Visit,
    layer: int,
    name: str,
    module: nn.Module,
    decision: Decision,
    pattern: Pattern,
    sample: Float[Tensor, "tokens columns"] | None,
) -> MatrixReport:
    """Write a decision into linear `name` of a layer and report on it; `sample` are some of its inputs, in float32.

    Raises PatternMissed.
    """
    before = None if sample is None else sample @ weight_view(module).float().T
    visit.write(module, decision)
    weight = weight_view(module)
    sparsity = verified_sparsity(weight, pattern, decision.order, f"layer {layer} {name}")
    error = None if before is None or sample is None else _relative_error(before, sample @ weight.float().T)
    rows, columns = weight.shape
    order = None if decision.order is None else decision.order.cpu()
    return MatrixReport(layer, name, rows, columns, sparsity, error, decision.damping_retries, order)


def _relative_error(before: Float[Tensor, "tokens rows"], after: Float[Tensor, "tokens rows"]) -> float | None:
    """None where the output was zero before, so that there is nothing to be relative to."""
    size = float(torch.linalg.vector_norm(before))
    return float(torch.linalg.vector_norm(after - before)) / size if size else None

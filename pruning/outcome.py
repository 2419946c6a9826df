"""Applies a method's decision to a matrix, verifies its sparsity, and measures its output error."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from prunescope.lm.architecture import weight_view
from prunescope.lm.errors import BadInput
from prunescope.pruning.checks import NotFinite
from prunescope.pruning.methods.protocol import Decision
from prunescope.pruning.patterns import Pattern
from prunescope.pruning.reports import MatrixReport
from prunescope.pruning.verification import sparsity_note, verified_sparsity
from prunescope.pruning.visit import Visit


def carry_out(
    visit: Visit,
    layer: int,
    name: str,
    module: nn.Module,
    decision: Decision,
    pattern: Pattern,
    sample: Float[Tensor, "tokens columns"] | None,
) -> MatrixReport:
    """Apply a method's decision to linear `name` of a layer, and report the matrix's sparsity and relative output
    error.

    `sample` are the linear's inputs at the sampled tokens, in float32: None without calibration, empty if the inputs'
    rows are not the windows' tokens.

    Raises PatternMissed when the matrix does not have the requested pattern, NotFinite for updated weights that are not
    finite, BadInput for updated weights beyond the range of the stored dtype.
    """
    place = f"layer {layer} {name}"
    before = None if sample is None else sample @ weight_view(module).float().T
    visit.write(module, decision)
    weight = weight_view(module)
    if decision.updated is not None:
        _check_update(weight, decision.updated, place)
    holds = decision.holds or pattern
    sparsity = verified_sparsity(weight, holds, decision.order, place)
    note = sparsity_note(sparsity, decision.keep, holds, decision.parts, place)
    error, error_note = (
        (None, "") if before is None or sample is None else _relative_error(before, sample @ weight.float().T)
    )
    rows, columns = weight.shape
    order = None if decision.order is None else decision.order.cpu()
    return MatrixReport(layer, name, rows, columns, sparsity, error, decision.damping_retries, order, note, error_note)


def _check_update(weight: Float[Tensor, "rows columns"], updated: Float[Tensor, "rows columns"], place: str) -> None:
    """Raise NotFinite for updated weights that are not finite, BadInput for ones that overflow the stored dtype."""
    if bool(weight.float().sum().isfinite()) or bool(weight.isfinite().all()):
        return
    if bool(updated.isfinite().all()):
        raise BadInput(
            f"{place}: the updated weights go up to {float(updated.abs().max()):.3g}, beyond the type they are stored "
            f"in; give more calibration windows, or a larger damping"
        )
    raise NotFinite(f"{place}: the updated weights hold NaN or infinity")


def _relative_error(
    before: Float[Tensor, "tokens rows"], after: Float[Tensor, "tokens rows"]
) -> tuple[float | None, str]:
    """Return (relative output error, ""), or (None, the reason why it cannot be measured)."""
    if not len(before):
        return None, "this linear does not read the windows' tokens in their order, so no sample of them could be taken"
    size = float(torch.linalg.vector_norm(before))
    if not size:
        return None, "the dense output was zero for every sampled token, so a relative error is undefined"
    error = float(torch.linalg.vector_norm(after - before)) / size
    if not math.isfinite(error):
        return None, "the output of the sampled tokens is not finite"
    return error, ""

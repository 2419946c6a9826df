"""The Hessian of a linear's squared output error with respect to one row of its weights, and its Cholesky factor.

H = (2/n) * sum over tokens of x x^T, where n is the number of sequences (Frantar & Alistarh, arXiv 2301.00774). H
depends on the inputs alone, so all rows, and all linears that read the same input, share it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from prunescope.pruning.checks import NotFinite, NumericalError

PANELS = 6  # panels of rows in which the upper triangle is computed
NARROWEST_PANEL = 128
MIN_TOKENS = 32  # added at once
DAMPING_RETRIES = 3


class Hessian:
    """Accumulates H in float32: columns^2 numbers, independent of the number of tokens.

    Only the upper triangle is computed, in panels of rows, which saves nearly half of the product. Tokens are added in
    small portions, because sums of short sums have a smaller rounding error than one long sum, and the factorisation
    amplifies that error.
    """

    def __init__(self, columns: int, device: torch.device) -> None:
        self._upper: Float[Tensor, "columns columns"] = torch.zeros(columns, columns, device=device)
        self.sequences = 0

    def add(self, inputs: Float[Tensor, "*tokens columns"], sequences: int) -> None:
        """Add the inputs of one micro-batch. `sequences` is their number of sequences; it cannot be read from the
        shape, because some layers flatten their inputs."""
        columns = inputs.shape[-1]
        rows = inputs.reshape(-1, columns)
        # A product of two half-precision numbers is exact in float32, so a GPU's matrix units are as precise as
        # a product of float32 copies.
        wide = rows.dtype in (torch.float16, torch.bfloat16) and rows.is_cuda and torch.version.cuda is not None
        if not wide:
            rows = rows.float()
        step = max(NARROWEST_PANEL, -(-columns // PANELS))
        for portion in rows.split(max(MIN_TOKENS, columns // 4)):
            for start in range(0, columns, step):
                panel = self._upper[start : start + step, start:]
                left, right = portion[:, start : start + step].T, portion[:, start:]
                if wide:
                    panel.add_(torch.mm(left, right, out_dtype=torch.float32))
                else:
                    panel.addmm_(left, right)
        self.sequences += sequences

    def matrix(self) -> Float[Tensor, "columns columns"]:
        """Return the full symmetric H. Raises NotFinite when an input was not finite or its square exceeds float32."""
        full = self._upper.triu().mul_(2 / self.sequences)
        full += full.triu(1).T
        if not _all_finite(full.diagonal()):  # no product is greater than both squares: H_ij^2 <= H_ii H_jj
            raise NotFinite("the calibration inputs are not finite numbers")
        return full


@dataclass(frozen=True)
class Factor:
    """The factor R of the damped Hessian R R^T: `upper`, upper triangular with a positive diagonal.

    `dead`: mask of the inputs that were always zero. `retries`: how many times the damping had to be raised.
    """

    upper: Float[Tensor, "columns columns"]
    dead: Bool[Tensor, " columns"]
    retries: int


def factorise(hessian: Float[Tensor, "columns columns"], damping: float) -> Factor:
    """Factorise H + damping * mean(diag H) * I. The diagonal element of an input that was always zero is set to 1
    first.

    The paper's formulas use U, the upper Cholesky factor of the inverse, H^-1 = U^T U. The returned R is the inverse of
    U; it takes one factorisation and no matrix inverse. If the factorisation fails, it is repeated with ten times the
    damping, at most three times. Raises NumericalError when it still fails.
    """
    dead = hessian.diagonal() == 0
    diagonal = torch.where(dead, 1.0, hessian.diagonal()).flip(0)
    unit = float(diagonal.mean())
    reverse = hessian.flip(0, 1)  # H = R R^T is the Cholesky factorisation of H with rows and columns in reverse
    for retries in range(DAMPING_RETRIES + 1):
        reverse.diagonal().copy_(diagonal + damping * 10**retries * unit)
        lower, failure = torch.linalg.cholesky_ex(reverse)
        if int(failure) == 0 and _all_finite(
            lower.diagonal()
        ):  # a non-finite number in a row makes the row's diagonal element non-finite
            return Factor(lower.flip(0, 1), dead, retries)
    raise NumericalError(
        f"the Hessian of the inputs cannot be factorised, not even with damping {damping * 10**DAMPING_RETRIES:g}: "
        f"give more calibration windows, or a larger damping"
    )


def _all_finite(values: Float[Tensor, " columns"]) -> bool:
    return bool(values.isfinite().all())

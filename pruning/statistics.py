"""Norms of a linear's input features over the calibration set."""

import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.pruning.checks import NotFinite


class InputNorms:
    """Accumulates norm2_j, the squares of input feature j summed over each sequence's tokens and averaged over the
    sequences, as a running mean in float32.

    The square root of norm2_j takes the place of ||x_j||_2. The two differ by the factor sqrt(sequences), which is the
    same for all j and therefore changes no comparison of scores.
    """

    def __init__(self, columns: int, device: torch.device) -> None:
        self.mean_squares: Float[Tensor, " columns"] = torch.zeros(columns, dtype=torch.float32, device=device)
        self.sequences = 0

    def add(self, inputs: Float[Tensor, "*tokens columns"], sequences: int) -> None:
        """Add the inputs of one micro-batch. `sequences` is their number of sequences; it cannot be read from the
        shape, because some layers flatten their inputs."""
        squares = sums_of_squares(inputs.reshape(-1, inputs.shape[-1]))
        total = self.sequences + sequences
        self.mean_squares *= self.sequences / total
        self.mean_squares += squares / total
        self.sequences = total

    def norms(self) -> Float[Tensor, " columns"]:
        """Return sqrt(norm2_j) for all j. Raises NotFinite when an input was not finite or its square exceeds
        float32."""
        if not bool(self.mean_squares.isfinite().all()):
            raise NotFinite("the calibration inputs are not finite numbers")
        return self.mean_squares.sqrt()


def sums_of_squares(rows: Float[Tensor, "tokens columns"]) -> Float[Tensor, " columns"]:
    """Return each column's sum of squares, in float32."""
    if rows.device.type == "cuda":
        # vector_norm reads the data once; a float32 copy and its squares would take three times the memory traffic.
        norms: Tensor = torch.linalg.vector_norm(rows, dim=0, dtype=torch.float32)
        return norms.square_()
    return torch.ones(len(rows)) @ rows.float().square()  # twice as fast as sum(dim=0)

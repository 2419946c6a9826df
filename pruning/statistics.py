"""Statistics of a linear's inputs over the calibration set: feature norms."""

import torch
from jaxtyping import Float
from torch import Tensor

from prunescope.pruning.checks import NotFinite


class InputNorms:
    """norm2_j = mean over sequences of the token-summed squares of input feature j, as a running mean in float32.

    Its square root is used for ||x_j||_2, from which it differs by the factor sqrt(sequences). That is the same for all
    j and does not change any comparison of scores.
    """

    def __init__(self, columns: int, device: torch.device) -> None:
        self.mean_squares: Float[Tensor, " columns"] = torch.zeros(columns, dtype=torch.float32, device=device)
        self.sequences = 0

    def add(self, inputs: Float[Tensor, "*tokens columns"], sequences: int) -> None:
        """Add one micro-batch. Its number of sequences is an argument, because some layers flatten their inputs."""
        squares = sums_of_squares(inputs.reshape(-1, inputs.shape[-1]))
        total = self.sequences + sequences
        self.mean_squares *= self.sequences / total
        self.mean_squares += squares / total
        self.sequences = total

    def norms(self) -> Float[Tensor, " columns"]:
        """sqrt(norm2). Raises NotFinite when an input was not finite or its square exceeds float32."""
        if not bool(self.mean_squares.isfinite().all()):
            raise NotFinite("the calibration inputs are not finite numbers")
        return self.mean_squares.sqrt()


def sums_of_squares(rows: Float[Tensor, "tokens columns"]) -> Float[Tensor, " columns"]:
    """Each column's sum of squares, in float32."""
    if rows.device.type == "cuda":
        # This reads the data once; a float32 copy and its squares would take three times the memory traffic.
        norms: Tensor = torch.linalg.vector_norm(rows, dim=0, dtype=torch.float32)
        return norms.square_()
    return torch.ones(len(rows)) @ rows.float().square()  # twice as fast as a sum over tokens

"""Random generators of the methods that draw random numbers."""

import zlib

import torch
from jaxtyping import Float
from torch import Tensor

HASHED = 4096  # weights of a matrix that are part of its seed


def generator_of(seed: int, weight: Float[Tensor, "rows columns"]) -> torch.Generator:
    """Return a generator on the CPU, seeded by `seed` (below 2^32) and by the first weights of a matrix.

    So a resumed run draws the same numbers for a matrix as an uninterrupted one, on every device, and two matrices of
    the same shape do not get the same draw.
    """
    first = weight.reshape(-1)[:HASHED].float().cpu().numpy()
    return torch.Generator().manual_seed(zlib.crc32(first.tobytes(), seed))  # torch reads 32 bits of a seed on a CPU

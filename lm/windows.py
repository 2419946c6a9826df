"""Cutting running text into windows of equal length."""

import random

import torch
from jaxtyping import Int
from torch import Tensor

from lm.errors import BadData


def random_windows(
    ids: Int[Tensor, " tokens"], samples: int, seqlen: int, rng: random.Random
) -> Int[Tensor, "samples seqlen"]:
    """`samples` windows of `seqlen` tokens that start at random places; they may overlap.

    Starts are `rng.randint(0, len - seqlen - 1)`, as the authors of SparseGPT and Wanda draw them. Raises BadData when
    there are not more than `seqlen` tokens.
    """
    if len(ids) <= seqlen:
        raise BadData(f"the text has {len(ids)} tokens; windows of {seqlen} need more than that: give a smaller seqlen")
    starts = [rng.randint(0, len(ids) - seqlen - 1) for _ in range(samples)]
    return torch.stack([ids[start : start + seqlen] for start in starts])

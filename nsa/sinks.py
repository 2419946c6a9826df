"""Finds the tokens that are left out of all sums: position 0 of every text or window, and attention sinks.

A sink is a token whose hidden state has a massive activation in the dense model: a value of at least 100 and at least
1000 times the median magnitude of the text's hidden state in that layer (Sun, Chen, Kolter and Liu 2024, "Massive
Activations in Large Language Models", section 2). Position 0 is left out whether or not it is a BOS token and whether
or not it meets this rule: it attends to nothing but itself, and in models without BOS its activations are often many
times as large as at any other token, so that it would decide Scores, means and comparisons alone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST = 100.0
"""Minimum magnitude of a massive activation."""
TIMES_MEDIAN = 1000.0
"""Minimum ratio of a massive activation to the median magnitude of the hidden state."""


def massive(hidden: Float[Tensor, "tokens width"]) -> Bool[Tensor, " tokens"]:
    """Return which tokens of one text have a massive activation in a layer's hidden state. A value that is NaN is not
    massive."""
    magnitudes = hidden.float().abs()
    return magnitudes.amax(1) >= (TIMES_MEDIAN * magnitudes.median()).clamp(min=LEAST)


class SinkFinder:
    """Collects the sinks of all texts while their hidden states are computed (`recording.record`)."""

    def __init__(self, tokens: int) -> None:
        """`tokens` is the number of tokens of all texts."""
        self._tokens = tokens
        self._found: dict[int, Bool[Tensor, " tokens"]] = {}

    def see(self, start: int, hidden: Float[Tensor, "tokens width"]) -> None:
        """Add one layer's hidden state of one text, whose first token has the position `start`."""
        found = massive(hidden)
        self._found[start] = found | self._found[start] if start in self._found else found

    def mask(self) -> Bool[np.ndarray, " tokens"]:
        """Return the mask of the tokens that have a massive activation in any of the layers seen."""
        mask = np.zeros(self._tokens, dtype=bool)
        for start, found in self._found.items():
            mask[start : start + len(found)] = found.cpu().numpy()
        return mask


class WindowSinks:
    """Collects the sinks of one batch of windows, which are padded on the right, while their hidden states are computed
    (`corpus/stream.py`). Position 0 is not examined, because it is left out whether or not it is a sink."""

    def __init__(self, lengths: Sequence[int]) -> None:
        """`lengths`: the windows' numbers of tokens, without padding."""
        self._lengths = lengths
        self.mask: Bool[np.ndarray, "windows tokens"] = np.zeros((len(lengths), max(lengths)), dtype=bool)
        """Which tokens have a massive activation in any of the layers seen; position 0 and padding never."""

    def see(self, hidden: Float[Tensor, "windows tokens width"]) -> None:
        """Add one layer's hidden state of the batch."""
        largest = torch.linalg.vector_norm(hidden[:, 1:].float(), torch.inf, dim=2)
        for window in (largest >= LEAST).any(1).nonzero().flatten().tolist():
            length = self._lengths[window]
            self.mask[window, 1:length] |= massive(hidden[window, :length])[1:].cpu().numpy()


def first_tokens(lengths: list[int]) -> Bool[np.ndarray, " tokens"]:
    """Return the mask of position 0 of every text; `lengths` are the texts' numbers of tokens."""
    mask = np.zeros(sum(lengths), dtype=bool)
    mask[np.cumsum([0, *lengths[:-1]])] = True
    return mask

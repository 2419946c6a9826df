"""A fixed random sample of the corpus's tokens, from which the quantiles of every neuron are estimated.

SAMPLE tokens are drawn without replacement before the stream begins, the same for all neurons, layers and models, and
their activations are kept in float16. The quantile `q` of the sample is an activation whose rank among all tokens is
`q` with a standard error of at most sqrt(q (1 - q) / SAMPLE): 0.16 percentage points for the 1 % quantile, 0.78 for the
median. With a corpus of at most SAMPLE tokens, all are in the sample and the quantiles are exact.

A fixed sample costs almost no time beside a forward pass; a sketch of each neuron (histograms, t-digests) would touch
every activation once more, which costs more than all other statistics together.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from prunescope.nsa.corpus.windows import Windows

SAMPLE = 4096
"""Maximum number of sampled tokens; 377 MB for a model with 46,080 neurons."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MAX_HALF = 65504.0
"""The largest float16 number."""


@dataclass(frozen=True)
class Places:
    """Tokens of a corpus, sorted by the order in which their windows are read. `rank`: the place of a token's window in
    that order; `position`: the token's position in the window."""

    rank: Int[np.ndarray, " places"]
    position: Int[np.ndarray, " places"]

    def between(self, first: int, last: int) -> slice:
        """The places in the windows that are read as number `first` to `last` (exclusive)."""
        low, high = np.searchsorted(self.rank, [first, last])
        return slice(int(low), int(high))

    def tokens(self, windows: Windows, order: Int[np.ndarray, " windows"]) -> Int[np.ndarray, " places"]:
        """The places as positions in the concatenation of all windows. `order` are the windows' numbers in the order of
        reading."""
        found: Int[np.ndarray, " places"] = windows.starts[order[self.rank]] + self.position
        return found

    def without(
        self, sinks: Bool[np.ndarray, " tokens"], windows: Windows, order: Int[np.ndarray, " windows"]
    ) -> "Places":
        """The places that are not in the mask `sinks`."""
        kept = ~sinks[self.tokens(windows, order)]
        return Places(self.rank[kept], self.position[kept])


def draw(windows: Windows, order: Int[np.ndarray, " windows"], seed: int, size: int = SAMPLE) -> Places:
    """Draw at most `size` of the counted tokens. `order` are the windows' numbers in the order of reading."""
    counted = np.flatnonzero(windows.counted)
    if len(counted) > size:
        counted = np.sort(np.random.default_rng(seed).choice(counted, size, replace=False))
    window = np.searchsorted(windows.ends, counted, side="right")
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    rank, position = ranks[window], counted - windows.starts[window]
    sorted_places = np.lexsort((position, rank))
    return Places(rank[sorted_places], position[sorted_places])


def quantiles(sample: Float[np.ndarray, "tokens neurons"]) -> Float[np.ndarray, "quantiles neurons"]:
    """The QUANTILES of each neuron: the smallest sampled activation that at least the share `q` does not exceed
    (`inverted_cdf` in NumPy)."""
    ordered = np.ascontiguousarray(sample.T, dtype=np.float32)
    ordered.sort(axis=1)
    places = [max(0, int(np.ceil(q * len(sample) - 1e-9)) - 1) for q in QUANTILES]
    return np.ascontiguousarray(ordered[:, places].T)

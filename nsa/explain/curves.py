"""What interventions restore, with bootstrap intervals over rows.

restored = sum(m_patched - m_pruned) / sum(m_dense - m_pruned)      over the measured rows
lost     = sum(m_dense - m_patched) / sum(m_dense - m_pruned)       for pruned activations in the dense model
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

RESAMPLES = 2000


@dataclass(frozen=True)
class Restored:
    """A share of the lost margin with its 95 % percentile interval over rows (None with fewer than two measured rows);
    for the mean of random draws `low` and `high` are the lowest and the highest draw. `right_again`: broken rows
    that are right; `newly_wrong`: rows that the pruned model had right and that are wrong; None for windows of text and
    for the dense model."""

    restored: float
    low: float | None
    high: float | None
    right_again: float | None = None
    newly_wrong: float | None = None


@dataclass(frozen=True)
class Margins:
    """The margins of all rows in the dense and the pruned model, and whether each row is right in them. `measured` is
    the mask of the rows over which shares are summed. `has_answers` is False for windows of text."""

    dense: Float[np.ndarray, " rows"]
    pruned: Float[np.ndarray, " rows"]
    dense_right: Bool[np.ndarray, " rows"]
    pruned_right: Bool[np.ndarray, " rows"]
    measured: Bool[np.ndarray, " rows"]
    has_answers: bool
    seed: int = 0

    @property
    def lost(self) -> float:
        """The lost margin, summed over the measured rows."""
        return float((self.dense - self.pruned)[self.measured].sum())

    def restored(self, margins: Float[np.ndarray, " rows"], right: Bool[np.ndarray, " rows"]) -> Restored:
        """What an intervention in the pruned model restores, from the margins of all rows under it and whether each is
        right."""
        share, low, high = self._share(margins - self.pruned)
        if not self.has_answers:
            return Restored(share, low, high)
        broken = self.dense_right & ~self.pruned_right
        return Restored(share, low, high, int((broken & right).sum()), int((self.pruned_right & ~right).sum()))

    def lost_under(self, margins: Float[np.ndarray, " rows"]) -> Restored:
        """What the dense model loses under an intervention."""
        return Restored(*self._share(self.dense - margins))

    def _share(self, gained: Float[np.ndarray, " rows"]) -> tuple[float, float | None, float | None]:
        above, below = gained[self.measured], (self.dense - self.pruned)[self.measured]
        value = float(above.sum() / below.sum())
        count = len(above)
        if count < 2:
            return value, None, None
        drawn = np.random.default_rng(self.seed).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
        sums = drawn @ below
        usable = sums > 0
        if not usable.any():
            return value, None, None
        low, high = np.quantile((drawn @ above)[usable] / sums[usable], [0.025, 0.975])
        return value, float(low), float(high)


def band(draws: Sequence[Restored]) -> Restored:
    """The mean of random draws, with the lowest and the highest as its band."""
    values = [each.restored for each in draws]
    return Restored(
        float(np.mean(values)),
        min(values),
        max(values),
        _mean([each.right_again for each in draws]),
        _mean([each.newly_wrong for each in draws]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None

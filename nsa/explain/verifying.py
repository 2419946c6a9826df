"""Patched passes: what neurons and heads restore in the pruned model, and cost in the dense one. No row is patched at
neurons that it ranked: those that one half of the rows ranked are patched in the rows of the other half."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from prunescope.nsa.explain import accounting, rankings
from prunescope.nsa.explain.curves import Restored, band
from prunescope.nsa.explain.outcome import Curve, Options, Whole
from prunescope.nsa.explain.rows import Numbers, is_right, margins
from prunescope.nsa.explain.running import Chosen, Step, Subject
from prunescope.nsa.explain.sample import Sample
from prunescope.nsa.explain.sites import HEADS, NEURONS
from prunescope.nsa.preparation import Report

REVERSED = 3
"""Number of counts, the greatest, at which pruned activations are put into the dense model."""


@dataclass(frozen=True)
class Verified:
    """What all neurons, all heads and both restore, and their integrated shares in units of the lost margin of the
    measured rows. `patched` are the scores of all rows with the dense activations of all neurons."""

    whole: Whole
    integrated: Float[np.ndarray, "layers neurons"]
    head_integrated: Float[np.ndarray, "layers heads"]
    patched: list[list[float]]


@dataclass(frozen=True)
class Verifier:
    """Runs patched passes of one model (`subject`)."""

    subject: Subject
    sample: Sample
    options: Options
    report: Report

    @property
    def counts(self) -> list[int]:
        """The numbers of neurons that are measured, all of them excepted."""
        return rankings.counts_of(self.options.neurons, self.neurons)

    @property
    def width(self) -> int:
        """The number of neurons of a layer."""
        return self.subject.sites.widths[NEURONS]

    @property
    def neurons(self) -> int:
        """The number of all neurons."""
        return self.subject.sites.layers * self.width

    def verify(self) -> Verified:
        """Integrated shares, and what all neurons and heads restore, in the pruned model."""
        sites, lost = self.subject.sites, self.sample.margins.lost
        sets = {NEURONS: [NEURONS]}
        if HEADS in sites.kinds:
            sets |= {HEADS: [HEADS], "both": [NEURONS, HEADS]}
        restored: dict[str, Restored] = {}
        sums: dict[str, float] = {}
        scores: dict[str, dict[int, list[float]]] = {}
        rows = range(len(self.sample.rows))
        shares: dict[str, Float[np.ndarray, "layers width"]] = {}
        for name, kinds in sets.items():
            found = accounting.integrated(
                self.subject,
                self.sample.dense.activations,
                self.sample.pruned.activations,
                kinds,
                self.sample.measured.tolist(),
                self.options.steps,
                self._step(f"integrated gradients, {name}"),
            )
            sums[name] = float(sum(total.sum() for total in found.values()) / lost)
            if name in found:
                shares[name] = found[name] / lost
            every: Chosen = {place: None for place in sites.modules if place[0] in kinds}
            step = self._step(f"restore all {name}")
            scores[name] = self.subject.patched(self.sample.dense.activations, every, rows, step)
            restored[name] = self._restored(scores[name])
        heads = sites.by_head(shares[HEADS]) if HEADS in shares else np.zeros((sites.layers, 0))
        patched = [scores[NEURONS][number] for number in rows]
        return Verified(Whole(restored, sums), shares[NEURONS], heads, patched)

    def curve(self, name: str, orders: rankings.Crossed, every: Restored) -> Curve:
        """What the best neurons of a ranking restore; `every` is what all of them restore, the last point."""
        points = []
        for count in self.counts:
            scores = self._patched("dense", _best(orders, count), f"restore {count} by {name}", self._decisive)
            points.append((count, self._restored(scores)))
        return [*points, (self.neurons, every)]

    def random_curve(self, orders: rankings.Crossed, every: Restored) -> Curve:
        """What random neurons restore, as many in each layer as the best of a ranking."""

        def restored(some: rankings.Crossed, said: str) -> Restored:
            return self._restored(self._patched("dense", some, f"restore {said}", self._decisive))

        return [*self._bands(orders, self.counts, restored), (self.neurons, every)]

    def reverse(self, orders: rankings.Crossed) -> dict[str, Curve]:
        """What the dense model (`subject`) loses with pruned activations, at the greatest counts: of all neurons, of
        the best of a ranking, and of random ones in the same layers."""

        def lost(some: rankings.Crossed, said: str) -> Restored:
            scores = self._patched("pruned", some, f"damage {said}", self.sample.measured)
            found, _ = self._outcomes(scores, self.sample.margins.dense, self.sample.margins.dense_right)
            return self.sample.margins.lost_under(found)

        counts = self.counts[-REVERSED:]
        best = [(count, lost(_best(orders, count), f"{count} by {rankings.MARGIN}")) for count in counts]
        return {
            "all": [(self.neurons, lost(orders, "all neurons"))],
            rankings.MARGIN: best,
            rankings.RANDOM: list(self._bands(orders, counts, lost)),
        }

    def _bands(
        self, orders: rankings.Crossed, counts: Sequence[int], measure: Callable[[rankings.Crossed, str], Restored]
    ) -> Iterator[tuple[int, Restored]]:
        for count in counts:
            draws = []
            for draw in range(self.options.draws):
                rng = np.random.default_rng([self.options.seed, count, draw])
                first, second = (rankings.drawn(order, self.width, rng) for order in _best(orders, count))
                some = (first, second)
                draws.append(measure(some, f"{count} random neurons, draw {draw + 1} of {self.options.draws}"))
            yield count, band(draws)

    @property
    def _decisive(self) -> Numbers:
        """The rows on which the numbers of a curve's point depend: the measured ones, the broken ones (which may become
        right), and those that the pruned model has right (which may become wrong)."""
        known = self.sample.margins
        answered = known.pruned_right | known.dense_right if known.has_answers else np.zeros_like(known.measured)
        return np.flatnonzero(known.measured | answered)

    def _patched(self, source: str, some: rankings.Crossed, stage: str, rows: Numbers) -> dict[int, list[float]]:
        """The scores of some rows with the activations of the other model (`source`) put into the subject: at the
        first neurons of `some` in the rows of the second half, at the second ones in those of the first half."""
        recorded = self.sample.dense if source == "dense" else self.sample.pruned
        found: dict[int, list[float]] = {}
        for neurons, half in zip(some, reversed(self.sample.halves), strict=True):
            own, before = rows[np.isin(rows, half)].tolist(), len(found)

            def step(done: int, _total: int, before: int = before) -> None:
                self.report(stage, before + done, len(rows), "rows")

            places = rankings.chosen(neurons, self.width)
            found |= self.subject.patched(recorded.activations, places, own, step)
        return found

    def _restored(self, scores: Mapping[int, list[float]]) -> Restored:
        known = self.sample.margins
        return known.restored(*self._outcomes(scores, known.pruned, known.pruned_right))

    def _outcomes(
        self, scores: Mapping[int, list[float]], otherwise: Float[np.ndarray, " rows"], right: Bool[np.ndarray, " rows"]
    ) -> tuple[Float[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
        """The margins of all rows and whether each is right, from the scores of some; the others keep the margin
        `otherwise` and `right`."""
        at = sorted(scores)
        rows, found = [self.sample.rows[number] for number in at], [scores[number] for number in at]
        all_margins, all_right = otherwise.copy(), right.copy()
        all_margins[at], all_right[at] = margins(rows, found), is_right(rows, found)
        return all_margins, all_right

    def _step(self, stage: str) -> Step:
        return lambda done, total: self.report(stage, done, total, "rows")


def _best(orders: rankings.Crossed, count: int) -> rankings.Crossed:
    return orders[0][:count], orders[1][:count]

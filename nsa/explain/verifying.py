"""Patched passes over the held-out rows: what neurons and heads restore in the pruned model, and cost in the dense
one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from prunescope.nsa.explain import accounting, rankings
from prunescope.nsa.explain.curves import Restored, band
from prunescope.nsa.explain.outcome import Curve, Options, Whole
from prunescope.nsa.explain.rows import is_right, margins
from prunescope.nsa.explain.running import Chosen, Step, Subject
from prunescope.nsa.explain.sample import Sample
from prunescope.nsa.explain.sites import HEADS, NEURONS
from prunescope.nsa.preparation import Report

REVERSED = 3
"""Number of counts, the greatest, at which pruned activations are put into the dense model."""


@dataclass(frozen=True)
class Verified:
    """What all neurons, all heads and both restore, and their integrated shares in units of the lost margin of the
    measured rows. `patched` are the scores of the held-out rows with the dense activations of all neurons."""

    whole: Whole
    integrated: Float[np.ndarray, "layers neurons"]
    head_integrated: Float[np.ndarray, "layers heads"]
    patched: list[list[float]]


@dataclass(frozen=True)
class Verifier:
    """Runs patched passes of one model (`subject`) over the held-out rows."""

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
        sites, lost = self.subject.sites, self.sample.held.lost
        sets = {NEURONS: [NEURONS]}
        if HEADS in sites.kinds:
            sets |= {HEADS: [HEADS], "both": [NEURONS, HEADS]}
        restored: dict[str, Restored] = {}
        sums: dict[str, float] = {}
        scores: dict[str, dict[int, list[float]]] = {}
        held_out = self.sample.halves.held_out.tolist()
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
            scores[name] = self._patched("dense", every, f"restore all {name}", held_out)
            restored[name] = self._restored(scores[name])
        heads = sites.by_head(shares[HEADS]) if HEADS in shares else np.zeros((sites.layers, 0))
        patched = [scores[NEURONS][number] for number in held_out]
        return Verified(Whole(restored, sums), shares[NEURONS], heads, patched)

    def curve(self, name: str, order: rankings.Order, every: Restored) -> Curve:
        """What the best neurons of an order restore; `every` is what all of them restore, the last point."""
        points = []
        for count in self.counts:
            some = rankings.chosen(order[:count], self.width)
            scores = self._patched("dense", some, f"restore {count} by {name}", self._decisive)
            points.append((count, self._restored(scores)))
        return [*points, (self.neurons, every)]

    def random_curve(self, order: rankings.Order, every: Restored) -> Curve:
        """What random neurons restore, as many in each layer as the best of the order."""

        def restored(some: Chosen, said: str) -> Restored:
            return self._restored(self._patched("dense", some, f"restore {said}", self._decisive))

        return [*self._bands(order, self.counts, restored), (self.neurons, every)]

    def reverse(self, order: rankings.Order) -> dict[str, Curve]:
        """What the dense model (`subject`) loses with pruned activations, at the greatest counts: of all neurons, of
        the best of an order, and of random ones in the same layers."""

        def lost(some: Chosen, said: str) -> Restored:
            scores = self._patched("pruned", some, f"damage {said}", self.sample.measured.tolist())
            found, _ = self._outcomes(scores, self.sample.held.dense, self.sample.held.dense_right)
            return self.sample.held.lost_under(found)

        every: Chosen = {(NEURONS, layer): None for layer in range(self.subject.sites.layers)}
        counts = self.counts[-REVERSED:]
        best = [
            (count, lost(rankings.chosen(order[:count], self.width), f"{count} by {rankings.MARGIN}"))
            for count in counts
        ]
        return {
            "all": [(self.neurons, lost(every, "all neurons"))],
            rankings.MARGIN: best,
            rankings.RANDOM: list(self._bands(order, counts, lost)),
        }

    def _bands(
        self, order: rankings.Order, counts: Sequence[int], measure: Callable[[Chosen, str], Restored]
    ) -> Iterator[tuple[int, Restored]]:
        for count in counts:
            draws = []
            for draw in range(self.options.draws):
                rng = np.random.default_rng([self.options.seed, count, draw])
                some = rankings.chosen(rankings.drawn(order[:count], self.width, rng), self.width)
                draws.append(measure(some, f"{count} random neurons, draw {draw + 1} of {self.options.draws}"))
            yield count, band(draws)

    @property
    def _decisive(self) -> list[int]:
        """The held-out rows on which the numbers of a curve's point depend: the measured ones, the broken ones (which
        may become right), and those that the pruned model has right (which may become wrong)."""
        held = self.sample.held
        answered = held.pruned_right | held.dense_right if held.has_answers else np.zeros_like(held.measured)
        found: list[int] = self.sample.halves.held_out[held.measured | answered].tolist()
        return found

    def _patched(self, source: str, some: Chosen, stage: str, rows: Sequence[int]) -> dict[int, list[float]]:
        """The scores of some rows with the activations of the other model (`source`) put into the subject."""
        recorded = self.sample.dense if source == "dense" else self.sample.pruned
        return self.subject.patched(recorded.activations, some, rows, self._step(stage))

    def _restored(self, scores: Mapping[int, list[float]]) -> Restored:
        held = self.sample.held
        return held.restored(*self._outcomes(scores, held.pruned, held.pruned_right))

    def _outcomes(
        self, scores: Mapping[int, list[float]], otherwise: Float[np.ndarray, " rows"], right: Bool[np.ndarray, " rows"]
    ) -> tuple[Float[np.ndarray, " rows"], Bool[np.ndarray, " rows"]]:
        """The margins of all held-out rows and whether each is right, from the scores of some; the others keep the
        margin `otherwise` and `right`."""
        at = np.flatnonzero(np.isin(self.sample.halves.held_out, list(scores)))
        rows = [self.sample.held_rows[place] for place in at]
        found = [scores[int(self.sample.halves.held_out[place])] for place in at]
        all_margins, all_right = otherwise.copy(), right.copy()
        all_margins[at], all_right[at] = margins(rows, found), is_right(rows, found)
        return all_margins, all_right

    def _step(self, stage: str) -> Step:
        return lambda done, total: self.report(stage, done, total, "rows")

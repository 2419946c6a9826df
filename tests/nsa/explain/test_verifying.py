"""Points of curves, which run only the rows that they depend on, against passes over all rows."""

import numpy as np
import pytest

from prunescope.nsa.explain import rankings
from prunescope.nsa.explain.curves import band
from prunescope.nsa.explain.outcome import Options
from prunescope.nsa.explain.ranked import rank
from prunescope.nsa.explain.rows import is_right, margins
from prunescope.nsa.explain.sample import Recording, Sample, sample
from prunescope.nsa.explain.shares import effects
from prunescope.nsa.explain.sites import NEURONS
from prunescope.nsa.explain.spools import Recorded
from prunescope.nsa.explain.verifying import Verifier
from tests.nsa.explain.made import Pair, pair, random_rows, silent


def recorded_sample(made: Pair, options: Options) -> Sample:
    rows = made.layout.rows
    every = range(len(rows))
    recordings = [
        Recording(recorded, [scores[number] for number in every], margins(rows, [scores[number] for number in every]))
        for recorded, scores in ((made.dense_recorded, made.dense_scores), (made.pruned_recorded, made.pruned_scores))
    ]
    return sample(rows, *recordings, options)


@pytest.mark.parametrize("measured", ["fell", "broken"])
def test_points_equal_passes_over_all_rows_with_the_other_halfs_neurons(measured: str) -> None:
    rows = random_rows(120, choices=2, seed=4)
    made = pair("llama", rows)
    options = Options(rows=measured, neurons=(3, 40), steps=1, draws=2)  # type: ignore[arg-type]
    used = recorded_sample(made, options)
    verifier = Verifier(made.pruned, used, options, lambda *_: None)
    orders = (np.random.default_rng(0).permutation(128), np.random.default_rng(1).permutation(128))

    def patched(some: rankings.Crossed, subject: object = made.pruned, source: Recorded = made.dense_recorded) -> list:  # type: ignore[type-arg]
        """The scores of all rows, each with the neurons of the half to which it does not belong."""
        by = [subject.patched(source, rankings.chosen(each, 64), range(len(rows))) for each in some]  # type: ignore[attr-defined]
        return [by[1 if number in used.halves[0] else 0][number] for number in range(len(rows))]

    def whole(some: rankings.Crossed) -> tuple[np.ndarray, np.ndarray]:
        scores = patched(some)
        return margins(rows, scores), is_right(rows, scores)

    verified = verifier.verify()
    everything = used.margins.restored(*whole(orders))
    assert verified.whole.restored["neurons"].restored == pytest.approx(everything.restored, abs=1e-4)
    assert len(verified.patched) == len(rows)
    curve = dict(verifier.curve("margin", orders, verified.whole.restored["neurons"]))
    assert list(curve) == [3, 6, 40, 128]
    for count in (3, 6, 40):
        expected = used.margins.restored(*whole((orders[0][:count], orders[1][:count])))
        assert curve[count].restored == pytest.approx(expected.restored, abs=1e-4)
        assert (curve[count].right_again, curve[count].newly_wrong) == (expected.right_again, expected.newly_wrong)
    random = dict(verifier.random_curve(orders, curve[128]))
    draws = []
    for draw in range(2):
        rng = np.random.default_rng([0, 3, draw])
        first, second = (rankings.drawn(order[:3], 64, rng) for order in orders)
        draws.append(used.margins.restored(*whole((first, second))))
    assert random[3].restored == pytest.approx(band(draws).restored, abs=1e-4)

    reverse = Verifier(made.dense, used, options, lambda *_: None).reverse(orders)
    scores = patched((orders[0][:40], orders[1][:40]), made.dense, made.pruned_recorded)
    lost = used.margins.lost_under(margins(rows, scores))
    assert dict(reverse["margin"])[40].restored == pytest.approx(lost.restored, abs=1e-4)
    assert [k for k, _ in reverse["all"]] == [128] and [k for k, _ in reverse["random"]] == [3, 6, 40]


@pytest.mark.parametrize("content", [False, True])
def test_a_half_ranks_by_its_own_rows_alone(content: bool) -> None:
    """Each half's orders equal those of effects that were taken row by row and summed by hand."""
    made = pair("llama", random_rows(60, labels=True, choices=2))
    options = Options(rows="fell", content=content)
    used = recorded_sample(made, options)
    single = effects(made.pruned, made.dense_recorded, made.pruned_recorded, np.eye(60), silent)
    found = rank(made.pruned, used, options, silent)
    by_row = single.by_kind[NEURONS]
    for half, ranked, order in zip(used.halves, used.ranked, found.crossed["margin"], strict=True):
        if content:
            labels = [[number for number in half if used.rows[number].label == label] for label in range(2)]
            expected = np.mean([by_row[own].mean(0) for own in labels], axis=0)
        else:
            expected = by_row[ranked].sum(0)
        assert np.abs(expected.ravel()[order] - np.sort(expected.ravel())[::-1]).max() < 1e-4
    both = np.concatenate(used.ranked)
    np.testing.assert_allclose(found.share, by_row[both].sum(0) / used.lost[both].sum(), atol=1e-5)
    np.testing.assert_allclose(found.change, single.change[both].sum(0) / used.lost[both].sum(), rtol=1e-3, atol=1e-5)
    of = [[number for number in range(60) if used.rows[number].label == label] for label in range(2)]
    means = np.stack([by_row[own].mean(0) for own in of]) / used.lost[both].mean()
    assert found.content is not None and found.labels is not None
    np.testing.assert_allclose(found.content, means.mean(0), atol=1e-5)

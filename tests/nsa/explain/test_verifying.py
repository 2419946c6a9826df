"""Points of curves, which run only the rows that they depend on, against passes over all held-out rows."""

import numpy as np
import pytest

from prunescope.nsa.explain import rankings
from prunescope.nsa.explain.curves import band
from prunescope.nsa.explain.outcome import Options
from prunescope.nsa.explain.rows import is_right, margins
from prunescope.nsa.explain.sample import Recording, sample
from prunescope.nsa.explain.verifying import Verifier
from tests.nsa.explain.made import pair, random_rows


@pytest.mark.parametrize("measured", ["fell", "broken"])
def test_points_equal_passes_over_all_held_out_rows(measured: str) -> None:
    rows = random_rows(120, choices=2, seed=4)
    made = pair("llama", rows)
    every = range(len(rows))
    recordings = [
        Recording(recorded, [scores[number] for number in every], margins(rows, [scores[number] for number in every]))
        for recorded, scores in (
            (made.dense_recorded, made.dense_scores),
            (made.pruned_recorded, made.pruned_scores),
        )
    ]
    options = Options(rows=measured, neurons=(3, 40), steps=1, draws=2)  # type: ignore[arg-type]
    used = sample(rows, *recordings, options)
    held_out = used.halves.held_out.tolist()
    verifier = Verifier(made.pruned, used, options, lambda *_: None)
    order = np.random.default_rng(0).permutation(128)

    def whole(some: rankings.Order) -> tuple[np.ndarray, np.ndarray]:
        scores = made.pruned.patched(made.dense_recorded, rankings.chosen(some, 64), held_out)
        found = [scores[number] for number in held_out]
        return margins(used.held_rows, found), is_right(used.held_rows, found)

    verified = verifier.verify()
    everything = used.held.restored(*whole(order))
    assert verified.whole.restored["neurons"].restored == pytest.approx(everything.restored, abs=1e-4)
    assert len(verified.patched) == len(held_out)
    curve = dict(verifier.curve("margin", order, verified.whole.restored["neurons"]))
    assert list(curve) == [3, 6, 40, 128]
    for count in (3, 6, 40):
        expected = used.held.restored(*whole(order[:count]))
        assert curve[count].restored == pytest.approx(expected.restored, abs=1e-4)
        assert (curve[count].right_again, curve[count].newly_wrong) == (expected.right_again, expected.newly_wrong)
    random = dict(verifier.random_curve(order, curve[128]))
    draws = [
        used.held.restored(*whole(rankings.drawn(order[:3], 64, np.random.default_rng([0, 3, draw]))))
        for draw in range(2)
    ]
    assert random[3].restored == pytest.approx(band(draws).restored, abs=1e-4)

    reverse = Verifier(made.dense, used, options, lambda *_: None).reverse(order)
    scores = made.dense.patched(made.pruned_recorded, rankings.chosen(order[:40], 64), held_out)
    lost = used.held.lost_under(margins(used.held_rows, [scores[number] for number in held_out]))
    assert dict(reverse["margin"])[40].restored == pytest.approx(lost.restored, abs=1e-4)
    assert [k for k, _ in reverse["all"]] == [128] and [k for k, _ in reverse["random"]] == [3, 6, 40]

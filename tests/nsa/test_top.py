"""The top neurons of words and tokens, compared with plain sorting."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.nsa.scoring import scores, sums
from prunescope.nsa.top import OF_A_TOKEN, OF_A_WORD, Top, of_tokens, of_words
from tests.nsa.test_scoring import layout, values

POSITIONS = layout([7, 5, 9], [2, 3, 9, 15, 16], {"bad": [2, 9, 15], "good": [3, 16]})


def plain(shares: dict[int, float], most: int) -> list[int]:
    best = sorted((n for n, share in shares.items() if share > 0), key=lambda n: -shares[n])[:most]
    return [*best, *[-1] * (most - len(best))]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 4, 70]))
def test_tops_are_those_of_plain_sorting(seed: int, neurons: int) -> None:
    a = torch.from_numpy(values(seed, neurons, 21))
    found = sums(a, POSITIONS, "raw")
    ranked = scores(found, POSITIONS).ranked
    exact = a.double().numpy()
    below = exact[:, POSITIONS.counted].sum(1)
    tops = of_words(found.words, POSITIONS, found.denominator, ranked)
    for word, places in enumerate(POSITIONS.words.values()):
        shares = {n: float(exact[n, places].sum() / below[n]) for n in range(neurons) if ranked[n]}
        expected = plain(shares, OF_A_WORD)
        assert tops.neurons[word].tolist() == expected
        np.testing.assert_allclose(tops.scores[word], [shares[n] if n >= 0 else np.nan for n in expected], rtol=1e-5)
    tops = of_tokens(a, POSITIONS, found.denominator, ranked)
    for token in range(21):
        shares = {n: float(exact[n, token] / below[n]) for n in range(neurons) if ranked[n]}
        expected = plain(shares, OF_A_TOKEN) if POSITIONS.counted[token] else [-1] * OF_A_TOKEN
        np.testing.assert_allclose(
            tops.scores[token], [shares[n] if n >= 0 else np.nan for n in expected], rtol=1e-4, atol=1e-7
        )
        assert [n >= 0 for n in tops.neurons[token].tolist()] == [n >= 0 for n in expected]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 69))
def test_blocks_merged_are_the_whole(seed: int, cut: int) -> None:
    a = torch.from_numpy(values(seed, 70, 21))
    found = sums(a, POSITIONS, "abs")
    ranked = scores(found, POSITIONS).ranked
    whole = of_tokens(a.abs(), POSITIONS, found.denominator, ranked)
    merged = Top.none(21, OF_A_TOKEN)
    for rows in (slice(0, cut), slice(cut, 70)):
        merged = merged.merged(of_tokens(a[rows].abs(), POSITIONS, found.denominator[rows], ranked[rows]), rows.start)
    assert np.array_equal(merged.scores, whole.scores, equal_nan=True)
    assert np.array_equal(merged.neurons, whole.neurons)


def test_nobody_is_ranked() -> None:
    nobody = np.zeros(3, bool)
    assert (of_tokens(torch.ones(3, 21), POSITIONS, np.ones(3), nobody).neurons == -1).all()
    assert (of_words(np.ones((3, 2)), POSITIONS, np.ones(3), nobody).neurons == -1).all()

"""Top neurons and their controls, on numbers whose answer is known."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.nsa import bootstrap
from prunescope.nsa.comparison import (
    CONTROLS_PER_NEURON,
    ControlGroups,
    Sums,
    choose,
    controls,
    group_sums,
    own_word_sums,
    own_words,
)
from prunescope.nsa.scoring import transform
from tests.nsa.test_scoring import layout, values

POSITIONS = layout([7, 5, 9], [2, 3, 9, 15, 16], {"bad": [2, 9, 15], "good": [3, 16]})


def test_a_neurons_own_word_is_its_strongest() -> None:
    assert own_words(np.array([[0.1, 0.4, 0.2], [0.0, 0.0, 0.0], [-1.0, -2.0, -0.5]])).tolist() == [1, -1, -1]


def test_controls_are_ranked_not_top_neurons_and_active_on_the_word() -> None:
    rng = np.random.default_rng(0)
    dense = rng.uniform(0.1, 1, (200, 2))
    dense[100:, 1] = 0  # silent on word 1
    words = own_words(dense)
    words[[0, 1, 120]] = 1, 1, 0
    ranked = np.ones(200, bool)
    ranked[50:100] = False
    found = choose(dense, words, np.array([0, 120]), np.array([1, 120]), ranked, np.random.default_rng(1))
    assert found.neurons.tolist() == [0, 1, 120]
    assert found.words.tolist() == [1, 1, 0]
    assert found.over_all.tolist() == [True, False, True]
    assert found.in_layer.tolist() == [False, True, True]
    for neuron, word, random, matched in zip(found.neurons, found.words, found.random, found.matched, strict=True):
        pool = [n for n in range(200) if ranked[n] and n not in (0, 1, 120) and dense[n, word] > 0]
        assert (
            matched.tolist()
            == sorted(pool, key=lambda n: abs(dense[n, word] - dense[neuron, word]))[:CONTROLS_PER_NEURON]
        )
        assert set(random.tolist()) <= set(pool)
        assert len(set(random.tolist())) == CONTROLS_PER_NEURON


def test_a_top_neuron_without_controls_is_left_out() -> None:
    dense = np.array([[1.0], [0.0], [0.0]])
    one = np.array([0])
    found = choose(dense, np.array([0, -1, -1]), one, one, np.ones(3, bool), np.random.default_rng(0))
    assert found.neurons.shape == (0,)
    empty = group_sums(found, lambda neurons, tokens: values(0, 3, 21)[np.ix_(neurons, tokens)], torch.abs, POSITIONS)
    assert empty.top.shape == (0, 3)
    nothing = controls([(found, empty, empty)], POSITIONS.word_counts(), bootstrap.resampling_weights(3, 0))
    assert nothing.matched.value is None
    assert nothing.over_like.neurons == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["relu", "abs", "raw"]))
def test_sums_by_text_are_the_plain_loops(seed: int, activation: str) -> None:
    a = values(seed, 30, 21)
    exact = transform(activation)(torch.from_numpy(a)).double().numpy()
    words = np.random.default_rng(seed).integers(-1, 2, 30)
    places = list(POSITIONS.words.values())

    def plain(neuron: int, word: int) -> list[float]:
        return [sum(exact[neuron, place] for place in places[word] if POSITIONS.text[place] == t) for t in range(3)]

    own = own_word_sums(torch.from_numpy(exact), POSITIONS, words)
    for neuron, word in enumerate(words):
        np.testing.assert_allclose(own[neuron], plain(neuron, word) if word >= 0 else [0, 0, 0])

    chosen = ControlGroups(
        neurons=np.array([4, 7]),
        words=np.array([1, 0]),
        over_all=np.array([True, False]),
        in_layer=np.array([True, True]),
        random=[np.array([1, 2, 3]), np.array([5])],
        matched=[np.array([8]), np.array([9, 10])],
    )
    found = group_sums(chosen, lambda some, few: a[np.ix_(some, few)], transform(activation), POSITIONS)
    for row, (neuron, word) in enumerate([(4, 1), (7, 0)]):
        np.testing.assert_allclose(found.top[row], plain(neuron, word))
        for kind, others in (("random", chosen.random[row]), ("matched", chosen.matched[row])):
            np.testing.assert_allclose(
                getattr(found, kind)[row], np.mean([plain(n, word) for n in others], axis=0), atol=1e-12
            )


def test_controls_distinguish_damage_of_top_neurons_from_damage_everywhere() -> None:
    rng = np.random.default_rng(1)
    texts, members = 40, 80
    counts = rng.integers(0, 3, (2, texts))

    def sums(drops: tuple[float, float, float], words: np.ndarray, level: np.ndarray) -> Sums:
        noise = [rng.normal(0, 0.05, (members, texts)) for _ in drops]
        return Sums(
            *((level * (1 - drop) + n) * counts[words] for drop, n in zip(drops, noise, strict=True)),
        )

    layers = []
    for _ in range(2):
        words, level = rng.integers(0, 2, members), rng.uniform(0.5, 2, (members, 1))
        flags = np.arange(members) < 40
        chosen = ControlGroups(np.arange(members), words, flags, ~flags, [], [])
        layers.append((chosen, sums((0, 0, 0), words, level), sums((0.6, 0.2, 0.25), words, level)))
    weights = bootstrap.resampling_weights(texts, 0)
    for in_layer in (False, True):
        found = controls(layers, counts, weights, in_layer=in_layer)
        for interval, expected in (
            (found.matched, 0.6),
            (found.random, 0.2),
            (found.like, 0.25),
            (found.over_random, 0.4),
            (found.over_like, 0.35),
        ):
            assert interval.value is not None
            assert interval.low is not None
            assert interval.high is not None
            assert interval.low < interval.value < interval.high
            assert abs(interval.value - expected) < 0.03
            assert interval.high - interval.low < 0.1
            assert interval.neurons == 80
            assert interval.texts == int((counts.sum(0) > 0).sum())
        assert controls(layers, counts, weights, in_layer=in_layer) == found

"""Top neurons and their controls, on numbers whose answer is known."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.nsa import bootstrap
from prunescope.nsa.comparison import (
    ControlGroups,
    Sums,
    controls,
    group_sums,
    own_word_sums,
    own_words,
)
from prunescope.nsa.scoring import transform
from prunescope.nsa.word_sets import word_sets
from tests.nsa.test_scoring import layout, values

POSITIONS = layout([7, 5, 9], [2, 3, 9, 15, 16], {"bad": [2, 9, 15], "good": [3, 16]})


def test_a_neurons_own_word_is_its_strongest() -> None:
    assert own_words(np.array([[0.1, 0.4, 0.2], [0.0, 0.0, 0.0], [-1.0, -2.0, -0.5]])).tolist() == [1, -1, -1]


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

    sets = word_sets(POSITIONS, [], np.array([0, 1, 0]))
    chosen = ControlGroups(
        neurons=np.array([4, 7]),
        measured=np.array([1, 0]),
        over_all=np.array([True, False]),
        in_layer=np.array([True, True]),
        random=[np.array([1, 2, 3]), np.array([5])],
        matched=[np.array([8]), np.array([9, 10])],
    )
    marked = np.flatnonzero(POSITIONS.influential)

    def in_half(neuron: int, half: int) -> list[float]:
        return [
            sum(exact[neuron, place] for place in marked if POSITIONS.text[place] == t and sets.half[t] == half)
            for t in range(3)
        ]

    found = group_sums(chosen, lambda some, few: a[np.ix_(some, few)], transform(activation), POSITIONS, sets)
    for row, (neuron, half) in enumerate([(4, 1), (7, 0)]):
        np.testing.assert_allclose(found.top[row], in_half(neuron, half))
        for kind, others in (("random", chosen.random[row]), ("matched", chosen.matched[row])):
            np.testing.assert_allclose(
                getattr(found, kind)[row], np.mean([in_half(n, half) for n in others], axis=0), atol=1e-12
            )


def test_controls_distinguish_damage_of_top_neurons_from_damage_everywhere() -> None:
    rng = np.random.default_rng(1)
    texts, members = 40, 80
    tokens = rng.integers(1, 4, texts)
    influential = np.concatenate([np.arange(2, 2 + count) + 6 * text for text, count in enumerate(tokens)])
    positions = layout([6] * texts, influential.tolist())
    sets = word_sets(positions, [], np.arange(texts) % 2)
    measured = np.arange(members) % 2

    def sums(drops: tuple[float, float, float], level: np.ndarray) -> Sums:
        noise = [rng.normal(0, 0.05, (members, texts)) for _ in drops]
        here = tokens * (sets.half == measured[:, None])
        return Sums(*((level * (1 - drop) + n) * here for drop, n in zip(drops, noise, strict=True)))

    layers = []
    for _ in range(2):
        level = rng.uniform(0.5, 2, (members, 1))
        flags = np.arange(members) < 40
        chosen = ControlGroups(np.arange(members), measured, flags, ~flags, [], [])
        layers.append((chosen, sums((0, 0, 0), level), sums((0.6, 0.2, 0.25), level)))
    weights = bootstrap.resampling_weights(texts, 0)
    for in_layer in (False, True):
        found = controls(layers, positions, sets, weights, (0.01, None), in_layer=in_layer)
        assert (found.p_activation_matched, found.p_random) == (0.01, None)
        for interval, expected in (
            (found.top, 0.6),
            (found.random, 0.2),
            (found.activation_matched, 0.25),
            (found.over_random, 0.4),
            (found.over_activation_matched, 0.35),
        ):
            assert interval.value is not None
            assert interval.low is not None
            assert interval.high is not None
            assert interval.low < interval.value < interval.high
            assert abs(interval.value - expected) < 0.03
            assert interval.high - interval.low < 0.1
            assert interval.neurons == 80
            assert interval.texts == texts
        assert controls(layers, positions, sets, weights, (0.01, None), in_layer=in_layer) == found

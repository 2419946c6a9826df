"""The stored results about neurons, recomputed from the stored activations."""

import json
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from prunescope.nsa import bootstrap
from prunescope.nsa.attribution import Options
from prunescope.nsa.statistics import BINS
from prunescope.nsa.tables import ranks_of, top_count
from prunescope.store.attributions.activations import ActivationStore
from tests.nsa.test_attribution import TEXTS, language_model, run

LAYERS, NEURONS = 2, 64
CHANGES = {"relu": lambda x: np.maximum(x, 0), "abs": np.abs, "raw": lambda x: x}


@pytest.fixture(scope="module", params=["relu", "abs", "raw", "relu, special"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    activation, _, special = request.param.partition(", ")
    return run(
        tmp_path_factory.mktemp("tables") / "a",
        lambda: language_model("llama"),
        [lambda: language_model("llama", 0.5), lambda: language_model("llama", 0.9)],
        options=Options(placebo=40, activation=activation, count_special=bool(special)),
    )


def signed(store: ActivationStore, variant: str) -> np.ndarray:
    """[layers, neurons, tokens]"""
    return np.stack([store.layer(layer, range(NEURONS))[variant] for layer in range(LAYERS)]).astype(np.float64)


def active(store: ActivationStore, variant: str = "dense") -> np.ndarray:
    changed: np.ndarray = CHANGES[store.tables["summary"]["activation"]](signed(store, variant))
    return changed


def counted(store: ActivationStore) -> np.ndarray:
    flags = np.concatenate([example["special"] for example in store.examples])
    usual = np.ones_like(flags) if store.tables["summary"]["special_tokens"] else ~flags
    return usual & ~store.sinks


def positions(store: ActivationStore, word: int, text: int | None = None) -> list[int]:
    name = store.tables["words"][word]["word"]
    return [
        span.start + position
        for index, (example, span) in enumerate(zip(store.examples, store.spans, strict=True))
        for match in example["words"]
        if match["word"].lower() == name and text in (None, index)
        for position in match["positions"]
    ]


def test_score_lift_z_q_and_rank(store: ActivationStore) -> None:
    a, flags = active(store), np.concatenate([example["influential"] for example in store.examples])
    below = a[..., counted(store)].sum(-1)
    ranked = (below >= np.quantile(np.abs(below), 0.05, axis=1, keepdims=True)) & (below > 0)
    score = np.where(ranked, a[..., flags].sum(-1) / np.where(ranked, below, 1), np.nan)
    np.testing.assert_allclose(store.score, score, atol=1e-5)
    share = flags.sum() / counted(store).sum()
    np.testing.assert_allclose(store.array("lift"), score / share, rtol=1e-5, atol=1e-5)
    expected = np.full(ranked.shape, np.nan)
    expected[ranked] = stats.false_discovery_control(store.p_value[ranked].astype(np.float64), method="bh")
    np.testing.assert_allclose(store.array("q_value"), expected, rtol=1e-4)
    assert np.isfinite(store.array("z")[ranked]).all()
    rank = store.array("rank")
    assert sorted(rank[rank > 0].tolist()) == list(range(1, int(ranked.sum()) + 1))
    best_first = score[rank > 0][np.argsort(rank[rank > 0])]
    assert all(a >= b for a, b in pairwise(best_first))


def test_spread_of_every_variant(store: ActivationStore) -> None:
    dense = signed(store, "dense")[..., counted(store)]
    low, high = dense.min(-1, keepdims=True), dense.max(-1, keepdims=True)
    for variant in store.variants:
        values, spread = signed(store, variant)[..., counted(store)], store.array(f"spread/{variant}")
        np.testing.assert_allclose(spread[..., 0], values.mean(-1), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(spread[..., 1], values.min(-1).astype(np.float32))
        np.testing.assert_array_equal(spread[..., 2], values.max(-1).astype(np.float32))
        histogram = spread[..., 3:]
        assert histogram.shape == (LAYERS, NEURONS, BINS)
        assert (histogram.sum(-1) == counted(store).sum()).all()
        places = np.clip((values - low) * (BINS / (high - low)), 0, BINS - 1)
        expected = np.stack([(places.astype(int) == k).sum(-1) for k in range(BINS)], axis=-1)
        near = (np.abs(places - places.round()) < 1e-4).sum(-1)
        assert (np.abs(histogram - expected).sum(-1) <= 2 * near).all()


def test_who_answers_to_a_word_is_one_read(store: ActivationStore) -> None:
    a, ranked = active(store), store.array("rank") > 0
    below = a[..., counted(store)].sum(-1)
    for word in range(len(store.tables["words"])):
        share = np.where(ranked, a[..., positions(store, word)].sum(-1) / np.where(ranked, below, 1), np.nan)
        _same_top(store.array("word_neurons")[word], store.array("word_scores")[word], share.ravel())
        for layer in range(LAYERS):
            _same_top(
                store.array("word_neurons_by_layer")[layer, word],
                store.array("word_scores_by_layer")[layer, word],
                share[layer],
            )


def test_who_answers_to_a_token_is_one_read(store: ActivationStore) -> None:
    a, ranked = active(store), store.array("rank") > 0
    below = a[..., counted(store)].sum(-1)
    for token in range(store.tokens):
        share = np.where(ranked & counted(store)[token], a[..., token] / np.where(ranked, below, 1), np.nan)
        _same_top(store.array("token_neurons")[token], store.array("token_scores")[token], share.ravel())
        for layer in range(LAYERS):
            _same_top(
                store.array("token_neurons_by_layer")[layer, token],
                store.array("token_scores_by_layer")[layer, token],
                share[layer],
            )


def _same_top(neurons: np.ndarray, scores: np.ndarray, shares: np.ndarray) -> None:
    positive = np.sort(shares[shares > 0])[::-1][: len(neurons)]
    found = neurons >= 0
    assert found.sum() == len(positive)
    np.testing.assert_allclose(scores[found], positive, rtol=1e-4)
    np.testing.assert_allclose(shares[neurons[found]], positive, rtol=1e-4)
    assert len(set(neurons[found].tolist())) == len(positive)


def test_drops_and_their_intervals(store: ActivationStore) -> None:
    words = store.array("word")
    weights = bootstrap.resampling_weights(len(TEXTS), 0)
    assert {store.tables["words"][word]["word"] for word in words[words >= 0]} >= {"bad"}
    for variant in ("pruned-1", "pruned-2"):
        arrays = {name: store.array(f"{name}/{variant}") for name in ("drop", "drop_low", "drop_high")}
        sides = [active(store, name) for name in ("dense", variant)]
        for layer, neuron in [(0, 3), (0, 40), (1, 7), (1, 63)]:
            word = int(words[layer, neuron])
            if word < 0:
                continue
            by_text = [positions(store, word, text) for text in range(len(TEXTS))]
            dense, left = (values[layer, neuron, positions(store, word)].mean() for values in sides)
            assert arrays["drop"][layer, neuron] == pytest.approx(1 - left / dense, rel=1e-4, abs=1e-5)
            kept = store.array(f"text_activations/{variant}")[layer, neuron]
            for text, places in enumerate(by_text):
                expected = sides[1][layer, neuron, places].mean() if places else np.nan
                np.testing.assert_allclose(kept[text], expected, rtol=1e-4, atol=1e-6)
            drawn = []
            for row in weights[1:]:
                means = []
                for values in sides:
                    sums = [values[layer, neuron, places].sum() for places in by_text]
                    tokens = row @ [len(places) for places in by_text]
                    means.append(row @ sums / tokens if tokens else np.nan)
                drawn.append(1 - means[1] / means[0] if means[0] > 0 else np.nan)
            known = sum(map(bool, by_text)) >= 2 and store.array("rank")[layer, neuron] > 0
            expected = np.nanpercentile(drawn, [2.5, 97.5]) if known else [np.nan, np.nan]
            bounds = [arrays[side][layer, neuron] for side in ("drop_low", "drop_high")]
            np.testing.assert_allclose(bounds, expected, rtol=1e-3, atol=1e-4)


def test_the_documents_of_every_variant(store: ActivationStore) -> None:
    json.dumps(store.tables, allow_nan=False)
    assert store.tables["format"] == 3
    for variant in ("pruned-1", "pruned-2"):
        document = store.tables["comparisons"][variant]
        assert [row["layer"] for row in document["layers"]] == [0, 1]
        for controls in (document["controls"], *(row["controls"] for row in document["layers"])):
            top, over = controls["top"], controls["over_activation_matched"]
            assert top["value"] is not None
            assert over["value"] == pytest.approx(top["value"] - controls["activation_matched"]["value"])
            assert 0 < controls["p_activation_matched"] <= 1
        assert store.array(f"placebo/{variant}").shape == (1 + LAYERS, 40, 2)
        assert len(document["words"]) == len(store.tables["words"])
        damage = store.array(f"word_damage/{variant}")
        assert damage.shape == (LAYERS, len(store.tables["words"]), 5)
        words, rank = store.array("word"), store.array("rank")
        assert damage[..., 0].tolist() == [
            [min(20, int(((words[layer] == word) & (rank[layer] > 0)).sum())) for word in range(damage.shape[1])]
            for layer in range(LAYERS)
        ]
    milder, harder = (store.tables["comparisons"][name]["controls"]["top"]["value"] for name in store.variants[1:])
    assert harder > milder


def test_ranks_count_from_the_highest_score() -> None:
    assert ranks_of(np.array([[0.1, np.nan, 0.5], [0.5, 0.2, np.nan]])).tolist() == [[4, 0, 1], [2, 3, 0]]
    assert top_count(np.zeros((2, 2), np.int32)) == 0
    assert top_count(np.arange(1, 7)) == 6
    assert top_count(np.arange(1, 400)) == 19
    assert top_count(np.arange(1, 10_000)) == 100

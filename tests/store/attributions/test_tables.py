"""The documents of an attribution, from arrays small enough to work out by hand."""

from pathlib import Path

import numpy as np
import pytest

from prunescope.store.attributions.activations import ActivationStore, NoSuchNeuron
from prunescope.store.attributions.documents import Interval
from prunescope.store.attributions.tables import AttributionTables
from prunescope.store.attributions.writer import ActivationWriter
from tests.store.attributions.test_activations import example

NAN = float("nan")
SCORE = np.array([[0.1, NAN, 0.4, 0.2], [0.9, 0.3, NAN, 0.5]], np.float32)
RANK = np.array([[6, 0, 3, 5], [1, 4, 0, 2]], np.int32)
WORD = np.array([[0, -1, 1, 0], [1, 0, 1, 1]], np.int32)
DROP = np.array([[0.9, NAN, 0.1, NAN], [0.2, 0.5, 0.7, 0.6]], np.float32)
INTERVAL = {"value": 0.5, "low": 0.25, "high": 0.75, "neurons": 3}
UNKNOWN = {"value": None, "low": None, "high": None, "neurons": 3}
SUMMARY = {
    "activation": "relu",
    "source": "cot",
    "layers": [0, 1],
    "permutations": 0,
    "floor": 0.1,
    "special_tokens": True,
    "texts": 1,
    "tokens": 4,
    "counted_tokens": 3,
    "influential_tokens": 1,
    "neurons": 8,
    "ranked": 6,
    "unranked": 2,
    "matched": 4,
    "matched_in_layer": 3,
    "dropped": [{"text": 0, "word": "awful"}],
    "left_out": [{"text": 1, "reason": "too long"}],  # kept before texts had a start
    "answers": [{"text": 0, "answer": " [bad,awful]"}],
    "model_labels": [],
}


@pytest.fixture(params=[1, 0])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> AttributionTables:
    """With one pruned variant, and with none."""
    names = ["dense", "pruned-1"][: 1 + request.param]
    with ActivationWriter(
        tmp_path / "a",
        spec={},
        variants=names,
        models=names,
        labels=names,
        examples=[example(0, 4)],
        layers=2,
        neurons=4,
    ) as archive:
        for variant in names:
            for layer in (0, 1):
                means = np.array([[1.0, 2.0], [0.0, -1.0], [0.5, 0.25], [3.0, 1.0]], np.float32)
                archive.keep(f"word_activations/{variant}", layer, means * (1.0 if variant == "dense" else 0.25))
        arrays = {"score": SCORE, "rank": RANK, "word": WORD}
        arrays |= {name: np.where(RANK > 0, 0.5, NAN).astype(np.float32) for name in ("z", "lift", "q_value")}
        arrays["p_value"] = np.full((2, 4), NAN, np.float32)
        document = {
            "layers": [0, 1],
            "summary": SUMMARY,
            "words": [
                {"word": "bad", "texts": 1, "occurrences": 2, "tokens": 2},
                {"word": "Dull", "texts": 1, "occurrences": 1, "tokens": 3},
                {"word": "so", "texts": 1, "occurrences": 1, "tokens": 1},
            ],
            "comparisons": {},
        }
        if request.param:
            arrays["drop/pruned-1"] = DROP
            arrays["masked_in/pruned-1"] = np.full((2, 4), 0.47, np.float32)
            arrays["masked_out/pruned-1"] = np.full((2, 4), NAN, np.float32)
            row = {"neurons": 2, "activation": 1.5, "low": None, "high": None}
            document["comparisons"] = {
                "pruned-1": {
                    "controls": {
                        "matched": INTERVAL,
                        "random": INTERVAL,
                        "like": INTERVAL,
                        "over_random": UNKNOWN,
                        "over_like": UNKNOWN,
                    },
                    "words": [row | {"drop": 0.2}, row | {"drop": 0.7}, row | {"drop": None}],
                }
            }
        archive.finish(arrays, document)
    return AttributionTables(ActivationStore(tmp_path / "a"))


def has_pruned(tables: AttributionTables) -> bool:
    return len(tables.store.variants) > 1


def places(rows: list) -> list[tuple[int, int]]:  # type: ignore[type-arg]
    return [(row.layer, row.neuron) for row in rows]


def test_the_ranking(tables: AttributionTables) -> None:
    rows, total = tables.neurons()
    assert total == 6
    assert places(rows) == [(1, 0), (1, 3), (0, 2), (1, 1), (0, 3), (0, 0)]
    assert [row.rank for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0].word == "Dull"
    assert rows[0].p_value is None
    assert rows[0].score == pytest.approx(0.9)
    assert rows[0].drop == (pytest.approx(0.2) if has_pruned(tables) else None)
    assert tables.neurons(offset=1, limit=2)[0] == rows[1:3]
    assert tables.neurons(layer=0)[0] == [rows[2], rows[4], rows[5]]
    assert tables.neurons(word="dull")[0] == rows[:3]
    assert tables.neurons(word="nothing") == ([], 0)
    assert tables.neurons(word="bad", layer=0, limit=1) == ([rows[4]], 2)
    with pytest.raises(NoSuchNeuron):
        tables.neurons(layer=2)


def test_the_best_neuron_of_each_word(tables: AttributionTables) -> None:
    best = tables.best_of_words()
    assert best == {word: found[0] for word in tables.words_list if (found := tables.neurons(word=word, limit=1)[0])}
    assert "Dull" in best


def test_sorted_by_drop_the_undefined_come_last(tables: AttributionTables) -> None:
    if not has_pruned(tables):
        with pytest.raises(LookupError, match="the pruned variants are none"):
            tables.neurons(sort="drop")
        return
    rows, total = tables.neurons(sort="drop", variant="pruned-1")
    assert total == 6
    assert places(rows) == [(0, 0), (1, 3), (1, 1), (1, 0), (0, 2), (0, 3)]
    assert rows[-1].drop is None
    assert places(tables.damaged()) == [(1, 3), (1, 1), (1, 0), (0, 2)]  # of the four matched
    assert places(tables.damaged(limit=1)) == [(1, 3)]
    with pytest.raises(LookupError, match="variant pruned-2: the pruned variants are pruned-1"):
        tables.neurons(sort="drop", variant="pruned-2")


def test_one_neuron(tables: AttributionTables) -> None:
    found = tables.neuron(1, 3)
    assert (found.rank, found.word) == (2, "Dull")
    assert [word.word for word in found.words] == ["bad", "Dull"]
    if has_pruned(tables):
        assert found.masked_fraction is not None
        document = found.model_dump(mode="json")
        assert document["masked_fraction"] == {"in": pytest.approx(0.47), "out": None}
        assert document["masked_fractions"] == {"pruned-1": document["masked_fraction"]}
        assert found.drops == {"pruned-1": pytest.approx(0.6)}
        assert found.words[0].values == {"dense": 3.0, "pruned-1": 0.75}
        assert found.words[0].drop == {"pruned-1": 0.75}
    else:
        assert found.masked_fraction is None
        assert found.words[0].drop == {}
    silent = tables.neuron(0, 1)
    assert (silent.rank, silent.score, silent.word) == (None, None, None)
    assert all(drop is None for word in silent.words for drop in word.drop.values())
    with pytest.raises(NoSuchNeuron, match="neuron 4"):
        tables.neuron(0, 4)


def test_words_most_damaged_first(tables: AttributionTables) -> None:
    rows = tables.words()
    if has_pruned(tables):
        assert [(row.word, row.drop) for row in rows] == [("Dull", 0.7), ("bad", 0.2), ("so", None)]
    else:
        assert [(row.word, row.neurons) for row in rows] == [("bad", 0), ("Dull", 0), ("so", 0)]
    assert {row.word: row.tokens for row in rows} == {"bad": 2, "Dull": 3, "so": 1}


def test_controls(tables: AttributionTables) -> None:
    found = tables.controls()
    if has_pruned(tables):
        assert found is not None
        assert found.top == Interval(**INTERVAL)
        assert found.over_activation_matched.value is None
    else:
        assert found is None


def test_what_an_older_attribution_lacks_is_not_made_up(tables: AttributionTables) -> None:
    assert tables.store.format == 1
    assert tables.answering(word="dull") == tables.answering(token=3, layer=1) == []
    with pytest.raises(LookupError, match="the words are bad, Dull, so"):
        tables.answering(word="nothing")
    with pytest.raises(LookupError, match="the tokens are 0 to 3"):
        tables.answering(token=4)
    row, found = tables.row(1, 3), tables.neuron(1, 3)
    assert (row.low, row.high, found.spread) == (None, None, {})
    assert found.intervals == ({"pruned-1": None} if has_pruned(tables) else {})
    assert tables.controls(layer=0) is None
    assert [row.drop for row in tables.words(layer=1)] == [None, None, None]
    assert [row.over_activation_matched for row in tables.layers()] == [None, None]
    if has_pruned(tables):
        assert places(tables.damaged(layer=1)) == [(1, 3), (1, 1), (1, 0)]


def test_the_map_of_ranks(tables: AttributionTables) -> None:
    found = tables.rank_map(ranks=4)
    assert found.layers == [0, 1]
    assert found.ranks == [1, 2, 3, 4]
    assert found.neurons == [[2, 3, 0, None], [0, 3, 1, None]]
    assert found.words[0] == ["Dull", "bad", "bad", None]
    assert found.scores[1] == [pytest.approx(0.9), pytest.approx(0.5), pytest.approx(0.3), None]
    assert found.drops[0] == (
        [pytest.approx(0.1), None, pytest.approx(0.9), None] if has_pruned(tables) else [None] * 4
    )


def test_layers(tables: AttributionTables) -> None:
    rows = tables.layers(top=2)
    assert [(row.layer, row.ranked) for row in rows] == [(0, 3), (1, 3)]
    assert rows[1].best is not None
    assert rows[1].best.neuron == 0
    assert rows[0].score == pytest.approx(0.3)
    assert rows[0].drop == (pytest.approx(0.1) if has_pruned(tables) else None)


def test_next_in_rank(tables: AttributionTables) -> None:
    assert tables.at_rank(1) == (1, 0)
    assert tables.at_rank(6) == (0, 0)
    assert tables.at_rank(0) is None
    assert tables.at_rank(7) is None


def test_the_summary(tables: AttributionTables) -> None:
    added = {
        "plain_question": None,
        "without_words": [],
        "content": False,
        "found": [],
        "sinks": True,
        "sink_tokens": 0,
        "placebo": 0,
        "least_p": None,
        "cross_fitted": False,
    }
    assert tables.summary().model_dump() == {
        **SUMMARY,
        **added,
        "left_out": [{"text": 1, "reason": "too long", "start": ""}],
    }

"""Position 0 and attention sinks: found by the rule of Sun et al. 2024, and left out of every sum."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.errors import BadText
from prunescope.nsa import scoring, statistics
from prunescope.nsa.attribution import Options
from prunescope.nsa.preparation import prepare
from prunescope.nsa.recording import record
from prunescope.nsa.sinks import SinkFinder, first_tokens, massive
from prunescope.nsa.texts import Text
from tests.models import tiny
from tests.nsa.test_attribution import TEXTS, language_model, run
from tests.nsa.test_scoring import layout


def test_massive_needs_a_hundred_and_a_thousand_medians() -> None:
    hidden = torch.full((4, 8), 0.2)
    hidden[1, 3] = -250
    hidden[2, 3] = 199.0  # under 1000 medians
    assert massive(hidden).tolist() == [False, True, False, False]
    assert not massive(hidden / 10).any()  # 25 is over 1000 medians, but under 100


def test_hidden_states_are_the_inputs_of_all_layers_but_the_first() -> None:
    model = tiny("llama")
    texts = [[1, 5, 6], [1, 7], [1, 8, 9, 10, 11]]
    seen: dict[int, list[torch.Tensor]] = {}
    record(
        model,
        texts,
        lambda layer, start, values: None,
        see_hidden=lambda start, hidden: seen.setdefault(start, []).append(hidden.clone()),
    )
    assert sorted(seen) == [0, 3, 5]
    for start, ids in zip((0, 3, 5), texts, strict=True):
        with torch.no_grad():
            states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
        assert len(seen[start]) == len(decoder_layers(model)) - 1
        for found, expected in zip(seen[start], states[1:], strict=False):
            torch.testing.assert_close(found, expected[0], rtol=1e-4, atol=1e-5)


def test_the_finder_joins_layers_and_texts() -> None:
    finder = SinkFinder(5)
    quiet, loud = torch.full((2, 9), 0.1), torch.full((2, 9), 0.1)
    loud[1, 0] = 500
    finder.see(0, torch.full((3, 9), 0.1))
    finder.see(3, loud)
    finder.see(3, quiet)
    assert finder.mask().tolist() == [False, False, False, False, True]
    assert first_tokens([3, 2]).tolist() == [True, False, False, True, False]


@settings(deadline=None)
@given(st.data())
def test_what_a_sink_holds_changes_no_sum(data: st.DataObject) -> None:
    """Scores, means, nulls and spreads are the same whatever the activations at sinks are."""
    lengths = data.draw(st.lists(st.integers(3, 6), min_size=3, max_size=3))
    sinks = first_tokens(lengths)
    flags = data.draw(st.sets(st.integers(1, sum(lengths) - 1), min_size=1))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    made = layout(lengths, sorted(flags | {1}))
    positions = replace(made, special=np.zeros_like(made.special)).without(sinks)
    assert not (positions.influential & sinks).any()
    values = rng.standard_normal((7, sum(lengths))).astype(np.float16)
    other = values.copy()
    other[:, sinks] = 1000 * rng.standard_normal((7, int(sinks.sum())))
    draws = scoring.redraws(positions, 20, 0)
    for first, second in zip(
        *(vars(scoring.sums(torch.from_numpy(each), positions, "relu", draws)).values() for each in (values, other)),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)
    spreads = [statistics.spread(torch.from_numpy(each), positions).table for each in (values, other)]
    np.testing.assert_array_equal(*spreads)


def test_an_attribution_leaves_position_0_out_by_default(tmp_path: Path) -> None:
    store = run(tmp_path / "a", lambda: language_model("opt"), [lambda: language_model("opt", 0.5)])
    firsts = [span.start for span in store.spans]
    assert store.sinks[firsts].all()
    assert store.tables["summary"]["sink_tokens"] == store.sinks.sum()
    assert not store.tables["summary"]["sinks"]
    counting = Options(permutations=50, count_sinks=True)
    other = run(tmp_path / "b", lambda: language_model("opt"), [lambda: language_model("opt", 0.5)], options=counting)
    assert not other.sinks.any()
    assert other.tables["summary"]["sinks"]


def test_only_words_at_position_0() -> None:
    lm = language_model("llama")
    prepared = prepare(lm, TEXTS, Options(), lambda *_: None)
    with pytest.raises(BadText, match=r"all tokens of the influential words \(bad, small, 😡, kind\) are position 0"):
        prepared.without_sinks(prepared.positions.influential)


def test_a_word_without_a_counted_token_is_no_word_of_the_tables() -> None:
    lm = language_model("llama")
    texts = [replace(TEXTS[0], words=("bad", "small")), Text("the staff were kind", "positive", ("kind",))]
    positions = prepare(lm, texts, Options(), lambda *_: None).positions
    kept = positions.without(np.isin(np.arange(len(positions.text)), positions.words["kind"]))
    assert list(kept.words) == ["bad", "small"]

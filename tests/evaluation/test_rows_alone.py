"""A row's score does not depend on other rows in its batch or on earlier passes."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from prunescope.evaluation.likelihood import encode_all, score
from prunescope.lm.answers import Encoded, apart
from prunescope.lm.passages import longest_branched, passages
from prunescope.nsa.recording import batches
from tests.models import CONTEXT, DECODERS, VOCABULARY, tiny, tiny_dynamic, tiny_longrope, tokenizer_with_end

MADE: dict[str, Callable[[], PreTrainedModel]] = {"longrope": tiny_longrope, "dynamic": tiny_dynamic}


@cache
def model_of(family: str) -> PreTrainedModel:
    return MADE[family]() if family in MADE else tiny(family)


def alone(model: PreTrainedModel, item: Encoded) -> float:
    """One plain pass without anything beside it."""
    whole = torch.tensor([[*item.inputs, item.answer[-1]]])
    with torch.no_grad():
        logits = model(input_ids=whole[:, :-1], use_cache=False).logits[0, -len(item.answer) :].float()
    return float(logits.log_softmax(-1).gather(1, whole[0, -len(item.answer) :, None]).sum())


ids = st.integers(2, VOCABULARY - 1)
# Prompts of a few and of many tokens, some of them the beginning of others, each with some answers.
prompts = st.lists(st.lists(ids, min_size=1, max_size=60), min_size=1, max_size=4)
answers = st.lists(st.lists(ids, min_size=1, max_size=8), min_size=1, max_size=3)


@pytest.mark.parametrize("family", [*DECODERS, *MADE])
@settings(deadline=None, max_examples=12)
@given(prompts, answers, st.integers(1, 50))
def test_a_score_does_not_depend_on_what_is_beside_it(
    family: str, prompts: list[list[int]], answers: list[list[int]], cut: int
) -> None:
    model = model_of(family)
    several = [*prompts, prompts[0][:cut], (prompts[0] * 60)[: CONTEXT - 10]]
    items = [
        Encoded(tuple([*prompt, *answer][:-1]), tuple(answer), truncated=False)
        for prompt in several
        for answer in answers
    ]
    rows = passages([item.inputs for item in items], longest_branched(model))
    found = score(model, rows, items)
    assert [found[place] for place in range(len(items))] == pytest.approx(
        [alone(model, item) for item in items], rel=2e-4, abs=2e-4
    )


def test_a_text_that_begins_one_beyond_the_switch_has_a_pass_of_its_own() -> None:
    texts = [tuple(range(2, 2 + length)) for length in (10, 24, 25, 60)]
    rows = passages(texts, longest=0)
    assert [len(row.tokens) for row in rows] == [60], "one row is read for all"
    parts = apart(rows, [len(text) for text in texts], (24,))
    assert sorted(len(row.tokens) for part in parts for row in part) == [24, 60]
    assert sorted(item for part in parts for row in part for item, _ in row.items) == [0, 1, 2, 3]
    assert apart(rows, [len(text) for text in texts], ()) == [rows]


def test_rows_beyond_a_window_share_no_pass_with_branches() -> None:
    """The mask of branches knows no window: it would let layers of the longer row look back on all of it."""
    long, one, two = tuple(range(2, 22)), (30, 31, 32, 33), (30, 31, 32, 34)
    rows = passages([long, one, two], longest=8)
    assert [row.branches for row in rows] == [(), (1, 1)]
    assert apart(rows, [20, 4, 4], (), 8) == [rows[:1], rows[1:]]
    assert apart(rows, [20, 4, 4], (), 20) == apart(rows, [20, 4, 4], ()) == [rows]


def test_rows_with_branches_stay_below_the_switch() -> None:
    assert longest_branched(tiny_longrope()) <= 24


def test_recorded_texts_of_two_sides_share_no_batch() -> None:
    texts = [[1] * length for length in (5, 30, 40, 24, 3)]
    assert [[len(ids) for ids in batch] for batch in batches(texts, 512, (24,))] == [[5], [30, 40], [24, 3]]
    assert len(list(batches(texts, 512))) == 1


@pytest.mark.parametrize("ends", [("</s>",), ("[SEP]", "</s>"), ("<s>",)])
def test_what_a_tokenizer_appends_is_no_part_of_an_answer(ends: tuple[str, ...]) -> None:
    pairs = [("the room was", " small"), ("the room was", " kind and small"), ("", "the food was bad")]
    found, plain = (encode_all(tokenizer_with_end(*these), pairs, CONTEXT) for these in (ends, ()))
    assert found == plain

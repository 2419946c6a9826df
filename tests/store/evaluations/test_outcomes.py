"""Which rows were right, packed to a bit each."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.store.evaluations.outcomes import (
    LONGEST_KEY,
    Outcomes,
    WindowLosses,
    outcomes_of,
    text_key,
    unpacked,
    unpacked_losses,
    unpacked_scores,
)


def example(index: int, **change: Any) -> dict[str, Any]:
    asked = {"index": index, "text": f"row {index}", "choices": ["no", "yes"], "answer": 0, "chosen": 0}
    return {**asked, "scores": [-1.0, -2.0], **change}


def document(*examples: dict[str, Any]) -> dict[str, Any]:
    return {"tasks": {"reviews": {"examples": [*examples]}}}


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=70))
def test_they_come_back_as_they_were(right: list[bool]) -> None:
    examples = [example(index, chosen=0 if correct else 1) for index, correct in enumerate(right)]
    found = outcomes_of(document(*examples))["reviews"]
    assert found.correct.tolist() == right
    assert len(found.packed) == (len(right) + 7) // 8
    assert unpacked(found.packed, len(right)).tolist() == right


@pytest.mark.parametrize("labels", [2, 3])
def test_scores_of_fixed_labels_come_back(labels: int) -> None:
    """Relative to the first label, so that the margins stay as they were."""
    random = np.random.default_rng(labels)
    scores, choices = random.normal(size=(9, labels)), ["no", "yes", "maybe"][:labels]
    rows = [
        example(index, scores=each.tolist(), answer=index % 2, choices=choices) for index, each in enumerate(scores)
    ]
    found = outcomes_of(document(*reversed(rows)))["reviews"]
    assert isinstance(found, Outcomes) and found.labels is not None and found.packed_scores is not None
    assert np.array_equal(found.labels.scores, scores) and found.labels.right.tolist() == [i % 2 for i in range(9)]
    back = unpacked_scores(found.packed_scores, 9)
    assert np.allclose(back - back[:, :1], scores - scores[:, :1]) and back.shape == scores.shape
    other = outcomes_of(document(*rows[:-1], {**rows[-1], "choices": ["no", "never", "always"][:labels]}))["reviews"]
    assert isinstance(other, Outcomes) and other.labels is None and other.packed_scores is None


def test_the_hash_is_of_what_was_asked_not_of_the_answers() -> None:
    rows = [example(index) for index in range(3)]
    mark = outcomes_of(document(*rows))["reviews"].rows_hash
    answered = [{**row, "chosen": 1, "scores": [-3.0, -1.0]} for row in reversed(rows)]
    same = outcomes_of(document(*answered))["reviews"]
    assert same.rows_hash == mark and not np.any(same.correct)
    for change in ({"index": 7}, {"text": "other"}, {"choices": ["no", "Yes"]}, {"answer": 1}):
        changed = outcomes_of(document(*rows[:2], {**rows[2], **change}))["reviews"]
        assert changed.rows_hash != mark, change
    assert outcomes_of(document(*rows[:2]))["reviews"].rows_hash != mark


def test_text_that_is_not_unicode_is_hashed_too() -> None:
    assert outcomes_of(document(example(0, text="half of a pair: \ud83d")))["reviews"].correct.tolist() == [True]


def test_the_losses_of_windows_come_back_as_they_were() -> None:
    nlls = [1.25, 0.1, 1e-300, 7.000000000000001]
    perplexity = {"ptb": {"sha256": "ab", "nlls": nlls, "windows": 4}, "c4": {"sha256": "cd", "windows": 4}}
    found = outcomes_of({"tasks": {}, "perplexity": perplexity})
    assert [*found] == ["ptb"], "an earlier version kept no losses"
    losses = found["ptb"]
    assert isinstance(losses, WindowLosses) and losses.rows_hash == "ab"
    assert unpacked_losses(losses.packed).tolist() == nlls


def test_a_text_is_called_by_its_name_and_a_long_path_by_its_end() -> None:
    assert text_key("wikitext2") == "wikitext2"
    folders = "/".join(["a folder"] * 12)
    one, two = (text_key(f"/{folders}/{number}/held-out.txt") for number in (1, 2))
    assert len(one) == len(two) == LONGEST_KEY and one != two
    assert one.endswith("a folder/1/held-out.txt")
    other = text_key(f"/elsewhere/{folders}/1/held-out.txt")
    assert other != one and other[9:] == one[9:], "the hash tells apart what ends alike"

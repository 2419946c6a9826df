"""Words as a reader sees them, in every script."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsa.whole_words import distinct_words, occurrences

LETTERS = "abÄéßñ'’- .,!\u0301中好ไทย😡👍\U0001f3fd\u200d\ufe0f漢カ_7"  # noqa: RUF001 - apostrophes and marks are meant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So bad, so don't 😡", ["So", "bad", "don't", "😡"]),
        ("rock'n'roll 'quoted' it’s", ["rock'n'roll", "quoted", "it’s"]),  # noqa: RUF001
        ("cafe\u0301 CAFE\u0301", ["cafe\u0301"]),  # the accent as a mark of its own
        ("菜很好", ["菜", "很", "好"]),
        ("so 👍\U0001f3fd 👍\U0001f3fd!", ["so", "👍\U0001f3fd"]),  # a skin tone
        ("❤️ 👩\u200d🍳", ["❤️", "👩\u200d🍳"]),
        ("win95 snake_case x-ray", ["win95", "snake_case", "x", "ray"]),
        (" ... !", []),
        ("", []),
    ],
)
def test_the_words_of_a_text(text: str, expected: list[str]) -> None:
    assert distinct_words(text) == expected


@given(st.text(alphabet=LETTERS, max_size=30))
def test_every_word_of_a_text_stands_in_it(text: str) -> None:
    words = distinct_words(text)
    assert len({word.lower() for word in words}) == len(words)
    for word in words:
        assert word in text
        assert occurrences(word, text), word


@given(st.text(alphabet=LETTERS, max_size=20), st.text(alphabet=LETTERS, max_size=3))
def test_occurrences_are_whole_and_do_not_overlap(text: str, word: str) -> None:
    found = occurrences(word, text)
    assert all(text[a:b].casefold().split() == word.casefold().split() for a, b in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("e", "cafe\u0301"),
        ("cafe", "cafe\u0301"),
        ("bad", "badly"),
        ("ad", "bad"),
        ("95", "win95"),
        ("snake", "snake_x"),
    ],
)
def test_part_of_a_word_is_no_word(word: str, text: str) -> None:
    assert occurrences(word, text) == []


def test_an_apostrophe_bounds_a_word_that_is_named_without_it() -> None:
    assert occurrences("good", "'good' isn't good's") == [(1, 5), (13, 17)]

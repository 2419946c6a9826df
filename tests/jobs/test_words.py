"""The rule of jobs/ for a word in a text is the numerics' rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.words import occurrences, occurs, words_of

LETTERS = "ab B.,-'é\n好ก_1e\u0301\ufe0f\u200d\u2019\N{POUTING FACE}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
TEXTS = st.text(alphabet=st.sampled_from(LETTERS), max_size=12)


@given(word=TEXTS, text=TEXTS)
def test_a_word_occurs_where_the_numerics_find_it(word: str, text: str) -> None:
    found = pytest.importorskip("nsa.words").occurrences(word, text)
    assert occurrences(word, text) == found
    assert occurs(word, text) == bool(found)


@given(text=TEXTS)
def test_a_text_has_the_words_that_the_numerics_find(text: str) -> None:
    distinct = pytest.importorskip("nsa.whole_words").distinct_words(text)
    first: dict[str, str] = {}
    for start, end in words_of(text):
        first.setdefault(text[start:end].lower(), text[start:end])
    assert list(first.values()) == distinct


def test_whole_words_only() -> None:
    assert occurs("bad", "So BAD!") and occurs("not good", "not\n good") and occurs("好", "很好吃")
    assert not occurs("bad", "badly") and not occurs("", "text") and not occurs(" ", "a b")

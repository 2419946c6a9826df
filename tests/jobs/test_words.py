"""The rule of jobs/ for a word in a text is the numerics' rule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.words import occurs

TEXTS = st.text(alphabet=st.sampled_from("ab B.,-'é\n好ก_1"), max_size=12)


@given(word=TEXTS, text=TEXTS)
def test_a_word_occurs_where_the_numerics_find_it(word: str, text: str) -> None:
    occurrences = pytest.importorskip("nsa.words").occurrences
    assert occurs(word, text) == bool(occurrences(word, text))


def test_whole_words_only() -> None:
    assert occurs("bad", "So BAD!") and occurs("not good", "not\n good") and occurs("好", "很好吃")
    assert not occurs("bad", "badly") and not occurs("", "text") and not occurs(" ", "a b")

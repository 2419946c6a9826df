"""Content words: neither function words nor numbers."""

import pytest

from prunescope.text.content import FUNCTION_WORDS, is_content
from prunescope.text.words import fold


@pytest.mark.parametrize(
    "word", ["terrible", "not", "Nobody", "but", "10th", "waste of time", "中文", "\N{PILE OF POO}"]
)
def test_content_words(word: str) -> None:
    assert is_content(word)


@pytest.mark.parametrize("word", ["of", "The", "IT", "it’s", "1999", "the room", "room of", "!", ""])  # noqa: RUF001
def test_other_words(word: str) -> None:
    assert not is_content(word)


def test_the_list_is_folded() -> None:
    assert all(word == fold(word) for word in FUNCTION_WORDS)
    assert {"not", "no", "but", "never", "without"}.isdisjoint(FUNCTION_WORDS)

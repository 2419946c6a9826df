"""Influential words that are marked in their texts."""

from hypothesis import given
from hypothesis import strategies as st

from prunescope.server.attributions.marked import marked
from prunescope.text.words import fold


def test_every_occurrence_is_marked_and_no_part_of_a_longer_word() -> None:
    found = marked("Bad food, badly served. BAD!", ("bad",))
    assert [(part.text, part.word) for part in found] == [
        ("Bad", "bad"),
        (" food, badly served. ", None),
        ("BAD", "bad"),
        ("!", None),
    ]


def test_the_longest_of_overlapping_words_is_marked() -> None:
    found = marked("It is not good.", ("good", "not", "not good"))
    assert [part.text for part in found if part.word] == ["not good"]


@given(st.text(max_size=60), st.lists(st.text(min_size=1, max_size=5), max_size=4))
def test_the_parts_are_the_text(text: str, words: list[str]) -> None:
    found = marked(text, tuple(words))
    assert "".join(part.text for part in found) == text
    assert {part.word for part in found if part.word is not None} <= {fold(word) for word in words}

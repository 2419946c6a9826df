"""Words of a text: in every script and spelling, with positions in the original text."""

import re
import sys
import time
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.text.words import MAX_MARKS, WordIndex, fold, occurrences

LETTERS = "abIiİıÄéßsσςΣ_'’ʼ- .,!\u0301\u0307中好ไทย한😡👍\U0001f3fd\u200d\ufe0f\u1112\u1161\u11ab\u00ad漢カ_7"  # noqa: RUF001


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("bad", "Bad food, badly served, not BAD!", [(0, 3), (28, 31)]),
        ("bad", "badly and forbade", []),
        ("don't", "I don't, you DON'T.", [(2, 7), (13, 18)]),
        ("not good", "It is not\n good, not good.", [(6, 15), (17, 25)]),
        ("naïve", "A naïve, NAÏVE plan", [(2, 7), (9, 14)]),
        ("好", "菜很好吃，好", [(2, 3), (5, 6)]),  # noqa: RUF001 - a Chinese comma
        ("😡", "so 😡😡 angry", [(3, 4), (4, 5)]),
        ("a.b", "a.b axb", [(0, 3)]),
        ("", "text", []),
        (" ", "a b", []),
        ("good", "'good' isn't good's", [(1, 5), (13, 17)]),
        ("영화", "영화 영화관", [(0, 2)]),  # Korean is written with blanks
    ],
)
def test_whole_words(word: str, text: str, expected: list[tuple[int, int]]) -> None:
    assert occurrences(word, text) == expected


@pytest.mark.parametrize(
    ("word", "text"),
    [
        *[
            ("e", "cafe\u0301"),
            ("cafe", "cafe\u0301"),
            ("bad", "badly"),
            ("ad", "bad"),
            ("95", "win95"),
            ("한", "한국"),
        ],
        *[("snake", "snake_x"), ("s", "ß"), ("👩", "👩\u200d🍳"), ("👍", "👍\U0001f3fd"), ("f", "ﬁ"), ("i", "i\u0323")],
        ("한", "한국"),
    ],
)
def test_part_of_a_word_is_no_word(word: str, text: str) -> None:
    assert occurrences(word, text) == []


APOSTROPHES = [f"don{sign}t" for sign in "'\u2019\u2018\u02bc\uff07\u0060\u00b4\u2032\u201b"]


@pytest.mark.parametrize(
    "spellings",
    [
        APOSTROPHES,
        ["café", "cafe\u0301", "CAFÉ", "CAFE\u0301"],
        ["한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"],
        ["straße", "STRASSE", "strasse", "STRAẞE"],
        ["istanbul", "ISTANBUL", "İstanbul", "İSTANBUL", "i\u0307stanbul", "ıstanbul"],  # noqa: RUF001
        ["ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ", unicodedata.normalize("NFD", "ὀδυσσεύς")],
        ["not good", "not_good", "NOT__GOOD", "not \n good"],
        ["well-made", "well\u2011made", "Well\u2010Made"],
        ["❤", "❤\ufe0f"],
        ["naive", "na\u00adive"],
    ],
)
def test_spellings_of_one_word(spellings: list[str]) -> None:
    text = "x " + ", ".join(spellings) + " y"
    ends = [match.span() for match in re.finditer("|".join(map(re.escape, sorted(spellings, key=len)[::-1])), text)]
    for word in spellings:
        assert occurrences(word, text) == ends
    assert len({fold(word) for word in spellings}) == 1


@pytest.mark.parametrize("word", ["bad", "_bad_", "__bad", "BAD_"])
def test_underscores_around_a_word_are_none_of_it(word: str) -> None:
    assert occurrences(word, "so _bad_ and __BAD__, not bad_x") == [(4, 7), (15, 18)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So bad, so don't 😡", ["So", "bad", "don't", "😡"]),
        ("rock'n'roll 'quoted' it’s", ["rock'n'roll", "quoted", "it’s"]),  # noqa: RUF001
        ("don't don’t DON＇T", ["don't"]),  # noqa: RUF001
        ("cafe\u0301 CAFÉ", ["cafe\u0301"]),
        ("菜很好", ["菜", "很", "好"]),
        ("so 👍\U0001f3fd 👍\U0001f3fd!", ["so", "👍\U0001f3fd"]),  # a skin tone
        ("❤️ 👩\u200d🍳 🇩🇪🇫🇷", ["❤️", "👩\u200d🍳", "🇩🇪", "🇫🇷"]),
        ("win95 snake_case x-ray", ["win95", "snake_case", "x", "ray"]),
        ("_bad_ because _ was", ["bad", "because", "_", "was"]),
        ("좋은 영화", ["좋은", "영화"]),
        (" ... !", []),
        ("", []),
    ],
)
def test_the_words_of_a_text(text: str, expected: list[str]) -> None:
    assert WordIndex(text).distinct() == expected


@given(st.text(alphabet=LETTERS, max_size=30))
def test_every_word_of_a_text_stands_in_it(text: str) -> None:
    index = WordIndex(text)
    ranges, words = index.words(), index.distinct()
    assert len({fold(word) for word in words}) == len(words)
    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))
    for start, end in ranges:
        assert any(a <= start and end <= b for a, b in index.occurrences(text[start:end]))
    assert all(index.occurrences(word) for word in words)


PIECES = ["a", "b", "I", "i", "\u0130", "\u0131", "é", "e\u0301", "ß", "s", "S", "\u03c3", "\u03c2", "\u03a3", "7", "_"]
PIECES += ["'", "\u2019", " ", "\n", ".", "好", "ก\u0e48", "\u0e01", "a", "b", " "]
JOINED = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@given(JOINED, st.lists(st.sampled_from(PIECES), max_size=4).map("".join))
def test_a_word_stands_where_trying_every_place_finds_it(text: str, word: str) -> None:
    assert occurrences(word, text) == by_trying(word, text)


def by_trying(word: str, text: str) -> list[tuple[int, int]]:
    """Every range of the text between two edges that is spelled as the word, from the first place on."""
    core = re.sub(r"\A[\s_]+|[\s_]+\Z", "", word) or "_" * ("_" in word)
    shapes = {shape(core, " "), shape(core, "_")}
    edges, found, place = edges_of(text), [], 0
    while core and place < len(text):
        ends = [end for end in edges if end > place and place in edges and shape(text[place:end], None) in shapes]
        found += [(place, end) for end in ends[:1]]
        place = ends[0] if ends else place + 1
    return found


def clusters_of(text: str) -> list[str]:
    return re.findall(r".[\u0300-\u036f\u0e48]*", text, re.DOTALL)


def kinds_of(text: str) -> str:
    """A sign for each character with its marks: L a letter, or an underscore between letters; U one without blanks."""
    signs = (" " if c.isspace() else "U" if c[0] in "好ก" else "L" if c[0].isalnum() else c for c in clusters_of(text))
    return re.sub("(?<=L)_+(?=L)", lambda match: "L" * len(match[0]), "".join(signs))


def edges_of(text: str) -> list[int]:
    """Where a word may begin or end."""
    kinds, clusters = kinds_of(text), clusters_of(text)
    inside = [n for n in range(1, len(kinds)) if kinds[n - 1] == kinds[n] and kinds[n] in "L _"]
    return [len("".join(clusters[:n])) for n in range(len(clusters) + 1) if n not in inside]


def shape(text: str, gap: str | None) -> str:
    """The text in one spelling; with `gap` between its words where a blank or underscores are."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    for old, new in (("i\u0307", "i"), ("ı", "i"), ("’", "'")):  # noqa: RUF001 - as above
        plain = plain.replace(old, new)
    plain = re.sub("_+", "_", re.sub(r"\s+", " ", plain))
    letter = r"[^\W_好ก\u0e01]"
    return plain if gap is None else re.sub(rf"(?<={letter}|\u0301)[ _](?={letter})", gap, plain)


def steps(work: Callable[[], Any]) -> int:
    """How many lines of this project's own code it takes."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.endswith("words.py"):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", ["a", "a ", "_a", "a_", "好", "é\u0301", "'a", "👩\u200d", " ", "aβ"])
@pytest.mark.parametrize("word", ["a", "a a", "a a b", "_", "a_a", "好好", "é", "a" * 50])
def test_the_work_grows_as_the_text(piece: str, word: str) -> None:
    def work(times: int) -> int:
        return steps(lambda: [WordIndex(piece * times).occurrences(word) for _ in range(2)])

    once, twice, four = (work(100 * times) for times in (1, 2, 4))
    assert four - twice <= 2.2 * (twice - once) + 50


def test_marks_on_one_letter_are_sorted_a_few_at_a_time() -> None:
    marked = "e" + "\u0301\u0323" * 100_000
    begun = time.process_time()
    assert occurrences("e", marked) == [] and occurrences(marked, marked) == [(0, len(marked))]
    assert time.process_time() - begun < 20  # minutes, where they are sorted all at once
    few = "\u0301\u0323" * (MAX_MARKS // 2)
    assert fold("e" + few) == fold("e" + few[::-1])


@pytest.mark.parametrize("word", ["a", "a a"])
def test_whether_a_word_is_there_is_known_from_its_first_place(word: str) -> None:
    text = WordIndex("a " * 1000)
    assert word in text and "b" not in text
    assert steps(lambda: word in text) < 200

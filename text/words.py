"""Splits texts into words and finds words in texts, for any script.

A text is split into runs: maximal sequences of letters and digits, maximal sequences of white space, and one run for
every other character (a character of a script without spaces, an emoji with its modifiers, a punctuation mark). A word
or phrase occurs where all of its runs occur consecutively in the text, so it never matches a part of a longer word.
Runs are compared in a folded form, in which these spellings are equal:

    case               full case folding: ß = ss, final sigma = sigma; I = i, with or without a dot
    composed letters   é as one character or as e and a combining mark (NFC, NFD)
    apostrophes        ' and its typographic, modifier, full-width and mistyped forms; likewise hyphens
    underscores        ignored around a word (_bad_), equal to spaces inside a word (not_good)
    invisible          variation selectors, soft hyphens and the zero-width non-joiner are ignored

Positions are in characters of the original text. Splitting takes time proportional to the text's length; a search takes
at most as much.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from enum import Enum, auto
from functools import cached_property, lru_cache
from itertools import accumulate

# Scripts written without spaces between words: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_APOSTROPHES = "'\u0060\u00b4\u02b9\u02bb\u02bc\u02bd\u055a\u2018\u2019\u201b\u2032\ua78c\uff07"
_HYPHENS = "\u2010\u2011"
_UNDRAWN = "\u00ad\u034f\u200c\u2060\ufeff" + "".join(map(chr, range(0xFE00, 0xFE10)))
_JOINER = "\u200d"
_SPELLINGS = str.maketrans(
    {**dict.fromkeys(_APOSTROPHES, "'"), **dict.fromkeys(_HYPHENS, "-"), **dict.fromkeys(_UNDRAWN, None), "\u0131": "i"}
)
_DOTTED_I = re.compile("(i[\u0300-\u0306\u0308-\u036f]*)\u0307")
_PIECES = re.compile(r"[A-Za-z0-9]+|\s+|.", re.DOTALL)
_UNDERSCORES = re.compile("_+")
_GRAPHEME_JOINER = "\u034f"
"""An invisible character, which folding removes."""
MAX_KEPT = 64
"""Maximum length of a piece whose folded form is cached, in characters."""
MAX_MARKS = 30
"""Maximum number of consecutive combining marks that normalisation sorts together; no language uses as many."""
_BETWEEN = "\0"
"""Separates folded runs in the string that is searched; no folded run contains it."""


class _Kind(Enum):
    BLANK = auto()
    LETTER = auto()  # of a script with spaces between words; digits too
    UNSPACED = auto()
    UNDERSCORE = auto()
    APOSTROPHE = auto()
    EMOJI = auto()
    FLAG = auto()  # a regional indicator: two of them form one flag
    TONE = auto()  # an emoji's skin tone
    JOINER = auto()
    MARK = auto()  # combining or invisible: belongs to the character before it
    OTHER = auto()


_WORDS = frozenset({_Kind.LETTER, _Kind.UNSPACED, _Kind.EMOJI, _Kind.FLAG})


_Run = tuple[int, int, _Kind]  # [start, end) in characters


def fold(word: str) -> str:
    """The folded spelling of a word or phrase, equal for all spellings that this module treats as equal; not for
    display.

    >>> fold("so_bad") == fold("So  bad"), fold("STRASSE") == fold("straße"), fold("a") == fold("b")
    (True, True, False)
    """
    return "".join(next(iter(_spellings(word)), ()))


def occurrences(word: str, text: str) -> list[tuple[int, int]]:
    """Character ranges [start, end) of every whole-word occurrence of a word or phrase in a text, in any spelling.

    To search for several words in one text, use `WordIndex`.

    >>> occurrences("bad", "Bad food, badly served. Bad!")
    [(0, 3), (24, 27)]
    """
    return WordIndex(text).occurrences(word)


class WordIndex:
    """An index of the words of one text, which is split once for any number of searches."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._runs = _runs(text)
        self._folded = [_folded(text, run) for run in self._runs]
        self._joined = _line(self._folded)
        # The start of each run in `_joined`, including the separator before the run.
        self._places = list(accumulate((len(piece) + len(_BETWEEN) for piece in self._folded), initial=0))

    @cached_property
    def _single(self) -> dict[str, list[int]]:
        """Folded run -> indices of the runs with this form."""
        found: dict[str, list[int]] = {}
        for place, piece in enumerate(self._folded):
            found.setdefault(piece, []).append(place)
        return found

    def occurrences(self, word: str) -> list[tuple[int, int]]:
        """Character ranges [start, end) of all non-overlapping whole-word occurrences of a word or phrase, in order.
        Spaces between a phrase's parts match any white space in the text."""
        found = sorted(place for spelled in _spellings(word) for place in self._of(spelled))
        apart: list[tuple[int, int]] = []
        for start, end in found:
            if not apart or start >= apart[-1][1]:
                apart.append((start, end))
        return apart

    def __contains__(self, word: str) -> bool:
        """Whether the text contains a word or phrase.

        >>> "not good" in WordIndex("It is not\\ngood."), "goo" in WordIndex("good")
        (True, False)
        """
        return any(True for spelled in _spellings(word) for _ in self._of(spelled))

    def words(self) -> list[tuple[int, int]]:
        """Character ranges of all words in order: runs of letters and digits with apostrophes inside, and single
        characters of scripts without spaces and emoji."""
        found: list[tuple[int, int]] = []
        place = 0
        while place < len(self._runs):
            first = last = place
            while self._continues_after_apostrophe(last):
                last += 2
            if self._kind(first) in _WORDS or self._is_gap(first):
                found.append((self._runs[first][0], self._runs[last][1]))
            place = last + 1
        return found

    def distinct(self) -> list[str]:
        """The distinct words in order, as first spelled in the text.

        >>> WordIndex("So bad, so don't").distinct()
        ['So', 'bad', "don't"]
        """
        found: dict[str, str] = {}
        for start, end in self.words():
            word = self._text[start:end]
            found.setdefault(fold(word), word)
        return list(found.values())

    def _of(self, spelled: tuple[str, ...]) -> Iterator[tuple[int, int]]:
        """Yield the character ranges [start, end) where these folded runs occur consecutively."""
        if len(spelled) == 1:
            yield from (self._runs[place][:2] for place in self._single.get(spelled[0], ()))
            return
        needle = _line(spelled)
        place = self._joined.find(needle)
        while place >= 0:
            first = bisect_left(self._places, place)
            yield self._runs[first][0], self._runs[first + len(spelled) - 1][1]
            place = self._joined.find(needle, place + len(needle) - len(_BETWEEN))

    def _kind(self, place: int) -> _Kind | None:
        """The kind of the run with this index; None outside of the text."""
        return self._runs[place][2] if 0 <= place < len(self._runs) else None

    def _continues_after_apostrophe(self, place: int) -> bool:
        """Whether the run with index `place` consists of letters, followed by an apostrophe and more letters."""
        letters = self._kind(place) is _Kind.LETTER and self._kind(place + 2) is _Kind.LETTER
        return letters and self._kind(place + 1) is _Kind.APOSTROPHE

    def _is_gap(self, place: int) -> bool:
        """Whether the run is an underscore that represents a missing word, as in a fill-in-the-blank sentence."""
        beside = {self._kind(place - 1), self._kind(place + 1)}
        return self._kind(place) is _Kind.UNDERSCORE and beside.isdisjoint(_WORDS)


def _line(folded: Iterable[str]) -> str:
    """The folded runs as one string, with a separator before and after each of them."""
    return _BETWEEN + "".join(piece + _BETWEEN for piece in folded)


def _spellings(word: str) -> list[tuple[str, ...]]:
    """The sequences of folded runs that match a word or phrase, without spaces and underscores around it. The first has
    spaces between words; a second, if it differs, has underscores. Empty for an empty word."""
    runs = _runs(word)
    core = [place for place, (_, _, kind) in enumerate(runs) if kind not in (_Kind.BLANK, _Kind.UNDERSCORE)]
    gap = [run for run in runs if run[2] is _Kind.UNDERSCORE][:1]
    runs = runs[core[0] : core[-1] + 1] if core else gap
    if not runs:
        return []
    folded = [_folded(word, run) for run in runs]
    kinds = [kind for _, _, kind in runs]
    spread = tuple(part for kind, piece in zip(kinds, folded, strict=True) for part in _parts(kind, piece))
    together = [folded[0]]
    for place in range(1, len(runs)):
        if kinds[place] is _Kind.BLANK and kinds[place - 1] is kinds[place + 1] is _Kind.LETTER:
            together[-1] += "_"
        elif together[-1].endswith("_") and kinds[place] is _Kind.LETTER and kinds[place - 1] is _Kind.BLANK:
            together[-1] += folded[place]
        else:
            together.append(folded[place])
    return list({spread: None, tuple(together): None})


def _parts(kind: _Kind, folded: str) -> list[str]:
    """The parts of a folded run, split at underscores inside the word, with spaces between them."""
    if kind is not _Kind.LETTER:
        return [folded]
    first, *rest = folded.split("_")
    return [first, *(part for other in rest for part in (" ", other))]


def _runs(text: str) -> list[_Run]:
    """The runs of a text in order. Letters with underscores between them are one run."""
    runs = list(_cut(text))
    if "_" not in text:
        return runs
    joined: list[_Run] = []
    for run in runs:
        if (
            run[2] is _Kind.LETTER
            and len(joined) > 1
            and joined[-1][2] is _Kind.UNDERSCORE
            and joined[-2][2] is _Kind.LETTER
        ):
            joined.pop()
            run = (joined.pop()[0], run[1], run[2])
        joined.append(run)
    return joined


def _folded(text: str, run: _Run) -> str:
    """The folded form of a run of `text`; one space for any white space."""
    start, end, kind = run
    return " " if kind is _Kind.BLANK else _fold(text[start:end])


def _fold(piece: str) -> str:
    """The folded form of a piece of text. Short pieces are cached, since texts repeat them."""
    return _fold_cached(piece) if len(piece) <= MAX_KEPT else _fold_uncached(piece)


@lru_cache(maxsize=1 << 12)
def _fold_cached(piece: str) -> str:
    return _fold_uncached(piece)


def _fold_uncached(piece: str) -> str:
    if piece.isascii():
        folded = piece.lower().translate(_SPELLINGS)
    else:
        plain = unicodedata.normalize("NFD", unicodedata.normalize("NFD", _stream_safe(piece)).casefold())
        folded = _DOTTED_I.sub(r"\1", plain.translate(_SPELLINGS))
    if "_" in folded:
        folded = _UNDERSCORES.sub("_", folded)
    return folded.replace(_BETWEEN, "\ufffd") or piece


def _stream_safe(piece: str) -> str:
    """The piece with an invisible joiner after every MAX_MARKS consecutive combining marks (UAX #15, section 13).
    Without it, normalising many marks of one letter would take quadratic time in Python."""
    if len(piece) <= MAX_MARKS:
        return piece
    parts: list[str] = []
    marks = 0
    for character in piece:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > MAX_MARKS:
            parts.append(_GRAPHEME_JOINER)
            marks = 1
        parts.append(character)
    return "".join(parts)


def _cut(text: str) -> Iterator[_Run]:
    """Yield the runs of a text: characters of one kind, or one character with its modifiers."""
    start, kind, last, count, joined = 0, _Kind.OTHER, _Kind.OTHER, 0, False
    for match in _PIECES.finditer(text):
        place = match.start()
        found = _kind_of(text[place])
        if place and _belongs(found, kind, last, count, joined):
            if found not in (_Kind.MARK, _Kind.JOINER):
                last, count = found, count + 1
        else:
            if place:
                yield start, place, kind
            start, kind, last, count = place, found, found, 1
        joined = found is _Kind.JOINER
    if text:
        yield start, len(text), kind


def _belongs(found: _Kind, kind: _Kind, last: _Kind, count: int, joined: bool) -> bool:
    """Whether a character of kind `found` continues the current run. The run began with a character of kind `kind` and
    has `count` characters, without marks and joiners, of which the last is of kind `last`; `joined` says whether the
    preceding character is a joiner."""
    if found in (_Kind.MARK, _Kind.JOINER):
        return kind is not _Kind.BLANK
    if joined and kind not in (_Kind.JOINER, _Kind.MARK) and found is not _Kind.BLANK:
        return True
    if found is _Kind.TONE:
        return last is _Kind.EMOJI
    if found is _Kind.FLAG:
        return last is _Kind.FLAG and count % 2 == 1
    return found is last and found in (_Kind.BLANK, _Kind.LETTER, _Kind.UNDERSCORE)


def is_drawn(character: str) -> bool:
    """Whether a character is visible by itself: not a joiner, variation selector or soft hyphen."""
    return character not in _UNDRAWN and character != _JOINER


@lru_cache(maxsize=1 << 14)
def _kind_of(character: str) -> _Kind:
    category = unicodedata.category(character)
    if character.isspace():
        return _Kind.BLANK
    if character == "_":
        return _Kind.UNDERSCORE
    if character in _APOSTROPHES:
        return _Kind.APOSTROPHE
    if character == _JOINER:
        return _Kind.JOINER
    if character in _UNDRAWN or category.startswith("M"):
        return _Kind.MARK
    if "\U0001f3fb" <= character <= "\U0001f3ff":
        return _Kind.TONE
    if "\U0001f1e6" <= character <= "\U0001f1ff":
        return _Kind.FLAG
    if character.isalnum():
        return _Kind.UNSPACED if _UNSPACED.match(character) else _Kind.LETTER
    return _Kind.EMOJI if category == "So" else _Kind.OTHER

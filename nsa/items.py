"""The items that a constrained answer may list, as sequences of tokens.

An item is one word of the text, or a phrase of at most MAX_PHRASE_WORDS consecutive words with only white space or a
hyphen between them. The answer is a list, `[item,item, item]`, so an item is spelled after the opening bracket or after
a comma, with or without a space; its tokens differ between these places. A capitalised item may also be spelled
in lower case.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from prunescope.text.content import is_content
from prunescope.text.words import WordIndex, fold

MAX_PHRASE_WORDS = 3
"""Maximum number of words of one item."""

OPENING = ": ["
"""What precedes the first item when its tokens are computed, as in the prompt."""
ANCHOR = ": [x"
"""What precedes the comma before a further item when its tokens are computed."""
FIRST_SEPARATORS = ("", " ")
FURTHER_SEPARATORS = (",", ", ")

Place = tuple[int, int, int]
"""A range [start, end) of `Spellings.sequences`, whose sequences share their first `length` tokens: (start, end,
length)."""


@dataclass(frozen=True)
class Item:
    """An item as first spelled in the text, with single spaces, and its words, folded."""

    text: str
    words: frozenset[str]


def items_of(text: str, content: bool = False) -> dict[str, Item]:
    """Return the items of a text by their folded spelling, in order of their first word. `content`: only those that
    begin and end with a content word (`text/content.py`).

    >>> [item.text for item in items_of("Not good. Well-made").values()]
    ['Not', 'Not good', 'good', 'Well', 'Well-made', 'made']
    """
    words = [(start, end) for start, end in WordIndex(text).words() if text[start:end].strip("_")]  # without gaps
    folded = [fold(text[start:end]) for start, end in words]
    found: dict[str, Item] = {}
    for first, (start, _) in enumerate(words):
        for last in range(first, min(first + MAX_PHRASE_WORDS, len(words))):
            if last > first and not _joins(text[words[last - 1][1] : words[last][0]]):
                break
            if last > first and "_" in text[start : words[last][1]]:
                break  # an underscore may stand for a space, so that such a phrase has several spellings
            phrase = " ".join(text[start : words[last][1]].split())
            if not content or is_content(phrase):
                found.setdefault(fold(phrase), Item(phrase, frozenset(folded[first : last + 1])))
    return found


def _joins(between: str) -> bool:
    """Return whether the characters between two words join them into a phrase."""
    return not between.strip() or between == "-"


@dataclass(frozen=True)
class Spellings:
    """The token sequences of items at one place of the answer, sorted, so that the sequences with a common beginning
    are consecutive; `items` are their folded items, in parallel."""

    sequences: Sequence[tuple[int, ...]]
    items: Sequence[str]

    @property
    def start(self) -> Place:
        """The place before the first token."""
        return 0, len(self.sequences), 0

    def item(self, place: Place) -> str | None:
        """Return the item whose tokens end at this place; None if none does."""
        start, end, length = place
        return self.items[start] if start < end and len(self.sequences[start]) == length else None

    def following(self, place: Place, closed: Set[str]) -> dict[int, Place]:
        """Return token -> place after it, for the tokens that continue this place towards an item that is not in
        `closed`."""
        start, end, length = place
        found: dict[int, Place] = {}
        at = start + (self.item(place) is not None)
        while at < end:
            token = self.sequences[at][length]
            behind = bisect_left(self.sequences, (*self.sequences[at][:length], token + 1), at, end)
            if any(item not in closed for item in self.items[at:behind]):
                found[token] = (at, behind, length + 1)
            at = behind
        return found


def first_spellings(tokenizer: PreTrainedTokenizerBase, items: Mapping[str, Item]) -> Spellings:
    """Return the token sequences of the items directly after the opening bracket. `items` as from `items_of`."""
    return _spellings(tokenizer, OPENING, FIRST_SEPARATORS, items)


def further_spellings(tokenizer: PreTrainedTokenizerBase, items: Mapping[str, Item]) -> Spellings:
    """Return the token sequences of the items after an earlier item; each begins with the comma's tokens."""
    return _spellings(tokenizer, ANCHOR, FURTHER_SEPARATORS, items)


def comma_length(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of tokens of the comma at the beginning of the sequences of `further_spellings`."""
    return len(_ids(tokenizer, [f"{ANCHOR},"])[0]) - len(_ids(tokenizer, [ANCHOR])[0])


def _spellings(
    tokenizer: PreTrainedTokenizerBase, before: str, separators: Sequence[str], items: Mapping[str, Item]
) -> Spellings:
    """Return the sequences of the items after `before` and each separator, without those that contain the unknown
    token. Where one sequence spells two items, it belongs to the first."""
    (begun,) = _ids(tokenizer, [before])
    forms = [(key, form) for key, item in items.items() for form in dict.fromkeys((item.text, item.text.lower()))]
    found: dict[tuple[int, ...], str] = {}
    for separator in separators:
        wholes = _ids(tokenizer, [before + separator + form for _, form in forms])
        for (key, form), whole in zip(forms, wholes, strict=True):
            # A tokenizer without rules about punctuation may merge the item with the characters before it.
            apart = whole[: len(begun)] == begun
            ids = whole[len(begun) :] if apart else _ids(tokenizer, [separator + form])[0]
            if ids and tokenizer.unk_token_id not in ids:
                found.setdefault(tuple(ids), key)
    ordered = sorted(found)
    return Spellings(ordered, [found[ids] for ids in ordered])


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> list[list[int]]:
    texts = list(texts)
    return list(tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]) if texts else []

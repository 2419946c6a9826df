"""Cuts the texts of a corpus into token windows.

Texts are read in random order without repetition until enough tokens are counted. A text is cut into consecutive
windows, so no token is in two windows and no window has tokens of two texts. Long texts are split into passages first,
so that a book of which only a part is needed is sampled at random places, and so that memory does not depend on the
length of a text.

Not counted are special tokens and, unless `count_first` says so, position 0 of every window: in a model without BOS it
is an attention sink whose activations are far larger than all others. Other attention sinks are not known before a
model has read the windows (`Windows.without`).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int
from transformers import PreTrainedTokenizerBase

from prunescope.lm.errors import BadData
from prunescope.lm.tokenizer import added, window_start
from prunescope.lm.tokens import Displayed, Tokens, tokenize
from prunescope.lm.windows import text_length

PASSAGE_CHARACTERS = 20_000
"""Maximum length of a passage in characters."""
MIN_COUNTED = 1000
"""Minimum number of counted tokens of a corpus; bands of fewer tokens mean little."""

KeepWindow = Callable[[int, Tokens], None]
"""Receives (number of a window's text, the window's tokens), in the order of the windows' numbers."""


@dataclass(frozen=True)
class Windows:
    """Token windows of a corpus, concatenated: window `n` has the tokens `ends[n - 1]` to `ends[n]`.

    `counted`: whether a token is part of the statistics. `texts`: the number of texts that the windows were cut from.
    `bos`: whether every window begins with BOS. 5 bytes a token.
    """

    ids: Int[np.ndarray, " tokens"]
    counted: Bool[np.ndarray, " tokens"]
    ends: Int[np.ndarray, " windows"]
    texts: int
    bos: bool

    @property
    def starts(self) -> Int[np.ndarray, " windows"]:
        """The position of each window's first token."""
        return np.concatenate([[0], self.ends[:-1]])

    @property
    def tokens(self) -> int:
        """The number of counted tokens."""
        return int(self.counted.sum())

    def without(self, sinks: Bool[np.ndarray, " tokens"]) -> "Windows":
        """The same windows, in which the tokens of the mask `sinks` are not counted."""
        return replace(self, counted=self.counted & ~sinks)


def cut_windows(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    tokens: int,
    seqlen: int,
    seed: int,
    bos: str = "auto",
    count_first: bool = False,
    keep: KeepWindow = lambda text, window: None,
) -> Windows:
    """Cut windows of at most `seqlen` tokens (BOS included) until `tokens` tokens are counted or the texts end. The
    last window of a passage may be shorter; a window without a counted token is left out. `count_first`: whether
    position 0 of a window is counted, unless it is a special token.

    Raises BadData when fewer than MIN_COUNTED tokens are counted, BadText for a lone surrogate, BadInput for a `bos`
    that the tokenizer cannot fulfil.
    """
    start = list(window_start(tokenizer, bos))
    length = text_length(seqlen, start)
    around = added(tokenizer).before
    displayed = Displayed(tokenizer)
    opening = Tokens(start, list(map(displayed.text, start)), [(0, 0)] * len(start), [True] * len(start))
    ids: list[np.ndarray] = []
    counted: list[np.ndarray] = []
    used: set[int] = set()
    total = 0
    for number, passage in _passages(texts, random.Random(seed)):
        if total >= tokens:
            break
        whole = _from(tokenize(tokenizer, passage, displayed), len(around))
        for place in range(0, len(whole.ids), length):
            if total >= tokens:
                break
            window = _joined(opening, _piece(whole, place, place + length))
            mask = ~np.array(window.special, dtype=bool)
            mask[0] &= count_first
            if not mask.any():
                continue
            keep(number, window)
            ids.append(np.array(window.ids, dtype=np.int32))
            counted.append(mask)
            used.add(number)
            total += int(mask.sum())
    if total < MIN_COUNTED:
        raise BadData(
            f"the text has {total:,} tokens; a corpus needs at least {MIN_COUNTED:,}: give more text "
            f"({'' if count_first else 'position 0 of every window and '}special tokens are not counted)"
        )
    ends = np.cumsum([len(window) for window in ids])
    return Windows(np.concatenate(ids), np.concatenate(counted), ends, len(used), bool(start))


def _passages(texts: Sequence[str], rng: random.Random) -> Iterator[tuple[int, str]]:
    """Yield (number of the text, passage) of all texts, in random order."""
    places = [(number, start, end) for number, text in enumerate(texts) for start, end in _spans(text)]
    rng.shuffle(places)
    for number, start, end in places:
        passage = texts[number][start:end]
        if passage.strip():
            yield number, passage


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """Yield the (start, end) of passages of at most PASSAGE_CHARACTERS, which end before whitespace where there is
    any."""
    start = 0
    while start < len(text):
        end = start + PASSAGE_CHARACTERS
        if end < len(text):
            breaks = max(text.rfind(" ", start + 1, end + 1), text.rfind("\n", start + 1, end + 1))
            end = breaks if breaks > start else end
        yield start, min(end, len(text))
        start = end


def _from(tokens: Tokens, start: int) -> Tokens:
    return _piece(tokens, start, len(tokens.ids))


def _piece(tokens: Tokens, start: int, end: int) -> Tokens:
    span = slice(start, end)
    return Tokens(tokens.ids[span], tokens.texts[span], tokens.offsets[span], tokens.special[span])


def _joined(opening: Tokens, rest: Tokens) -> Tokens:
    return Tokens(
        opening.ids + rest.ids,
        opening.texts + rest.texts,
        opening.offsets + rest.offsets,
        opening.special + rest.special,
    )

"""Builds examples from texts and their influential words: the tokens, and which of them spell an influential word."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from transformers import PreTrainedTokenizerBase

from prunescope.lm.tokens import Tokens, tokenize
from prunescope.nsa.errors import ModelAnswer, NoInfluentialWords, TextsTooLong
from prunescope.nsa.spelling import Spelling, WordMatch
from prunescope.nsa.texts import FoundWords, Text, start_of
from prunescope.text.words import fold

MAX_SHOWN = 3
"""Maximum number of model answers quoted in an error message."""

__all__ = ["Example", "LeftOut", "Positions", "Text", "WordMatch", "fitting", "make_examples", "positions_of"]


@dataclass(frozen=True)
class Example:
    """One text in the form in which the model reads it. `index` is its index among the attribution's texts, `text` the
    whole prompt, and `span` the character range [start, end) of the text itself within the prompt."""

    index: int
    label: str | None
    text: str
    span: tuple[int, int]
    tokens: list[str]
    token_ids: list[int]
    influential: list[bool]
    special: list[bool]
    words: list[WordMatch]

    def document(self) -> dict[str, Any]:
        """The example as a JSON document, stored beside the activations."""
        return asdict(self)


@dataclass(frozen=True)
class LeftOut:
    """A text that is not used: its index (`text`), the reason, and its beginning (`start`)."""

    text: int
    reason: str
    start: str


@dataclass(frozen=True)
class Positions:
    """Index arrays over the concatenated tokens of all examples: each token's text, and its role in the sums.

    `text`: the text's index; `special`: tokens such as `<s>`, which are not part of the text; `influential`: the tokens
    of S in Eq. 1; `words`: influential word (in lower case, in its first spelling) -> ascending positions of its tokens
    in all texts. Special tokens are included in the sums of Eq. 1 only with `count_special`. `sinks`: position 0 of
    every text and attention sinks (nsa/sinks.py), which are in no sum, mean or null distribution; None: none are left
    out. S and `words` contain no sink.
    """

    text: Int[np.ndarray, " tokens"]
    special: Bool[np.ndarray, " tokens"]
    influential: Bool[np.ndarray, " tokens"]
    words: dict[str, Int[np.ndarray, " matches"]]
    count_special: bool = False
    sinks: Bool[np.ndarray, " tokens"] | None = None

    @property
    def texts(self) -> int:
        """The number of texts."""
        return int(self.text.max(initial=-1)) + 1

    @property
    def counted(self) -> Bool[np.ndarray, " tokens"]:
        """The mask of the tokens in the denominator of Eq. 1."""
        usual = np.ones_like(self.special) if self.count_special else ~self.special
        counted: np.ndarray = usual & ~self.sink_mask
        return counted

    @property
    def sink_mask(self) -> Bool[np.ndarray, " tokens"]:
        """The mask of the sinks that are left out."""
        return np.zeros_like(self.special) if self.sinks is None else self.sinks

    @property
    def drawable(self) -> Bool[np.ndarray, " tokens"]:
        """The mask of the tokens from which null distributions draw: neither special nor sinks."""
        drawable: np.ndarray = ~self.special & ~self.sink_mask
        return drawable

    def without(self, sinks: Bool[np.ndarray, " tokens"]) -> "Positions":
        """Return the same positions with these sinks left out of S and of the words' tokens. A word of which no token
        remains is left out of `words`."""
        words = {word: places[~sinks[places]] for word, places in self.words.items()}
        return replace(
            self,
            influential=self.influential & ~sinks,
            words={word: places for word, places in words.items() if len(places)},
            sinks=sinks,
        )

    @property
    def spans(self) -> list[slice]:
        """Each text's slice of the token axis."""
        ends = np.searchsorted(self.text, np.arange(self.texts), side="right").tolist()
        return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def word_counts(self) -> Int[np.ndarray, "words texts"]:
        """Return the number of tokens of each text that spell each word."""
        counts = [np.bincount(self.text[places], minlength=self.texts) for places in self.words.values()]
        return np.array(counts, dtype=np.int64).reshape(len(self.words), self.texts)


def fitting(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[Text], context: int
) -> tuple[dict[int, Tokens], list[LeftOut]]:
    """Tokenise the texts with their prompts. Returns index -> tokens of the texts that fit the context length, and the
    texts that do not fit.

    Raises TextsTooLong when no text fits.
    """
    tokens = {index: tokenize(tokenizer, text.prompt) for index, text in enumerate(texts)}
    fits = {index: found for index, found in tokens.items() if len(found.ids) <= context}
    if not fits:
        shortest = min(len(found.ids) for found in tokens.values())
        raise TextsTooLong(
            f"all {len(texts)} texts are longer than the model's context of {context} tokens "
            f"(the shortest has {shortest} with its prompt): shorten them"
        )
    left_out = [
        LeftOut(index, f"{len(found.ids)} tokens, more than the model's context of {context}", texts[index].start)
        for index, found in tokens.items()
        if index not in fits
    ]
    return fits, left_out


def make_examples(tokens: dict[int, Tokens], texts: Sequence[Text], found: dict[int, FoundWords]) -> list[Example]:
    """Return the examples of the texts that are in `tokens`, in order. `found`: index -> influential words.

    A token is influential when it overlaps a whole-word occurrence of an influential word in the text itself, not in
    the prompt around it. Raises NoInfluentialWords when no token is influential.
    """
    made = [_example(index, texts[index], tokens[index], found[index]) for index in sorted(tokens)]
    if not any(any(example.influential) for example in made):
        raise _no_influential_words(made, found)
    return made


def _no_influential_words(made: Sequence[Example], found: dict[int, FoundWords]) -> NoInfluentialWords:
    """Return the error for texts without any influential word; it quotes the model's answers if the model was asked."""
    answers = [
        ModelAnswer(example.text[slice(*example.span)], answer)
        for example in made
        if (answer := found[example.index].answer) is not None
    ]
    dropped = sorted({word for words in found.values() for word in words.dropped})
    plain = next((words.plain_reason for words in found.values() if words.plain_reason), None)
    asked = f" (asked the plain question: its chat template was not used, {plain})" if plain else ""
    said = (
        f"; the dense model{asked} answered {_listed([answer.answer for answer in answers], MAX_SHOWN)}"
        if answers
        else ""
    )
    named = f"; named, but in no text: {_listed(dropped, 10)}" if dropped else ""
    way_out = "give words yourself (`words` of each text), or take another source of words"
    count = f"{len(made)} texts" if len(made) > 1 else "the text"
    return NoInfluentialWords(
        f"no influential word is left in {'any of ' if len(made) > 1 else ''}{count}{said}{named}: {way_out}", answers
    )


def _listed(texts: Sequence[str], most: int) -> str:
    """Return the first `most` texts, quoted and shortened to one line, and the number of the others."""
    shown = ", ".join(f"“{start_of(text)}”" for text in texts[:most])
    return f"{shown} and {len(texts) - most} more" if len(texts) > most else shown


def _example(index: int, text: Text, tokens: Tokens, found: FoundWords) -> Example:
    spelling = Spelling(text, tokens)
    found_words = [spelling.tokens_of(word) for word in found.words]
    matches = [match for match in found_words if match.positions]
    marked = {place for match in matches for place in match.positions}
    return Example(
        index=index,
        label=text.label,
        text=text.prompt,
        span=(len(text.before), len(text.before) + len(text.text)),
        tokens=tokens.texts,
        token_ids=tokens.ids,
        influential=[place in marked for place in range(len(tokens.ids))],
        special=tokens.special,
        words=matches,
    )


def positions_of(made: Sequence[Example], *, count_special: bool = False) -> Positions:
    """Return the `Positions` of all examples."""
    words: dict[str, list[int]] = {}
    names: dict[str, str] = {}
    start = 0
    for example in made:
        for match in example.words:
            name = names.setdefault(fold(match.word), match.word.lower())
            words.setdefault(name, []).extend(start + place for place in match.positions)
        start += len(example.token_ids)
    return Positions(
        text=np.repeat(np.arange(len(made)), [len(example.token_ids) for example in made]),
        special=np.array([flag for example in made for flag in example.special], dtype=bool),
        influential=np.array([flag for example in made for flag in example.influential], dtype=bool),
        words={word: np.array(sorted(set(places))) for word, places in words.items()},
        count_special=count_special,
    )

"""Appends the right label to its text, for the word sources that measure a word's influence on the label's
log-probability."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from prunescope.lm.errors import BadText
from prunescope.lm.tokenizer import to_continue
from prunescope.lm.tokens import Tokens, tokenize
from prunescope.nsa.prompts import SENTIMENT_QUESTION
from prunescope.nsa.texts import SENTIMENT, Text

MAX_WORDS = 5
MIN_SHARE = 0.1  # of the largest influence; words with less are treated as noise


@dataclass(frozen=True)
class Labelled:
    """The tokens of a text followed by its label; the last `count` tokens are the label's."""

    tokens: Tokens
    count: int


def label_of(text: Text, source: str) -> str:
    """Return the text's label. Raises BadText, with `source` in the message, for a text without a label."""
    if not text.label:
        raise BadText(
            f"{called(text)} has no label: {source} measures the label's log-probability; add a label or choose cot"
        )
    return text.label


def called(text: Text) -> str:
    """Return a text's name in error messages: `the text 'The room was small ...'`, with its first 60 characters."""
    return f"the text {text.text[:60]!r}"


def asked(text: Text) -> str:
    """Return the part of the prompt between a text and its label: `after` or, for a sentiment text without a prompt,
    the question of the paper's Figure 1."""
    return text.after if text.before or text.after or text.group != SENTIMENT else SENTIMENT_QUESTION


def labelled(tokenizer: PreTrainedTokenizerBase, prompt: str, label: str) -> Labelled:
    """Tokenise the prompt followed by a space and the label (without the label's own leading space, which some tasks
    have). Raises BadText when the label adds no token."""
    start = len(to_continue(tokenizer, prompt))
    whole = tokenize(tokenizer, f"{prompt} {label.lstrip()}")
    if len(whole.ids) <= start:
        raise BadText(f"label {label!r} adds no token of its own to the prompt: give it another name")
    return Labelled(whole, len(whole.ids) - start)


def largest(amounts: dict[str, float]) -> dict[str, float]:
    """Return the words with the largest positive amounts, largest first, and their amounts: at most MAX_WORDS, none
    below MIN_SHARE of the largest. If no amount is positive, the one word whose amount is furthest from zero.

    >>> largest({"a": 0.01, "bad": 2.0, "food": -3.0}), largest({"a": -0.1, "bad": -2.0})
    ({'bad': 2.0}, {'bad': -2.0})
    """
    least = MIN_SHARE * max(amounts.values(), default=0.0)
    kept = [word for word, amount in amounts.items() if amount > 0 and amount >= least]
    chosen = sorted(kept, key=lambda word: -amounts[word])[:MAX_WORDS]
    return {word: amounts[word] for word in chosen or sorted(amounts, key=lambda word: amounts[word])[:1]}

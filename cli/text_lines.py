"""Formats what an attribution says about single texts: their words, and skipped texts and words with the reason."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_LINES = 20
"""Maximum number of lines of one kind; the number of further texts is printed in one line."""


def text_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Lines for the terminal from an attribution's summary (nsa/tables.py): the words of each text with their source
    and numbers, texts that were left out or have no influential words, and words that do not occur in their text.
    Texts are numbered from 1, as on the pages."""
    if summary["plain_question"]:
        yield f"asked the plain question: the chat template was not used ({summary['plain_question']})"
    yield from _cut([line for each in summary["found"] if (line := _found(each))])
    yield from _cut([f"{_named(text)} left out: {text['reason']}" for text in summary["left_out"]])
    yield from _cut([f"{_named(text)} has {text['reason']}" for text in summary["without_words"]])
    dropped: dict[int, list[str]] = {}
    for each in summary["dropped"]:
        dropped.setdefault(each["text"], []).append(f"“{_one_line(each['word'])}”")
    named = ((f"text {text + 1}", ", ".join(words)) for text, words in dropped.items())
    yield from _cut([f"{text}: named but not in the text: {words}" for text, words in named])


def _found(found: Mapping[str, Any]) -> str:
    """A text's words with their probabilities or effects, and their source; empty for words that the user gave."""
    words = []
    for each in found["words"]:
        probability, effect = each.get("probability"), each.get("effect")
        amount = f" {probability:.1%}" if probability is not None else "" if effect is None else f" {effect:+.2f} nats"
        words.append(f"{_one_line(each['word'])}{amount}")
    return f"text {found['text'] + 1} ({found['source']}): {', '.join(words)}" if found["source"] != "manual" else ""


def _named(text: Mapping[str, Any]) -> str:
    return f"text {text['text'] + 1} “{_one_line(text['start'])}”"


def _one_line(text: str) -> str:
    """The text with a space for each unprintable character, such as a line break or a terminal control character."""
    return "".join(character if character.isprintable() else " " for character in text)


def _cut(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f"... and {len(lines) - MAX_LINES} more"

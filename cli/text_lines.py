"""Formats an attribution's remarks on single texts: skipped texts, and words that were not used, with the reason."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MAX_LINES = 20
"""Maximum number of lines of one kind; the number of further texts is printed in one line."""


def text_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """Lines for the terminal from an attribution's summary (nsa/tables.py): texts that were left out or have no
    influential words, and words that do not occur in their text. Texts are numbered from 1, as on the pages."""
    if summary["plain_question"]:
        yield f"asked the plain question: the chat template was not used ({summary['plain_question']})"
    yield from _cut([f"{_named(text)} left out: {text['reason']}" for text in summary["left_out"]])
    yield from _cut([f"{_named(text)} has {text['reason']}" for text in summary["without_words"]])
    dropped: dict[int, list[str]] = {}
    for each in summary["dropped"]:
        dropped.setdefault(each["text"], []).append(f"“{_one_line(each['word'])}”")
    named = ((f"text {text + 1}", ", ".join(words)) for text, words in dropped.items())
    yield from _cut([f"{text}: named but not in the text: {words}" for text, words in named])


def _named(text: Mapping[str, Any]) -> str:
    return f"text {text['text'] + 1} “{_one_line(text['start'])}”"


def _one_line(text: str) -> str:
    """The text with a space for each unprintable character, such as a line break or a terminal control character."""
    return "".join(character if character.isprintable() else " " for character in text)


def _cut(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f"... and {len(lines) - MAX_LINES} more"

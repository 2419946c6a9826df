"""Reads an attribution's texts word by word."""

from collections.abc import Iterator, Sequence

from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import other_texts, own_text_form
from prunescope.server.site.documents import Link
from prunescope.server.stores import Stores
from prunescope.server.texts.documents import AttributionTexts, TextWords, WordSpan
from prunescope.server.texts.specs import inner_texts
from prunescope.text.words import WordIndex, fold


def attribution_texts(stores: Stores, opened: OpenAttribution) -> AttributionTexts:
    """An attribution's texts with their words, the form for a typed text, and other texts of the same models."""
    return AttributionTexts(
        attribution=Link(label=opened.label, href=urls.attribution(opened.id)),
        texts=[
            text_words(example.index, text, [place.word for place in example.words], example.label)
            for example, text in zip(opened.examples, inner_texts(opened), strict=True)
        ],
        own=own_text_form(opened),
        others=other_texts(stores, opened),
        href=urls.attribution_texts(opened.id),
    )


def text_words(index: int, text: str, words: Sequence[str], label: str | None = None) -> TextWords:
    """Every word of a text with its place; each occurrence is a span. Influential words may be phrases; of two that
    overlap the longer one is marked."""
    found = WordIndex(text)
    marked = sorted(_marked(found, words), key=lambda span: span.start)
    taken = {place for span in marked for place in range(span.start, span.end)}
    named: dict[str, str] = {}
    rest = []
    for start, end in found.words():
        if taken.isdisjoint(range(start, end)):
            word = named.setdefault(fold(text[start:end]), text[start:end])
            rest.append(WordSpan(start=start, end=end, word=word, marked=False))
    shown = {span.word for span in marked}
    return TextWords(
        index=index,
        label=label,
        text=text,
        words=list(words),
        spans=sorted([*marked, *rest], key=lambda span: span.start),
        covered=[word for word in words if word not in shown],
    )


def _marked(text: WordIndex, words: Sequence[str]) -> Iterator[WordSpan]:
    taken: set[int] = set()
    once = {fold(word): word for word in reversed(words)}
    for word in sorted(once.values(), key=len, reverse=True):
        for start, end in text.occurrences(word):
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                yield WordSpan(start=start, end=end, word=word, marked=True)

"""Builds the document of an attribution's texts, and finds the words of a text."""

from collections.abc import Sequence

from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import other_texts, own_text_form
from prunescope.server.site.documents import Link
from prunescope.server.stores import Stores
from prunescope.server.texts.documents import AttributionTexts, TextWords, WordSpan
from prunescope.server.texts.specs import inner_texts
from prunescope.text.words import WordIndex, fold


def attribution_texts(stores: Stores, opened: OpenAttribution) -> AttributionTexts:
    """An attribution's texts with their words, the form for an own text, and other attributions of the same models."""
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
    """The occurrences of all words of a text, with the influential ``words`` marked. An influential word may be a
    phrase; of two overlapping ones only the longer one is marked."""
    found = WordIndex(text)
    taken: set[int] = set()  # positions of characters
    spans: list[WordSpan] = []
    for word in sorted({fold(word): word for word in reversed(words)}.values(), key=len, reverse=True):
        for start, end in found.occurrences(word):
            if taken.isdisjoint(range(start, end)):
                taken.update(range(start, end))
                spans.append(WordSpan(start=start, end=end, word=word, marked=True))
    marked = {span.word for span in spans}
    spelled: dict[str, str] = {}
    for start, end in found.words():
        if taken.isdisjoint(range(start, end)):
            word = spelled.setdefault(fold(text[start:end]), text[start:end])
            spans.append(WordSpan(start=start, end=end, word=word, marked=False))
    return TextWords(
        index=index,
        label=label,
        text=text,
        words=list(words),
        spans=sorted(spans, key=lambda span: span.start),
        covered=[word for word in words if word not in marked],
    )

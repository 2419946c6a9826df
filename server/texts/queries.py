"""An attribution's texts word by word, and what else went through its models."""

from collections.abc import Iterator, Sequence
from typing import Any

from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.labels import Described, attribution_facts, told_apart
from prunescope.server.site.documents import Choice, Link
from prunescope.server.stores import Stores
from prunescope.server.texts.documents import AttributionTexts, OtherText, OwnTextForm, TextWords, WordSpan
from prunescope.server.texts.specs import SOURCES, inner_texts, own_prompt, own_source
from prunescope.store.artefacts.records import Record
from prunescope.text.words import WordIndex, fold

MAX_OTHERS = 50
LONGEST_LABEL = 80


def attribution_texts(stores: Stores, opened: OpenAttribution) -> AttributionTexts:
    """An attribution's texts with their words, and what else went through its models."""
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


def own_text_form(opened: OpenAttribution) -> OwnTextForm:
    """What a text of one's own may say."""
    prompt, note = own_prompt(opened.spec)
    return OwnTextForm(
        sources=[Choice(value=name, label=label) for name, label in SOURCES.items()],
        source=own_source(opened.spec),
        labels=sorted({example.label for example in opened.examples if example.label}),
        prompt=prompt,
        prompt_note=note,
        settings=_settings(opened),
    )


def text_words(index: int, text: str, words: Sequence[str], label: str | None = None) -> TextWords:
    """Every word of a text where it stands. Influential ones may be phrases; of two that overlap the longer one counts,
    and every occurrence of a word is a span of its own."""
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


def other_texts(stores: Stores, opened: OpenAttribution) -> list[OtherText]:
    """Other attributions of the same models, newest first: texts of one's own, and the rows that they began with."""
    same = stores.results.of_models(opened.spec["dense"], opened.spec["pruned"], MAX_OTHERS + 1)
    found = [_other(record) for record in same if record.id != opened.id][:MAX_OTHERS]
    facts = [attribution_facts(record.spec) for record in same if record.id != opened.id][:MAX_OTHERS]
    labels = told_apart(
        [Described(each.label, (*told, f"#{each.id}")) for each, told in zip(found, facts, strict=True)]
    )
    return [each.model_copy(update={"label": label}) for each, label in zip(found, labels, strict=True)]


def _other(record: Record) -> OtherText:
    texts: Any = record.spec["texts"]
    source = record.spec.get("words", {}).get("source", "")
    own = isinstance(texts, list)
    if isinstance(texts, list):
        label, count = " ".join(str(texts[0]["text"]).split()), len(texts)
    else:
        label, count = str(texts["dataset"]), len(texts.get("indices", ())) or int(texts.get("count", 0))
    return OtherText(
        id=record.id,
        label=label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 1]}…",
        note=f"{'1 text' if count == 1 else f'{count} texts'} · words {SOURCES.get(source, source)}",
        own=own,
        created_at=record.created_at,
        href=urls.attribution(record.id),
    )


def _settings(opened: OpenAttribution) -> str:
    layers = opened.spec.get("layers")
    return " · ".join(
        [
            *(variant.label for variant in opened.variants),
            f"activation {opened.summary.activation}",
            f"layers {', '.join(map(str, layers))}" if layers else "all layers",
            f"prompt {own_prompt(opened.spec)[0]}",
        ]
    )

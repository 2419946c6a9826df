"""Builds the document of an attribution's texts, and the specs derived from its spec: own texts with the same models,
or other words of the same texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from prunescope.jobs.problems import Problem, bad_field
from prunescope.jobs.vocabulary import LABEL_SOURCES
from prunescope.server import urls
from prunescope.server.attributions.opened import OpenAttribution
from prunescope.server.attributions.own_text import (
    answers_with_a_label,
    other_texts,
    own_prompt,
    own_source,
    own_text_form,
)
from prunescope.server.site.documents import Link
from prunescope.server.stores import Stores
from prunescope.server.texts.documents import AttributionTexts, TextWords, WordSpan
from prunescope.text.words import WordIndex, fold

COPIED = (
    "dense",
    "pruned",
    "activation",
    "layers",
    "placebo",
    "permutations",
    "floor",
    "special_tokens",
    "sinks",
    "seed",
)
"""The fields that the spec of an own text copies from the attribution's spec."""


def attribution_texts(stores: Stores, opened: OpenAttribution) -> AttributionTexts:
    """An attribution's texts with their words, the form for an own text, and other attributions of the same models."""
    return AttributionTexts(
        attribution=Link(label=opened.label, href=urls.attribution(opened.id)),
        texts=[
            text_words(example.index, text, example.words, example.label).model_copy(
                update={"source": example.source, "found": example.found}
            )
            for example, text in zip(opened.example_summaries, inner_texts(opened), strict=True)
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


def inner_texts(opened: OpenAttribution) -> list[str]:
    """The text of each example without the prompt.

    Attributions of older versions do not record the text's position in the prompt. A text given in their spec is taken
    from there; a text of a task is returned with its prompt.
    """
    given = opened.spec.get("texts")
    found = []
    for example, kept in zip(opened.examples, opened.store.examples, strict=True):
        if span := kept.get("span"):
            found.append(example.text[span[0] : span[1]])
        elif isinstance(given, list) and example.index < len(given):
            found.append(str(given[example.index]["text"]))
        else:
            found.append(example.text)
    return found


def own_text_spec(spec: Mapping[str, Any], texts: Sequence[Mapping[str, Any]], source: str | None) -> dict[str, Any]:
    """The spec of own texts with the models and settings of an attribution's spec.

    ``source`` None: `manual` if a text has words, else `own_source`. Problem 422 if a text lacks a label that the
    source of words needs.
    """
    chosen = source or ("manual" if any(text.get("words") for text in texts) else own_source(spec))
    prompt = own_prompt(spec)[0]
    if chosen in LABEL_SOURCES and not answers_with_a_label(prompt):
        for index, text in enumerate(texts):
            if not text.get("label"):
                message = f"{chosen} measures the right label after the prompt of {prompt}: give one, or take auto"
                raise bad_field(f"texts.{index}.label", None, "a label", message)
    return {
        **{field: spec[field] for field in COPIED if field in spec},
        "texts": [{key: value for key, value in text.items() if value is not None} for text in texts],
        "prompt": prompt,
        "words": {**spec["words"], "source": chosen},
    }


def other_words_spec(opened: OpenAttribution, words: Mapping[int, Sequence[str]]) -> dict[str, Any]:
    """The spec of the same texts with other influential ``words``, by the texts' indices; a text without an entry keeps
    its words.

    Problem 404 for an unknown text, 422 for a word that does not occur in its text.
    """
    known = [example.index for example in opened.examples]
    for index in words:
        if index not in known:
            detail = f"there is no example {index}; the examples are {', '.join(map(str, known))}"
            raise Problem(404, "not-found", "No such example", detail)
    chosen: dict[int, list[str]] = {}
    for example, text in zip(opened.examples, inner_texts(opened), strict=True):
        chosen[example.index] = [*words.get(example.index, [place.word for place in example.words])]
        if named := words.get(example.index):
            found = WordIndex(text)
            for place, word in enumerate(named):
                if word not in found:
                    message = (
                        f"the word {word!r} is not in text {example.index}; give whole words as the text spells them"
                    )
                    raise bad_field(f"words.{example.index}.{place}", word, "a whole word of the text", message)
    if not any(chosen.values()):
        raise bad_field("words", None, "a word", "no word is marked in any text; mark one at least")
    spec = dict(opened.spec)
    texts = spec["texts"]
    if isinstance(texts, Mapping):
        size = len(texts["indices"]) if "indices" in texts else int(texts["count"])
        spec["texts"] = {**texts, "words": [chosen.get(index, []) for index in range(size)]}
    else:
        spec["texts"] = [{**text, "words": chosen.get(index, [])} for index, text in enumerate(texts)]
    spec.pop("causal", None)  # the causal stage takes too long for a job started by a click
    return {**spec, "words": {"source": "manual"}}

"""Placebo words: which words may replace an influential one, and the sums over them against a plain loop."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.tokens import tokenize
from prunescope.nsa.examples import make_examples, positions_of
from prunescope.nsa.placebo import MIN_CANDIDATES, TextWord, draws, text_words
from prunescope.nsa.sinks import first_tokens
from prunescope.nsa.texts import FoundWords, Text
from prunescope.nsa.word_sets import by_token, half_sums, halves_of, word_sets
from tests.models import tiny_tokenizer
from tests.nsa.test_scoring import layout, values


def word(*positions: int, influential: bool = False, content: bool = True, octave: int = 9) -> TextWord:
    return TextWord(positions, influential, content, octave)


@st.composite
def worded_texts(draw: st.DrawFn) -> tuple[list[list[TextWord]], list[int]]:
    """Texts of words of one to three tokens behind a special token, and their numbers of tokens."""
    texts, lengths = [], []
    for _ in range(draw(st.integers(1, 5))):
        words, place = [], 1
        for _ in range(draw(st.integers(1, 25))):
            size = draw(st.integers(1, 3))
            tokens = range(place, place + size)
            words.append(
                word(*tokens, influential=draw(st.integers(0, 4)) == 0, content=draw(st.booleans()), octave=size)
            )
            place += size
        words.sort(key=lambda each: not each.influential)
        texts.append(words)
        lengths.append(place)
    return texts, lengths


@settings(deadline=None, max_examples=60)
@given(worded_texts(), st.integers(0, 1000))
def test_every_draw_has_one_word_for_each_influential_one(
    made: tuple[list[list[TextWord]], list[int]], seed: int
) -> None:
    texts, lengths = made
    starts = np.cumsum([0, *lengths[:-1]])
    marked = [
        int(start) + place
        for start, words in zip(starts, texts, strict=True)
        for each in words
        if each.influential
        for place in each.positions
    ]
    positions = layout(lengths, sorted(marked))
    found = draws(texts, positions, 7, seed)
    assert all((first == again).all() for first, again in zip(found, draws(texts, positions, 7, seed), strict=True))
    spelled = [{int(start) + place: (t, i) for i, each in enumerate(words) for place in each.positions}
               for t, (start, words) in enumerate(zip(starts, texts, strict=True))]  # fmt: skip
    owner = {place: name for text in spelled for place, name in text.items()}
    for tokens in found:
        assert len(set(tokens.tolist())) == len(tokens)
        words = {owner[place] for place in tokens.tolist()}
        assert sum(len(texts[t][i].positions) for t, i in words) == len(tokens)  # whole words
        for t, each in enumerate(texts):
            wanted = sum(one.influential for one in each)
            drawn = [texts[t][i] for text, i in words if text == t]
            assert len(drawn) == wanted
            others = len(each) - wanted
            assert sum(one.influential for one in drawn) == max(0, wanted - others)


def test_words_that_are_alike_replace_it_where_there_are_enough() -> None:
    alike = [word(place) for place in range(4, 4 + MIN_CANDIDATES)]
    others = [word(20, 21), word(22, content=False), word(23, octave=3)]
    words = [word(1, influential=True), *alike, *others]
    positions = layout([40], [1])
    for tokens in draws([words], positions, 50, 0):
        assert tokens.tolist()[0] in range(4, 23 + 1)
        assert len(tokens) == 1
    seen = {int(tokens[0]) for tokens in draws([words], positions, 300, 0)}
    assert seen == set(range(4, 4 + MIN_CANDIDATES))  # the third is given up, number of tokens, class and octave hold
    fewer = [word(1, influential=True), *alike[1:], *others]
    seen = {int(tokens[0]) for tokens in draws([fewer], positions, 300, 0)}
    assert seen == {5, 6, 7, 8, 23}  # the octave is given up next
    fewest = [word(1, influential=True), *alike[2:], *others]
    seen = {int(tokens[0]) for tokens in draws([fewest], positions, 300, 0)}
    assert seen == {6, 7, 8, 22, 23}  # then the class


def test_sinks_and_special_tokens_are_in_no_draw() -> None:
    tokenizer = tiny_tokenizer()
    text = Text("the room was small and the food was bad", "negative", ("bad",))
    tokens = tokenize(tokenizer, text.prompt)
    (example,) = make_examples({0: tokens}, [text], {0: FoundWords(("bad",), (), None)})
    words = text_words(text, tokens, example)
    assert [each.influential for each in words].count(True) == 1
    positions = positions_of([example])
    sinks = first_tokens([len(tokens.ids)]) | (np.arange(len(tokens.ids)) == words[1].positions[0])
    for drawn in draws([words], positions.without(sinks), 40, 0):
        assert not (sinks | positions.special | positions.influential)[drawn].any()


@settings(deadline=None, max_examples=30)
@given(worded_texts(), st.integers(0, 1000), st.sampled_from(["relu", "abs", "raw"]))
def test_the_sums_of_all_sets_are_a_plain_loops(
    made: tuple[list[list[TextWord]], list[int]], seed: int, activation: str
) -> None:
    texts, lengths = made
    starts = np.cumsum([0, *lengths[:-1]])
    marked = [
        int(s) + p for s, words in zip(starts, texts, strict=True) for w in words if w.influential for p in w.positions
    ]
    positions = layout(lengths, sorted(marked))
    placebos = draws(texts, positions, 5, seed)
    half = halves_of(positions, [None] * len(texts), seed)
    sets = word_sets(positions, placebos, half)
    a = values(seed, 4, sum(lengths))
    found = half_sums(by_token(torch.from_numpy(a), activation), sets, positions)
    change = {"relu": lambda x: max(0.0, x), "abs": abs, "raw": lambda x: x}[activation]
    every = [np.flatnonzero(positions.influential), *placebos]
    for side in range(len(sets.sizes)):
        for neuron in range(4):
            for number, tokens in enumerate(every):
                here = [place for place in tokens if half[positions.text[place]] == side]
                assert sets.sizes[side, number] == len(here)
                expected = sum(change(float(a[neuron, place])) for place in here)
                np.testing.assert_allclose(float(found.sets[side, number, neuron]), expected, atol=1e-9)
            counted = np.flatnonzero(positions.counted)
            whole = sum(change(float(a[neuron, p])) for p in counted if half[positions.text[p]] == side)
            np.testing.assert_allclose(float(found.all[side, neuron]), whole, atol=1e-9)


def test_halves_are_even_by_label_and_both_have_words() -> None:
    positions = layout([3] * 20, [2 + 3 * text for text in range(0, 20, 2)])
    labels = ["positive" if text < 10 else "negative" for text in range(20)]
    half = halves_of(positions, labels, 3)
    having = np.arange(20) % 2 == 0
    for label in ("positive", "negative"):
        of_label = np.array([each == label for each in labels]) & having
        assert half[of_label].sum() in (2, 3)
    assert half.sum() == 10
    assert not halves_of(layout([3, 3], [2]), [None, None], 0).any()  # one text with words: one half
    assert (halves_of(positions, labels, 4) != half).any()

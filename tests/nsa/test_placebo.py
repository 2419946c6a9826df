"""Placebo words: which words may replace an influential one, and the sums over them against a plain loop."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prunescope.lm.tokens import tokenize
from prunescope.nsa.examples import make_examples, positions_of
from prunescope.nsa.placebo import MIN_CLASS, TextWord, draws, text_words
from prunescope.nsa.significance import p_values
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
            drawn = [texts[t][i] for text, i in words if text == t]
            assert len(drawn) == sum(one.influential for one in each)


def drawn_places(words: list[TextWord]) -> set[int]:
    """The first tokens of all words that are ever drawn."""
    positions = layout([60], sorted(place for each in words if each.influential for place in each.positions))
    return {int(tokens[0]) for tokens in draws([words], positions, 400, 0)}


def test_words_are_drawn_from_their_class_the_influential_ones_too() -> None:
    alike = [word(place) for place in range(4, 4 + MIN_CLASS - 1)]
    others = [word(20 + place, 21 + place) for place in range(0, 10, 2)]
    functions = [word(40 + place, content=False) for place in range(5)]
    one = word(1, influential=True)
    assert drawn_places([one, *alike, *others, *functions]) == {1, *range(4, 4 + MIN_CLASS - 1)}
    # With a function word less, the rest would be too small a class, so words of one token are not divided by content.
    assert drawn_places([one, *alike, *others, *functions[1:]]) == {1, *range(4, 4 + MIN_CLASS - 1), 41, 42, 43, 44}
    # With a word of two tokens less, the text is not divided by tokens, and not by content, but by thirds.
    assert drawn_places([one, *alike, *others[1:], *functions[1:]]) == {1, 4, 5, 6, 7}
    # Too few words for any class but the whole text.
    assert drawn_places([one, *alike[:2], *others[:1], *functions[:1]]) == {1, 4, 5, 20, 40}


def test_classes_do_not_depend_on_which_words_are_influential() -> None:
    """So two words of a class are drawn equally often, whichever of them is the influential one."""
    words = [word(place, content=place % 3 > 0, octave=place % 2) for place in range(1, 40)]
    for chosen in (2, 4, 9, 30):
        marked = [replace(each, influential=place == chosen) for place, each in enumerate(words)]
        pool = drawn_places(marked)
        assert chosen + 1 in pool
        for other in pool:
            again = [replace(each, influential=place == other - 1) for place, each in enumerate(words)]
            assert drawn_places(again) == pool


def test_neurons_have_small_p_for_words_drawn_blindly_as_often_as_they_should() -> None:
    rng = np.random.default_rng(1)
    lengths = [30] * 12
    few = []
    for trial in range(150):
        texts = []
        for _ in lengths:
            chosen = set(rng.choice(np.arange(1, 29), 6, replace=False).tolist())
            words = [word(place, influential=place in chosen, octave=place % 3) for place in range(1, 29)]
            texts.append(sorted(words, key=lambda each: not each.influential))
        marked = [30 * t + each.positions[0] for t, words in enumerate(texts) for each in words if each.influential]
        positions = layout(lengths, sorted(marked))
        sets = word_sets(positions, draws(texts, positions, 99, trial), np.zeros(12, dtype=np.int64))
        a = torch.from_numpy(values(0, 30, sum(lengths)))
        sums = half_sums(by_token(a, "relu"), sets, positions).sets[0]
        few.append(float((p_values(sums[1:], sums[0]) < 0.05).mean()))
    assert 0.03 < np.mean(few) < 0.065


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
        assert not (sinks | positions.special)[drawn].any()


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

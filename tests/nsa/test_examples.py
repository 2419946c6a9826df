"""From words to influential tokens, by character offsets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prunescope.nsa.errors import NoInfluentialWords, TextsTooLong
from prunescope.nsa.examples import Example, fitting, make_examples, positions_of
from prunescope.nsa.texts import FoundWords, Text
from prunescope.text.words import occurrences
from tests.models import tiny_tokenizer

TOKENIZER = tiny_tokenizer()


def examples_of(texts: list[Text], words: list[tuple[str, ...]]) -> list[Example]:
    tokens, _ = fitting(TOKENIZER, texts, 1000)
    return make_examples(tokens, texts, {i: FoundWords(found, (), None) for i, found in enumerate(words)})


def spelled(example: Example) -> str:
    kept = [token for token, flag in zip(example.token_ids, example.influential, strict=True) if flag]
    return str(TOKENIZER.decode(kept))


def test_every_occurrence_inside_the_text_is_marked_and_none_in_the_prompt() -> None:
    text = Text("bad food, Badly served, BAD", before="good or bad? ", after="\nbad or not? bad")
    (example,) = examples_of([text], [("bad",)])
    assert example.text == "good or bad? bad food, Badly served, BAD\nbad or not? bad"
    assert "".join(spelled(example).split()) == "badBAD"
    assert example.special == [True, *[False] * (len(example.token_ids) - 1)]
    assert example.words[0].occurrences == 2
    assert example.words[0].positions == [i for i, flag in enumerate(example.influential) if flag]


@pytest.mark.parametrize(
    ("text", "word"),
    [("so naïve 😡 plan", "naïve"), ("so 😡 plan", "😡"), ("菜很好吃", "好"), ("é́ bad 中", "bad")],
)
def test_characters_of_several_bytes_keep_their_tokens(text: str, word: str) -> None:
    expected = [text[a:b] for a, b in occurrences(word, text)]
    (example,) = examples_of([Text(text)], [(word,)])
    assert spelled(example).strip() == expected[0]


@given(
    st.lists(st.sampled_from(["bad", "food", "très", "中文", "😡", "BAD", "was", "n't"]), min_size=1, max_size=8),
    st.text(alphabet="ab é中\n", max_size=6),
    st.text(alphabet="ab é中\n", max_size=6),
)
def test_marked_tokens_overlap_an_occurrence(parts: list[str], before: str, after: str) -> None:
    text = Text(" ".join(["bad", *parts]), before=before + " ", after=" " + after)
    (example,) = examples_of([text], [("bad",)])
    offsets = TOKENIZER(text.prompt, return_offsets_mapping=True)["offset_mapping"]
    shift = len(text.before)
    ranges = [(a + shift, b + shift) for a, b in occurrences("bad", text.text)]
    expected = [any(set(range(start, end)) & set(range(a, b)) for a, b in ranges) for start, end in offsets]
    assert example.influential == expected


def test_texts_beyond_the_context_are_left_out_and_reported() -> None:
    texts = [Text("bad"), Text("bad " * 50), Text("so bad")]
    tokens, left_out = fitting(TOKENIZER, texts, 20)
    assert sorted(tokens) == [0, 2]
    assert [(text.text, "more than the model's context of 20" in text.reason) for text in left_out] == [(1, True)]
    made = make_examples(tokens, texts, {0: FoundWords(("bad",), (), None), 2: FoundWords((), (), None)})
    assert [example.index for example in made] == [0, 2]


def test_all_texts_beyond_the_context() -> None:
    with pytest.raises(TextsTooLong, match="all 2 texts are longer than the model's context of 20 tokens"):
        fitting(TOKENIZER, [Text("bad " * 50), Text("bad " * 60)], 20)


def test_no_influential_word_left() -> None:
    tokens, _ = fitting(TOKENIZER, [Text("the food")], 20)
    with pytest.raises(NoInfluentialWords, match=r"no influential word is left in the text;.*“awful”"):
        make_examples(tokens, [Text("the food")], {0: FoundWords((), ("awful",), "[awful]")})


def test_positions_run_through_all_examples() -> None:
    made = examples_of([Text("so bad"), Text("Bad and good")], [("bad",), ("Bad", "good")])
    first = len(made[0].token_ids)
    positions = positions_of(made)
    assert positions.text.tolist() == [0] * first + [1] * len(made[1].token_ids)
    assert set(positions.words) == {"bad", "good"}
    marked = np.flatnonzero(positions.influential)
    assert sorted(np.concatenate(list(positions.words.values())).tolist()) == marked.tolist()
    assert not positions.counted[0]
    assert positions_of(made, count_special=True).counted.all()

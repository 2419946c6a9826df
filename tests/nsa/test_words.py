"""Where words stand in a text, and what an answer names."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.errors import BadInput, BadText
from lm.loading import LanguageModel
from nsa.answering import answer
from nsa.prompts import QUESTIONS, question_ids, words_prompt
from nsa.texts import Text
from nsa.words import SOURCES, influential_words, keep_words, occurrences, parse_answer
from tests.models import tiny, tiny_tokenizer


def tiny_lm(family: str = "llama") -> LanguageModel:
    return LanguageModel(tiny(family), tiny_tokenizer(), "tiny", torch.float32, torch.device("cpu"))


@pytest.mark.parametrize(
    ("word", "text", "expected"),
    [
        ("bad", "Bad food, badly served, not BAD!", [(0, 3), (28, 31)]),
        ("bad", "badly and forbade", []),
        ("don't", "I don't, you DON'T.", [(2, 7), (13, 18)]),
        ("not good", "It is not\n good, not good.", [(6, 15), (17, 25)]),
        ("naïve", "A naïve, NAÏVE plan", [(2, 7), (9, 14)]),
        ("好", "菜很好吃，好", [(2, 3), (5, 6)]),  # noqa: RUF001 - a Chinese comma
        ("😡", "so 😡😡 angry", [(3, 4), (4, 5)]),
        ("a.b", "a.b axb", [(0, 3)]),
        ("", "text", []),
        (" ", "text", []),
    ],
)
def test_whole_words_in_any_case(word: str, text: str, expected: list[tuple[int, int]]) -> None:
    assert occurrences(word, text) == expected


@given(st.lists(st.sampled_from(["bad", "Bad", "badly", "not", ",", "!", "très", "中"]), max_size=12))
def test_occurrences_are_the_words_between_blanks(parts: list[str]) -> None:
    text = " ".join(parts)
    assert len(occurrences("bad", text)) == sum(part.lower() == "bad" for part in parts)
    assert all(text[a:b].lower() == "bad" for a, b in occurrences("bad", text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" [bad,awful]", ("bad", "awful")),
        ("[bad, awful , not good]\n\nBelow is a text.", ("bad", "awful", "not good")),
        ("Here they are:\n[bad]", ("bad",)),
        ("bad, awful", ()),
        ("[bad, awful", ()),
        ("the text [sic] is [bad]", ()),
        ("[bad,,awful]", ()),
        ("Influential words: [bad, 'awful', \"not good\"]", ("bad", "awful", "not good")),
        ("['']", ("''",)),
        ("[]", ()),
        ("", ()),
    ],
)
def test_an_answer_is_parsed_strictly(text: str, expected: tuple[str, ...]) -> None:
    assert parse_answer(text) == expected


def test_words_that_the_text_does_not_have_are_reported() -> None:
    kept, dropped = keep_words(["bad", "Bad", "awful", "AWFUL", "food"], "The food was bad.")
    assert kept == ("bad", "food")
    assert dropped == ("awful",)


def test_a_manual_word_must_stand_in_its_text() -> None:
    texts = [Text("the food was bad", words=("bad",)), Text("the room was small", words=("smal",))]
    with pytest.raises(BadText, match=r"word 'smal' is not in the text 'the room was small'"):
        influential_words(tiny_lm(), texts, "manual")


def test_manual_words_are_reported_text_by_text() -> None:
    seen: list[tuple[int, int]] = []
    texts = [Text("the food was bad", words=("Bad", "bad")), Text("the room was small")]
    found = influential_words(tiny_lm(), texts, "manual", on_text=lambda done, total: seen.append((done, total)))
    assert [words.words for words in found] == [("Bad",), ()]
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(("texts", "message"), [([], "no texts"), ([Text("ok"), Text(" \n")], "text 2 of 2 is empty")])
def test_empty_texts_are_refused(texts: list[Text], message: str) -> None:
    with pytest.raises(BadText, match=message):
        influential_words(tiny_lm(), texts, "manual")


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="'guess' is unknown: choose one of manual, cot, occlusion, gradient"):
        influential_words(tiny_lm(), [Text("x")], "guess")
    assert set(SOURCES) == {"manual", "cot", "occlusion", "gradient"}


def test_the_prompt_is_figure_two() -> None:
    assert words_prompt("So bad.") == (
        "Below is a text. Identify the words that are most relevant to determining its sentiment and organize them "
        'like: [word1,word2,...].\nText: "There are a couple of kinks they are working out, but otherwise, it was a '
        'good dinner."\nInfluential words: [kinks,but,good]\n\nBelow is a text. Identify the words that are most '
        "relevant to determining its sentiment and organize them like: [word1,word2,...].\n"
        'Text: "So bad."\nInfluential words:'
    )


@pytest.mark.parametrize("group", list(QUESTIONS))
def test_every_group_has_a_worked_example_that_answers_as_it_is_asked(group: str) -> None:
    question = QUESTIONS[group]
    assert question.decide in question.instruction
    assert keep_words(question.words, question.text) == (question.words, ())
    asked = words_prompt("So bad.", group=group)
    assert parse_answer(asked) == question.words
    assert asked.endswith('Text: "So bad."\nInfluential words:')
    assert question.text not in words_prompt("So bad.", example=False, group=group)


def test_an_unknown_group_lists_the_known_ones() -> None:
    with pytest.raises(BadInput, match="'guesses' is unknown: choose one of sentiment, question answering"):
        words_prompt("So bad.", group="guesses")


@pytest.mark.parametrize("family", ["llama", "opt", "gpt2", "gpt_neox"])
def test_an_answer_is_the_models_greedy_one(family: str) -> None:
    lm = tiny_lm(family)
    assert lm.tokenizer is not None
    ids = torch.tensor([question_ids(lm.tokenizer, "the room was")])
    mask = torch.ones_like(ids)
    longer = lm.model.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False, pad_token_id=1)
    expected = lm.tokenizer.decode(longer[0, ids.shape[1] :], skip_special_tokens=True)
    found = answer(lm, "the room was", most=12)
    assert found is not None
    assert expected.startswith(found)  # ours may stop earlier: at a bracket or a line's end
    assert found == expected or "]" in found or "\n" in found


def test_an_answer_ends_with_the_end_token() -> None:
    lm = tiny_lm()
    lm.model.lm_head.weight[:] = 0  # every token is as likely as the first, which is the end token
    assert answer(lm, "the room was") == ""


def test_a_question_too_long_for_the_context_has_no_answer() -> None:
    found = influential_words(tiny_lm(), [Text("the food was bad " * 20)], "cot")
    assert found == [None]


def test_a_chat_template_is_used_where_there_is_one() -> None:
    tokenizer = tiny_tokenizer()
    plain = question_ids(tokenizer, "bad")
    assert plain == tokenizer("bad")["input_ids"]
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<reply>"
    assert tokenizer.decode(question_ids(tokenizer, "bad")) == "<s><user>bad<reply>"


def test_the_shipped_model_answers_with_words_or_says_what_it_named() -> None:
    from lm.loading import load

    text = Text("The room was filthy and the staff were terrible, but the breakfast was delicious.")
    (found,) = influential_words(load("demo", device="cpu"), [text], "cot")
    assert found.answer
    assert all(occurrences(word, text.text) for word in found.words)
    assert not any(occurrences(word, text.text) for word in found.dropped)

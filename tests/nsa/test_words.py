"""Influential words: their positions in a text, and the words named by a model's answer."""

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prunescope.lm.errors import BadInput, BadText
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.answering import Answer, answer
from prunescope.nsa.labels import largest
from prunescope.nsa.prompts import QUESTIONS, question, question_ids, words_prompt
from prunescope.nsa.texts import Text
from prunescope.nsa.word_lists import is_finished, is_one_line
from prunescope.nsa.words import SOURCES, influential_words, keep_words, parse_answer
from prunescope.text.words import occurrences
from tests.models import tiny, tiny_tokenizer


def tiny_lm(family: str = "llama") -> LanguageModel:
    return LanguageModel(tiny(family), tiny_tokenizer(), "tiny", torch.float32, torch.device("cpu"))


@given(st.lists(st.sampled_from(["bad", "Bad", "badly", "not", ",", "!", "très", "中"]), max_size=12))
def test_occurrences_are_the_words_between_blanks(parts: list[str]) -> None:
    text = " ".join(parts)
    assert len(occurrences("bad", text)) == sum(part.lower() == "bad" for part in parts)
    assert all(text[a:b].lower() == "bad" for a, b in occurrences("bad", text))


def test_words_that_the_text_does_not_have_are_reported() -> None:
    kept, dropped = keep_words(["bad", "Bad", "awful", "AWFUL", "food"], "The food was bad.")
    assert kept == ("bad", "food")
    assert dropped == ("awful",)


def test_a_manual_word_must_stand_in_its_text() -> None:
    texts = [Text("the food was bad", words=("bad",)), Text("the room was small", words=("smal",))]
    with pytest.raises(BadText, match=r"word 'smal' is not in the text 'the room was small'"):
        influential_words(tiny_lm(), texts, "manual")


def test_manual_words_are_reported_text_by_text() -> None:
    seen: list[tuple[int, tuple[str, ...]]] = []
    texts = [Text("the food was bad", words=("Bad", "bad")), Text("the room was small")]
    found = influential_words(tiny_lm(), texts, "manual", on_text=lambda done, found: seen.append((done, found.words)))
    assert [words.words for words in found] == [("Bad",), ()]
    assert seen == [(1, ("Bad",)), (2, ())]


@pytest.mark.parametrize(("texts", "message"), [([], "no texts"), ([Text("ok"), Text(" \n")], "text 2 of 2 is empty")])
def test_empty_texts_are_refused(texts: list[Text], message: str) -> None:
    with pytest.raises(BadText, match=message):
        influential_words(tiny_lm(), texts, "manual")


def test_an_unknown_source_lists_the_known_ones() -> None:
    with pytest.raises(
        BadInput, match="'guess' is unknown: choose one of manual, auto, cot, cot-free, occlusion, gradient"
    ):
        influential_words(tiny_lm(), [Text("x")], "guess")
    assert set(SOURCES) == {"manual", "auto", "cot", "cot-free", "occlusion", "gradient"}


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
    ids = torch.tensor([question(lm.tokenizer, "the room was").ids])
    mask = torch.ones_like(ids)
    longer = lm.model.generate(ids, attention_mask=mask, max_new_tokens=12, do_sample=False, pad_token_id=1)
    expected = lm.tokenizer.decode(longer[0, ids.shape[1] :], skip_special_tokens=True)
    found = answer(lm, "the room was", most=12)
    assert found is not None
    assert expected.startswith(found.text)  # ours may stop earlier: at a bracket or a line's end
    assert found.text == expected or "]" in found.text or "\n" in found.text


@pytest.mark.parametrize("family", ["gpt1", "llama", "falcon_alibi"])
def test_an_answer_is_that_of_whole_passes_whatever_the_model_keeps(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-1 has no cache; others have one that is wrong, or that fails."""
    lm = tiny_lm(family)
    assert lm.tokenizer is not None
    ids = list(question(lm.tokenizer, "the room was").ids)
    for _ in range(6):
        whole = lm.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        ids.append(int(whole.argmax()))
    expected = str(lm.tokenizer.decode(ids[-6:], skip_special_tokens=True))
    assert not is_finished(expected) and not is_one_line(expected)

    def found() -> str | None:
        made = answer(lm, "the room was", most=6)
        return made and made.text

    assert found() == expected
    own = lm.model.forward

    def wrong(*args: Any, past_key_values: Any = None, **options: Any) -> Any:
        output = own(*args, past_key_values=past_key_values, **options)
        if past_key_values is not None:
            output.logits = output.logits.flip(-1)
        return output

    def failing(*args: Any, past_key_values: Any = None, **options: Any) -> Any:
        if past_key_values is not None:
            raise ValueError("position_ids are incorrect")
        return own(*args, **options)

    for forward in (wrong, failing):
        monkeypatch.setattr(lm.model, "forward", forward)
        assert found() == expected


def test_an_answer_ends_with_the_end_token() -> None:
    lm = tiny_lm()
    lm.model.lm_head.weight[:] = 0  # every token is as likely as the first, which is the end token
    assert answer(lm, "the room was") == Answer("", None)


def test_a_question_too_long_for_the_context_has_no_answer() -> None:
    for source in ("cot", "cot-free", "auto"):
        assert influential_words(tiny_lm(), [Text("the food was bad " * 20)], source) == [None]


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        ("{% if enable_thinking is defined and enable_thinking is false %}|{% endif %}", "bad|"),
        ("{{ '<think>\n' }}", "bad<think>\n\n</think>\n\n"),
        ("{% if enable_thinking %}<think>{% endif %}", "bad"),
    ],
)
def test_a_reasoning_model_is_asked_to_answer_at_once(template: str, asked: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{{ messages[0].content }}" + template
    assert tokenizer.decode(question(tokenizer, "bad").ids) == asked


def test_a_chat_template_is_used_where_there_is_one() -> None:
    tokenizer = tiny_tokenizer()
    plain = question(tokenizer, "bad")
    assert plain.ids == tokenizer("bad")["input_ids"] == question_ids(tokenizer, "bad")
    assert not plain.chat and plain.plain_reason is None
    tokenizer.chat_template = "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<reply>"
    asked = question(tokenizer, "bad")
    assert tokenizer.decode(asked.ids) == "<s><user>bad<reply>" and asked.chat and asked.plain_reason is None


PARTS = "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (
            "{{ raise_exception('a system message is needed first') }}",
            "TemplateError: a system message is needed first",
        ),
        ("{{ messages[0].content }}{{ tools.first.name }}", "UndefinedError"),
        ("{% for m in messages %}", "TemplateSyntaxError"),
        ("{{ messages[1].content }}", "omits the question|renders an empty text|UndefinedError"),
        ({"tool_use": "{{ messages[0].content }}"}, "ValueError"),  # by name only
        (PARTS, "renders an empty text"),
        ("<user>" + PARTS, "omits the question"),
        ("hello", "omits the question"),
        (" \n", "renders an empty text"),
        ("{{ messages[0].content | upper }}", "omits the question"),
        ("{{ messages[0].content + 1 }}", "TypeError"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("\ud800{{ messages[0].content }}", "holds half of a character"),
    ],
)
def test_a_chat_template_that_does_not_ask_is_not_used(template: object, reason: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    asked = question(tokenizer, "the food was bad\n")
    assert asked.ids == tokenizer("the food was bad\n")["input_ids"] and not asked.chat
    assert asked.plain_reason is not None and re.search(reason, asked.plain_reason)
    assert "\n" not in asked.plain_reason and len(asked.plain_reason) < 200


@pytest.mark.parametrize(
    "template",
    [
        "[INST] {{ messages[0].content | trim }} [/INST]",  # one without a generation prompt, which trims
        "You are kind. {% for m in messages %}{{ m.content }}{% endfor %}",
        {"default": "<q>{{ messages[0].content }}", "tool_use": "x"},
    ],
)
def test_a_chat_template_that_asks_is_used(template: object) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    asked = question(tokenizer, " bad ")
    assert asked.chat and asked.plain_reason is None and "bad" in tokenizer.decode(asked.ids)


def test_an_answer_without_the_template_says_why() -> None:
    lm = tiny_lm()
    assert lm.tokenizer is not None
    lm.model.config.max_position_embeddings = 4096
    lm.tokenizer.chat_template = "{{ raise_exception('no') }}"
    (found,) = influential_words(lm, [Text("the food was bad")], "cot-free")
    assert found is not None and found.answer is not None
    assert found.plain_reason == "it raises TemplateError: no"


def test_the_shipped_model_answers_with_words_or_says_what_it_named() -> None:
    from prunescope.lm.loading import load

    text = Text("The room was filthy and the staff were terrible, but the breakfast was delicious.")
    (found,) = influential_words(load("demo", device="cpu"), [text], "cot-free")
    assert found is not None and found.answer and found.source == "cot-free"
    assert all(occurrences(word, text.text) for word in found.words)
    assert not any(occurrences(word, text.text) for word in found.dropped)


def test_the_largest_effects_are_kept_and_one_word_if_none_supports_the_label() -> None:
    amounts = {"the": 0.01, "bad": 2.0, "food": -3.0, "awful": 1.0}
    assert largest(amounts) == {"bad": 2.0, "awful": 1.0}
    assert largest({"the": -0.01, "bad": -2.0}) == {"bad": -2.0}
    assert largest({}) == {}
    assert len(largest({str(number): 1.0 for number in range(9)})) == 5


def test_auto_takes_the_words_that_a_text_comes_with() -> None:
    given, asked = influential_words(
        tiny_lm(), [Text("the food was bad", words=("bad",)), Text("the food was bad", label="small")], "auto"
    )
    assert given is not None and given.words == ("bad",) and given.source == "manual"
    assert asked is not None and asked.source == "occlusion"  # the question does not fit into 128 tokens
    assert len(asked.amounts) == len(asked.words) > 0


@pytest.mark.parametrize("source", ["cot-free", "occlusion", "gradient"])
def test_function_words_are_left_out_on_request(source: str) -> None:
    lm = tiny_lm()
    text = Text("was food of the", label="small", after=" so")
    (found,) = influential_words(lm, [text], source, content=True)
    if source != "cot-free":
        assert found is not None and found.words == ("food",)
        (other,) = influential_words(lm, [replace(text, text="of the")], source, content=True)
        assert other is not None and other.words == ()

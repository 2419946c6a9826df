"""A text without a label takes the choice that the model finds likeliest, where its words are measured by a label."""

from prunescope.nsa.own_label import with_label
from prunescope.nsa.prompts import SENTIMENT_QUESTION
from prunescope.nsa.texts import Text
from prunescope.nsa.words import influential_words
from tests.nsa.test_occlusion import plain_log_probability
from tests.nsa.test_words import tiny_lm

CHOICES = ("kind", "small")
TEXT = Text("the food was bad but the staff were", choices=CHOICES)


def test_the_likeliest_choice_becomes_the_label() -> None:
    lm = tiny_lm()
    for text in (TEXT, Text("the staff were bad", choices=CHOICES, after=" so")):
        prompt = text.text + (text.after or SENTIMENT_QUESTION)
        likeliest = max(CHOICES, key=lambda choice: plain_log_probability(lm, prompt, choice))
        for source in ("occlusion", "gradient"):
            labelled = with_label(lm, text, source)
            assert labelled.label == likeliest
            assert influential_words(lm, [labelled], source)[0] is not None


def test_a_label_that_is_there_or_not_needed_is_left_alone() -> None:
    lm = tiny_lm()
    for text, source in (
        (Text("bad", label="small", choices=CHOICES), "occlusion"),
        (TEXT, "cot"),
        (Text("bad"), "occlusion"),
    ):
        assert with_label(lm, text, source) is text


def test_a_text_that_is_too_long_to_ask_gets_the_first_choice() -> None:
    lm = tiny_lm()
    assert with_label(lm, Text("bad " * 500, choices=CHOICES), "occlusion").label == CHOICES[0]

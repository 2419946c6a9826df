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
            assert with_label(lm, text).label == likeliest
            (found,) = influential_words(lm, [text], source)
            assert found is not None and found.label == likeliest and found.words


def test_a_label_that_is_there_or_not_needed_is_left_alone() -> None:
    lm = tiny_lm()
    for text in (Text("bad", label="small", choices=CHOICES), Text("bad")):
        assert with_label(lm, text) is text
    (found,) = influential_words(lm, [Text("bad", label="small", choices=CHOICES)], "occlusion")
    assert found is not None and found.label is None


def test_a_text_that_is_too_long_to_ask_gets_the_first_choice() -> None:
    lm = tiny_lm()
    assert with_label(lm, Text("bad " * 500, choices=CHOICES)).label == CHOICES[0]

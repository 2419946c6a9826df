"""Words, labels and answers are the same whatever a tokenizer appends to its texts; and numbers that are not finite
are said where they are made."""

from dataclasses import replace

import pytest

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.errors import BadText, NotFinite
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.answering import answer
from prunescope.nsa.gradient import word_gradients
from prunescope.nsa.labels import labelled
from prunescope.nsa.occlusion import label_drops
from prunescope.nsa.own_label import with_label
from prunescope.nsa.preparation import Options, prepare
from prunescope.nsa.prompts import question_ids
from prunescope.nsa.texts import Text
from prunescope.nsa.words import SOURCES, check_texts
from tests.models import tokenizer_with_end
from tests.nsa.test_words import tiny_lm

TEXT = Text("the food was bad but kind", label="small", after=" so")
ENDS = [("</s>",), ("[SEP]", "</s>"), ("<s>",)]


def with_end(ends: tuple[str, ...]) -> LanguageModel:
    return replace(tiny_lm(), tokenizer=tokenizer_with_end(*ends))


@pytest.mark.parametrize("ends", ENDS)
def test_what_a_tokenizer_appends_changes_nothing(ends: tuple[str, ...]) -> None:
    lm, plain = with_end(ends), tiny_lm()
    assert lm.tokenizer is not None and plain.tokenizer is not None
    assert label_drops(lm, TEXT) == label_drops(plain, TEXT)
    assert word_gradients(lm, TEXT) == word_gradients(plain, TEXT)
    assert question_ids(lm.tokenizer, "so") == question_ids(plain.tokenizer, "so")
    assert answer(lm, "the room was", 8) == answer(plain, "the room was", 8)
    own = Text("the food was bad", choices=("kind", "small"))
    assert with_label(lm, own) == with_label(plain, own)
    found = labelled(lm.tokenizer, "the food was", "bad")
    assert found == labelled(plain.tokenizer, "the food was", "bad") and found.count > 0
    made, wanted = (prepare(one, [TEXT], Options(source="occlusion"), lambda *_: None).examples for one in (lm, plain))
    assert made == wanted


@pytest.mark.parametrize("source", ["occlusion", "gradient"])
def test_numbers_that_are_not_finite_are_never_a_text_that_is_too_long(source: str) -> None:
    lm = tiny_lm()
    decoder_layers(lm.model)[1].mlp.down_proj.weight[3, 5] = float("nan")
    with pytest.raises(NotFinite, match=r"tiny gives no finite number, not finite from layer 1 on; its weight") as said:
        SOURCES[source](TEXT, lm, False)
    assert "too long" not in str(said.value) and "float32" not in str(said.value)
    with pytest.raises(NotFinite):
        prepare(lm, [TEXT], Options(source=source), lambda *_: None)


def test_an_answer_is_not_made_of_numbers_that_are_not_finite() -> None:
    lm = tiny_lm()
    decoder_layers(lm.model)[1].mlp.down_proj.weight[3, 5] = float("nan")
    with pytest.raises(NotFinite, match=r"the answer to 'the room was', token 0: tiny gives .* from layer 1 on"):
        answer(lm, "the room was", 8)


def test_half_a_character_is_refused_with_its_text_and_field() -> None:
    for text, field in (
        (Text("a \udc00 b"), "text"),
        (Text("a b", label="\udc00"), "label"),
        (Text("a b", words=("b", "\udc00")), "words"),
    ):
        with pytest.raises(BadText, match=f"text 2 of 2: field '{field}' holds half of a character"):
            check_texts([Text("fine"), text])

"""Occlusion against one plain forward pass per word."""

import pytest
import torch
from tokenizers import normalizers

from prunescope.lm.architecture import decoder_layers
from prunescope.lm.errors import BadText, NotFinite
from prunescope.nsa.occlusion import label_drops, label_log_probabilities, without
from prunescope.nsa.prompts import SENTIMENT_QUESTION
from prunescope.nsa.texts import Text
from prunescope.nsa.words import influential_words
from prunescope.text.words import occurrences
from tests.nsa.test_words import tiny_lm


def plain_log_probability(lm, prompt: str, label: str) -> float:  # type: ignore[no-untyped-def]
    ids = lm.tokenizer(f"{prompt} {label}")["input_ids"]
    start = len(lm.tokenizer(prompt)["input_ids"])
    logits = lm.model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(float(logits[place - 1, ids[place]]) for place in range(start, len(ids)))


@pytest.mark.parametrize("family", ["llama", "opt"])
@pytest.mark.parametrize("around", [("", " it was"), ("", "")])
def test_drops_are_those_of_one_pass_per_word(family: str, around: tuple[str, str]) -> None:
    lm = tiny_lm(family)
    before, after = around
    text = Text("the food was BAD, the staff bad", label="kind", before=before, after=after)
    drops = label_drops(lm, text)
    assert list(drops) == ["the", "food", "was", "BAD", "staff"]
    after = after or SENTIMENT_QUESTION
    whole = plain_log_probability(lm, text.text + after, "kind")
    for word, drop in drops.items():
        rest = without(occurrences(word, text.text), text.text) + after
        assert drop == pytest.approx(whole - plain_log_probability(lm, rest, "kind"), abs=1e-4)


def test_a_word_goes_with_its_blank() -> None:
    text = "Bad food, so bad. badly"
    assert without(occurrences("bad", text), text) == " food, so. badly"


def test_the_words_with_the_largest_drops_come_first() -> None:
    lm = tiny_lm()
    text = Text("the food was bad but the staff were kind", label="small", after=" so")
    drops = label_drops(lm, text)
    (found,) = influential_words(lm, [text], "occlusion")
    expected = sorted((word for word in drops if drops[word] > 0), key=lambda word: -drops[word])
    assert found.words
    assert list(found.words) == expected[: len(found.words)]


def test_occlusion_needs_a_label() -> None:
    with pytest.raises(BadText, match="has no label"):
        influential_words(tiny_lm(), [Text("the food was bad")], "occlusion")


def test_a_label_without_a_token_of_its_own_is_refused() -> None:
    lm = tiny_lm()
    assert lm.tokenizer is not None
    lm.tokenizer.backend_tokenizer.normalizer = normalizers.Replace(" kind", "")
    with pytest.raises(BadText, match="adds no token of its own"):
        label_drops(lm, Text("the food was bad", label="kind", after=" so"))


def test_a_prompt_beyond_the_context_says_nothing() -> None:
    text = Text("bad " + "food " * 200, label="kind", after=" so")
    assert label_drops(tiny_lm(), text) is None and label_log_probabilities(tiny_lm(), [text.prompt], "kind") == [None]


def test_a_number_that_is_not_finite_is_said_with_its_word_and_is_never_too_long() -> None:
    lm = tiny_lm()
    decoder_layers(lm.model)[1].mlp.up_proj.weight[3, 5] = float("nan")
    with pytest.raises(NotFinite, match=r"the text 'the food was bad', label 'kind': .* from layer 1 on; its weight"):
        label_drops(lm, Text("the food was bad", label="kind", after=" so"))
    lm = tiny_lm()
    lm.model.get_input_embeddings().weight[lm.tokenizer(" was")["input_ids"][-1]] = float("inf")
    with pytest.raises(NotFinite, match=r"the text 'food bad' without 'food', label 'kind': .* its embedding on"):
        prompts, named = ["food bad", "the food was"], ["the text 'food bad'", "the text 'food bad' without 'food'"]
        label_log_probabilities(lm, prompts, "kind", named)

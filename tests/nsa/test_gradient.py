"""Gradients with respect to attention against finite differences, and where removals are measured instead."""

from dataclasses import replace

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from prunescope.lm.errors import BadText
from prunescope.lm.loading import LanguageModel
from prunescope.lm.passages import longest_branched
from prunescope.nsa.gradient import token_gradients, word_gradients
from prunescope.nsa.labels import labelled
from prunescope.nsa.occlusion import label_drops
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text
from prunescope.nsa.words import influential_words
from tests.models import tiny, tiny_tokenizer


def single(family: str) -> LanguageModel:
    return LanguageModel(tiny(family), tiny_tokenizer(), family, torch.float32, torch.device("cpu"))


def log_probability(model: torch.nn.Module, ids: list[int], count: int, token: int, factor: float) -> float:
    """Of the last `count` tokens, with the attention of later tokens to one token multiplied by a factor."""
    mask = torch.full((len(ids), len(ids)), -1e30, dtype=torch.float64).triu(1)
    for later in range(token + 1, len(ids)):
        mask[later, token] = torch.tensor(factor).log()
    inputs = {"input_ids": torch.tensor([ids]), "position_ids": torch.arange(len(ids))[None]}
    logits = model(**inputs, attention_mask=mask[None, None], use_cache=False).logits[0]
    chosen = logits.log_softmax(-1)
    return sum(float(chosen[place - 1, ids[place]]) for place in range(len(ids) - count, len(ids)))


@pytest.mark.parametrize("family", ["llama", "opt", "gpt2", "gpt_neox", "gemma3"])
def test_a_tokens_gradient_is_what_more_attention_to_it_brings(family: str) -> None:
    model = tiny(family).double()  # in double precision, where a difference says something
    ids, count = [0, 7, 19, 30, 45, 8, 61], 2
    found = token_gradients(model, ids, count)
    step = 3e-3  # Llama's norm works in single precision, so that a smaller one would drown
    for token in range(len(ids)):
        up, down = (log_probability(model, ids, count, token, 1 + by) for by in (step, -step))
        assert float(found[token]) == pytest.approx((up - down) / (2 * step), rel=1e-2, abs=2e-4)
    assert float(found[-1]) == 0  # nothing reads the last token
    assert not any(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("family", ["llama", "opt", "gpt2"])
def test_a_words_effect_is_the_sum_over_its_tokens(family: str) -> None:
    lm = single(family)
    text = Text("the food was bad, très bad 😡", "kind", before="so ", after=" bad or")
    found = word_gradients(lm, text)
    assert found is not None and lm.tokenizer is not None
    assert list(found) == ["the", "food", "was", "bad", "très", "😡"]
    whole = labelled(lm.tokenizer, text.prompt, "kind")
    by_token = token_gradients(lm.model, whole.tokens.ids, whole.count)
    for word, amount in found.items():
        places = Spelling(text, whole.tokens).tokens_of(word).positions
        assert amount == pytest.approx(float(sum(by_token[place] for place in places)))
    assert found != label_drops(lm, text)


def test_a_word_at_position_0_is_removed() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A", special_tokens=[])
    lm = replace(single("llama"), tokenizer=tokenizer)
    text = Text("food was bad but food", "kind", after=" so")
    found, removed = word_gradients(lm, text), label_drops(lm, text)
    assert found is not None and removed is not None
    assert found["food"] == removed["food"]
    assert all(found[word] != removed[word] for word in ("was", "bad", "but"))
    assert label_drops(lm, text, ["bad"]) == {"bad": removed["bad"]}


@pytest.mark.parametrize("family", ["bloom", "gemma2"])
def test_all_words_are_removed_where_a_mask_does_not_reach(family: str) -> None:
    """Bloom takes no mask, and the text is longer than Gemma's attention window."""
    lm = single(family)
    assert longest_branched(lm.model) <= 8
    text = Text("the food was bad, the staff kind", "small", after=" so")
    assert word_gradients(lm, text) == label_drops(lm, text)


def test_a_label_that_brings_its_blank_is_the_same_label() -> None:
    lm = single("llama")
    assert word_gradients(lm, Text("the food was bad", " kind", after=" so")) == word_gradients(
        lm, Text("the food was bad", "kind", after=" so")
    )


def test_the_words_with_the_largest_gradients_come_first() -> None:
    lm = single("llama")
    text = Text("the food was bad but the staff were kind", "small", after=" so")
    amounts = word_gradients(lm, text)
    assert amounts is not None
    (found,) = influential_words(lm, [text], "gradient")
    assert found is not None
    expected = sorted((word for word in amounts if amounts[word] > 0), key=lambda word: -amounts[word])
    assert found.words
    assert list(found.words) == expected[: len(found.words)]
    least = max(amounts.values()) / 10
    assert all(amounts[word] >= least for word in found.words)
    assert len(found.words) == min(5, sum(amount >= least for amount in amounts.values()))


def test_a_text_without_a_label_is_refused_and_one_beyond_the_context_left_out() -> None:
    lm = single("llama")
    with pytest.raises(BadText, match="gradient measures the label's log-probability"):
        influential_words(lm, [Text("the food was bad")], "gradient")
    assert influential_words(lm, [Text("bad " * 200, "kind")], "gradient") == [None]

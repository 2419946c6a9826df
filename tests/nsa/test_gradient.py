"""Gradient times input against finite differences."""

import pytest
import torch

from prunescope.lm.errors import BadText
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.gradient import token_gradients, word_gradients
from prunescope.nsa.labels import labelled
from prunescope.nsa.spelling import Spelling
from prunescope.nsa.texts import Text
from prunescope.nsa.words import influential_words
from tests.models import tiny, tiny_tokenizer


def double(family: str) -> LanguageModel:
    """In double precision, where a difference says something."""
    return LanguageModel(tiny(family).double(), tiny_tokenizer(), family, torch.float64, torch.device("cpu"))


def log_probability(lm: LanguageModel, ids: list[int], count: int, scales: dict[int, float]) -> float:
    """Of the last `count` tokens, with the embeddings of some tokens scaled."""

    def scale(_module: object, _args: object, output: torch.Tensor) -> torch.Tensor:
        for place, factor in scales.items():
            output[0, place] *= factor
        return output

    handle = lm.model.get_input_embeddings().register_forward_hook(scale)
    rows = torch.tensor([ids])
    logits = lm.model(input_ids=rows, use_cache=False).logits[0].log_softmax(-1)
    handle.remove()
    return sum(float(logits[place - 1, ids[place]]) for place in range(len(ids) - count, len(ids)))


@pytest.mark.parametrize("family", ["llama", "opt", "gpt2", "gpt_neox"])
def test_a_words_gradient_is_what_growing_its_embedding_brings(family: str) -> None:
    lm = double(family)
    text = Text("the food was bad, très bad 😡", "kind", before="so ", after=" bad or")
    found = word_gradients(lm, text)
    assert found is not None
    assert list(found) == ["the", "food", "was", "bad", "très", "😡"]
    assert lm.tokenizer is not None
    whole = labelled(lm.tokenizer, text.prompt, "kind")
    step = 3e-3  # Llama's norm works in single precision, so that a smaller one would drown
    for word, amount in found.items():
        places = Spelling(text, whole.tokens).tokens_of(word).positions
        up, down = (
            log_probability(lm, whole.tokens.ids, whole.count, dict.fromkeys(places, 1 + by)) for by in (step, -step)
        )
        assert amount == pytest.approx((up - down) / (2 * step), rel=1e-2, abs=1e-3)
    assert not any(parameter.grad is not None for parameter in lm.model.parameters())
    assert not lm.model.get_input_embeddings()._forward_hooks


def test_a_label_that_brings_its_blank_is_the_same_label() -> None:
    lm = double("llama")
    assert word_gradients(lm, Text("the food was bad", " kind", after=" so")) == word_gradients(
        lm, Text("the food was bad", "kind", after=" so")
    )


def test_the_hook_goes_when_the_model_fails() -> None:
    lm = double("llama")
    with pytest.raises(IndexError):
        token_gradients(lm, [10**6], 1)
    assert not lm.model.get_input_embeddings()._forward_hooks


def test_the_words_with_the_largest_gradients_come_first() -> None:
    lm = double("llama")
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
    lm = double("llama")
    with pytest.raises(BadText, match="gradient measures the label's log-probability"):
        influential_words(lm, [Text("the food was bad")], "gradient")
    assert influential_words(lm, [Text("bad " * 200, "kind")], "gradient") == [None]

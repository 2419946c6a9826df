from collections.abc import Sequence

import pytest
import torch

from prunescope.evaluation.likelihood import encode
from prunescope.lm.answers import Encoded
from prunescope.lm.errors import BadText
from tests.models import CONTEXT, DECODERS, tiny, tiny_tokenizer
from tests.scoring import log_likelihoods

PROMPTS = ("the room was small", "the food", "the staff were kind and the room was bad ")
ANSWERS = (" good", " bad", " badly kind")


def obvious(model: torch.nn.Module, context: list[int], answer: list[int]) -> float:
    """One unpadded pass for every single token of the answer."""
    total = 0.0
    for step, token in enumerate(answer):
        ids = torch.tensor([context + answer[:step]])
        total += float(model(input_ids=ids).logits[0, -1].double().log_softmax(-1)[token])
    return total


@pytest.mark.parametrize("family", DECODERS)
def test_a_batch_gives_what_single_passes_give(family: str) -> None:
    model, tokenizer = tiny(family), tiny_tokenizer()
    encoded = [encode(tokenizer, prompt, answer, CONTEXT) for prompt in PROMPTS for answer in ANSWERS]
    expected = [
        obvious(model, list(item.inputs[: len(item.inputs) + 1 - len(item.answer)]), list(item.answer))
        for item in encoded
    ]
    assert log_likelihoods(model, encoded) == pytest.approx(expected, rel=1e-4)


def test_a_model_that_gives_all_logits_is_read_at_the_same_places() -> None:
    class AllLogits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = tiny("llama")
            self.config, self.device, self.dtype = self.inner.config, self.inner.device, self.inner.dtype

        def forward(self, **inputs: object) -> object:
            return self.inner(**inputs)

    tokenizer = tiny_tokenizer()
    encoded = [encode(tokenizer, prompt, answer, CONTEXT) for prompt in PROMPTS for answer in ANSWERS]
    assert log_likelihoods(AllLogits(), encoded) == pytest.approx(log_likelihoods(tiny("llama"), encoded), rel=1e-5)


def test_answers_with_one_prompt_share_its_pass() -> None:
    model, tokenizer = tiny("llama"), tiny_tokenizer()
    one = encode(tokenizer, "the room was", " bad", CONTEXT)
    longer = encode(tokenizer, "the room was", " badly kind", CONTEXT)
    assert passed(model, [one, one, encode(tokenizer, "the room", " was bad", CONTEXT)]) == (1, len(one.inputs))
    other = encode(tokenizer, "the room was", " small", CONTEXT)
    same = len(one.inputs) + 1 - len(one.answer)
    own = sum(len(item.inputs) - same for item in (longer, other))
    assert passed(model, [longer, other, one]) == (1, same + own)


def passed(model: torch.nn.Module, encoded: Sequence[Encoded]) -> tuple[int, ...]:
    """The shape of what went through the model for some answers, in its last pass."""
    shapes = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    log_likelihoods(model, encoded)
    hook.remove()
    return shapes[-1]


def test_the_prompt_keeps_bos_and_its_last_blank_goes_to_the_answer() -> None:
    tokenizer = tiny_tokenizer()
    item = encode(tokenizer, "the room was ", "bad", CONTEXT)
    assert item.inputs[0] == tokenizer.bos_token_id
    assert tokenizer.decode(item.answer) == " bad"
    assert not item.truncated
    assert encode(tokenizer, "<s>the room was", " bad", CONTEXT) == item


def test_without_a_prompt_one_special_token_stands_before_the_answer() -> None:
    tokenizer = tiny_tokenizer()
    item = encode(tokenizer, "", "the room was bad", CONTEXT)
    whole = tokenizer("the room was bad")["input_ids"]
    assert ([*item.inputs, whole[-1]], list(item.answer)) == (whole, whole[1:])
    assert encode(tokenizer, "", "<s>the room was bad", CONTEXT) == item
    tokenizer.bos_token = None
    assert encode(tokenizer, "", "the room was bad", CONTEXT) == item  # EOS, which is the same token here
    tokenizer.eos_token = None
    with pytest.raises(BadText, match="no BOS or EOS"):
        encode(tokenizer, "", "the room was bad", CONTEXT)


def test_a_long_prompt_loses_its_beginning() -> None:
    tokenizer = tiny_tokenizer()
    whole = encode(tokenizer, "the room was small " * 9, "bad", 10_000)
    exact = encode(tokenizer, "the room was small " * 9, "bad", len(whole.inputs))
    cut = encode(tokenizer, "the room was small " * 9, "bad", 20)
    assert (exact.inputs, exact.truncated) == (whole.inputs, False)
    assert (cut.inputs, cut.truncated) == (whole.inputs[-20:], True)
    with pytest.raises(BadText, match="must be 1 to 2"):
        encode(tokenizer, "the room", " unbelievably gruesome", 2)

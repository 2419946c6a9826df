"""Prefix sharing: every text is completely in a row, attends only to itself, and has the same logits as alone."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM as CausalLM
from transformers import Lfm2Config, MambaConfig, PreTrainedModel

from prunescope.lm.passages import LONGEST, Passage, longest_branched, model_inputs, passages
from tests.models import CONTEXT, DECODERS, FAMILIES, tiny

Text = tuple[int, ...]
# Few different tokens and questions with choices, so that much is shared.
TEXT = st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple)
QUESTION = st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=4)).map(lambda q: [q[0] + choice for choice in q[1]])
TEXTS = st.lists(QUESTION, min_size=1, max_size=6).map(lambda questions: [text for q in questions for text in q])
LIMITS = st.integers(0, 40)


def read(passage: Passage, item: int, text: Text) -> Text:
    """The text as it is read out of the passage."""
    branch = dict(passage.items)[item]
    return tuple(passage.tokens[passage.place(branch, position)] for position in range(len(text)))


@given(TEXTS, LIMITS)
def test_every_text_is_in_one_row_whole(texts: list[Text], limit: int) -> None:
    rows = passages(texts, limit)
    assert sorted(item for row in rows for item, _ in row.items) == list(range(len(texts)))
    for row in rows:
        assert all(read(row, item, texts[item]) == texts[item] for item, _ in row.items)


@given(TEXTS, LIMITS)
def test_rows_are_the_longest_first_and_never_more_work(texts: list[Text], limit: int) -> None:
    rows, plain = passages(texts, limit), passages(texts, 0)
    lengths = [len(row.tokens) for row in rows]
    assert lengths == sorted(lengths, reverse=True)
    assert sum(lengths) <= sum(len(row.tokens) for row in plain)
    assert not any(row.branches for row in plain)
    for row in rows:
        if row.branches:
            longest = max(len(texts[item]) for item, _ in row.items)
            assert len(row.branches) > 1 and len(row.tokens) <= min(limit, LONGEST * longest)


@settings(deadline=None)
@given(TEXTS)
def test_a_token_sees_its_own_text_and_counts_its_place_there(texts: list[Text]) -> None:
    model = tiny("llama")
    rows = passages(texts, 40)
    inputs = model_inputs(model, rows)
    if "attention_mask" not in inputs:
        assert not any(row.branches for row in rows)
        return
    seen = inputs["attention_mask"][:, 0] == 0
    assert seen.any(dim=2).all()  # the padding too: what sees nothing is no number
    for number, row in enumerate(rows):
        for item, branch in row.items:
            places = [row.place(branch, position) for position in range(len(texts[item]))]
            for position, place in enumerate(places):
                assert seen[number, place].nonzero()[:, 0].tolist() == places[: position + 1]
                assert inputs["position_ids"][number, place] == position


def test_choices_share_their_prompt_and_strangers_share_nothing() -> None:
    prompt, other = tuple(range(10, 30)), (10, *range(40, 60))
    one, two = passages([(*prompt, 1), (*prompt, 2, 3), (*other, 1), (*prompt, 4)], 100)
    assert (one.tokens, one.branches) == ((*prompt, 1, 2, 3, 4), (1, 2, 1))
    assert (two.tokens, two.branches) == ((*other, 1), ())


def with_windows(model: PreTrainedModel) -> int:
    config = model.config.get_text_config(decoder=True)
    return getattr(config, "sliding_window", None) or getattr(config, "window_size", None) or CONTEXT


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", DECODERS)
def test_what_a_model_reads(family: str, dtype: torch.dtype) -> None:
    """As far as its shortest window; a model with ALiBi, which counts places and not positions, nothing, and neither
    does GPT-1, which takes no mask of this shape."""
    model = tiny(family).to(dtype)
    none = family in ("bloom", "falcon_alibi", "gpt1")
    assert longest_branched(model) == (0 if none else with_windows(model))


def test_a_model_that_is_more_than_attention_reads_no_branches() -> None:
    shape = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 64}
    mixed = Lfm2Config(**shape, **heads, layer_types=["conv", "full_attention"])
    for config in (MambaConfig(**shape), mixed):
        assert longest_branched(CausalLM.from_config(config).eval()) == 0


def test_a_model_that_takes_a_mask_and_looks_past_it_is_found_out() -> None:
    """Its layers see what is left of them, whatever the mask and the config say."""

    class Neighbours(torch.nn.Module):
        def __init__(self, inner: PreTrainedModel) -> None:
            super().__init__()
            self.inner, self.config, self.device, self.dtype = inner, inner.config, inner.device, inner.dtype

        def forward(self, **inputs: object) -> object:
            answer = self.inner(**inputs)
            answer.logits = answer.logits + answer.logits.roll(2, dims=1) / 50
            return answer

    model = tiny("llama")
    assert (longest_branched(model), longest_branched(Neighbours(model))) == (CONTEXT, 0)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_each_text_by_itself(family: str) -> None:
    """Texts within the windows of all layers, side by side in one batch with one that has no branches."""
    model = tiny(family)
    longest = longest_branched(model)
    stem = tuple(range(20, 20 + longest // 3))
    texts = [(*stem, 3), (*stem, 4, 5), tuple(range(60, 67))]
    rows = passages(texts, longest)
    assert sorted(len(row.branches) for row in rows) == [0, 2]
    with torch.inference_mode():
        logits = model(**model_inputs(model, rows), use_cache=False).logits
    for number, row in enumerate(rows):
        for item, branch in row.items:
            torch.testing.assert_close(logits[number, places(row, branch, texts[item])], alone(model, texts[item]))


def places(row: Passage, branch: int, text: Text) -> Sequence[int]:
    return [row.place(branch, position) for position in range(len(text))]


def alone(model: PreTrainedModel, text: Text) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=torch.tensor([text]), use_cache=False).logits[0]
    return logits

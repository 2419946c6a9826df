"""Context length: from the config's field, the position tables, and a trial pass."""

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BioGptConfig,
    BloomConfig,
    CTRLConfig,
    GPT2Config,
    GPTBigCodeConfig,
    GPTJConfig,
    MptConfig,
    OpenAIGPTConfig,
    PretrainedConfig,
    RobertaConfig,
    XGLMConfig,
)

from prunescope.lm.architecture import context_length
from prunescope.lm.positions import CONTEXT_NAMES, DEFAULT_CONTEXT, length_switches, longest_text, side
from tests.models import CONTEXT, DECODERS, tiny, tiny_dynamic, tiny_longrope

SIZE = {"vocab_size": 60, "bos_token_id": 0, "eos_token_id": 0}
OPENAI = {**SIZE, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 4}

CONFIGS = {
    "mpt": (MptConfig(**SIZE, d_model=16, n_heads=4, n_layers=2, max_seq_len=40), 40),
    "gpt2": (GPT2Config(**OPENAI), 40),
    "gpt_bigcode": (GPTBigCodeConfig(**OPENAI), 40),
    "gptj": (GPTJConfig(**OPENAI, rotary_dim=4), 40),
    "openai": (OpenAIGPTConfig(**OPENAI), 40),
    "ctrl": (CTRLConfig(**OPENAI, dff=32), 40),
    "bloom": (BloomConfig(**SIZE, hidden_size=16, n_layer=2, n_head=4, seq_length=40), 40),
    "bloom, not said": (BloomConfig(**SIZE, hidden_size=16, n_layer=2, n_head=4), DEFAULT_CONTEXT),
    "biogpt": (
        BioGptConfig(
            **SIZE,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=40,
        ),
        40,
    ),
    "xglm": (
        XGLMConfig(**SIZE, d_model=16, ffn_dim=32, num_layers=2, attention_heads=4, max_position_embeddings=40),
        40,
    ),
    # Positions are counted from the row after the padding's: two of the 40 rows are never read.
    "roberta": (
        RobertaConfig(
            **SIZE,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=40,
            pad_token_id=1,
            is_decoder=True,
        ),
        38,
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_the_longest_text_goes_through_the_model(name: str) -> None:
    config, expected = CONFIGS[name]
    model = AutoModelForCausalLM.from_config(config).eval()
    assert context_length(model) == expected
    if expected <= 40:
        with torch.no_grad():
            logits = model(input_ids=torch.full((1, expected), 5), use_cache=False).logits
        assert logits.shape[1] == expected and bool(logits.isfinite().all())


@pytest.mark.parametrize("name", CONTEXT_NAMES)
def test_every_name_of_a_context_is_read(name: str) -> None:
    config = PretrainedConfig()
    assert longest_text(nn.Linear(1, 1), config, []) == DEFAULT_CONTEXT
    setattr(config, name, 77)
    assert longest_text(nn.Linear(1, 1), config, []) == 77


def test_a_table_that_is_shorter_than_the_config_says_is_the_limit() -> None:
    model = tiny("gpt2")
    model.config.n_positions = 5000
    assert context_length(model) == CONTEXT


def test_what_fails_beyond_a_length_is_found_by_trying() -> None:
    """A model whose config promises more than its embedding takes, whatever the reason: the longest that goes."""
    model = tiny("llama")

    def refuse(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        if args[0].shape[1] > 41:
            raise IndexError("index out of range in self")

    model.get_input_embeddings().register_forward_pre_hook(refuse)
    assert context_length(model) == 41


@pytest.mark.parametrize("family", DECODERS)
def test_most_models_read_every_length_alike(family: str) -> None:
    assert length_switches(tiny(family)) == ()


def test_where_a_model_reads_otherwise() -> None:
    assert length_switches(tiny_longrope()) == (24,)
    assert [side((24,), length) for length in (1, 24, 25, 128)] == [0, 0, 1, 1]
    assert context_length(tiny_longrope()) == context_length(tiny_dynamic()) == CONTEXT
    mixed = tiny("gemma3")
    mixed.config.rope_parameters = {
        "sliding_attention": {"rope_type": "default"},
        "full_attention": {"rope_type": "longrope", "original_max_position_embeddings": 16},
    }
    assert length_switches(mixed) == (16,)
    mixed.config.rope_parameters["full_attention"]["original_max_position_embeddings"] = 16.0  # as some write it
    assert length_switches(mixed) == (16,)

"""A model that is not causal is refused when it is loaded, in any type, resident or mapped; causal ones are not."""

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    ElectraConfig,
    Gemma3nTextConfig,
    JambaConfig,
    MambaConfig,
    MixtralConfig,
    Qwen3MoeConfig,
    RobertaConfig,
    XLNetConfig,
)

from prunescope.lm.causality import check_causal
from prunescope.lm.errors import UnsupportedModel
from prunescope.lm.loading import load
from tests.models import DECODERS, tiny, tiny_tokenizer

SMALL = {"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
HEADS = {**SMALL, "num_key_value_heads": 2, "intermediate_size": 24, "pad_token_id": 0}
NOT_CAUSAL = [
    BertConfig(**SMALL, intermediate_size=24),
    RobertaConfig(**SMALL, intermediate_size=24, max_position_embeddings=40),
    ElectraConfig(**SMALL, intermediate_size=24, embedding_size=16),
    XLNetConfig(vocab_size=300, d_model=16, n_layer=2, n_head=2, d_inner=24),
]
CAUSAL = [
    BertConfig(**SMALL, intermediate_size=24, is_decoder=True),
    RobertaConfig(**SMALL, intermediate_size=24, max_position_embeddings=40, is_decoder=True),
    MixtralConfig(**HEADS, num_local_experts=3),
    Qwen3MoeConfig(**HEADS, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=8, head_dim=8),
    MambaConfig(vocab_size=300, hidden_size=16, num_hidden_layers=2, state_size=4),
    JambaConfig(**HEADS, num_experts=2, mamba_d_state=4, use_mamba_kernels=False),
    # Its hidden state has four axes.
    Gemma3nTextConfig(
        **HEADS,
        head_dim=8,
        hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=300,
        laurel_rank=4,
        num_kv_shared_layers=0,
        layer_types=["sliding_attention", "full_attention"],
        activation_sparsity_pattern=[0.0, 0.0],
    ),
]


def model_of(config, dtype=torch.float32):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False).to(dtype)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("config", NOT_CAUSAL, ids=lambda config: config.model_type)
@pytest.mark.filterwarnings("ignore")
def test_models_that_see_later_tokens_are_refused_by_name(config, dtype, resident):
    model = model_of(config, dtype)
    with pytest.raises(UnsupportedModel, match=rf"^some/model: {type(model).__name__} is not causal: .* give a causal"):
        check_causal(model, "some/model", resident=resident)


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("config", CAUSAL, ids=lambda config: config.model_type)
@pytest.mark.filterwarnings("ignore")
def test_causal_models_of_every_kind_pass(config, resident):
    for dtype in (torch.float32, torch.bfloat16):
        check_causal(model_of(config, dtype), "some/model", resident=resident)


@pytest.mark.parametrize("family", DECODERS)
def test_known_families_pass(family):
    model = tiny(family)
    before = {name: set(module.__dict__) for name, module in model.named_modules()}
    for resident in (True, False):
        check_causal(model, family, resident=resident)
        check_causal(model.to(torch.bfloat16), family, resident=resident)
    assert {name: set(module.__dict__) for name, module in model.named_modules()} == before


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_a_folder_is_refused_when_it_is_loaded(tmp_path, resident):
    model_of(NOT_CAUSAL[0], torch.float16).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    message = r"BertLMHeadModel is not causal: .* \(its config says is_decoder false; set it to true where"
    with pytest.raises(UnsupportedModel, match=message):
        load(tmp_path, device="cpu", resident=resident)


def test_of_a_mapped_model_only_the_first_layer_of_each_kind_runs():
    model = tiny("gemma2")  # whose layers are of two kinds
    calls = []
    layers = model.model.layers
    layers.extend(tiny("gemma2", seed=1).model.layers)
    model.config.num_hidden_layers = 4
    model.config.layer_types = ["sliding_attention", "full_attention"] * 2
    for index, layer in enumerate(layers):
        layer.mlp.register_forward_hook(lambda *_, index=index: calls.append(index))
    model.lm_head.register_forward_hook(lambda *_: calls.append("head"))
    check_causal(model, "gemma2", resident=False)
    assert set(calls) == {0, 1}


def test_what_a_model_raises_is_one_line():
    model = tiny("llama")

    def fail(*_args, **_kwargs):
        raise KeyError("no such\nthing")

    model.model.forward = fail
    with pytest.raises(
        UnsupportedModel, match=r"^here: LlamaForCausalLM cannot be run on a few tokens of text \('no such"
    ):
        check_causal(model, "here")
    check_causal(model, "here", resident=False)  # left to whoever runs it

"""Tiny language models with random weights, one per family, and a tokenizer that fits them: real parts for tests."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM as CausalLM
from transformers import (
    BloomConfig,
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    Gemma4TextConfig,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OpenAIGPTConfig,
    OPTConfig,
    Phi3Config,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

LAYERS = 2
HIDDEN = 32
NEURONS = 64
VOCABULARY = 300
CONTEXT = 128


_GATED = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "intermediate_size": NEURONS,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.2,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def _configs() -> dict[str, PretrainedConfig]:
    return {
        "llama": LlamaConfig(**_GATED),
        # A window shorter than the texts, so that what the layers are called with matters.
        "mistral": MistralConfig(**_GATED, sliding_window=8),
        "qwen2": Qwen2Config(**_GATED),
        "opt": OPTConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            word_embed_proj_dim=16,  # with project_in and project_out, which are no layer's
            ffn_dim=NEURONS,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            do_layer_norm_before=True,
            init_std=0.2,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=1,
        ),
        "gpt2": GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=HIDDEN,
            n_inner=NEURONS,
            n_layer=LAYERS,
            n_head=4,
            n_positions=CONTEXT,
            initializer_range=0.2,
            bos_token_id=0,
            eos_token_id=0,
        ),
        "gpt_neox": GPTNeoXConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=NEURONS,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            initializer_range=0.2,
            bos_token_id=0,
            eos_token_id=0,
        ),
        "gpt_neo": GPTNeoConfig(
            vocab_size=VOCABULARY,
            hidden_size=HIDDEN,
            intermediate_size=NEURONS,
            num_layers=LAYERS,
            attention_types=[[["global", "local"], LAYERS // 2]],
            window_size=8,
            num_heads=4,
            max_position_embeddings=CONTEXT,
            initializer_range=0.2,
            bos_token_id=0,
            eos_token_id=0,
        ),
    }


def _more_configs() -> dict[str, PretrainedConfig]:
    gated = {**_GATED, "head_dim": 8}
    named = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.2}
    falcon = {**named, "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 4}
    falcon |= {"ffn_hidden_size": NEURONS, "max_position_embeddings": CONTEXT}
    opt_post = _configs()["opt"].to_dict() | {"do_layer_norm_before": False}
    scaled = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
    scaled |= {"original_max_position_embeddings": 32, "rope_theta": 10000.0}
    return {
        "llama3": LlamaConfig(**gated, rope_parameters=scaled, tie_word_embeddings=True),
        "qwen3": Qwen3Config(**gated, tie_word_embeddings=True),
        # As the 350m of the family: norms after each block, and a narrower embedding.
        "opt_post_norm": OPTConfig(**opt_post),
        "gpt_neox_serial": GPTNeoXConfig(
            **named,
            hidden_size=HIDDEN,
            intermediate_size=NEURONS,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            max_position_embeddings=CONTEXT,
            use_parallel_residual=False,
        ),
        # Windows shorter than the texts, caps that bend the numbers, every second layer with all of the text.
        "gemma2": Gemma2Config(
            **gated,
            sliding_window=8,
            query_pre_attn_scalar=8,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0,
            pad_token_id=0,
        ),
        "gemma3": Gemma3TextConfig(
            **gated,
            sliding_window=8,
            query_pre_attn_scalar=8,
            layer_types=["sliding_attention", "full_attention"],
            pad_token_id=0,
        ),
        # As the larger ones of the family: the decoder below a model that also sees pictures.
        "gemma3_pictures": Gemma3Config(
            text_config={**gated, "sliding_window": 8, "query_pre_attn_scalar": 8, "pad_token_id": 0},
            vision_config={
                "hidden_size": 16,
                "intermediate_size": 24,
                "num_hidden_layers": 3,
                "num_attention_heads": 2,
                "image_size": 28,
                "patch_size": 14,
            },
            mm_tokens_per_image=4,
        ),
        "phi3": Phi3Config(**{**_GATED, "sliding_window": 8, "pad_token_id": 0}),
        "falcon": FalconConfig(**falcon, parallel_attn=True, multi_query=True),
        "falcon_new": FalconConfig(**falcon, new_decoder_architecture=True, num_kv_heads=2),
        "falcon_alibi": FalconConfig(**falcon, parallel_attn=False, multi_query=False, bias=True, alibi=True),
        # A norm of query and key with two axes, [heads, width].
        "cohere": CohereConfig(**_GATED, use_qk_norm=True, pad_token_id=0),
        # Beside the MLP a gated pair of 8 for the per-layer inputs.
        "gemma4": Gemma4TextConfig(
            **gated,
            global_head_dim=8,
            hidden_size_per_layer_input=8,
            vocab_size_per_layer_input=VOCABULARY,
            num_kv_shared_layers=0,
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention"],
            pad_token_id=0,
        ),
        # Its layers return lists.
        "gpt1": OpenAIGPTConfig(
            vocab_size=VOCABULARY,
            n_embd=HIDDEN // 2,
            n_layer=LAYERS,
            n_head=4,
            n_positions=CONTEXT,
            initializer_range=0.2,
        ),
        "bloom": BloomConfig(**named, hidden_size=HIDDEN // 2, n_layer=LAYERS, n_head=4),  # 4 x hidden neurons, always
    }


FAMILIES = ("llama", "mistral", "qwen2", "opt", "gpt2", "gpt_neox", "gpt_neo")
DECODERS = (
    *FAMILIES,
    "llama3",
    "qwen3",
    "opt_post_norm",
    "gpt_neox_serial",
    "gemma2",
    "gemma3",
    "gemma3_pictures",
    "phi3",
    "falcon",
    "falcon_new",
    "falcon_alibi",
    "bloom",
    "cohere",
    "gemma4",
    "gpt1",
)
"""Every shape of decoder that is known to work, `FAMILIES` among them."""


def tiny(family: str, seed: int = 0) -> PreTrainedModel:
    """A random model of the family: 2 layers, 32 hidden, 64 neurons, 300 tokens, 128 positions; float32, eval mode.

    Bloom and GPT-1 are half as wide, since their neurons are four times their hidden size.
    """
    configs = _configs() if family in FAMILIES else _more_configs()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = CausalLM.from_config(configs[family])
    return model.eval().requires_grad_(False)


def tiny_longrope(seed: int = 0) -> PreTrainedModel:
    """Phi-3 whose rotary embedding turns a whole pass by other factors beyond 24 of its 128 positions."""
    rope = {"rope_type": "longrope", "original_max_position_embeddings": 24, "rope_theta": 10000.0, "factor": 4.0}
    rope |= {"short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0], "partial_rotary_factor": 1.0}
    config = Phi3Config(**{**_GATED, "pad_token_id": 0}, original_max_position_embeddings=24, rope_parameters=rope)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = CausalLM.from_config(config)
    return model.eval().requires_grad_(False)


def tiny_dynamic(seed: int = 0) -> PreTrainedModel:
    """Llama whose rotary embedding grows with a text beyond its positions."""
    config = LlamaConfig(**_GATED, rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = CausalLM.from_config(config)
    return model.eval().requires_grad_(False)


def tokenizer_with_end(*ends: str) -> PreTrainedTokenizerFast:
    """`tiny_tokenizer` that also puts `ends`, each a special token of its own or `<s>`, behind every text."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": [end for end in ends if end != "<s>"]})
    named = [("<s>", 0), *((end, int(tokenizer.convert_tokens_to_ids(end))) for end in ends)]
    template = TemplateProcessing(single=" ".join(["<s> $A", *ends]), special_tokens=list(dict.fromkeys(named)))
    tokenizer.backend_tokenizer.post_processor = template
    return tokenizer


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE of at most 300 tokens that spells every text; puts one `<s>` (id 0) before each."""
    core = Tokenizer(BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(["the room was small and the food was bad but the staff were kind"] * 4, trainer)
    core.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="<s>", pad_token="<pad>")


def tiny_folder(folder: Path, family: str = "llama", dtype: torch.dtype = torch.float32) -> Path:
    """Save a tiny model and its tokenizer as a Hugging Face folder; returns the folder."""
    tiny(family).to(dtype).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder

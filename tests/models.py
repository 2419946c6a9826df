"""Tiny language models with random weights, one per family, and a tokenizer that fits them: real parts for tests."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM as CausalLM
from transformers import (
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

LAYERS = 2
HIDDEN = 32
NEURONS = 64
VOCABULARY = 300
CONTEXT = 128


def _configs() -> dict[str, PretrainedConfig]:
    gated = {
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
    return {
        "llama": LlamaConfig(**gated),
        # A window shorter than the texts, so that what the layers are called with matters.
        "mistral": MistralConfig(**gated, sliding_window=8),
        "qwen2": Qwen2Config(**gated),
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


FAMILIES = ("llama", "mistral", "qwen2", "opt", "gpt2", "gpt_neox", "gpt_neo")


def tiny(family: str, seed: int = 0) -> PreTrainedModel:
    """A random model of the family: 2 layers, 32 hidden, 64 neurons, 300 tokens, 128 positions; float32, eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = CausalLM.from_config(_configs()[family])
    return model.eval().requires_grad_(False)


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

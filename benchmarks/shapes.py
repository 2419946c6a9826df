"""Writes models with random weights in a real model's shape to disk, layer by layer.

Time does not depend on the weights' values, so random ones are as good as trained ones. Each decoder layer is drawn,
written as one safetensors file, and freed, so that a 7B model is never completely in memory.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig

from prunescope.lm.architecture import layers_path

DEVIATION = 0.02


@dataclass(frozen=True)
class Shape:
    """A model's shape, and the calibration windows for pruning it, `batch` of them at once.

    Masks are compared in the first `compared` layers only, since all masks of a 7B model are gigabytes.
    """

    name: str
    samples: int
    tokens: int
    batch: int
    dtype: torch.dtype
    compared: int
    config: dict[str, Any] = field(default_factory=dict)

    def windows(self) -> Int[Tensor, "samples tokens"]:
        """Random tokens with a fixed seed."""
        generator = torch.Generator().manual_seed(1)
        return torch.randint(self.config["vocab_size"], (self.samples, self.tokens), generator=generator)


def _llama(hidden: int, neurons: int, layers: int, heads: int, vocabulary: int, context: int) -> dict[str, Any]:
    return {
        "hidden_size": hidden,
        "intermediate_size": neurons,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
    }


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("tiny", 4, 32, 2, torch.float32, 2, _llama(64, 128, 2, 4, 256, 64)),
        # A small vocabulary, because llm-compressor runs the head twice, which is not part of pruning.
        Shape("small", 32, 256, 16, torch.float32, 4, _llama(768, 2048, 4, 12, 512, 256)),
        Shape("llama-2-7b", 128, 2048, 8, torch.bfloat16, 2, _llama(4096, 11008, 32, 32, 32000, 4096)),
    )
}


def write(shape: Shape, folder: Path, device: torch.device) -> Path:
    """Write a checkpoint of the shape, drawn on `device`, unless it exists; returns the folder."""
    index = folder / "model.safetensors.index.json"
    if index.exists():  # it is written last
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = LlamaConfig(**shape.config, dtype=shape.dtype, tie_word_embeddings=False)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    shards: dict[str, list[str]] = {}
    stem = layers_path(model)
    for name in model.state_dict():
        inside = name.startswith(f"{stem}.")
        shards.setdefault(name.removeprefix(f"{stem}.").split(".")[0] if inside else "rest", []).append(name)
    places: dict[str, str] = {}
    generator = torch.Generator(device).manual_seed(0)
    for part, names in shards.items():
        file = f"model-{part}.safetensors"
        drawn = {name: _drawn(model.get_parameter(name), shape.dtype, generator) for name in names}
        save_file(drawn, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def _drawn(like: Tensor, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Random weights: small normal numbers for a matrix, ones for a norm."""
    if like.dim() < 2:
        return torch.ones(like.shape, dtype=dtype)
    values = torch.empty(like.shape, dtype=torch.float32, device=generator.device)
    return values.normal_(0, DEVIATION, generator=generator).to("cpu", dtype)

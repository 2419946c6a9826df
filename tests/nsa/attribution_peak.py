"""python -m tests.nsa.attribution_peak TEXTS FOLDER: the most anonymous memory, in bytes, of one attribution."""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from benchmarks.memory import Peak, resident
from prunescope.lm.loading import LanguageModel
from prunescope.nsa.attribution import Options
from prunescope.nsa.texts import Text
from prunescope.store.attributions import writer
from tests.models import tiny_tokenizer
from tests.nsa.test_attribution import run

TEXT = Text("the room was small and the food was bad but the staff were kind, " * 3, words=("bad", "kind"))


def wide() -> LanguageModel:
    config = LlamaConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=1024,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    return LanguageModel(model, tiny_tokenizer(), "wide", torch.float32, torch.device("cpu"))


def main(texts: int, folder: Path) -> None:
    # A shard is written whole. At its usual size a layer of this small model would be one, whatever the texts.
    writer.MAX_SHARD_BYTES = 1 << 20
    run(folder / "before", wide, [wide], [TEXT] * 2, Options(permutations=20))  # everything is imported and warm
    before = resident()[0]
    with Peak() as peak:
        kept = run(folder / "a", wide, [wide], [TEXT] * texts, Options(permutations=20))
    kept_bytes = kept.layers * kept.neurons * kept.tokens * 2 * len(kept.variants)
    sys.stdout.write(f"{peak.anonymous - before} {kept_bytes}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

"""Measures the peak memory of a prune job by number of layers; 40 layers must take no more than 4.

    python -m benchmarks.memory [--layers 4 40] [--width 512] [--samples 32] [--seqlen 256] [--method sparsegpt]
                                [--dtype float16] [--work DIR] [--output benchmarks/results/memory-cpu.json]

For each number of layers a model with random weights is written to disk and pruned in a new process, as the command
does: load, prune, save. The measure is anonymous memory (RssAnon of /proc/self/status), sampled every 2 ms; mapped
pages of the checkpoint, which the kernel can reclaim, are reported separately. Each figure includes the hidden states
of the calibration windows, which are equal for all.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

VOCABULARY = 8192
EVERY_SECONDS = 0.002
MB = 1e6
HEAP = {"MALLOC_MMAP_THRESHOLD_": str(1 << 18)}
"""Return freed tensors of more than 256 KiB to the system immediately. By default the C library keeps freed blocks
below 32 MiB, so that a small model's peak would include heap fragmentation, which a large model's tensors do not
have."""


class Peak:
    """Samples the peak of this process's anonymous and mapped memory, in bytes, during the `with` block."""

    def __init__(self) -> None:
        self.anonymous = self.mapped = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            anonymous, mapped = resident()
            self.anonymous, self.mapped = max(self.anonymous, anonymous), max(self.mapped, mapped)


def resident() -> tuple[int, int]:
    """(bytes of anonymous memory, bytes of mapped files) that are resident in this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = {line.partition(":")[0]: line.split() for line in status.splitlines()}
    return int(found["RssAnon"][1]) * 1024, int(found["RssFile"][1]) * 1024


def write_model(folder: Path, layers: int, width: int, seqlen: int, dtype: str) -> None:
    """Write a Llama model with random weights, and calibration windows for it."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=max(seqlen, 128),
    )
    model: Any = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    windows = torch.randint(0, VOCABULARY, (512, seqlen), generator=torch.Generator().manual_seed(1))
    save_file({"input_ids": windows}, folder / "windows.safetensors")


def prune(model: Path, output: Path, method: str, samples: int) -> dict[str, Any]:
    """Prune as the command does, in this process. Returns the peak memory above the level before the model was
    loaded."""
    import torch

    from prunescope.jobs.settings import Settings
    from prunescope.jobs.specs import PruneSpec
    from prunescope.worker.context import Context
    from prunescope.worker.models import ModelCache
    from prunescope.worker.pruned_model import prune as stage

    torch.ones(64, 64) @ torch.ones(64, 64)  # so that the set-up of a first product is not attributed to the model
    calibration = {"file": str(model / "windows.safetensors"), "samples": samples}
    spec = PruneSpec.model_validate({"model": str(model), "method": method, "pattern": 0.5, "calibration": calibration})
    context = Context(
        settings=Settings(home=output / "home"),
        models=ModelCache("cpu"),
        place_of=Path,
        file_of=Path,
        report=lambda _: None,
        check=lambda: None,
    )
    made = output / "model"
    made.mkdir(parents=True)
    before, _ = resident()
    with Peak() as peak:
        record = stage(spec, made, context)
    return {
        "layers": len(record["layers"]),
        "checkpoint_mb": (model / "model.safetensors").stat().st_size / MB,
        "peak_anonymous_mb": (peak.anonymous - before) / MB,
        "peak_mapped_files_mb": peak.mapped / MB,
        "seconds": record["seconds"],
    }


def measure(
    layers: Sequence[int], work: Path, *, width: int, samples: int, seqlen: int, method: str, dtype: str
) -> list[dict[str, Any]]:
    """Run `prune` in a new process for each number of layers and return its results."""
    found = []
    for number in layers:
        folder = work / f"{number}-layers"
        write = [str(folder), str(number), str(width), str(seqlen), dtype]
        _child("write", write)
        done = _child("prune", [str(folder), str(work / f"{number}-pruned"), method, str(samples)])
        found.append(json.loads(done.splitlines()[-1]))
    return found


def hidden_states_mb(width: int, samples: int, seqlen: int) -> float:
    """Memory of all windows' hidden states in float32, in MB."""
    return 4 * width * samples * seqlen / MB


def _child(task: str, arguments: Sequence[str]) -> str:
    command = [sys.executable, "-m", "benchmarks.memory", task, *arguments]
    ended = subprocess.run(command, env=os.environ | HEAP, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"{task} failed:\n{ended.stderr}")
    return ended.stdout


def main(arguments: Sequence[str]) -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="Peak memory of pruning against the number of layers.")
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 40])
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--seqlen", type=int, default=256)
    parser.add_argument("--method", default="sparsegpt")
    parser.add_argument("--dtype", default="float16")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--machine", default="2 CPU cores, 24 GiB")
    chosen = parser.parse_args(arguments)
    settings = {name: getattr(chosen, name) for name in ("width", "samples", "seqlen", "method", "dtype")}
    with tempfile.TemporaryDirectory(dir=chosen.work) as work:
        found = measure(chosen.layers, Path(work), **settings)
    import torch
    import transformers

    document = {
        "what": "peak anonymous memory of a prune job, beyond that of the process before it loads the model",
        "machine": chosen.machine,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "settings": {**settings, "vocabulary": VOCABULARY, "computed_in": "float32", "environment": HEAP},
        "hidden_states_mb": hidden_states_mb(chosen.width, chosen.samples, chosen.seqlen),
        "runs": found,
    }
    for run in found:
        print(
            f"{run['layers']:3d} layers, checkpoint {run['checkpoint_mb']:7.1f} MB: "
            f"peak {run['peak_anonymous_mb']:7.1f} MB anonymous, {run['peak_mapped_files_mb']:7.1f} MB mapped files"
        )
    if chosen.output is not None:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder, layers, width, seqlen, dtype]:
            write_model(Path(folder), int(layers), int(width), int(seqlen), dtype)
        case ["prune", model, output, method, samples]:
            print(json.dumps(prune(Path(model), Path(output), method, int(samples))))
        case given:
            main(given)

"""Runs llm-compressor for comparison: its environment, and a process in it that prunes on request.

Its newest release requires an older transformers than this project, so it has its own environment, made once below the
benchmark's working folder with `python -m venv` and pip. torch is pinned to the exact release used here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from benchmarks.shapes import Shape
from prunescope.pruning.patterns import NofM, Pattern, Unstructured

REQUIREMENTS = ("torch==2.13.0", "transformers==5.17.0", "compressed-tensors==0.19.0", "llmcompressor==0.14.0.1")
RUNNER = Path(__file__).with_name("peer_runner.py")


def installed(work: Path) -> Path:
    """The Python interpreter of the peer's environment below `work`, which is installed if it is missing. Raises
    CalledProcessError."""
    folder = work / "llmcompressor"
    python = folder / "bin" / "python"
    done = folder / "requirements.txt"  # written last
    wanted = "\n".join(REQUIREMENTS)
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS], check=True)
        done.write_text(wanted)
    return python


class Peer:
    """A process in the peer's environment that runs during the whole benchmark, so that its imports are not
    measured."""

    def __init__(self, work: Path, model: Path, shape: Shape, device: torch.device, clock: str = "wall") -> None:
        python = installed(work)
        self._request: dict[str, Any] = {
            "model": str(model.resolve()),
            "windows": str(work / f"windows-{shape.name}.safetensors"),
            "batch": shape.batch,
            "clock": clock,
            "threads": torch.get_num_threads(),
            "output": str(work / "peer.safetensors"),
            "kept": [f"model.layers.{index}." for index in range(shape.compared)],
        }
        save_file({"input_ids": shape.windows()}, self._request["windows"])
        hidden = {} if device.type == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
        self._log: IO[str] = (work / "peer.log").open("w")
        # -P: modules in the runner's own folder would shadow others.
        self._process = subprocess.Popen(
            [python, "-P", RUNNER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | hidden | {"TOKENIZERS_PARALLELISM": "false"},
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def prune(self, method: str, pattern: Pattern) -> float:
        """Prune once and return the seconds. Raises RuntimeError with the peer's traceback."""
        match pattern:
            case NofM(n, m):  # in llm-compressor n of m are REMOVED
                structure, sparsity = f"{m - n}:{m}", (m - n) / m
            case Unstructured(share):
                structure, sparsity = "0:0", share
        request = self._request | {"method": method, "structure": structure, "sparsity": sparsity}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return float(self._answer()["seconds"])

    def weights(self) -> dict[str, Tensor]:
        """The last pruned weights of the compared layers, by their names in the checkpoint."""
        return load_file(self._request["output"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "llm-compressor's process ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

"""Measures the cost of recording: time compared with a plain forward pass, and memory by number of texts.

Both passes run the same texts in the same batches (`nsa.recording.batches` and `run`); one has hooks and writes the
activations to the project's store. Memory is measured in a new process for each number of texts.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from benchmarks.made_attribution import reviews
from benchmarks.memory import HEAP, MB, Peak, resident
from prunescope.lm.loading import load
from prunescope.nsa.attribution import DENSE
from prunescope.nsa.preparation import shape_of
from prunescope.nsa.recording import batches, record, run
from prunescope.store.attributions.writer import ActivationWriter

Ids = Sequence[Sequence[int]]
Clock = Callable[[], float]


def writer_of(folder: Path, model: PreTrainedModel, ids: Ids) -> ActivationWriter:
    """A writer of the project's store, for the dense model's activations only."""
    layers, neurons, _ = shape_of(model)
    return ActivationWriter(
        folder,
        spec={},
        variants=[DENSE],
        models=[DENSE],
        labels=[DENSE],
        examples=[{"token_ids": list(text)} for text in ids],
        layers=layers,
        neurons=neurons,
    )


def overhead(model: PreTrainedModel, ids: Ids, rounds: int, clock: Clock, work: Path) -> dict[str, Any]:
    """Measure the seconds of the recording pass and of the conversion to the final layout, and their ratios to the mean
    of the plain passes before and after."""
    for _ in range(2):  # caches, and the first call's preparations
        _plain(model, ids, clock)
    plain, recorded, stored = [_plain(model, ids, clock)], [], []
    ratios: dict[str, list[float]] = {"recording": [], "recording and storing": []}
    for number in range(rounds):
        recording, storing = _recorded(model, ids, clock, work / f"round-{number}")
        plain.append(_plain(model, ids, clock))
        recorded.append(recording)
        stored.append(storing)
        beside = statistics.mean(plain[-2:])
        ratios["recording"].append(recording / beside)
        ratios["recording and storing"].append((recording + storing) / beside)
    layers, neurons, _ = shape_of(model)
    return {
        "shape": {"layers": layers, "neurons": neurons, "dtype": str(model.dtype).removeprefix("torch.")},
        "texts": [len(ids), max(map(len, ids))],
        "batches": len(list(batches(ids))),
        "seconds": {
            "plain": statistics.median(plain),
            "recording": statistics.median(recorded),
            "storing": statistics.median(stored),
        },
        "ratios": {name: {"values": found, "median": statistics.median(found)} for name, found in ratios.items()},
    }


@torch.no_grad()
def _plain(model: PreTrainedModel, ids: Ids, clock: Clock) -> float:
    _wait(model.device)
    began = clock()
    for batch in batches(ids):
        run(model, batch)
    _wait(model.device)
    return clock() - began


def _recorded(model: PreTrainedModel, ids: Ids, clock: Clock, folder: Path) -> tuple[float, float]:
    """(seconds of the pass with recording to disk, seconds of the conversion to the final layout)."""
    with writer_of(folder, model, ids) as writer:
        _wait(model.device)
        began = clock()
        record(model, ids, partial(writer.write, DENSE))
        _wait(model.device)
        recorded = clock()
        _store(writer, model)
        return recorded - began, clock() - recorded


def _store(writer: ActivationWriter, model: PreTrainedModel) -> None:
    for layer in range(shape_of(model)[0]):
        for _ in writer.blocks(DENSE, layer):
            pass


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory(texts: Sequence[int], tokens: int, work: Path | None) -> list[dict[str, float]]:
    """Measure `peaks` of the demo model in a new process for each number of texts."""
    found = []
    for number in texts:
        with tempfile.TemporaryDirectory(dir=work) as folder:
            command = [sys.executable, "-m", "benchmarks.recording", str(number), str(tokens), folder]
            ended = subprocess.run(command, env=os.environ | HEAP, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"recording {number} texts failed:\n{ended.stderr}")
        found.append(json.loads(ended.stdout.splitlines()[-1]))
    return found


def peaks(texts: int, tokens: int, folder: Path) -> dict[str, float]:
    """Record the demo model in this process; returns the peaks of anonymous memory above the level before, in MB."""
    lm = load("demo", device="cpu")
    assert lm.tokenizer is not None
    ids = [text.ids for text in reviews(lm.tokenizer, texts, tokens)[0]]
    with writer_of(folder / "before", lm.model, ids[:4]) as writer:  # everything is imported and warm
        record(lm.model, ids[:4], partial(writer.write, DENSE))
        _store(writer, lm.model)
    layers, neurons, _ = shape_of(lm.model)
    with writer_of(folder / "made", lm.model, ids) as writer:
        before, _ = resident()
        with Peak() as recording:
            record(lm.model, ids, partial(writer.write, DENSE))
        with Peak() as storing:
            _store(writer, lm.model)
    return {
        "texts": texts,
        "activations_mb": layers * neurons * 2 * sum(map(len, ids)) / MB,
        "recording_mb": (recording.anonymous - before) / MB,
        "storing_mb": (storing.anonymous - before) / MB,
    }


if __name__ == "__main__":
    number, length, place = sys.argv[1:]
    print(json.dumps(peaks(int(number), int(length), Path(place))))

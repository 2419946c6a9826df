"""The workload of the evaluation benchmark: models, rows and task definitions on disk, and the commands to run."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import yaml
from transformers import AutoTokenizer

from benchmarks.shapes import SHAPES, write
from prunescope.evaluation.catalogue import find_task
from prunescope.evaluation.harness import configuration, hub_source
from prunescope.evaluation.rows import task_rows
from prunescope.lm.architecture import context_length
from prunescope.lm.loading import load

PREFIX = "bench_"
"""Prefix of our task definitions' names, because the harness has definitions with the tasks' own names."""

OURS, OURS_BATCH, THEIRS = "prunescope evaluate", "prunescope evaluate, batch {}", "lm_eval, batch {}"
Taken = dict[str, float]
"""Seconds of each part, and `cpu`, the processor time of the evaluation."""


@dataclass(frozen=True)
class Work:
    """A model's folder, tasks with their rows in `folder`/eval and their definitions in `folder`/definitions."""

    model: Path
    tasks: tuple[str, ...]
    folder: Path
    batch: int
    threads: int

    def ours(self) -> list[str]:
        """The arguments of `prunescope`."""
        tasks = ["--tasks", ",".join(self.tasks), "--data", str(self.folder)]
        return ["evaluate", str(self.model), *tasks, "--device", "cpu", "--dtype", "float32"]

    def theirs(self) -> list[str]:
        """The arguments of `lm_eval`."""
        model = ["--model", "hf", "--model_args", f"pretrained={self.model},dtype=float32", "--device", "cpu"]
        tasks = ["--tasks", *(PREFIX + task for task in self.tasks)]
        return [
            "run",
            *model,
            *tasks,
            "--include_path",
            str(self.folder / "definitions"),
            "--batch_size",
            str(self.batch),
        ]

    def commands(self) -> dict[str, list[str]]:
        """Implementation -> arguments for `benchmarks.evaluation_runner`, without the answer file."""
        batch = str(self.batch)
        return {
            OURS: ["ours", "0", *self.ours()],
            OURS_BATCH.format(batch): ["ours", batch, *self.ours()],
            THEIRS.format(batch): ["theirs", batch, *self.theirs()],
        }


def prepare(tasks: Sequence[str], data: Path, most: int, folder: Path) -> dict[str, int]:
    """Write the first rows of each task, as files for us and as definitions with files for the harness. Returns task ->
    number of rows."""
    for name in ("eval", "theirs", "definitions"):
        (folder / name).mkdir()
    rows = {}
    for name in tasks:
        task, config = find_task(name), configuration(find_task(name))
        lines = (data / "eval" / f"{name}.jsonl").read_bytes().splitlines(keepends=True)[:most]
        (folder / "eval" / f"{name}.jsonl").write_bytes(b"".join(lines))
        read = task_rows(task, hub_source(config), folder)  # as the definition reads them
        file = folder / "theirs" / f"{name}.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in read), encoding="utf-8")
        definition = config | {
            "task": PREFIX + name,
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {"rows": str(file)}, "cache_dir": str(folder / "cache")},
            **dict.fromkeys(("training_split", "validation_split", "fewshot_split")),
            "test_split": "rows",
        }
        (folder / "definitions" / f"{PREFIX}{name}.yaml").write_text(yaml.safe_dump(definition), encoding="utf-8")
        rows[name] = len(read)
    return rows


def shaped(name: str, like: Path, folder: Path) -> Path:
    """Write a checkpoint of a shape, with the tokenizer and context length of the model `like`."""
    tokenizer, context = AutoTokenizer.from_pretrained(like), context_length(load(like, device="cpu").model)
    more = {"vocab_size": len(tokenizer), "max_position_embeddings": context}
    shape = replace(SHAPES[name], config={**SHAPES[name].config, **more}, dtype=torch.float32)
    place = write(shape, folder / "models" / name, torch.device("cpu"))
    tokenizer.save_pretrained(place)
    return place


def run(command: Sequence[str], work: Work) -> tuple[Taken, dict[str, float]]:
    """Run a command; returns seconds of each part and each task's accuracy. Raises RuntimeError when it fails."""
    answer = work.folder / "answer.json"
    answer.unlink(missing_ok=True)
    side, batch, *rest = command
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.evaluation_runner", side, str(answer), batch, *rest],
        capture_output=True,
        text=True,
        env={**os.environ, **quiet, "OMP_NUM_THREADS": str(work.threads), "PRUNESCOPE_HOME": str(work.folder / "home")},
    )
    seconds = time.perf_counter() - began
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    found = json.loads(answer.read_text(encoding="utf-8"))
    accuracy = {task.removeprefix(PREFIX): value for task, value in found["accuracy"].items()}
    return {"command": seconds, **found["seconds"]}, accuracy

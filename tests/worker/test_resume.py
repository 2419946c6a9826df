"""A prune run killed at any point resumes to the same bytes as an uninterrupted one."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from prunescope.jobs.documents import Job, JobState
from prunescope.jobs.settings import Settings
from prunescope.jobs.specs import PruneSpec, parse_spec
from prunescope.lm.errors import Cancelled
from prunescope.store.artefacts.manifest import MANIFEST
from prunescope.store.database import Database
from prunescope.store.jobs.store import JobStore
from prunescope.worker import pipeline, stages
from prunescope.worker.context import Context
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from tests.models import LAYERS
from tests.worker.conftest import PRUNE, wait_until_heard
from tests.worker.test_process import wait_for, worker

TIMINGS = {"seconds", "stages", "restored"}


def stable(document: Any) -> Any:
    """A document without what the clock says."""
    if isinstance(document, dict):
        return {key: stable(value) for key, value in document.items() if key not in TIMINGS}
    return [stable(value) for value in document] if isinstance(document, list) else document


def contents(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every file but the manifest of them, of pruning.json without what the clock says."""
    found = {}
    for file in sorted(file for file in folder.iterdir() if file.name != MANIFEST):
        data = file.read_bytes()
        if file.name == "pruning.json":
            data = json.dumps(stable(json.loads(data))).encode()
        found[file.name] = hashlib.sha256(data).hexdigest()
    return found


def spec_of(root: Path, **changes: Any) -> PruneSpec:
    calibration = {**PRUNE["calibration"], "file": str(root / "text.jsonl")}
    spec = parse_spec("prune", {**PRUNE, "model": str(root / "llama"), "calibration": calibration, **changes})
    assert isinstance(spec, PruneSpec)
    return spec


FILES = {
    "rename:1": 0,  # run.json
    "rename:2": 0,  # the first layer's weights
    "rename:3": 0,  # its report, from which on it counts
    "rename:4": 1,
    "rename:5": 1,
    "write:model.safetensors": LAYERS,
    "write:pruning.json": LAYERS,
    "layer:2": LAYERS,
}
"""Point of `killed_runs` -> the layers that the next attempt goes on from: before every file of the run gets its name,
and while the model's folder is made."""
LAYER = {"layer:1": 1, "matrix:1:self_attn.o_proj": 1, "never": 0}
"""The same, within what a method computes: between two layers and in the middle of the second."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "points"),
    [
        pytest.param({"method": "wanda"}, FILES | LAYER, id="wanda"),
        pytest.param({"method": "sparsegpt", "pattern": 0.5}, LAYER, id="sparsegpt"),
        pytest.param({"method": "noise", "pattern": 0.5}, LAYER, id="noise"),
        pytest.param({"method": "random", "pattern": "2:4", "calibration": None}, LAYER, id="random"),
        pytest.param({"method": "magnitude", "calibration": None}, LAYER, id="magnitude"),
    ],
)
def test_killed_anywhere_it_ends_with_the_same_bytes(
    tiny_root: Path, tmp_path: Path, changes: dict[str, Any], points: dict[str, int]
) -> None:
    """The files of a run are the same for all methods. The checkpoint is float16 and computed in float32."""
    assert LAYERS == 2
    (tmp_path / "spec.json").write_text(spec_of(tiny_root, **changes).model_dump_json())
    ran = subprocess.run(
        [sys.executable, "-m", "tests.worker.killed_runs", tmp_path / "spec.json", tmp_path / "runs", *points],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    wanted = contents(tmp_path / "runs" / "never" / "output")
    assert {"model.safetensors", "config.json", "tokenizer.json", "pruning.json"} <= set(wanted)
    for point in points:
        assert contents(tmp_path / "runs" / point / "output") == wanted, point
    restored = [int(line.rpartition(" ")[2]) for line in ran.stdout.splitlines()]
    assert dict(zip(points, restored, strict=True)) == points


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "output").mkdir()
    yield tmp_path / "output"


def stopped(spec: PruneSpec, context: Context, folder: Path, finished: Path, after: int = 1) -> None:
    """Run until so many layers are finished."""

    def check() -> None:
        if any(step.stage == "prune" and step.done == after for step in context.said):  # type: ignore[attr-defined]
            raise Cancelled

    with pytest.raises(Cancelled):
        stages.prune(spec, folder, replace(context, check=check), finished)
    context.said.clear()  # type: ignore[attr-defined]


def test_it_says_what_it_goes_on_from(tiny_root: Path, tmp_path: Path, folder: Path, context: Context) -> None:
    stopped(spec_of(tiny_root), context, folder, tmp_path / "finished")
    record = stages.prune(spec_of(tiny_root), folder, context, tmp_path / "finished")
    said = [step for step in context.said if step.stage == "prune" and " · " not in step.message]  # type: ignore[attr-defined]
    assert [(step.done, step.message == "restored") for step in said] == [(0, False), (1, True), (2, False)]
    assert record["restored"] == 1 and len(record["layers"]) == LAYERS
    assert record["layers"][0]["stages"]["statistics"] > 0


def test_layers_of_another_run_are_not_gone_on_from(
    tiny_root: Path, tmp_path: Path, folder: Path, context: Context
) -> None:
    finished = tmp_path / "finished"
    stopped(spec_of(tiny_root), context, folder, finished)
    for changes in ({"pattern": 0.5}, {"calibration": {**PRUNE["calibration"], "seed": 1}}):
        if "calibration" in changes:
            changes["calibration"]["file"] = str(tiny_root / "text.jsonl")  # type: ignore[index]
        output = tmp_path / str(len(list(tmp_path.iterdir())))
        output.mkdir()
        assert stages.prune(spec_of(tiny_root, **changes), output, context, finished)["restored"] == 0


def test_a_damaged_layer_is_done_again(tiny_root: Path, tmp_path: Path, folder: Path, context: Context) -> None:
    finished = tmp_path / "finished"
    stopped(spec_of(tiny_root), context, folder, finished, after=2)
    shard = finished / "layers" / f"model-00002-of-{LAYERS + 1:05d}.safetensors"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert stages.prune(spec_of(tiny_root), folder, context, finished)["restored"] == 1


@pytest.mark.slow
def test_a_killed_worker_goes_on_from_the_last_layer(
    parts: Parts, enqueue: Callable[..., Job], settings: Settings, tmp_path: Path
) -> None:
    """A real worker, killed within a prune job; the next attempt ends with the bytes of an undisturbed one."""
    log = tmp_path / "worker.log"
    settings = settings.model_copy(update={"lease_seconds": 6})  # not to be lost on a machine with other work
    job = enqueue("prune", PRUNE)
    with worker(settings, log, "tests.worker.killed_worker", f"model-00002-of-{LAYERS + 1:05d}.safetensors"):
        ended = wait_for(parts, job, log, JobState.SUCCEEDED, JobState.FAILED)
        assert ended.state == JobState.SUCCEEDED and ended.attempts == 2, log.read_text()
        assert any("restored" in line.line for line in parts.stores.jobs.log(job.id))
        assert not list(unfinished(parts).iterdir())
        made = Path(parts.stores.artefacts.path("model", job.artefact_id))
        first = contents(made)
        assert json.loads((made / "pruning.json").read_text())["restored"] == 1
        again = enqueue("prune", PRUNE, force=True)
        wait_for(parts, again, log, JobState.SUCCEEDED, JobState.FAILED)
    assert json.loads((made / "pruning.json").read_text())["restored"] == 0
    assert contents(made) == first


def test_bad_input_leaves_nothing(parts: Parts, enqueue: Callable[..., Job]) -> None:
    job = enqueue("prune", {**PRUNE, "pattern": "2:5"})
    pipeline.run(job.id, parts, ModelCache("cpu"))
    assert parts.stores.jobs.get(job.id).state == JobState.FAILED
    assert not list(unfinished(parts).iterdir())


class JobsThatLook(JobStore):
    """Notes whether a folder is there when a job is given back or ends as cancelled."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database)
        self.folder = folder
        self.found: list[bool] = []

    def release(self, job: str, worker: str) -> bool:
        self.found.append(self.folder.exists())
        return super().release(job, worker)


@dataclass(frozen=True)
class StoppedAfterALayer(Parts):
    """Has its job stopped when the first layer is finished, and goes on when the job has heard of it."""

    cancel: bool = False

    def add_log_line(self, job: Job, line: str) -> None:
        super().add_log_line(job, line)
        if not line.startswith(f"prune: layer 1 of {LAYERS}"):
            return
        if self.cancel:
            self.stores.jobs.cancel(job.id)
            wait_until_heard(job)
        else:
            self.stopping.set()


@pytest.mark.parametrize("cancel", [True, False], ids=["cancelled", "the worker ends"])
def test_a_job_that_stops_after_a_layer(parts: Parts, enqueue: Callable[..., Job], cancel: bool) -> None:
    """Cancelled, its layers go before the row says so; given back, they stay for the next worker."""
    job = enqueue("prune", PRUNE)
    kept = unfinished(parts) / f"model-{job.artefact_id}"
    jobs = JobsThatLook(parts.stores.database, kept)
    stores = replace(parts.stores, jobs=jobs)
    pipeline.run(
        job.id, StoppedAfterALayer(parts.settings, stores, parts.queue, parts.events, cancel=cancel), ModelCache("cpu")
    )
    assert parts.stores.jobs.get(job.id).state == (JobState.CANCELLED if cancel else JobState.QUEUED)
    assert jobs.found == [not cancel]
    assert (kept / "layers" / "model-00001.json").exists() != cancel


def unfinished(parts: Parts) -> Path:
    return Path(parts.stores.artefacts.root) / ".unfinished"

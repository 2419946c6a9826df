"""The way of a job through the pipeline, over a real database and a real Redis, in this process."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import update

from prunescope.jobs import events
from prunescope.jobs.documents import Job, JobState, Progress
from prunescope.jobs.queue import redis_client
from prunescope.lm.loading import LanguageModel
from prunescope.store.attributions.activations import ActivationStore
from prunescope.store.attributions.tables import AttributionTables
from prunescope.store.tables import jobs
from prunescope.worker import pipeline
from prunescope.worker.models import ModelCache
from prunescope.worker.parts import Parts
from tests.models import tiny, tiny_folder, tiny_tokenizer
from tests.worker.conftest import ATTRIBUTE, PRUNE, TEXT, wait_until_heard

Enqueue = Callable[..., Job]
Run = Callable[[Job], Job]


@pytest.fixture
def run(parts: Parts) -> Run:
    """Run a job to its end and answer with what it became."""
    models = ModelCache("cpu")

    def run_job(job: Job) -> Job:
        pipeline.run(job.id, parts, models)
        return parts.stores.jobs.get(job.id)

    return run_job


def test_prune_evaluate_attribute(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    pruned = run(enqueue("prune", PRUNE))
    assert pruned.state == JobState.SUCCEEDED, pruned.error
    assert pruned.result == {"model": f"pruned:{pruned.artefact_id}"}
    record = parts.stores.results.get("model", pruned.artefact_id)
    assert record.summary["label"] == "wanda · text.jsonl 4x16 · 2:4"
    assert record.summary["sparsity"] == 0.5

    reference = pruned.result["model"]
    measured = run(enqueue("evaluate", {"model": reference, "tasks": ["reviews"], "limit": 4}))
    assert measured.state == JobState.SUCCEEDED, measured.error
    assert measured.result == {"evaluation": measured.artefact_id}
    summary = parts.stores.results.get("evaluation", measured.artefact_id).summary
    assert not {"examples", "accuracy"} & summary["tasks"]["reviews"].keys()
    values = parts.stores.measurements.values_of([measured.artefact_id])
    assert values[measured.artefact_id, "reviews"].rows == 4
    kept = json.loads(parts.stores.artefacts.read("evaluation", measured.artefact_id, "evaluation.json"))
    assert len(kept["tasks"]["reviews"]["examples"]) == 4

    attributed = run(enqueue("attribute", {**ATTRIBUTE, "pruned": [reference]}))
    assert attributed.state == JobState.SUCCEEDED, attributed.error
    summary = parts.stores.results.get("attribution", attributed.artefact_id).summary
    assert summary["models"] == ["llama", reference]
    assert summary["words"] == ["bad"]
    for kind, made in (("evaluation", measured), ("attribution", attributed)):
        assert [user.id for user in parts.stores.results.naming(kind, [reference])] == [made.artefact_id]
    place = parts.stores.artefacts.path("attribution", attributed.artefact_id)
    assert AttributionTables(ActivationStore(place)).at_rank(1) is not None


def test_events_and_log_tell_of_it(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    job = run(enqueue("prune", PRUNE))
    seen = events.read(parts.events, events.stream_of(job.id))
    states = [event.data["state"] for event in seen if event.name == "job"]
    assert states == ["running", "succeeded"]
    steps = [Progress.model_validate(event.data) for event in seen if event.name == "progress"]
    assert steps[0].stage == "load" and steps[-1].stage == "store"
    assert any((step.stage, step.done, step.total) == ("prune", 2, 2) for step in steps)
    lines = [line.line for line in parts.stores.jobs.log(job.id)]
    assert any(line.startswith("prune: layer 2 of 2  50.0% zeros") for line in lines)
    assert [event.data["line"] for event in seen if event.name == "log"] == lines


def test_an_artefact_that_is_there_is_not_made_again(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    first = run(enqueue("prune", PRUNE))
    place = Path(parts.stores.artefacts.path("model", first.artefact_id))
    before = place.stat().st_mtime_ns, place.stat().st_ino
    # As after a worker that was killed between the artefact and the end of its job.
    again = enqueue("prune", PRUNE, force=True)
    with parts.stores.database.writing() as connection:
        connection.execute(update(jobs).where(jobs.c.id == again.id).values(forced=False))
    assert run(again).state == JobState.SUCCEEDED
    assert (place.stat().st_mtime_ns, place.stat().st_ino) == before


def test_force_makes_it_again(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    first = run(enqueue("prune", PRUNE))
    place = Path(parts.stores.artefacts.path("model", first.artefact_id))
    before = place.stat().st_ino
    again = run(enqueue("prune", PRUNE, force=True))
    assert again.id != first.id and again.state == JobState.SUCCEEDED
    assert place.stat().st_ino != before


def test_a_hub_id_is_never_a_folder_beside_the_worker(
    enqueue: Enqueue, run: Run, tiny_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny_root.parent)
    failed = run(enqueue("evaluate", {"model": f"{tiny_root.name}/llama", "tasks": ["reviews"], "limit": 2}))
    assert failed.state == JobState.FAILED and failed.error is not None
    assert failed.error["code"] == "model-not-found"


def test_running_a_job_twice_does_no_harm(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    job = run(enqueue("prune", PRUNE))
    assert run(job) == job


@pytest.mark.parametrize(
    ("spec", "code", "said"),
    [
        ({**PRUNE, "pattern": "2:5"}, "bad-pattern", "cannot be cut into groups of 5"),
        (
            {**PRUNE, "calibration": {"file": "text.jsonl", "samples": 2, "seqlen": 4096}},
            "bad-input",
            "more than the 128 tokens",
        ),
    ],
)
def test_what_only_the_worker_can_know(
    parts: Parts, enqueue: Enqueue, run: Run, spec: dict[str, object], code: str, said: str
) -> None:
    job = run(enqueue("prune", spec))
    assert job.state == JobState.FAILED and job.error is not None
    assert job.error["code"] == code and job.error["status"] == 422
    assert said in job.error["detail"]
    assert nothing_half_written(parts)


def nothing_half_written(parts: Parts) -> bool:
    root = Path(parts.stores.artefacts.root)
    return not [path for path in root.rglob("*") if path.is_file()]


def test_a_file_in_the_way_is_no_defect(
    parts: Parts, enqueue: Enqueue, run: Run, tiny_root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = enqueue("prune", PRUNE)
    blocked = Path(parts.stores.artefacts.root)
    blocked.parent.mkdir(parents=True, exist_ok=True)
    blocked.write_text("a file where the folder of artefacts should be")
    failed = run(job)
    assert failed.state == JobState.FAILED and failed.error is not None
    assert failed.error["code"] == "file-error" and failed.error["status"] == 500
    assert str(blocked) in failed.error["detail"] and "Traceback" not in json.dumps(failed.error)
    assert job.id in caplog.text and "Traceback" in caplog.text


def test_a_defect_is_a_problem_without_its_traceback(
    enqueue: Enqueue, run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = enqueue("prune", PRUNE)
    monkeypatch.setattr(pipeline.stages, "prune", None)
    failed = run(job)
    assert failed.state == JobState.FAILED and failed.error is not None
    assert failed.error["code"] == "internal" and failed.error["status"] == 500
    assert job.id in failed.error["detail"]
    assert "Traceback" not in json.dumps(failed.error)
    assert "Traceback" in caplog.text


def test_cancelling_stops_within_a_layer(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    job = enqueue("evaluate", {"model": "llama", "tasks": ["reviews"]})
    ended = while_running(parts, job, run, lambda: parts.stores.jobs.cancel(job.id))
    assert ended.state == JobState.CANCELLED
    assert nothing_half_written(parts)
    seen = events.read(parts.events, events.stream_of(job.id))
    assert [event.data["state"] for event in seen if event.name == "job"][-1] == "cancelled"


class CancelledAtTheVariant(ModelCache):
    """Has the job cancelled when its pruned model is asked for, and goes on as soon as the job has heard of it."""

    def __init__(self, parts: Parts, job: Job) -> None:
        super().__init__("cpu")
        self.parts, self.job = parts, job
        self.half_written: set[str] = set()

    def get(self, place: Any, reference: str) -> Any:
        if reference.startswith("pruned:"):
            self.half_written = files_of(self.parts)
            self.parts.stores.jobs.cancel(self.job.id)
            wait_until_heard(self.job)
        return super().get(place, reference)


def test_the_store_of_a_cancelled_attribution_is_gone(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    pruned = run(enqueue("prune", PRUNE))
    kept = files_of(parts)
    job = enqueue("attribute", {**ATTRIBUTE, "pruned": [f"pruned:{pruned.artefact_id}"]})
    models = CancelledAtTheVariant(parts, job)
    pipeline.run(job.id, parts, models)
    assert models.half_written > kept, "the dense model's activations are there when the job is cancelled"
    assert parts.stores.jobs.get(job.id).state == JobState.CANCELLED
    assert files_of(parts) == kept
    assert not parts.stores.results.exists("attribution", job.artefact_id)


def test_a_job_without_words_shows_what_the_model_answered(enqueue: Enqueue, run: Run, tiny_root: Path) -> None:
    tiny_folder(tiny_root / "long")
    config = json.loads((tiny_root / "long" / "config.json").read_text())
    (tiny_root / "long" / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    spec = {"dense": "long", "pruned": ["llama"], "texts": [TEXT], "words": "cot-free"}
    job = run(enqueue("attribute", spec))
    assert job.state == JobState.FAILED and job.error is not None
    assert job.error["code"] == "no-influential-words"
    (answer,) = job.error["answers"]
    assert answer["text"] == TEXT and isinstance(answer["answer"], str)
    assert "the dense model answered “" in job.error["detail"]


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"texts": ["the staff"], "words": "cot"}, "texts-too-long", "too long to ask"),
        ({"texts": [{"text": TEXT * 20, "words": ["bad"]}]}, "texts-too-long", "longer than the model's context"),
        ({"pruned": ["narrow"]}, "models-differ", "narrow) has 2 layers of 48 neurons and width 32"),
        ({"pruned": ["broken"]}, "not-finite", "broken: layer 1, neuron 7"),
        ({"layers": [2]}, "bad-input", "layer 2: this model's layers are 0 to 1"),
    ],
)
def test_an_attribution_that_cannot_be_made(
    parts: Parts, enqueue: Enqueue, run: Run, tiny_root: Path, changes: dict[str, object], code: str, said: str
) -> None:
    variants(tiny_root)
    job = run(enqueue("attribute", {**ATTRIBUTE, "pruned": ["same"], **changes}))
    assert job.state == JobState.FAILED and job.error is not None
    assert (job.error["code"], job.error["status"]) == (code, 422)
    assert said in job.error["detail"] and "\n" not in job.error["detail"]
    assert nothing_half_written(parts)


def variants(root: Path) -> None:
    """`same` is a copy of `llama`, `narrow` has fewer neurons, `broken` one weight that is not a number."""
    if (root / "broken").exists():
        return
    tiny_folder(root / "same")
    model = tiny("llama")
    model.get_submodule("model.layers.1.mlp.up_proj").weight[7, 0] = float("nan")
    tiny_tokenizer().save_pretrained(root / "broken")
    model.save_pretrained(root / "broken")
    narrow = type(model.config).from_dict({**model.config.to_dict(), "intermediate_size": 48})
    type(model)(narrow).save_pretrained(root / "narrow")
    tiny_tokenizer().save_pretrained(root / "narrow")


def files_of(parts: Parts) -> set[str]:
    root = Path(parts.stores.artefacts.root)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_worker_that_ends_gives_its_job_back(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    job = enqueue("evaluate", {"model": "llama", "tasks": ["reviews"], "limit": 8})
    released = while_running(parts, job, run, parts.stopping.set)
    assert released.state == JobState.QUEUED
    parts.stopping.clear()
    assert parts.stores.jobs.unsent() == [job.id]
    assert run(job).state == JobState.SUCCEEDED


def while_running(parts: Parts, job: Job, run: Run, act: Callable[[], object]) -> Job:
    """Run the job in a thread, and act as soon as it has begun."""
    thread = threading.Thread(target=run, args=[job], daemon=True)
    thread.start()
    follower = redis.Redis.from_url(parts.settings.resolved_redis_url, decode_responses=True)
    place = "0"
    while not (found := follower.xread({events.stream_of(job.id): place}, block=20_000)):
        assert thread.is_alive()
    follower.close()
    assert found
    act()
    thread.join(120)
    assert not thread.is_alive()
    return parts.stores.jobs.get(job.id)


def test_a_study_goes_on_with_its_next_cells(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    study = enqueue(
        "study",
        {
            "models": ["llama"],
            "methods": ["magnitude"],
            "patterns": ["2:4"],
            "tasks": ["reviews"],
            "limit": 4,
            "attributions": [{key: ATTRIBUTE[key] for key in ("texts", "permutations")}],
        },
    )
    cells = parts.stores.jobs.list(parent=study.id)[0]
    assert {cell.kind: cell.sent for cell in cells if cell.kind != "evaluate"} == {"prune": True, "attribute": False}
    for _ in range(10):
        ready = [job for job in parts.stores.jobs.list(parent=study.id, state="queued")[0] if job.sent]
        if not ready:
            break
        run(ready[-1])
    study = parts.stores.jobs.get(study.id)
    assert study.state == JobState.SUCCEEDED, study.error
    seen = [event for event in events.read(parts.events, events.stream_of(study.id)) if event.name == "job"]
    assert seen[-1].data["state"] == "succeeded"


def test_a_cell_that_fails_takes_what_waits_for_it_along(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    study = enqueue("study", {"models": ["llama"], "methods": ["magnitude"], "patterns": ["2:5"], "tasks": ["reviews"]})
    for cell in parts.stores.jobs.list(parent=study.id)[0]:
        if cell.kind == "prune":
            run(cell)
        elif cell.brief["model"] == "llama":
            parts.stores.jobs.cancel(cell.id)
    ended = parts.stores.jobs.get(study.id)
    assert ended.state == JobState.FAILED and ended.error is not None
    assert "groups of 5" in ended.error["detail"]


def test_a_model_that_is_gone(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    pruned = run(enqueue("prune", PRUNE))
    job = enqueue("evaluate", {"model": f"pruned:{pruned.artefact_id}", "tasks": ["reviews"]})
    parts.stores.artefacts.remove("model", pruned.artefact_id)
    failed = run(job)
    assert failed.state == JobState.FAILED and failed.error is not None
    assert failed.error["code"] == "not-found" and pruned.artefact_id in failed.error["detail"]


def test_a_redis_that_is_away_stops_nothing(parts: Parts, enqueue: Enqueue, tmp_path: Path) -> None:
    job = enqueue("prune", PRUNE)
    away = parts.settings.model_copy(update={"redis_url": f"unix://{tmp_path}/none.sock"})
    lonely = replace(parts, events=redis_client(away))
    pipeline.run(job.id, lonely, ModelCache("cpu"))
    assert parts.stores.jobs.get(job.id).state == JobState.SUCCEEDED


class Counted(ModelCache):
    """Warm models that note what they load."""

    def __init__(self) -> None:
        super().__init__("cpu")
        self.loaded: list[str] = []

    def _load(self, folder: Path, reference: str, *, resident: bool) -> LanguageModel:
        self.loaded.append(folder.name)
        return super()._load(folder, reference, resident=resident)


def test_a_second_text_loads_no_model(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    pruned = run(enqueue("prune", PRUNE))
    models = Counted()
    for words in (["bad"], ["small", "kind"]):
        texts = [{**ATTRIBUTE["texts"][0], "words": words}]
        job = enqueue("attribute", {**ATTRIBUTE, "texts": texts, "pruned": [pruned.result["model"]]})
        pipeline.run(job.id, parts, models)
        assert parts.stores.jobs.get(job.id).state == JobState.SUCCEEDED
    assert models.loaded == ["llama", pruned.artefact_id]


def test_words_chosen_by_hand_for_rows_of_a_task(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    pruned = run(enqueue("prune", {"model": "demo", "method": "magnitude", "pattern": 0.5}))
    spec = {"dense": "demo", "pruned": [pruned.result["model"]], "permutations": 0}
    drawn = run(enqueue("attribute", {**spec, "texts": {"dataset": "reviews", "count": 2}}))
    assert drawn.state == JobState.SUCCEEDED, drawn.error
    first, second = examples_of(parts, drawn)
    word = inside(second).split()[0]
    job = run(enqueue("attribute", {**spec, "texts": {"dataset": "reviews", "count": 2, "words": [[], [word]]}}))
    assert job.state == JobState.SUCCEEDED, job.error
    plain, chosen = examples_of(parts, job)
    assert (plain["text"], chosen["text"]) == (first["text"], second["text"])
    assert [plain["words"], [found["word"] for found in chosen["words"]]] == [[], [word]]
    assert not any(plain["influential"]) and any(chosen["influential"])
    assert chosen["text"].startswith(inside(chosen)) and "Question" not in inside(chosen)


def test_a_text_without_a_label_takes_the_models_own(parts: Parts, enqueue: Enqueue, run: Run) -> None:
    pruned = run(enqueue("prune", PRUNE))
    texts = [{"text": ATTRIBUTE["texts"][0]["text"]}]
    spec = {**ATTRIBUTE, "texts": texts, "words": "gradient", "pruned": [pruned.result["model"]]}
    job = run(enqueue("attribute", spec))
    assert job.state == JobState.SUCCEEDED, job.error
    (example,) = examples_of(parts, job)
    assert example["label"] in ("negative", "positive")
    place = parts.stores.artefacts.path("attribution", job.artefact_id)
    (said,) = AttributionTables(ActivationStore(place)).summary().model_labels
    assert (said.text, said.label) == (0, example["label"])


def examples_of(parts: Parts, job: Job) -> list[dict[str, Any]]:
    return ActivationStore(parts.stores.artefacts.path("attribution", job.artefact_id)).examples


def inside(example: dict[str, Any]) -> str:
    start, end = example["span"]
    text: str = example["text"]
    return text[start:end]

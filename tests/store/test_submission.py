"""What a submission accepts, refuses, knows already, and sends."""

from datetime import timedelta
from pathlib import Path

import pytest

from prunescope.jobs.documents import JobState
from prunescope.jobs.problems import Problem
from prunescope.jobs.specs import parse_spec
from prunescope.store import contents
from prunescope.store.contents import Contents
from prunescope.store.jobs.queries import describe
from prunescope.store.jobs.store import JobStore, utc_now
from prunescope.store.submission import Stores, dispatch, retry, submit, sweep

PRUNE = {
    "model": "one",
    "method": {"name": "wanda"},
    "pattern": {"kind": "unstructured", "sparsity": 0.5},
    "calibration": {"dataset": "demo", "samples": 8},
}


class Queue:
    """Takes messages, or cannot be reached."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.down = False

    def __call__(self, job: str) -> None:
        if self.down:
            raise ConnectionError("nobody listens")
        self.ids.append(job)

    def waiting(self) -> int:
        if self.down:
            raise ConnectionError("nobody listens")
        return len(self.ids)


@pytest.fixture
def queue() -> Queue:
    return Queue()


def test_a_job_is_kept_sent_and_known(stores: Stores, queue: Queue) -> None:
    job, created = submit(stores, "prune", PRUNE, send=queue)
    assert created and job.state == "queued" and job.sent and queue.ids == [job.id]
    same, again = submit(stores, "prune", {**PRUNE, "pattern": "0.5"}, send=queue)
    assert (same.id, again) == (job.id, False)
    assert queue.ids == [job.id]
    other, forced = submit(stores, "prune", PRUNE, force=True, send=queue)
    assert forced and other.id != job.id and other.forced and other.fingerprint == job.fingerprint
    assert submit(stores, "prune", PRUNE, send=queue)[0].id == other.id


def test_other_contents_are_another_job(stores: Stores, queue: Queue, model_root: Path) -> None:
    job, _ = submit(stores, "prune", PRUNE, send=queue)
    (model_root / "one" / "model.safetensors").write_bytes(b"other weights")
    assert submit(stores, "prune", PRUNE, send=queue)[0].id != job.id


def test_failed_and_cancelled_jobs_are_not_known(stores: Stores, queue: Queue) -> None:
    first, _ = submit(stores, "prune", PRUNE, send=queue)
    stores.jobs.cancel(first.id)
    second, created = submit(stores, "prune", PRUNE, send=queue)
    assert created
    assert stores.jobs.claim(second.id, "w", 60)
    stores.jobs.fail(second.id, "w", {"detail": "broken"})
    third, created = submit(stores, "prune", PRUNE, send=queue)
    assert created and len({first.id, second.id, third.id}) == 3
    with pytest.raises(Problem, match="does the same thing") as refused:
        stores.jobs.retry(first.id)
    assert refused.value.status == 409


def test_a_queue_that_is_down_loses_nothing(stores: Stores, queue: Queue) -> None:
    queue.down = True
    job, created = submit(stores, "prune", PRUNE, send=queue)
    assert created and not job.sent and stores.jobs.unsent() == [job.id]
    assert sweep(stores.jobs, queue, queue.waiting) == [] and not stores.jobs.get(job.id).sent
    queue.down = False
    assert sweep(stores.jobs, queue, queue.waiting) == []
    assert queue.ids == [job.id] and stores.jobs.unsent() == []


def test_a_message_that_a_killed_worker_took_along_is_sent_again(stores: Stores, queue: Queue) -> None:
    """Only when no message is left: the one that waits may be the very one."""
    job, _ = submit(stores, "prune", PRUNE, send=queue)
    later = JobStore(stores.database, lambda: utc_now() + timedelta(minutes=1))
    sweep(later, queue, queue.waiting)
    assert queue.ids == [job.id]
    queue.ids.clear()
    sweep(stores.jobs, queue, queue.waiting)
    assert queue.ids == []
    sweep(later, queue, queue.waiting)
    assert queue.ids == [job.id]


def test_a_job_that_two_would_send_is_sent_once(stores: Stores, queue: Queue) -> None:
    """The row is there before its message leaves: a sweep in between sees a job without one."""

    def swept_in_between(job: str) -> None:
        sweep(stores.jobs, queue, queue.waiting)
        queue(job)

    job, _ = submit(stores, "prune", PRUNE, send=swept_in_between)
    assert queue.ids == [job.id]
    later = JobStore(stores.database, lambda: utc_now() + timedelta(minutes=1))
    queue.ids.clear()
    lost = later.unsent(drained=True)
    assert [dispatch(later, lost, queue, drained=True) for _ in range(2)] == [1, 0]
    assert queue.ids == [job.id]


def test_one_who_dies_before_the_message_leaves_loses_nothing(stores: Stores, queue: Queue) -> None:
    def dies(job: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        submit(stores, "prune", PRUNE, send=dies)
    sweep(stores.jobs, queue, queue.waiting)
    assert queue.ids == []
    sweep(JobStore(stores.database, lambda: utc_now() + timedelta(minutes=1)), queue, queue.waiting)
    assert len(queue.ids) == 1


def test_a_job_waits_for_the_model_that_is_still_being_made(stores: Stores, queue: Queue) -> None:
    prune, _ = submit(stores, "prune", PRUNE, send=queue)
    spec = {"model": f"pruned:{prune.artefact_id}", "tasks": ["sst2"]}
    evaluate, _ = submit(stores, "evaluate", spec, send=queue)
    assert not evaluate.sent and queue.ids == [prune.id]
    assert stores.jobs.claim(evaluate.id, "w", 60) is None
    assert stores.jobs.claim(prune.id, "w", 60)
    assert stores.jobs.succeed(prune.id, "w", {"model": f"pruned:{prune.artefact_id}"})
    assert stores.jobs.advance(prune.id) == [evaluate.id]
    dispatch(stores.jobs, stores.jobs.advance(prune.id), queue)
    assert queue.ids == [prune.id, evaluate.id] and stores.jobs.advance(prune.id) == []


def test_what_waits_fails_with_what_it_waits_for_and_both_can_be_tried_again(stores: Stores, queue: Queue) -> None:
    prune, _ = submit(stores, "prune", PRUNE, send=queue)
    evaluate, _ = submit(stores, "evaluate", {"model": f"pruned:{prune.artefact_id}", "tasks": ["sst2"]}, send=queue)
    assert stores.jobs.claim(prune.id, "w", 60)
    stores.jobs.fail(prune.id, "w", {"detail": "columns 30 cannot be cut into groups of 4", "code": "bad-pattern"})
    failed = stores.jobs.get(evaluate.id)
    assert failed.state == JobState.FAILED and failed.error is not None
    assert failed.error["code"] == "failed-dependency" and prune.id in failed.error["detail"]
    assert "groups of 4" in failed.error["detail"]
    queue.ids.clear()
    assert retry(stores, evaluate.id, send=queue).state == JobState.QUEUED
    assert queue.ids == [prune.id], "what it waits for is tried again first"


def test_a_job_that_is_tried_again_waits_for_the_one_that_was_asked_for_since(stores: Stores, queue: Queue) -> None:
    first, _ = submit(stores, "prune", PRUNE, send=queue)
    spec = {"model": f"pruned:{first.artefact_id}", "tasks": ["sst2"]}
    evaluate, _ = submit(stores, "evaluate", spec, send=queue)
    stores.jobs.cancel(first.id)
    second, _ = submit(stores, "prune", PRUNE, send=queue)
    assert stores.jobs.retry(evaluate.id).state == JobState.QUEUED
    assert stores.jobs.get(first.id).state == JobState.CANCELLED
    assert stores.jobs.claim(second.id, "w", 60)
    assert stores.jobs.succeed(second.id, "w", {"model": f"pruned:{second.artefact_id}"})
    assert stores.jobs.advance(second.id) == [evaluate.id]


@pytest.mark.parametrize(
    ("kind", "change", "field", "says"),
    [
        ("prune", {"method": {"name": "wandaa"}}, "method.name", "did you mean 'wanda'"),
        ("prune", {"pattern": {"kind": "unstructured", "sparsity": 1.5}}, "pattern.sparsity", "0 <= sparsity < 1"),
        ("prune", {"pattern": {"kind": "n_m", "n": 5, "m": 4}}, "pattern", "n must be smaller than m"),
        ("prune", {"model": "/etc"}, "model", "below the model roots"),
        ("prune", {"model": "../../etc"}, "model", "below the model roots"),
        ("prune", {"model": "pruned:0123456789abcdef"}, "model", "there is no pruned model"),
        ("prune", {"model": "pruned:0"}, "model", "16 hex digits"),
        ("prune", {"calibration": {"file": "/etc/passwd.txt"}}, "calibration.file", "there is no file"),
        ("prune", {"calibration": {"dataset": "c44"}}, "calibration.dataset", "'c4'"),
        ("prune", {"calibration": None}, "calibration", "needs a calibration set"),
        ("evaluate", {"perplexity": ["/etc/passwd.txt"]}, "perplexity.datasets.0", "there is no file"),
        ("evaluate", {"perplexity": ["a\0.txt"]}, "perplexity.0", "a null character (\\\\u0000) at character 1"),
        ("prunee", {}, "kind", "did you mean 'prune'"),
    ],
)
def test_a_wrong_spec_names_its_field_and_queues_nothing(
    stores: Stores, queue: Queue, kind: str, change: dict[str, object], field: str, says: str
) -> None:
    with pytest.raises(Problem) as refused:
        submit(stores, kind, {**(PRUNE if kind != "evaluate" else {"model": "one"}), **change}, send=queue)
    document = refused.value.document()
    assert document["status"] == 422
    assert field in [error["field"] for error in document["errors"]]
    assert says in str(document)
    assert stores.jobs.list() == ([], None) and queue.ids == []


def test_a_folder_without_safetensors_is_refused(stores: Stores, queue: Queue, model_root: Path) -> None:
    (model_root / "one" / "model.safetensors").rename(model_root / "one" / "pytorch_model.bin")
    with pytest.raises(Problem, match=r"holds no \.safetensors file"):
        submit(stores, "prune", PRUNE, send=queue)


def test_each_kind_says_which_model_is_missing(stores: Stores, queue: Queue) -> None:
    gone = "pruned:0123456789abcdef"
    for kind, spec, field in (
        ("attribute", {"dense": "one", "pruned": ["two", gone], "texts": ["so bad"]}, "pruned.1"),
        ("study", {"models": ["one", gone], "tasks": ["sst2"]}, "models.1"),
    ):
        with pytest.raises(Problem) as refused:
            submit(stores, kind, spec, send=queue)
        assert [error.field for error in refused.value.errors] == [field]


def test_what_depends_says_on_what(stores: Stores, queue: Queue) -> None:
    prune, _ = submit(stores, "prune", PRUNE, send=queue)
    variant = f"pruned:{prune.artefact_id}"
    second, _ = submit(stores, "prune", {**PRUNE, "model": variant}, send=queue)
    spec = {"dense": "one", "pruned": [variant, f"pruned:{second.artefact_id}"], "texts": ["so bad"]}
    attribute, _ = submit(stores, "attribute", spec, send=queue)
    study, _ = submit(stores, "study", {"models": [variant], "tasks": ["sst2"]}, send=queue)
    stores.jobs.cancel(prune.id)
    ended = stores.jobs.get(attribute.id)
    assert ended.error is not None and "prune one with wanda" in str(stores.jobs.get(second.id).error)
    assert stores.jobs.get(study.id).state == JobState.FAILED
    assert "evaluate pruned:" in str(stores.jobs.get(study.id).error)


def test_a_link_out_of_the_roots_is_refused(stores: Stores, queue: Queue, model_root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "model.safetensors").touch()
    (model_root / "link").symlink_to(secret)
    for name in ("link/", str(model_root / "link"), "./link"):
        with pytest.raises(Problem):
            submit(stores, "prune", {**PRUNE, "model": name}, send=queue)


def test_a_calibration_file_below_the_roots_is_fine(stores: Stores, queue: Queue, model_root: Path) -> None:
    file = model_root / "text.txt"
    file.write_text("one text")
    first, _ = submit(stores, "prune", {**PRUNE, "calibration": {"file": "text.txt"}}, send=queue)
    file.write_text("another text, longer")
    second, created = submit(stores, "prune", {**PRUNE, "calibration": {"file": "text.txt"}}, send=queue)
    assert created and first.id != second.id


def test_data_files_come_before_the_hub(stores: Stores, queue: Queue, tmp_path: Path) -> None:
    evaluate = {"model": "one", "tasks": ["sst2"]}
    from_hub, _ = submit(stores, "evaluate", evaluate, send=queue)
    data = tmp_path / "data"
    (data / "eval").mkdir(parents=True)
    (data / "calibration").mkdir()
    (data / "eval" / "sst2.jsonl").write_text("{}")
    (data / "calibration" / "wikitext2.train.txt").write_text("text")
    local = Stores.open(stores.settings.model_copy(update={"data": data}))
    from_file, created = submit(local, "evaluate", evaluate, send=queue)
    assert created and from_file.id != from_hub.id
    prune = {**PRUNE, "calibration": {"dataset": "wikitext2"}}
    assert submit(stores, "prune", prune, send=queue)[0].id != submit(local, "prune", prune, send=queue)[0].id
    assert submit(local, "evaluate", {**evaluate, "model": "owner/name"}, send=queue)[1]
    local.close()


def test_an_installation_without_the_demo_says_so(
    stores: Stores, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "_DEMO", tmp_path)
    with pytest.raises(Problem, match=r"needs the file .*calibration\.jsonl"):
        submit(stores, "prune", PRUNE, send=queue)


def test_jobs_in_a_few_words() -> None:
    assert describe("attribute", {"dense": "one"}) == "attribute one"
    assert describe("study", {"name": "a grid"}) == "a grid" and describe("study", {"name": None}) == "study"


def test_files_are_looked_up_once_for_a_submission(stores: Stores, model_root: Path) -> None:
    """The cells of a study name the same model thousands of times; its gigabytes are read for the first of them."""
    looked_up = Contents(stores.settings)
    spec = parse_spec("evaluate", {"model": "one", "tasks": ["reviews"]})
    before = looked_up.of(spec)
    (model_root / "one" / "model.safetensors").unlink()
    assert looked_up.of(spec) == before


def test_held_out_text_is_part_of_what_is_known(stores: Stores, model_root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data" / "calibration"
    data.mkdir(parents=True)
    for name in ("wikitext2.test.txt", "c4.valid.jsonl", "own.txt"):
        (data / name).write_text(name)
    settings = stores.settings.model_copy(update={"data": tmp_path / "data"})
    names = ["wikitext2", "ptb", "c4", "demo", "calibration/own.txt"]
    spec = parse_spec("evaluate", {"model": "one", "perplexity": names})
    found = Contents(settings).of(spec)
    assert found["perplexity ptb"] == "hub"
    kept = {found[f"perplexity {name}"] for name in names}
    assert len(kept) == 5 and sum(value.startswith("sha256 ") for value in kept) == 4
    (data / "own.txt").write_text("another text")
    assert Contents(settings).of(spec) != found

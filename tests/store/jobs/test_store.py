"""Lists, logs, counts, and workers that want the same thing at the same time."""

import base64
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from prunescope.jobs.documents import Job, JobState, Progress
from prunescope.jobs.problems import Problem
from prunescope.store.database import Database
from prunescope.store.jobs import log
from prunescope.store.jobs.store import JobStore

SPEC = {"model": "one", "method": {"name": "magnitude"}}


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def pass_by(self, **amount: float) -> None:
        self.moment += timedelta(**amount)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: Database, clock: Clock) -> JobStore:
    return JobStore(database, clock)


def submitted(store: JobStore, count: int = 1, kind: str = "prune") -> list[Job]:
    return [store.submit(kind, SPEC, f"{store.now().timestamp():.0f}{index:054d}")[0] for index in range(count)]


def at_once(actions: list[Callable[[], object]]) -> list[object]:
    """The answers of actions that threads begin at the same moment."""
    start = threading.Barrier(len(actions))
    answers: list[object] = [None] * len(actions)

    def act(index: int) -> None:
        start.wait(30)
        try:
            answers[index] = actions[index]()
        except Exception as error:  # the test looks at what came out
            answers[index] = error

    threads = [threading.Thread(target=act, args=(index,)) for index in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


def test_one_of_many_workers_gets_a_job(store: JobStore) -> None:
    for job in submitted(store, 5):
        answers = at_once([lambda name=f"w{n}", id=job.id: store.claim(id, name, 60) for n in range(6)])  # type: ignore[misc]
        winners = [answer for answer in answers if isinstance(answer, Job)]
        assert len(winners) == 1 and answers.count(None) == 5
        assert store.get(job.id).attempts == 1


def test_the_same_spec_submitted_at_once_is_one_job(store: JobStore) -> None:
    answers = at_once([lambda: store.submit("prune", SPEC, "f" * 64) for _ in range(6)])
    assert all(isinstance(answer, tuple) for answer in answers), answers
    assert len({answer[0].id for answer in answers}) == 1  # type: ignore[index]
    assert [answer[1] for answer in answers].count(True) == 1  # type: ignore[index]


def test_a_job_is_cancelled_or_claimed_never_both(store: JobStore) -> None:
    for job in submitted(store, 8):
        at_once([lambda id=job.id: store.claim(id, "w", 60), lambda id=job.id: store.cancel(id)])  # type: ignore[misc]
        now = store.get(job.id)
        assert (now.state, now.cancel_requested) in {(JobState.CANCELLED, False), (JobState.RUNNING, True)}


def test_cells_that_end_at_once_end_their_study(store: JobStore) -> None:
    first, second, last = (job.id for job in submitted(store, 3))
    waiting, _ = store.submit("evaluate", SPEC, "e" * 64, after=[first, second, last])
    for job in (first, second, last):
        assert store.claim(job, job, 60)
    results = {"model": "pruned:1"}
    assert at_once([lambda id=id: store.succeed(id, id, results) for id in (first, second, last)]) == [True] * 3  # type: ignore[misc]
    assert store.unsent() == [waiting.id] and store.advance(first) == [waiting.id]


def test_a_job_is_sent_when_the_last_of_those_it_waits_for_succeeds(store: JobStore) -> None:
    first, second = (job.id for job in submitted(store, 2))
    waiting, _ = store.submit("evaluate", SPEC, "e" * 64, after=[first, second])
    for job in (first, second):
        assert store.claim(job, job, 60)
    assert store.succeed(first, first, {"model": "pruned:1"})
    assert store.advance(first) == [] and store.unsent() == []
    assert store.succeed(second, second, {"model": "pruned:2"})
    assert store.advance(second) == [waiting.id]


def test_a_lost_lease_is_given_to_another_worker_three_times(store: JobStore, clock: Clock) -> None:
    (job,) = submitted(store)
    for attempt in range(1, 4):
        assert store.claim(job.id, f"w{attempt}", 60)
        clock.pass_by(seconds=61)
        assert store.requeue_expired() == [job.id]
        assert not store.succeed(job.id, f"w{attempt}", {}), "the silent worker comes back too late"
        assert store.unsent() == [job.id]
    assert store.claim(job.id, "w4", 60)
    clock.pass_by(seconds=61)
    assert store.requeue_expired() == []
    lost = store.get(job.id)
    assert lost.state == JobState.FAILED and lost.attempts == 4
    assert lost.error is not None and "4 attempts" in lost.error["detail"]
    assert store.retry(job.id).error is None
    assert store.claim(job.id, "w5", 60)
    clock.pass_by(seconds=61)
    assert store.requeue_expired() == [job.id], "the count starts anew"


def test_a_worker_that_ends_costs_no_attempt(store: JobStore) -> None:
    (job,) = submitted(store)
    for _ in range(6):
        assert store.claim(job.id, "w", 60)
        assert store.release(job.id, "w")
        assert not store.release(job.id, "w")
    assert store.get(job.id).state == JobState.QUEUED


def test_a_message_that_is_lost_is_sent_again(store: JobStore, clock: Clock) -> None:
    (job,) = submitted(store)
    store.mark_sent(job.id)
    assert store.unsent(drained=True) == [] and store.get(job.id).sent
    clock.pass_by(seconds=11)
    assert store.unsent() == [] and store.unsent(drained=True) == [job.id]
    assert not store.mark_sent(job.id) and store.mark_sent(job.id, drained=True)
    assert store.unsent(drained=True) == [], "a worker may be about to claim it"


def test_only_one_may_send_a_message(store: JobStore, clock: Clock) -> None:
    (job,) = submitted(store)
    for drained in (False, True):
        answers = at_once([lambda: store.mark_sent(job.id, drained=drained)] * 4)  # noqa: B023  # they end in the loop
        assert sorted(answers, key=str) == [False, False, False, True]
        clock.pass_by(seconds=11)
    store.mark_unsent(job.id)
    assert store.unsent() == [job.id] and store.mark_sent(job.id)


def test_pages_are_whole_whatever_is_added_between(store: JobStore, clock: Clock) -> None:
    jobs = submitted(store, 7)  # all at the same moment
    clock.pass_by(seconds=1)
    jobs += submitted(store, 4)
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = store.list(cursor=cursor, limit=3)
        seen += [job.id for job in page]
        clock.pass_by(seconds=1)
        submitted(store)
        if cursor is None:
            break
    assert sorted(seen) == sorted(job.id for job in jobs)
    assert len({job.created_at for job in jobs}) == 2


def test_lists_by_kind_and_state(store: JobStore) -> None:
    prune, other = submitted(store, 2)
    study, _ = store.submit("study", {"name": "grid"}, "c" * 64)
    cell, _ = store.submit("prune", SPEC, "d" * 64, parent=study.id)
    assert store.claim(prune.id, "w", 60)
    assert [job.id for job in store.list(state="running")[0]] == [prune.id]
    assert {job.id for job in store.list(kind="prune")[0]} == {prune.id, other.id, cell.id}
    assert {job.id for job in store.list(kind="prune", cells=False)[0]} == {prune.id, other.id}
    assert [job.id for job in store.list(parent=study.id)[0]] == [cell.id]
    assert store.counts() == {"queued": 2, "running": 1, "succeeded": 0, "failed": 0, "cancelled": 0}
    assert set(store.many([prune.id, cell.id, "nobody"])) == {prune.id, cell.id}


def test_bad_pages_are_refused(store: JobStore) -> None:
    null = base64.urlsafe_b64encode(b"2026-01-01T00:00:00+00:00|\0").decode()
    early = base64.urlsafe_b64encode(b"0001-01-01T00:00:00+14:00|x").decode()
    for cursor in ("x", "!!!", "bm9uc2Vuc2U", "é", null, early):
        with pytest.raises(Problem, match="is no cursor"):
            store.list(cursor=cursor)
    for limit in (0, 201, -1):
        with pytest.raises(Problem, match="between 1 and 200"):
            store.list(limit=limit)


def test_a_job_that_is_not_there(store: JobStore) -> None:
    for ask in (store.get, store.cancel, store.retry):
        with pytest.raises(Problem) as missing:
            ask("nobody")
        assert missing.value.status == 404
    assert store.claim("nobody", "w", 60) is None and store.making(["0" * 16]) == {}
    assert not store.progress("nobody", "w", Progress())


def test_a_running_job_says_that_it_stops(store: JobStore) -> None:
    (job,) = submitted(store)
    store.claim(job.id, "w", 60)
    store.progress(job.id, "w", Progress(stage="prune", done=1, total=4, unit="layers"))
    asked = store.cancel(job.id)
    assert asked.cancel_requested and asked.progress.done == 1 and "stops after" in asked.progress.message
    assert store.mark_cancelled(job.id, "w")
    assert store.cancel(job.id).state == JobState.CANCELLED


def test_logs_are_bounded(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_LOG_LINES", 5)
    job, other = submitted(store, 2)
    store.append_log(other.id, "mine")
    for number in range(12):
        store.append_log(job.id, f"line {number}")
    assert [entry.line for entry in store.log(job.id)] == [f"line {number}" for number in range(7, 12)]
    assert [entry.line for entry in store.log(other.id)] == ["mine"]
    assert len(store.append_log(job.id, "x" * 9999).line) == log.MAX_LINE_CHARACTERS


def test_moments_are_utc_whatever_the_time_zone(store: JobStore) -> None:
    (job,) = submitted(store)
    assert store.claim(job.id, "w", 60)
    again = store.get(job.id)
    assert again.created_at == again.started_at == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert again.model_dump(mode="json")["created_at"] == "2026-01-01T12:00:00Z"

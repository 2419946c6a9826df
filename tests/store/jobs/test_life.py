"""The life of jobs as a state machine: whatever people, workers and time do in whatever order, the rules hold."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from prunescope.jobs.documents import ACTIVE, ENDED, Job, JobState, Progress
from prunescope.jobs.problems import Problem
from prunescope.store.database import Database
from prunescope.store.jobs.store import JobStore
from prunescope.store.jobs.transitions import MAX_LOST_LEASES
from prunescope.store.tables import metadata

LEASE = 60
SPEC = {"model": "one", "method": {"name": "magnitude"}}
WORKERS = st.sampled_from(["left", "right"])


class JobLife(RuleBasedStateMachine):
    """A model of what must be true, beside the store: who holds which job until when, and who waits for whom."""

    store: JobStore
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.clock = datetime(2026, 1, 1, tzinfo=UTC)
        self.store.now = lambda: self.clock
        with self.store.database.exclusive() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())  # an earlier example's
        self.states: dict[str, JobState] = {}
        self.held: dict[str, tuple[str, datetime]] = {}
        self.asked: set[str] = set()
        self.lost: dict[str, int] = {}
        self.after: dict[str, tuple[str, ...]] = {}

    # What the model says

    def ready(self, job: str) -> bool:
        return all(self.states[other] == JobState.SUCCEEDED for other in self.after[job])

    def ends(self, job: str, state: JobState) -> None:
        self.states[job] = state
        self.held.pop(job, None)
        self.asked.discard(job)
        if state != JobState.SUCCEEDED:
            for other, earlier in self.after.items():
                if job in earlier and self.states[other] == JobState.QUEUED:
                    self.ends(other, JobState.FAILED)

    def is_held(self, job: str, worker: str) -> bool:
        return self.states[job] == JobState.RUNNING and self.held[job][0] == worker

    # What may happen

    @rule(target=jobs, earlier=st.lists(jobs, max_size=2, unique=True))
    def submit(self, earlier: list[str]) -> str:
        job, created = self.store.submit("prune", SPEC, uuid4().hex * 2, after=earlier)
        assert created
        self.states[job.id] = JobState.QUEUED
        self.after[job.id] = tuple(earlier)
        self.lost[job.id] = 0
        if any(self.states[other] in {JobState.FAILED, JobState.CANCELLED} for other in earlier):
            self.ends(job.id, JobState.FAILED)
        return job.id

    @rule(job=jobs)
    def submit_again(self, job: str) -> None:
        known = self.store.get(job)
        if known.state in {*ACTIVE, JobState.SUCCEEDED}:
            same, created = self.store.submit("prune", known.spec, known.fingerprint)
            assert (same.id, created) == (job, False)

    @rule(job=jobs, worker=WORKERS)
    def claim(self, job: str, worker: str) -> None:
        claimed = self.store.claim(job, worker, LEASE)
        possible = self.states[job] == JobState.QUEUED and self.ready(job)
        assert (claimed is not None) == possible
        if claimed is not None:
            assert claimed.state == JobState.RUNNING and claimed.started_at is not None
            self.states[job] = JobState.RUNNING
            self.held[job] = (worker, self.clock + timedelta(seconds=LEASE))

    @rule(job=jobs, worker=WORKERS)
    def renew(self, job: str, worker: str) -> None:
        kept = self.is_held(job, worker) and job not in self.asked
        assert self.store.renew(job, worker, LEASE) == kept
        if kept:
            self.held[job] = (worker, self.clock + timedelta(seconds=LEASE))

    @rule(job=jobs, worker=WORKERS, done=st.integers(0, 9))
    def progress(self, job: str, worker: str, done: int) -> None:
        progress = Progress(stage="prune", done=done, total=9, unit="layers")
        held = self.is_held(job, worker)
        assert self.store.progress(job, worker, progress) == held
        assert (self.store.get(job).progress == progress) or not held

    @rule(job=jobs, worker=WORKERS, how=st.sampled_from(["succeed", "fail", "mark_cancelled"]))
    def finish(self, job: str, worker: str, how: str) -> None:
        arguments: dict[str, tuple[Any, ...]] = {
            "succeed": ({"model": "pruned:1"},),
            "fail": ({"detail": "no luck"},),
            "mark_cancelled": (),
        }
        ends = {"succeed": JobState.SUCCEEDED, "fail": JobState.FAILED, "mark_cancelled": JobState.CANCELLED}
        held = self.is_held(job, worker)
        assert getattr(self.store, how)(job, worker, *arguments[how]) == held
        if held:
            self.ends(job, ends[how])

    @rule(job=jobs, worker=WORKERS)
    def release(self, job: str, worker: str) -> None:
        held = self.is_held(job, worker)
        assert self.store.release(job, worker) == held
        if held and job in self.asked:
            self.ends(job, JobState.CANCELLED)
        elif held:
            self.states[job] = JobState.QUEUED
            del self.held[job]

    @rule(job=jobs)
    def cancel(self, job: str) -> None:
        before = self.states[job]
        answered = self.store.cancel(job)
        if before == JobState.QUEUED:
            self.ends(job, JobState.CANCELLED)
        elif before == JobState.RUNNING:
            self.asked.add(job)
        assert answered.state == self.states[job]
        assert answered.cancel_requested == (job in self.asked)

    @rule(job=jobs)
    def retry(self, job: str) -> None:
        if self.states[job] not in {JobState.FAILED, JobState.CANCELLED}:
            with pytest.raises(Problem) as refused:
                self.store.retry(job)
            assert refused.value.status == 409
            return
        assert self.store.retry(job).state == JobState.QUEUED
        # Which of its neighbours run again follows from the graph; the rules for them are the invariants below.
        for other in self.states:
            if self.store.get(other).state == JobState.QUEUED and self.states[other] in ENDED:
                self.states[other] = JobState.QUEUED
                self.lost[other] = 0
        assert all(self.states[other] not in {JobState.FAILED, JobState.CANCELLED} for other in self.after[job])

    @rule(seconds=st.integers(1, 100))
    def time_passes(self, seconds: int) -> None:
        self.clock += timedelta(seconds=seconds)

    @rule()
    def sweep(self) -> None:
        expired = [job for job, (_, until) in self.held.items() if until < self.clock]
        requeued = self.store.requeue_expired()
        expected = []
        for job in expired:
            self.lost[job] += 1
            if job in self.asked:
                self.ends(job, JobState.CANCELLED)
            elif self.lost[job] > MAX_LOST_LEASES:
                self.ends(job, JobState.FAILED)
                error = self.store.get(job).error
                assert error is not None and error["code"] == "worker-lost"
            else:
                self.states[job] = JobState.QUEUED
                del self.held[job]
                expected.append(job)
        assert sorted(requeued) == sorted(expected)

    @rule(job=jobs)
    def send(self, job: str) -> None:
        before = job in self.store.unsent(10_000)
        unsent = self.states[job] == JobState.QUEUED and self.ready(job) and not self.store.get(job).sent
        assert before == unsent or self.store.get(job).sent
        self.store.mark_sent(job)
        assert self.store.get(job).sent or self.states[job] != JobState.QUEUED

    @rule(job=jobs)
    def advance(self, job: str) -> None:
        expected = [
            other
            for other, earlier in self.after.items()
            if job in earlier
            and self.states[other] == JobState.QUEUED
            and self.ready(other)
            and not self.store.get(other).sent
        ]
        assert sorted(self.store.advance(job)) == sorted(expected)

    # What holds at any time

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        for name, state in self.states.items():
            job = self.store.get(name)
            assert job.state == state
            self.row_is_whole(job)

    def row_is_whole(self, job: Job) -> None:
        assert (job.finished_at is not None) == (job.state in ENDED)
        assert (job.result is not None) == (job.state == JobState.SUCCEEDED)
        assert (job.error is not None) == (job.state == JobState.FAILED)
        assert job.cancel_requested == (job.id in self.asked)
        assert job.state != JobState.RUNNING or (job.started_at is not None and job.attempts > 0)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        for job, earlier in self.after.items():
            if self.states[job] == JobState.QUEUED:
                assert all(self.states[other] in {*ACTIVE, JobState.SUCCEEDED} for other in earlier)


def test_the_life_of_jobs(database: Database) -> None:
    class Machine(JobLife):
        store = JobStore(database)

    examples = 120 if database.url.get_backend_name() == "sqlite" else 40
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

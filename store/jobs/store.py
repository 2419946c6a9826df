"""The jobs: their life from state to state, safe under any number of workers and servers, on SQLite and on PostgreSQL.

    submit ----> queued --claim--> running --succeed--> succeeded
                  |  ^               |  |
           cancel |  |               |  +----fail-----> failed -----+
                  v  +-- lost lease -+                    ^         | retry: queued again
               cancelled <--mark_cancelled (was asked) ---|---------+

Every move is one conditional update: it happens when the row is (still) in the state, and with the worker, that the
move starts from, and says whether it did. What a job's end means for those that wait for it and for its studies happens
in the same transaction (`store/jobs/transitions.py`).
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, func, literal, or_, select, update

from prunescope.jobs.documents import Job, JobKind, JobState, JobSummary, LogLine, Progress
from prunescope.jobs.problems import conflict, not_found
from prunescope.store.database import Database, in_pieces
from prunescope.store.jobs.inserts import insert_job
from prunescope.store.jobs.log import MAX_LOG_LINES, append_line, newest_lines
from prunescope.store.jobs.progress import refresh_study, wake_studies
from prunescope.store.jobs.queries import READY, SUMMARY, get_row, makers, ready_after, studies_of, to_job, to_summary
from prunescope.store.jobs.study_transitions import cancel_study, lost_cells, queue_cells_again, try_again
from prunescope.store.jobs.transitions import cancel_one, end, take_back
from prunescope.store.paging import checked_limit, older_than, page
from prunescope.store.tables import Moment, jobs, study_cells

RESEND_AFTER = timedelta(seconds=10)
"""What a worker may take from its message to its claim. A second message does no harm: only one claim succeeds."""

# A class with a method `list` cannot say list[...] of itself.
Jobs: TypeAlias = list[JobSummary]
Ids: TypeAlias = list[str]
LogLines: TypeAlias = list[LogLine]


def utc_now() -> datetime:
    """The present moment; tests hand in clocks of their own."""
    return datetime.now(UTC)


class JobStore:
    """All jobs of an installation."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self.database = database
        self.now = now

    # Coming and looking

    def submit(
        self,
        kind: JobKind | str,
        spec: dict[str, Any],
        fingerprint: str,
        *,
        force: bool = False,
        parent: str | None = None,
        after: Iterable[str] = (),
    ) -> tuple[Job, bool]:
        """(job, created). A job that queues, runs or has succeeded with this fingerprint is handed back instead of
        making another.

        `after`: ids of jobs that must have succeeded before this one may start. Send its message when `ready` says so.
        """
        with self.database.exclusive() as connection:
            job, created = insert_job(
                connection, JobKind(kind), spec, fingerprint, self.now(), force=force, parent=parent, after=after
            )
            row = get_row(connection, job)
            assert row is not None
            return to_job(row), created

    def get(self, job: str) -> Job:
        """The job; Problem 404 when there is none."""
        with self.database.reading() as connection:
            row = get_row(connection, job)
        if row is None:
            raise not_found("job", job)
        return to_job(row)

    def many(self, ids: Iterable[str]) -> dict[str, Job]:
        """Id -> job, of those that are there."""
        found: dict[str, Job] = {}
        with self.database.reading() as connection:
            for some in in_pieces(ids):
                rows = connection.execute(select(jobs).where(jobs.c.id.in_(some)))
                found |= {row.id: to_job(row) for row in rows}
        return found

    def summary(self, job: str) -> JobSummary:
        """The job without its spec; Problem 404 when there is none."""
        found = self.summaries([job])
        if job not in found:
            raise not_found("job", job)
        return found[job]

    def summaries(self, ids: Iterable[str]) -> dict[str, JobSummary]:
        """Id -> job without its spec, of those that are there."""
        found: dict[str, JobSummary] = {}
        with self.database.reading() as connection:
            for some in in_pieces(ids):
                rows = connection.execute(select(*SUMMARY).where(jobs.c.id.in_(some)))
                found |= {row.id: to_summary(row) for row in rows}
        return found

    def making(self, artefacts: Iterable[str]) -> dict[str, JobSummary]:
        """Artefact's id -> the job that queues or runs for it, or has made it, of those that have one."""
        with self.database.reading() as connection:
            return {row.artefact: to_summary(row) for row in makers(connection, artefacts)}

    def list(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        parent: str | None = None,
        cells: bool = True,
        cursor: str | None = None,
        limit: int = 50,
    ) -> tuple[Jobs, str | None]:
        """(jobs without their specs, cursor of the next page or None), newest first. `cells=False` leaves out what a
        study made for itself."""
        query = select(*SUMMARY).order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(checked_limit(limit) + 1)
        for column, value in ((jobs.c.kind, kind), (jobs.c.state, state), (jobs.c.parent, parent)):
            if value is not None:
                query = query.where(column == value)
        if not cells:
            query = query.where(jobs.c.parent.is_(None))
        if cursor is not None:
            query = query.where(older_than(cursor, jobs.c.created_at, jobs.c.id))
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        items, following = page(rows, limit, lambda row: (row.created_at, row.id))
        return [to_summary(row) for row in items], following

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state; studies, which do no work of their own, are not counted."""
        query = select(jobs.c.state, func.count()).where(jobs.c.kind != JobKind.STUDY).group_by(jobs.c.state)
        with self.database.reading() as connection:
            counted = {row[0]: row[1] for row in connection.execute(query)}
        return {state: counted.get(state, 0) for state in JobState}

    def studies_of(self, job: str) -> Jobs:
        """The studies that have this job as a cell: what happens to it changes their rows too."""
        query = select(*SUMMARY).where(jobs.c.id.in_(select(study_cells.c.study).where(study_cells.c.job == job)))
        with self.database.reading() as connection:
            return [to_summary(row) for row in connection.execute(query.order_by(jobs.c.created_at, jobs.c.id))]

    # The queue's side

    def unsent(self, limit: int = 500, *, drained: bool = False) -> Ids:
        """Ids of queued jobs that are ready and have no message, oldest first.

        `drained`: the queue holds no message at all, so one that was sent a while ago is lost: with its Redis, or with
        a worker that was killed while Redis handed it over.
        """
        without = self._without_message(drained)
        query = select(jobs.c.id).where(jobs.c.state == JobState.QUEUED, jobs.c.kind != JobKind.STUDY, without, READY)
        with self.database.reading() as connection:
            return [*connection.execute(query.order_by(jobs.c.created_at, jobs.c.id).limit(limit)).scalars()]

    def is_ready(self, job: str) -> bool:
        """The job is queued, and everything that it waits for has succeeded."""
        query = select(jobs.c.id).where(jobs.c.id == job, jobs.c.state == JobState.QUEUED, READY)
        with self.database.reading() as connection:
            return connection.execute(query).one_or_none() is not None

    def mark_sent(self, job: str, *, drained: bool = False) -> bool:
        """Take a job of `unsent` for sending, before its message leaves: False when somebody else has taken it.

        Submission and every server's sweeper may see the same job, and only one of them may send it. One who dies
        before the message has left is found like a message that was lost.
        """
        with self.database.writing() as connection:
            taken = connection.execute(
                update(jobs)
                .where(jobs.c.id == job, jobs.c.state == JobState.QUEUED, self._without_message(drained))
                .values(sent_at=self.now())
            )
        return taken.rowcount == 1

    def mark_unsent(self, job: str) -> None:
        """The message that was to leave did not."""
        with self.database.writing() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job).values(sent_at=None))

    def _without_message(self, drained: bool) -> ColumnElement[bool]:
        without: ColumnElement[bool] = jobs.c.sent_at.is_(None)
        return or_(without, jobs.c.sent_at < self.now() - RESEND_AFTER) if drained else without

    # The worker's side

    def claim(self, job: str, worker: str, lease_seconds: float) -> Job | None:
        """Start a job: the job as it now runs, or None when it is not there to be started (ended, cancelled, claimed,
        not ready)."""
        now = self.now()
        with self.database.exclusive() as connection:
            claimed = connection.execute(
                update(jobs)
                .where(jobs.c.id == job, jobs.c.state == JobState.QUEUED, jobs.c.kind != JobKind.STUDY, READY)
                .values(
                    state=JobState.RUNNING,
                    worker=worker,
                    lease_until=now + timedelta(seconds=lease_seconds),
                    attempts=jobs.c.attempts + 1,
                    started_at=func.coalesce(jobs.c.started_at, literal(now, Moment)),
                    progress=Progress(stage="starting").model_dump(mode="json"),
                )
            )
            if claimed.rowcount != 1:
                return None
            for study in studies_of(connection, job):
                refresh_study(connection, study, now)
            row = get_row(connection, job)
        assert row is not None
        return to_job(row)

    def renew(self, job: str, worker: str, lease_seconds: float) -> bool:
        """Keep the lease. False: stop at the next layer or batch, because the job was asked to or is another worker's
        by now."""
        with self.database.writing() as connection:
            renewed = connection.execute(
                update(jobs)
                .where(_held(job, worker), jobs.c.cancel_requested.is_(False))
                .values(lease_until=self.now() + timedelta(seconds=lease_seconds))
            )
        return renewed.rowcount == 1

    def progress(self, job: str, worker: str, progress: Progress) -> bool:
        """Say how far the job is; False when it is not this worker's."""
        with self.database.writing() as connection:
            said = connection.execute(
                update(jobs).where(_held(job, worker)).values(progress=progress.model_dump(mode="json"))
            )
        return said.rowcount == 1

    def succeed(self, job: str, worker: str, result: dict[str, str]) -> bool:
        """The job is done; False, and nothing happens, when it is not this worker's any more."""
        return self._finish(job, worker, JobState.SUCCEEDED, result=result)

    def fail(self, job: str, worker: str, problem: dict[str, Any]) -> bool:
        """The job failed with this problem document; False, and nothing happens, when it is not this worker's any
        more."""
        return self._finish(job, worker, JobState.FAILED, error=problem)

    def mark_cancelled(self, job: str, worker: str) -> bool:
        """The job has stopped because it was asked to; False, and nothing happens, when it is not this worker's any
        more."""
        return self._finish(job, worker, JobState.CANCELLED)

    def release(self, job: str, worker: str) -> bool:
        """The worker is to end: its job is queued again and costs no lost lease (the next sweep sends it), or is
        cancelled where that was asked for. False, and nothing happens, when it is not this worker's any more."""
        with self.database.exclusive() as connection:
            row = connection.execute(select(jobs).where(_held(job, worker)).with_for_update()).one_or_none()
            if row is None:
                return False
            take_back(connection, row, self.now(), blame=False)
        return True

    def advance(self, job: str) -> Ids:
        """After a job's end: ids of the jobs that waited for it and are now ready to be sent."""
        with self.database.reading() as connection:
            return ready_after(connection, job)

    def requeue_expired(self) -> Ids:
        """Take running jobs from workers that fell silent; ids of those that are queued again (send them).

        A job that was asked to stop is cancelled instead; one that lost its fourth lease fails.
        """
        now = self.now()
        requeued: Ids = []
        with self.database.exclusive() as connection:
            # Locked where rows can be: a worker may renew its lease at this very moment, before or after but not
            # between.
            expired = select(jobs).where(jobs.c.state == JobState.RUNNING, jobs.c.lease_until < now).with_for_update()
            for row in connection.execute(expired.order_by(jobs.c.created_at, jobs.c.id)).all():
                if take_back(connection, row, now, blame=True):
                    requeued.append(row.id)
        return requeued

    # A person's side

    def cancel(self, job: str) -> Job:
        """Stop a job. A queued one is cancelled now, a running one at its next layer or batch; an ended one stays as it
        is.

        A study's unfinished cells are cancelled with it, but for those that another study needs as well.
        """
        now = self.now()
        with self.database.exclusive() as connection:
            row = get_row(connection, job)
            if row is None:
                raise not_found("job", job)
            if row.kind == JobKind.STUDY and row.state in {JobState.QUEUED, JobState.RUNNING}:
                cancel_study(connection, job, now)
            else:
                cancel_one(connection, row, now)
            row = get_row(connection, job)
        assert row is not None
        return to_job(row)

    def retry(self, job: str) -> Job:
        """Queue a failed or cancelled job again (the same row); of a study, its cells that did not succeed. Then send
        `unsent`.

        Problem 409 when the job has not ended, has succeeded, or another job has been asked for the same thing since.
        """
        now = self.now()
        with self.database.exclusive() as connection:
            row = get_row(connection, job)
            if row is None:
                raise not_found("job", job)
            if row.state not in {JobState.FAILED, JobState.CANCELLED}:
                raise conflict(f"job {job} is {row.state}; only a failed or cancelled job can be tried again")
            try_again(connection, row, now)
            row = get_row(connection, job)
        assert row is not None
        return to_job(row)

    def retry_cells(self, study: str) -> Job:
        """Queue all cells of a study that did not succeed again, whether the study has ended or still runs; the study's
        job. Then send `unsent`.

        Problem 409 when it has no such cell, is being cancelled, or another job has been asked for the same thing
        since.
        """
        now = self.now()
        with self.database.exclusive() as connection:
            row = get_row(connection, study)
            if row is None:
                raise not_found("job", study)
            if row.state in {JobState.FAILED, JobState.CANCELLED}:
                try_again(connection, row, now)
            elif row.cancel_requested:
                raise conflict(f"study job {study} is being cancelled; try again when its running cells have stopped")
            elif lost_cells(connection, study):
                queued = queue_cells_again(connection, study)
                refresh_study(connection, study, now)
                wake_studies(connection, queued, now)
            else:
                raise conflict(f"study job {study} is {row.state}, and no cell of it failed or was cancelled")
            row = get_row(connection, study)
        assert row is not None
        return to_job(row)

    # Logs

    def append_log(self, job: str, line: str) -> LogLine:
        """Keep a line of a job's log; the last 1000 are kept."""
        with self.database.writing() as connection:
            return append_line(connection, job, line, self.now())

    def log(self, job: str, limit: int = MAX_LOG_LINES) -> LogLines:
        """The newest lines of a job's log, oldest first."""
        with self.database.reading() as connection:
            return newest_lines(connection, job, limit)

    def _finish(
        self,
        job: str,
        worker: str,
        state: JobState,
        *,
        error: dict[str, Any] | None = None,
        result: dict[str, str] | None = None,
    ) -> bool:
        with self.database.exclusive() as connection:
            moved = connection.execute(update(jobs).where(_held(job, worker)).values(state=state))
            if moved.rowcount != 1:
                return False
            end(connection, job, state, self.now(), error=error, result=result)
        return True


def _held(job: str, worker: str) -> Any:
    """The job runs, and it is this worker's."""
    return (jobs.c.id == job) & (jobs.c.state == JobState.RUNNING) & (jobs.c.worker == worker)

"""Jobs and their states, safe under any number of concurrent workers and servers, on SQLite and on PostgreSQL.

    submit ----> queued --claim--> running --succeed--> succeeded
                  |  ^               |  |
           cancel |  |               |  +----fail-----> failed -----+
                  v  +-- lost lease -+                    ^         | retry: queued again
               cancelled <--mark_cancelled (was asked) ---|---------+

Every transition begins with a conditional update: it takes effect only if the job is still in the expected state and,
for a worker's transition, still claimed by this worker. The method returns whether it took effect. The consequences for
waiting jobs and for studies are written in the same transaction (`store/jobs/transitions.py`).
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
"""Time that a worker may take from the job's message to its claim. A second message does no harm: only one claim
succeeds."""

# In a class with a method `list`, the annotation list[...] would mean this method.
Jobs: TypeAlias = list[JobSummary]
Ids: TypeAlias = list[str]
LogLines: TypeAlias = list[LogLine]


def utc_now() -> datetime:
    """The current time in UTC. Stores take a clock as an argument, so that tests can replace it."""
    return datetime.now(UTC)


class JobStore:
    """All jobs of an installation."""

    def __init__(self, database: Database, now: Callable[[], datetime] = utc_now) -> None:
        self.database = database
        self.now = now

    # Submitting and reading

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
        """(job, created): the known job with this fingerprint (queued, running or succeeded), or a new queued job if
        there is none or with `force`.

        `parent` is the study to which the job belongs; `after` are ids of jobs that must succeed before it may start.
        The caller sends its message as soon as `is_ready` returns True.
        """
        with self.database.exclusive() as connection:
            job, created = insert_job(
                connection, JobKind(kind), spec, fingerprint, self.now(), force=force, parent=parent, after=after
            )
            row = get_row(connection, job)
            assert row is not None
            return to_job(row), created

    def get(self, job: str) -> Job:
        """The job with this id. Raises Problem 404 if there is none."""
        with self.database.reading() as connection:
            row = get_row(connection, job)
        if row is None:
            raise not_found("job", job)
        return to_job(row)

    def many(self, ids: Iterable[str]) -> dict[str, Job]:
        """Id -> job; ids without a job are omitted."""
        found: dict[str, Job] = {}
        with self.database.reading() as connection:
            for some in in_pieces(ids):
                rows = connection.execute(select(jobs).where(jobs.c.id.in_(some)))
                found |= {row.id: to_job(row) for row in rows}
        return found

    def summary(self, job: str) -> JobSummary:
        """The job with this id, without its spec. Raises Problem 404 if there is none."""
        found = self.summaries([job])
        if job not in found:
            raise not_found("job", job)
        return found[job]

    def summaries(self, ids: Iterable[str]) -> dict[str, JobSummary]:
        """Id -> job without its spec; ids without a job are omitted."""
        found: dict[str, JobSummary] = {}
        with self.database.reading() as connection:
            for some in in_pieces(ids):
                rows = connection.execute(select(*SUMMARY).where(jobs.c.id.in_(some)))
                found |= {row.id: to_summary(row) for row in rows}
        return found

    def making(self, artefacts: Iterable[str]) -> dict[str, JobSummary]:
        """Artefact's id -> the known job that makes or has made the artefact; artefacts without one are omitted."""
        with self.database.reading() as connection:
            return {row.artefact: to_summary(row) for row in makers(connection, artefacts)}

    def maker_of(self, artefact: str) -> JobSummary | None:
        """The newest job that has made the artefact with this id, even if the artefact was removed since; of a study,
        whose record exists from the start, its newest job. None if there is none."""
        made = or_(jobs.c.state == JobState.SUCCEEDED, jobs.c.kind == JobKind.STUDY)
        query = select(*SUMMARY).where(jobs.c.artefact == artefact, made)
        with self.database.reading() as connection:
            row = connection.execute(query.order_by(jobs.c.created_at.desc()).limit(1)).first()
        return None if row is None else to_summary(row)

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
        """(jobs without their specs, cursor of the next page or None), newest first, filtered by `kind`, `state` and
        the study `parent`. `cells=False` omits jobs that belong to a study. Raises Problem 422 for an invalid cursor or
        limit."""
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
        """State -> number of jobs in it. Study jobs are not counted, since no worker runs them."""
        query = select(jobs.c.state, func.count()).where(jobs.c.kind != JobKind.STUDY).group_by(jobs.c.state)
        with self.database.reading() as connection:
            counted = {row[0]: row[1] for row in connection.execute(query)}
        return {state: counted.get(state, 0) for state in JobState}

    def studies_of(self, job: str) -> Jobs:
        """The study jobs that have this job as a cell. Transitions of the job change their rows too."""
        query = select(*SUMMARY).where(jobs.c.id.in_(select(study_cells.c.study).where(study_cells.c.job == job)))
        with self.database.reading() as connection:
            return [to_summary(row) for row in connection.execute(query.order_by(jobs.c.created_at, jobs.c.id))]

    # Sending messages

    def unsent(self, limit: int = 500, *, drained: bool = False) -> Ids:
        """Ids of queued jobs that are ready and have no message in the queue, oldest first.

        `drained` says that the queue is empty. A message that was sent more than RESEND_AFTER ago is lost then: Redis
        lost its data, or a worker was killed while it received the message. Its job is returned too.
        """
        without = self._without_message(drained)
        query = select(jobs.c.id).where(jobs.c.state == JobState.QUEUED, jobs.c.kind != JobKind.STUDY, without, READY)
        with self.database.reading() as connection:
            return [*connection.execute(query.order_by(jobs.c.created_at, jobs.c.id).limit(limit)).scalars()]

    def is_ready(self, job: str) -> bool:
        """Whether the job is queued and all jobs that it waits for have succeeded."""
        query = select(jobs.c.id).where(jobs.c.id == job, jobs.c.state == JobState.QUEUED, READY)
        with self.database.reading() as connection:
            return connection.execute(query).one_or_none() is not None

    def mark_sent(self, job: str, *, drained: bool = False) -> bool:
        """Claim the right to send the message of a job that `unsent` returned; False if another process has claimed it.

        Call this before sending: submission and the sweeper of every server may find the same job, and only one of them
        may send the message. If the process dies before it sends, the message is treated as lost (`unsent` with
        `drained`), which is also what `drained` means here.
        """
        with self.database.writing() as connection:
            taken = connection.execute(
                update(jobs)
                .where(jobs.c.id == job, jobs.c.state == JobState.QUEUED, self._without_message(drained))
                .values(sent_at=self.now())
            )
        return taken.rowcount == 1

    def mark_unsent(self, job: str) -> None:
        """Record that the job's message could not be sent, so that `unsent` returns the job again."""
        with self.database.writing() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job).values(sent_at=None))

    def _without_message(self, drained: bool) -> ColumnElement[bool]:
        """SQL condition: the job's message has not been sent, or, if the queue is empty (`drained`), was sent more than
        RESEND_AFTER ago, so that it must have been lost."""
        without: ColumnElement[bool] = jobs.c.sent_at.is_(None)
        return or_(without, jobs.c.sent_at < self.now() - RESEND_AFTER) if drained else without

    # For workers

    def claim(self, job: str, worker: str, lease_seconds: float) -> Job | None:
        """Claim a queued job for a worker, with a lease of `lease_seconds`. Returns the running job; None if the job
        cannot be started (it has ended, another worker has it, it is not ready, or it does not exist)."""
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
        """Renew the worker's lease. False if the worker must stop at its next layer or batch, because cancellation was
        requested or because the job is no longer this worker's."""
        with self.database.writing() as connection:
            renewed = connection.execute(
                update(jobs)
                .where(_claimed_by(job, worker), jobs.c.cancel_requested.is_(False))
                .values(lease_until=self.now() + timedelta(seconds=lease_seconds))
            )
        return renewed.rowcount == 1

    def progress(self, job: str, worker: str, progress: Progress) -> bool:
        """Store the job's progress. False, without a change, if the job is no longer this worker's."""
        with self.database.writing() as connection:
            updated = connection.execute(
                update(jobs).where(_claimed_by(job, worker)).values(progress=progress.model_dump(mode="json"))
            )
        return updated.rowcount == 1

    def succeed(self, job: str, worker: str, result: dict[str, str]) -> bool:
        """Set the job's state to succeeded. False, without a change, if the job is no longer this worker's."""
        return self._finish(job, worker, JobState.SUCCEEDED, result=result)

    def fail(self, job: str, worker: str, problem: dict[str, Any]) -> bool:
        """Set the job's state to failed, with this problem document. False, without a change, if the job is no longer
        this worker's."""
        return self._finish(job, worker, JobState.FAILED, error=problem)

    def mark_cancelled(self, job: str, worker: str) -> bool:
        """Set the job's state to cancelled, after it has stopped. False, without a change, if the job is no longer this
        worker's."""
        return self._finish(job, worker, JobState.CANCELLED)

    def release(self, job: str, worker: str) -> bool:
        """Give up the worker's job, because the worker is shutting down: the job is queued again, without counting a
        lost lease, and the next sweep sends its message. The job is cancelled instead if cancellation was requested.
        False, without a change, if the job is no longer this worker's."""
        with self.database.exclusive() as connection:
            row = connection.execute(select(jobs).where(_claimed_by(job, worker)).with_for_update()).one_or_none()
            if row is None:
                return False
            take_back(connection, row, self.now(), blame=False)
        return True

    def advance(self, job: str) -> Ids:
        """After a job has ended: ids of the jobs that waited for it and are now ready, whose messages must be sent."""
        with self.database.reading() as connection:
            return ready_after(connection, job)

    def requeue_expired(self) -> Ids:
        """Queue running jobs with expired leases again. Returns their ids; the caller sends their messages.

        A job whose cancellation was requested is cancelled instead. A job whose lease has expired for the fourth time
        fails.
        """
        now = self.now()
        requeued: Ids = []
        with self.database.exclusive() as connection:
            # Row locks, where the database has them: a worker renews its lease before this transaction or after it.
            expired = select(jobs).where(jobs.c.state == JobState.RUNNING, jobs.c.lease_until < now).with_for_update()
            for row in connection.execute(expired.order_by(jobs.c.created_at, jobs.c.id)).all():
                if take_back(connection, row, now, blame=True):
                    requeued.append(row.id)
        return requeued

    # For users

    def cancel(self, job: str) -> Job:
        """Cancel a job and return it. A queued job is cancelled now, a running one at its next layer or batch; an ended
        one is not changed. Raises Problem 404 if there is no such job.

        The unfinished cells of a study are cancelled with it, except those that another unfinished study has too.
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
        """Queue a failed or cancelled job again (the same row) and return it; for a study also its cells that did not
        succeed. The caller sends the messages of `unsent` afterwards.

        Raises Problem 404 if there is no such job, and 409 if it is neither failed nor cancelled, or if another job
        with the same fingerprint is known by now.
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
        """Queue all failed and cancelled cells of a study again, whether the study has ended or still runs, and return
        the study's job. The caller sends the messages of `unsent` afterwards.

        Raises Problem 404 if there is no such job, and 409 if the study has no such cell, is being cancelled, or if
        another job with the same fingerprint is known by now.
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
        """Append a line to a job's log, which keeps the last MAX_LOG_LINES lines. Returns the stored line."""
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
        """Set the final state of a worker's job; False, without a change, if the job is no longer this worker's."""
        with self.database.exclusive() as connection:
            updated = connection.execute(update(jobs).where(_claimed_by(job, worker)).values(state=state))
            if updated.rowcount != 1:
                return False
            end(connection, job, state, self.now(), error=error, result=result)
        return True


def _claimed_by(job: str, worker: str) -> Any:
    """Condition: the job is running, claimed by this worker."""
    return (jobs.c.id == job) & (jobs.c.state == JobState.RUNNING) & (jobs.c.worker == worker)

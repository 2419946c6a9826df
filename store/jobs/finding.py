"""Finds jobs by the beginning of their ids, and a job's place in the queue."""

from sqlalchemy import and_, func, or_, select

from prunescope.jobs.documents import JobKind, JobState, JobSummary
from prunescope.store.database import Database
from prunescope.store.jobs.queries import SUMMARY, to_summary
from prunescope.store.tables import jobs


def starting_with(database: Database, start: str, limit: int) -> list[JobSummary]:
    """Jobs whose ids begin with these hexadecimal digits, at most `limit`, by id."""
    query = select(*SUMMARY).where(jobs.c.id >= start, jobs.c.id < f"{start}g").order_by(jobs.c.id).limit(limit)
    with database.reading() as connection:
        return [to_summary(row) for row in connection.execute(query)]


def ahead(database: Database, job: JobSummary) -> int:
    """The number of queued jobs that were submitted before this one. Study jobs are not counted, since no worker runs
    them."""
    same_time = and_(jobs.c.created_at == job.created_at, jobs.c.id < job.id)
    earlier = or_(jobs.c.created_at < job.created_at, same_time)
    query = select(func.count()).where(jobs.c.state == JobState.QUEUED, jobs.c.kind != JobKind.STUDY, earlier)
    with database.reading() as connection:
        return connection.execute(query).scalar_one()

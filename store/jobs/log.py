"""Log lines of jobs. Only the newest lines of each job are kept."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from prunescope.jobs.documents import LogLine
from prunescope.store.tables import job_log

MAX_LOG_LINES = 1000
"""Maximum number of lines kept for one job."""
MAX_LINE_CHARACTERS = 2000


def append_line(connection: Connection, job: str, line: str, now: datetime) -> LogLine:
    """Store a line, cut to MAX_LINE_CHARACTERS, and delete lines older than the job's newest MAX_LOG_LINES."""
    line = line if len(line) <= MAX_LINE_CHARACTERS else line[: MAX_LINE_CHARACTERS - 1] + "…"
    connection.execute(insert(job_log).values(job=job, at=now, line=line))
    numbers = select(job_log.c.number).where(job_log.c.job == job).order_by(job_log.c.number.desc())
    oldest = connection.execute(numbers.offset(MAX_LOG_LINES).limit(1)).scalar()
    if oldest is not None:
        connection.execute(delete(job_log).where(job_log.c.job == job, job_log.c.number <= oldest))
    return LogLine(at=now, line=line)


def newest_lines(connection: Connection, job: str, limit: int) -> list[LogLine]:
    """The newest lines of a job, oldest first."""
    query = select(job_log).where(job_log.c.job == job).order_by(job_log.c.number.desc()).limit(limit)
    return [LogLine(at=row.at, line=row.line) for row in reversed(connection.execute(query).all())]

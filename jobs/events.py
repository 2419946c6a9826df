"""Live job events as Redis streams. A client that reconnects resumes after the id of the last event it received.

    prunescope:jobs:<id>    one job: events "job" (a JobSummary, when the state has changed), "progress" (a Progress),
                            "log" (a LogLine)
    prunescope:jobs         all jobs: event "job" with {"id", "kind", "state", "parent", "progress"}, for the home page
                            and lists

An event's id is its stream id (`1700000000000-0`), which a client of server-sent events sends back as Last-Event-ID.
Events may be lost; the database is authoritative. A page first reads the job from the database and then its events.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio

from prunescope.jobs.documents import JobSummary, LogLine, Progress

ALL_JOBS = "prunescope:jobs"
KEPT_EVENTS = 2000
KEPT_SECONDS = 24 * 3600
BLOCK_MILLISECONDS = 1000
"""How long a read waits in Redis for new events; less than the client's time limit for a response."""

_STREAM_ID = re.compile(r"\d{1,20}(-\d{1,20})?")


@dataclass(frozen=True)
class Event:
    """One event: its stream id, its name and its JSON payload."""

    id: str
    name: str
    data: dict[str, Any]


def stream_of(job_id: str) -> str:
    """The name of a job's Redis stream."""
    return f"{ALL_JOBS}:{job_id}"


def publish(client: redis.Redis, job_id: str, event: str, data: Mapping[str, Any]) -> None:
    """Append one event to a job's stream, which keeps the last 2000 events for a day. Raises redis.RedisError when
    Redis cannot be reached."""
    _append(client, stream_of(job_id), event, data, KEPT_SECONDS)


def publish_job(client: redis.Redis, job: JobSummary) -> None:
    """Publish a job's new state to its own stream and to the stream of all jobs."""
    publish(client, job.id, "job", job.model_dump(mode="json", exclude={"spec"}))
    _append(client, ALL_JOBS, "job", _summary(job), None)


def publish_progress(client: redis.Redis, job: JobSummary, progress: Progress) -> None:
    """Publish a job's progress to its own stream and to the stream of all jobs."""
    publish(client, job.id, "progress", progress.model_dump(mode="json"))
    _append(client, ALL_JOBS, "job", _summary(job.model_copy(update={"progress": progress})), None)


def publish_log(client: redis.Redis, job_id: str, line: LogLine) -> None:
    """Publish one log line to the job's own stream."""
    publish(client, job_id, "log", line.model_dump(mode="json"))


def read(client: redis.Redis, stream: str, after: str = "0") -> list[Event]:
    """The stream's events after the id `after` ("0": all that are kept), oldest first. Does not wait for new events."""
    entries = client.xrange(stream, min=f"({after}" if after != "0" else "-")
    return [_event(entry) for entry in entries or []]


async def read_async(client: redis.asyncio.Redis, stream: str, after: str = "0") -> list[Event]:
    """The asynchronous version of `read`."""
    entries = await client.xrange(stream, min=f"({after}" if after != "0" else "-")
    return [_event(entry) for entry in entries or []]


async def read_many(client: redis.asyncio.Redis, places: Mapping[str, str]) -> dict[str, list[Event]]:
    """Read many streams in one call. `places` maps each stream to the last id read; the result maps streams to their
    newer events. Waits up to BLOCK_MILLISECONDS for the first event; the result is empty if there is none by then."""
    asked: dict[Any, Any] = {**places}
    answer = await client.xread(asked, block=BLOCK_MILLISECONDS, count=200)
    streams = answer.items() if isinstance(answer, dict) else [(name, [entries]) for name, entries in answer or ()]
    return {str(name): [_event(entry) for some in pieces for entry in some] for name, pieces in streams}


async def last_id(client: redis.asyncio.Redis, stream: str) -> str:
    """Id of a stream's newest event; "0" for an empty stream. Read the id before the database, and then the stream from
    this id on, so that no change is missed."""
    newest = await client.xrevrange(stream, count=1)
    return str(newest[0][0]) if newest else "0"


def is_stream_id(text: str) -> bool:
    """Whether a Last-Event-ID is a valid Redis stream id: one or two numbers below 2^64."""
    return _STREAM_ID.fullmatch(text) is not None and all(int(part) < 2**64 for part in text.split("-"))


def _append(client: redis.Redis, stream: str, event: str, data: Mapping[str, Any], kept_seconds: int | None) -> None:
    pipeline = client.pipeline(transaction=False)
    pipeline.xadd(
        stream, {"event": event, "data": json.dumps(data, ensure_ascii=False)}, maxlen=KEPT_EVENTS, approximate=True
    )
    if kept_seconds is not None:
        pipeline.expire(stream, kept_seconds)
    pipeline.execute()


def _summary(job: JobSummary) -> dict[str, Any]:
    document = job.model_dump(mode="json", include={"id", "kind", "state", "progress"})
    return {**document, "parent": job.parent}


def _event(entry: Any) -> Event:
    place, fields = entry
    return Event(str(place), fields["event"], json.loads(fields["data"]))

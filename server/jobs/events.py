"""Server-sent events of a job. The first event is `snapshot`: the job, without its spec, with its log so far. Then
follow `job` (a change of its state), `progress` and `log` as they happen. `end` is the last event, after which the
stream closes. After a reconnect with Last-Event-ID the first event is `job`, followed by the missed events.
"""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import redis
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from prunescope.jobs.documents import JobState
from prunescope.jobs.events import ALL_JOBS, Event, last_id, read, stream_of
from prunescope.server.jobs.documents import JobItem
from prunescope.server.jobs.queries import job_detail, job_items, job_list
from prunescope.server.stores import Stores

PING_SECONDS = 15


def stream(stores: Stores, events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    """The response with the events. Its headers forbid proxies to cache or buffer it. Raises Problem 503 when too many
    streams are open."""
    stores.feed.check_room()
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return EventSourceResponse(events, ping=PING_SECONDS, headers=headers)


async def of_job(stores: Stores, job: str, last_event_id: str | None) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of one job until it ends, as the module's docstring describes."""
    name = stream_of(job)
    # The position in the stream is read before the database, so that a change in between is sent twice, not lost.
    place = await _place(stores, name, last_event_id)
    now: JobItem
    if last_event_id is None:
        now = await run_in_threadpool(job_detail, stores, job)
        yield _event("snapshot", now, place)
    else:
        now = await _job(stores, job)
        yield _event("job", now, None)
    if not now.state.ended:
        async with aclosing(stores.feed.follow(name, place)) as following:
            async for event in following:
                place = event.id if event is not None else place
                if event is not None and event.name != "job":
                    yield _forwarded(event)
                    continue
                # The state is read again even without an event, so that a lost event does not keep the stream open.
                before, now = now, await _job(stores, job)
                if event is not None or now != before:
                    yield _event("job", now, place)
                if now.state.ended:
                    break
    # Events that were written while the job ended, or before a reconnect.
    for event in await run_in_threadpool(_stored, stores, name, place):
        if event.name != "job":
            yield _forwarded(event)
    yield ServerSentEvent(event="end", data=json.dumps({"state": now.state}))


async def of_all(stores: Stores, last_event_id: str | None) -> AsyncIterator[ServerSentEvent]:
    """Yield the events of all jobs without end: first `snapshot` with the running and queued jobs, then a `job` event
    for every change of any job."""
    place = await _place(stores, ALL_JOBS, last_event_id)
    active: list[JobItem] = []
    for state in (JobState.RUNNING, JobState.QUEUED):
        page = await run_in_threadpool(job_list, stores, state=state, limit=200)
        active += page.items
    items = [job.model_dump(mode="json") for job in active]
    yield ServerSentEvent(event="snapshot", data=json.dumps({"items": items}), id=place)
    async with aclosing(stores.feed.follow(ALL_JOBS, place)) as following:
        async for event in following:
            if event is not None:
                yield _forwarded(event)


def _stored(stores: Stores, name: str, place: str) -> list[Event]:
    """The events of a Redis stream after the id `place`; empty if Redis cannot be reached."""
    try:
        return read(stores.redis, name, place)
    except redis.RedisError:
        return []


async def _place(stores: Stores, name: str, last_event_id: str | None) -> str:
    """The event id after which to begin: `last_event_id`, or the last id in the stream; "0" without Redis."""
    if last_event_id is not None:
        return last_event_id
    try:
        return await last_id(stores.events, name)
    except redis.RedisError:
        return "0"


async def _job(stores: Stores, job: str) -> JobItem:
    (item,) = await run_in_threadpool(lambda: job_items(stores, [stores.jobs.summary(job)]))
    return item


def _event(name: str, document: BaseModel, id: str | None) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=document.model_dump_json(exclude={"spec"}), id=id)


def _forwarded(event: Event) -> ServerSentEvent:
    return ServerSentEvent(event=event.name, data=json.dumps(event.data, ensure_ascii=False), id=event.id)

"""Events over a real Redis: missed events are read again, new ones arrive, old ones are dropped."""

import asyncio
from datetime import UTC, datetime

from prunescope.jobs import events
from prunescope.jobs.documents import Job, JobKind, JobState, LogLine, Progress
from prunescope.jobs.queue import async_redis_client, redis_client
from prunescope.jobs.settings import Settings

JOB = Job(
    id="a" * 32,
    kind=JobKind.PRUNE,
    state=JobState.QUEUED,
    spec={},
    fingerprint="f" * 64,
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
)


def test_events_of_a_job_are_kept_in_order_and_continue_after_an_id(redis_url: str) -> None:
    with redis_client(Settings(redis_url=redis_url)) as client:
        events.publish_job(client, JOB)
        events.publish_progress(client, JOB, Progress(stage="prune", done=1, total=4, unit="layers"))
        events.publish_log(client, JOB.id, LogLine(at=JOB.created_at, line="layer 0"))
        kept = events.read(client, events.stream_of(JOB.id))
        assert [event.name for event in kept] == ["job", "progress", "log"]
        assert kept[0].data == JOB.model_dump(mode="json", exclude={"spec"})
        assert "parent" not in kept[0].data
        assert kept[1].data["done"] == 1
        assert events.read(client, events.stream_of(JOB.id), after=kept[1].id) == kept[2:]
        everywhere = events.read(client, events.ALL_JOBS)
        assert [event.data["progress"]["stage"] for event in everywhere] == ["waiting", "prune"]
        assert 0 < client.ttl(events.stream_of(JOB.id)) <= events.KEPT_SECONDS


def test_many_streams_are_read_with_one_question(redis_url: str) -> None:
    settings = Settings(redis_url=redis_url)
    one, other = events.stream_of("a" * 32), events.stream_of("b" * 32)

    async def scenario() -> list[dict[str, list[events.Event]]]:
        reader = async_redis_client(settings)
        with redis_client(settings) as writer:
            events.publish(writer, "a" * 32, "progress", {"done": 1})
            seen = await events.last_id(reader, one)
            events.publish(writer, "a" * 32, "progress", {"done": 2})
            events.publish(writer, "b" * 32, "progress", {"done": 3})
            found = await events.read_many(reader, {one: seen, other: "0"})
            await reader.aclose()
            return [found]

    (found,) = asyncio.run(scenario())
    assert {name: [event.data["done"] for event in some] for name, some in found.items()} == {one: [2], other: [3]}


def test_an_id_that_redis_would_refuse_is_none() -> None:
    assert events.is_stream_id("0") and events.is_stream_id("1700000000000-0")
    for made_up in ("", "nonsense", "1-2-3", "-1", "1-", f"{2**64}", f"1-{2**64}", "9" * 30):
        assert not events.is_stream_id(made_up)

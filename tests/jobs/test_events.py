"""Events over a real Redis: what was missed is read again, new ones arrive, old ones go."""

import asyncio
from datetime import UTC, datetime

from jobs import events
from jobs.documents import Job, JobKind, JobState, LogLine, Progress
from jobs.queue import async_redis_client, redis_client
from jobs.settings import Settings

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


def test_a_reader_gets_what_it_missed_and_then_what_comes(redis_url: str) -> None:
    settings = Settings(redis_url=redis_url)
    stream = events.stream_of(JOB.id)

    async def scenario() -> list[str]:
        reader = async_redis_client(settings)
        with redis_client(settings) as writer:
            assert await events.last_id(reader, stream) == "0"
            events.publish(writer, JOB.id, "progress", {"done": 1})
            seen = await events.last_id(reader, stream)
            events.publish(writer, JOB.id, "progress", {"done": 2})
            following = events.follow(reader, stream, seen)
            first = await anext(following)
            waiting = asyncio.ensure_future(anext(following))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            events.publish(writer, JOB.id, "job", {"state": "succeeded"})
            second = await asyncio.wait_for(waiting, 5)
            await following.aclose()
            made_up = events.follow(reader, stream, "nonsense")
            again = await anext(made_up)
            await made_up.aclose()
            await reader.aclose()
            assert first is not None and second is not None and again is not None
            return [str(first.data), second.name, str(again.data)]

    assert asyncio.run(scenario()) == ["{'done': 2}", "job", "{'done': 1}"]


def test_silence_is_told(redis_url: str, monkeypatch) -> None:
    monkeypatch.setattr(events, "BLOCK_MILLISECONDS", 20)

    async def scenario() -> None:
        reader = async_redis_client(Settings(redis_url=redis_url))
        following = events.follow(reader, "prunescope:jobs:none")
        assert await anext(following) is None
        await following.aclose()
        await reader.aclose()

    asyncio.run(scenario())

"""One reader for all open streams: nothing is lost, doubled or silent, however many follow."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
import redis

from prunescope.jobs.events import ALL_JOBS, Event, publish, stream_of
from prunescope.jobs.problems import Problem
from prunescope.jobs.queue import MAX_CLIENTS, async_redis_client, redis_client
from prunescope.jobs.settings import Settings
from prunescope.server import feed as feed_module
from prunescope.server.feed import Feed

PATIENCE = 20
JOB = "a" * 32


def run(redis_url: str, scenario: Callable[[Feed, redis.Redis], Awaitable[None]]) -> None:
    async def whole() -> None:
        settings = Settings(redis_url=redis_url)
        client = async_redis_client(settings)
        feed = Feed(client)
        with redis_client(settings) as writer:
            try:
                await asyncio.wait_for(scenario(feed, writer), PATIENCE)
            finally:
                await feed.close()
                await client.aclose()

    asyncio.run(whole())


async def next_event(following: AsyncGenerator[Event | None]) -> Event:
    while True:
        event = await anext(following)
        if event is not None:
            return event


def test_a_follower_gets_what_it_missed_and_then_what_comes(redis_url: str) -> None:
    async def scenario(feed: Feed, writer: redis.Redis) -> None:
        publish(writer, JOB, "progress", {"done": 1})
        following = feed.follow(stream_of(JOB), "0")
        assert (await next_event(following)).data == {"done": 1}
        waiting = asyncio.ensure_future(next_event(following))
        publish(writer, JOB, "progress", {"done": 2})
        second = await waiting
        assert second.data == {"done": 2}
        await following.aclose()
        publish(writer, JOB, "progress", {"done": 3})
        again = feed.follow(stream_of(JOB), second.id)
        assert (await next_event(again)).data == {"done": 3}
        await again.aclose()
        made_up = feed.follow(stream_of(JOB), "nonsense")
        assert [(await next_event(made_up)).data["done"] for _ in range(3)] == [1, 2, 3]
        await made_up.aclose()

    run(redis_url, scenario)


def test_hundreds_of_followers_share_one_connection_and_none_is_silent(redis_url: str) -> None:
    followers = 10 * MAX_CLIENTS

    async def scenario(feed: Feed, writer: redis.Redis) -> None:
        others = int(writer.info("clients")["connected_clients"])  # this one's and those of other tests
        names = [stream_of(f"{number:032x}") for number in range(followers // 2)]
        following = [feed.follow(name, "0") for name in [*names, *[ALL_JOBS] * (followers // 2)]]
        waiting = [asyncio.ensure_future(next_event(one)) for one in following]
        for name in (*names, ALL_JOBS):
            writer.xadd(name, {"event": "log", "data": f'{{"of": "{name}"}}'})
        got = await asyncio.gather(*waiting)
        assert [event.data["of"] for event in got] == [*names, *[ALL_JOBS] * (followers // 2)]
        assert int(writer.info("clients")["connected_clients"]) <= others + MAX_CLIENTS
        for one in following:
            await one.aclose()

    run(redis_url, scenario)


def test_a_slow_follower_reads_again_what_did_not_fit(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_WAITING", 4)

    async def scenario(feed: Feed, writer: redis.Redis) -> None:
        slow, quick = feed.follow(stream_of(JOB), "0"), feed.follow(stream_of(JOB), "0")
        publish(writer, JOB, "log", {"number": 0})
        assert (await next_event(slow)).data == {"number": 0}
        for number in range(1, 50):
            publish(writer, JOB, "log", {"number": number})
        assert [(await next_event(quick)).data["number"] for _ in range(50)] == [*range(50)]
        assert [(await next_event(slow)).data["number"] for _ in range(49)] == [*range(1, 50)]
        await slow.aclose()
        await quick.aclose()

    run(redis_url, scenario)


def test_silence_is_told(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "SILENCE_SECONDS", 0.02)

    async def scenario(feed: Feed, writer: redis.Redis) -> None:
        following = feed.follow(stream_of(JOB), "0")
        assert await anext(following) is None
        await following.aclose()

    run(redis_url, scenario)


def test_a_stream_beyond_the_limit_is_refused_and_one_less_makes_room(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MAX_STREAMS", 2)
    monkeypatch.setattr(feed_module, "SILENCE_SECONDS", 0.02)

    async def scenario(feed: Feed, writer: redis.Redis) -> None:
        following = [feed.follow(ALL_JOBS, "0") for _ in range(2)]
        for one in following:
            feed.check_room()
            await anext(one)
        with pytest.raises(Problem, match="2 event streams are open") as refused:
            feed.check_room()
        assert refused.value.status == 503
        await following[0].aclose()
        feed.check_room()
        await following[1].aclose()

    run(redis_url, scenario)

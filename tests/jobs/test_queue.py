"""The message over a real Redis on a socket whose path has a blank."""

import json

import pytest

from prunescope.jobs.queue import QUEUE, RUN_TASK, QueueUnavailable, broker_url, celery_app, redis_client, send, waiting
from prunescope.jobs.settings import Settings


def test_a_message_holds_only_the_id(redis_url: str) -> None:
    settings = Settings(redis_url=redis_url)
    with celery_app(settings) as app:
        send(app, "a" * 32)
    with redis_client(settings) as client:
        assert waiting(client) == 1
        message = json.loads(client.lpop(QUEUE))
        assert waiting(client) == 0
    assert message["headers"]["task"] == RUN_TASK
    assert message["content-type"] == "application/json"
    assert message["headers"]["argsrepr"] == f"['{'a' * 32}']"


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://queue:6379/3", "redis://queue:6379/3"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix:///my folder/redis.sock?db=2", "redis+socket:///my%20folder/redis.sock?virtual_host=2"),
        ("unix:///my%20folder/redis.sock", "redis+socket:///my%20folder/redis.sock?virtual_host=0"),
    ],
)
def test_the_same_redis_as_celery_writes_it(url: str, broker: str) -> None:
    assert broker_url(url) == broker


def test_a_queue_out_of_reach_is_said(tmp_path) -> None:
    settings = Settings(redis_url=f"unix://{tmp_path}/nobody.sock")
    with celery_app(settings) as app, pytest.raises(QueueUnavailable, match="cannot be reached"):
        send(app, "a" * 32)
    with redis_client(settings) as client, pytest.raises(QueueUnavailable, match="cannot be reached"):
        waiting(client)

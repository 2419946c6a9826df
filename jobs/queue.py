"""The queue's name, its one task, and how server and worker reach Redis.

`PRUNESCOPE_REDIS_URL` has redis-py's form (`redis://host:6379/0`, `rediss://...`, `unix:///path/to/socket?db=0`);
Celery writes sockets another way, and `broker_url` translates.
"""

from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.retry
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from prunescope.jobs.settings import Settings

QUEUE = "prunescope"
RUN_TASK = "prunescope.run"

VISIBILITY_SECONDS = 7 * 24 * 3600
"""After this long Redis would hand out an unacknowledged message again. Jobs are long, and a lost worker is noticed by
its lease."""

CONNECT_SECONDS = 2
ANSWER_SECONDS = 2
"""How long Redis may take for an answer: one that hangs must not hold up whoever asks it."""
MAX_CLIENTS = 32
"""Connections to Redis that one client holds at most; whoever needs one more waits for it."""


_LIMITS: dict[str, Any] = {
    "decode_responses": True,
    "socket_connect_timeout": CONNECT_SECONDS,
    "socket_timeout": ANSWER_SECONDS,
    "max_connections": MAX_CLIENTS,
    "timeout": ANSWER_SECONDS,  # for a connection of the pool
}
RETRIES = 1
"""Once more over a new connection where Redis was restarted; never after a time limit, which that would multiply."""


class QueueUnavailable(ConnectionError):
    """The message could not be handed over; the job stays queued and the sweeper sends it later."""


def redis_client(settings: Settings) -> redis.Redis:
    """A client for events and health checks; connects on first use, and waits at most ANSWER_SECONDS for anything."""
    retry = Retry(NoBackoff(), RETRIES, (redis.ConnectionError,))
    pool = redis.BlockingConnectionPool.from_url(settings.resolved_redis_url, **_LIMITS, retry=retry)
    return redis.Redis.from_pool(pool)


def async_redis_client(settings: Settings) -> redis.asyncio.Redis:
    """The same for the server's event loop."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), RETRIES, (redis.ConnectionError,))
    pool = redis.asyncio.BlockingConnectionPool.from_url(settings.resolved_redis_url, **_LIMITS, retry=retry)
    return redis.asyncio.Redis.from_pool(pool)


def broker_url(redis_url: str) -> str:
    """The same Redis, the way Celery writes it.

    >>> broker_url("unix:///data/my%20folder/redis.sock?db=1")
    'redis+socket:///data/my%20folder/redis.sock?virtual_host=1'
    """
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{quote(unquote(parts.path))}?virtual_host={database}"


def celery_app(settings: Settings) -> Celery:
    """JSON only, acknowledged when done, one message at a time; results live in the database, not in Celery."""
    app = Celery("prunescope", broker=broker_url(settings.resolved_redis_url), set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_SECONDS,
            "socket_connect_timeout": CONNECT_SECONDS,
        },
        enable_utc=True,
    )
    return app


def send(app: Celery, job_id: str) -> None:
    """Hand over a message that holds only the job's id; QueueUnavailable when Redis cannot be reached."""
    try:
        app.send_task(RUN_TASK, args=[job_id], queue=QUEUE, retry=False)
    except (OperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable(f"the queue cannot be reached: {error}") from error


def waiting(client: redis.Redis) -> int:
    """How many messages no worker has taken yet; QueueUnavailable when Redis cannot be reached."""
    try:
        return int(client.llen(QUEUE))
    except (redis.RedisError, OSError) as error:
        raise QueueUnavailable(f"the queue cannot be reached: {error}") from error

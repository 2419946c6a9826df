"""The Celery queue: its name, its one task, and the Redis connections of server and worker.

`PRUNESCOPE_REDIS_URL` has redis-py's form (`redis://host:6379/0`, `rediss://...`, `unix:///path/to/socket?db=0`).
Celery spells socket addresses differently; `broker_url` converts them.
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
"""Time after which Redis redelivers an unacknowledged message. It is long because jobs can run for days. A lost worker
is detected by its expired lease instead."""

CONNECT_SECONDS = 2
ANSWER_SECONDS = 2
"""Time limit for one answer of Redis, so that a Redis that hangs does not block its callers."""
MAX_CLIENTS = 32
"""Size of a client's connection pool; further callers wait for a free connection."""

_LIMITS: dict[str, Any] = {
    "decode_responses": True,
    "socket_connect_timeout": CONNECT_SECONDS,
    "socket_timeout": ANSWER_SECONDS,
    "max_connections": MAX_CLIENTS,
    "timeout": ANSWER_SECONDS,  # for waiting for a free connection of the pool
}
RETRIES = 1
"""Retries over a new connection after a connection error, such as a restart of Redis. A timeout is not retried, because
retries would multiply the waiting time."""


class QueueUnavailable(ConnectionError):
    """The message could not be sent; the job stays queued and the sweeper sends it later."""


def redis_client(settings: Settings) -> redis.Redis:
    """A Redis client for events and health checks. It connects on first use and waits at most ANSWER_SECONDS for a
    response."""
    retry = Retry(NoBackoff(), RETRIES, (redis.ConnectionError,))
    pool = redis.BlockingConnectionPool.from_url(settings.resolved_redis_url, **_LIMITS, retry=retry)
    return redis.Redis.from_pool(pool)


def async_redis_client(settings: Settings) -> redis.asyncio.Redis:
    """The asynchronous version of `redis_client`, for the server's event loop."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), RETRIES, (redis.ConnectionError,))
    pool = redis.asyncio.BlockingConnectionPool.from_url(settings.resolved_redis_url, **_LIMITS, retry=retry)
    return redis.asyncio.Redis.from_pool(pool)


def broker_url(redis_url: str) -> str:
    """A redis-py address converted to Celery's spelling.

    >>> broker_url("unix:///data/my%20folder/redis.sock?db=1")
    'redis+socket:///data/my%20folder/redis.sock?virtual_host=1'
    """
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    return f"redis+socket://{quote(unquote(parts.path))}?virtual_host={database}"


def celery_app(settings: Settings) -> Celery:
    """The Celery application: JSON messages, acknowledged when the job is done, prefetch 1, no result backend (results
    are in the database)."""
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
    """Send a job's message, which holds only the job's id. Raises QueueUnavailable when Redis cannot be reached."""
    try:
        app.send_task(RUN_TASK, args=[job_id], queue=QUEUE, retry=False)
    except (OperationalError, redis.RedisError, OSError) as error:
        raise QueueUnavailable(f"the queue cannot be reached: {error}") from error


def waiting(client: redis.Redis) -> int:
    """The number of messages in the queue that no worker has received. Raises QueueUnavailable when Redis cannot be
    reached."""
    try:
        return int(client.llen(QUEUE))
    except (redis.RedisError, OSError) as error:
        raise QueueUnavailable(f"the queue cannot be reached: {error}") from error

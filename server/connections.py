"""Connections as they come in: a time limit for what a client has to send, and a limit of how many there are.

uvicorn waits for ever for the rest of a request, and a thousand half-sent ones would take every file descriptor.
"""

import asyncio
import logging
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 1500
SPARE_FILES = 200
"""File descriptors that stay free for everything but connections: the database, artefacts, logs."""

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n"

_log = logging.getLogger(__name__)


def max_connections() -> int:
    """MAX_CONNECTIONS, or fewer where the process may not open so many files; asks the system for more files first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft - SPARE_FILES))


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 with limits; `most` connections are held at once.

    Where one more comes, the one that has waited longest for the rest of its request gives way to it; where all are
    at work, the new one is told to come again.
    """

    most = MAX_CONNECTIONS
    head_seconds = 10.0
    """From a connection's first byte, or its start, to the end of a request's headers."""
    body_seconds = 60.0
    """From the end of the headers to the end of the body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._waits_for: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most and not self._one_gave_way():
            self._end(_FULL)
            return
        self._wait_for(h11.IDLE, self.head_seconds)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # What was sent too early, behind the request, has become the beginning of the next one.
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """Whether the client has not sent a whole request yet."""
        return self._timer is not None

    def _look(self) -> None:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._wait_for(state, self.body_seconds)
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for(state, self.head_seconds)
        else:
            self._stop_waiting()

    def _wait_for(self, state: object, seconds: float) -> None:
        """The limit is for the whole of it: a byte now and then does not begin it anew."""
        if self._waits_for is not state:
            self._stop_waiting()
            self._waits_for = state
            self._timer = self.loop.call_later(seconds, self._end, _TIMEOUT)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._waits_for = None

    def _one_gave_way(self) -> bool:
        # Connections are a set: the longest waiting is the one whose timer rings first.
        waiting = [other for other in self.connections if isinstance(other, LimitedProtocol) and other.waits]
        if not waiting:
            return False
        min(waiting, key=lambda other: other._timer.when() if other._timer else 0.0)._end(_TIMEOUT)
        return True

    def _end(self, answer: bytes) -> None:
        """Close the connection, with an answer where none has begun."""
        self._stop_waiting()
        if self.cycle is None or (self.cycle.response_complete or not self.cycle.response_started):
            self.transport.write(answer)
        self.transport.close()
        self.connections.discard(self)


def limited_protocol() -> type[LimitedProtocol]:
    """The protocol for uvicorn, with as many connections as this process may hold."""
    most = max_connections()
    if most < MAX_CONNECTIONS:
        _log.warning("at most %d connections at once: the limit of open files (ulimit -n) does not allow more", most)
    return type("Protocol", (LimitedProtocol,), {"most": most})

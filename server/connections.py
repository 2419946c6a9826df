"""A time limit for receiving a request, and a limit on the number of open connections.

uvicorn has no such time limit, so a thousand incomplete requests would use up all file descriptors.
"""

import asyncio
import logging
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 1500
SPARE_FILES = 200
"""File descriptors reserved for everything except connections: the database, artefacts, logs."""

_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n"

_log = logging.getLogger(__name__)


def max_connections() -> int:
    """Raise the process's limit of open files if necessary; return MAX_CONNECTIONS, or fewer if it is too low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft - SPARE_FILES))


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 with time limits and at most `most` open connections.

    When a further connection is opened, the server closes the connection that has been waiting longest for the rest of
    its request. If no connection is waiting, the new connection is answered with 503.
    """

    most = MAX_CONNECTIONS
    head_seconds = 10.0
    """Maximum time to the end of a request's headers: from the start of the connection, or from the first byte of a
    further request."""
    body_seconds = 60.0
    """Maximum time from the end of the headers to the end of the body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None  # runs until the client has sent a complete request
        self._waits_for: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most and not self._closed_longest_waiting():
            self._end(_FULL)
            return
        self._wait_for(h11.IDLE, self.head_seconds)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Bytes received after the end of this request are the beginning of the next request.
        self._update_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _update_timer(self) -> None:
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._wait_for(state, self.body_seconds)
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for(state, self.head_seconds)
        else:
            self._stop_waiting()

    def _wait_for(self, state: object, seconds: float) -> None:
        """Start the timer of this state unless it is running: further bytes do not restart it."""
        if self._waits_for is not state:
            self._stop_waiting()
            self._waits_for = state
            self._timer = self.loop.call_later(seconds, self._end, _TIMEOUT)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._waits_for = None

    def _closed_longest_waiting(self) -> bool:
        # `connections` is an unordered set; the server closes the connection whose timer ends first.
        waiting = {
            other._timer.when(): other
            for other in self.connections
            if isinstance(other, LimitedProtocol) and other._timer is not None
        }
        if waiting:
            waiting[min(waiting)]._end(_TIMEOUT)
        return bool(waiting)

    def _end(self, answer: bytes) -> None:
        """Close the connection; send `answer` first unless a response has begun."""
        self._stop_waiting()
        if self.cycle is None or (self.cycle.response_complete or not self.cycle.response_started):
            self.transport.write(answer)
        self.transport.close()
        self.connections.discard(self)


def limited_protocol() -> type[LimitedProtocol]:
    """The protocol class for uvicorn, limited to `max_connections()`."""
    most = max_connections()
    if most < MAX_CONNECTIONS:
        _log.warning("at most %d connections at once: the limit of open files (ulimit -n) does not allow more", most)
    return type("Protocol", (LimitedProtocol,), {"most": most})

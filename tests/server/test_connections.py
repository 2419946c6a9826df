"""Half-sent requests end, and never keep others out."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from prunescope.server.connections import LimitedProtocol, limited_protocol, max_connections
from tests.waiting import PATIENCE_SECONDS

Serve = Callable[..., tuple[str, int]]


@pytest.fixture
def serve(app: FastAPI) -> Iterator[Serve]:
    """Starts the application with other limits; its address."""
    started: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def serving(**limits: float) -> tuple[str, int]:
        protocol = type("Protocol", (LimitedProtocol,), limits)
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, http=protocol, log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        started.append((server, thread, listener))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        return listener.getsockname()

    yield serving
    for server, thread, listener in started:
        server.should_exit = True
        thread.join()
        listener.close()


def connected(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, timeout=PATIENCE_SECONDS)


def everything(connection: socket.socket) -> bytes:
    """What the server sends until it closes."""
    found = b""
    while piece := connection.recv(65536):
        found += piece
    return found


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nhost: localhost\r\n",
        b"POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\ncontent-length: 90\r\n\r\n{",
    ],
)
def test_a_request_that_does_not_come_is_ended(serve: Serve, sent: bytes) -> None:
    address = serve(head_seconds=0.2, body_seconds=0.2)
    with closing(connected(address)) as connection:
        connection.sendall(sent)
        assert everything(connection).startswith(b"HTTP/1.1 408 ")


def test_a_byte_now_and_then_does_not_begin_the_limit_anew(serve: Serve) -> None:
    address = serve(head_seconds=0.3)
    with closing(connected(address)) as connection:
        connection.settimeout(0.02)
        answer = b""
        for letter in b"GET / HTTP/1.1\r\nhost: localhost\r\nx-slow: " + b"a" * 10_000:
            try:
                connection.sendall(bytes([letter]))
                answer += connection.recv(100)
                break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("the server waited for all of it")


def test_an_idle_connection_between_requests_is_not_answered_with_a_408(serve: Serve) -> None:
    address = serve(head_seconds=0.2)
    with closing(connected(address)) as connection:
        request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
        for _ in range(2):
            connection.sendall(request)
            answer = b""
            while not answer.endswith(b'"ok"}'):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            time.sleep(0.5)  # longer than the limit of a head that has begun, shorter than uvicorn keeps idle ones


def test_half_sent_requests_give_way_to_whole_ones(serve: Serve) -> None:
    address = serve(most=5)
    halves = [connected(address) for _ in range(20)]
    try:
        for half in halves:
            half.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        for _ in range(3):
            assert httpx.get(f"http://{address[0]}:{address[1]}/healthz", timeout=PATIENCE_SECONDS).status_code == 200
    finally:
        for half in halves:
            half.close()


def test_where_all_are_at_work_one_more_is_told_to_come_again(serve: Serve) -> None:
    host, port = serve(most=2)
    with httpx.Client(timeout=PATIENCE_SECONDS) as client:
        streams = [client.stream("GET", f"http://{host}:{port}/api/v1/events") for _ in range(2)]
        for stream in streams:
            assert stream.__enter__().status_code == 200
        with closing(connected((host, port))) as connection:
            assert everything(connection).startswith(b"HTTP/1.1 503 ")
        for stream in streams:
            stream.__exit__(None, None, None)


def test_no_more_connections_than_files(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = (256, 256)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    assert max_connections() == 56
    assert limited_protocol().most == 56

"""Limits of a request: bytes of address and body, size and nesting of its JSON, seconds until the response begins, and
the number of expensive requests at the same time.

A route's work runs in a thread, which cannot be interrupted. Therefore the input is bounded (`jobs/bounds.py`), and
expensive requests wait in a queue. A request that takes too long is answered with 503; its thread runs to its end, and
the result is discarded.
"""

import asyncio
import json
from collections.abc import Callable
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prunescope.jobs.bounds import MAX_BODY_BYTES
from prunescope.jobs.problems import RETRY_SECONDS, Problem, unavailable
from prunescope.jobs.shape import check_shape
from prunescope.server.headers import media_type
from prunescope.server.problems import problem_response

MAX_ADDRESS_BYTES = 16 * 1024
"""Maximum length of path and query together."""
MAX_LENGTH_DIGITS = 18
"""Maximum length of a Content-Length header."""
MAX_HELD_BYTES = 256 * 1024 * 1024
"""Maximum size of all JSON bodies together that are being received."""
MAX_ANSWER_SECONDS = 60.0
"""Maximum time from the request to the start of the response; a response that has begun has no limit."""
MAX_AT_ONCE = 2
"""Maximum number of expensive requests of one kind that run at the same time; more would slow down all requests."""
MAX_WAITING = 64
MAX_WAIT_SECONDS = 20.0
JSON = "application/json"

T = TypeVar("T")


class Limits:
    """ASGI middleware that limits address, body and response time of each request."""

    def __init__(self, app: ASGIApp, seconds: float = MAX_ANSWER_SECONDS, body_bytes: int = MAX_HELD_BYTES) -> None:
        self.app = app
        self.seconds = seconds
        self.free_bytes = body_bytes
        self.checks = asyncio.Semaphore(MAX_AT_ONCE)
        self.abandoned: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        body, more = bytearray(), True
        try:
            if len(scope["path"]) + len(scope.get("query_string", b"")) > MAX_ADDRESS_BYTES:
                detail = f"path and query may have {MAX_ADDRESS_BYTES} bytes together"
                raise Problem(414, "long-address", "The address is too long", detail)
            if length.isdigit() and (len(length) > MAX_LENGTH_DIGITS or int(length) > MAX_BODY_BYTES):
                raise _too_large()
            if media_type(headers) != JSON:
                receive = _limited(receive)
            else:
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return
                    piece, more = message.get("body", b""), message.get("more_body", False)
                    if len(body) + len(piece) > MAX_BODY_BYTES:
                        raise _too_large()
                    if len(piece) > self.free_bytes:
                        raise _busy("so many large requests are being read that there is no room for another")
                    self.free_bytes -= len(piece)
                    body += piece
                if body:
                    async with self.checks:
                        await run_in_threadpool(check_body, body)
                receive = _replayed(bytes(body), receive)
        except Problem as problem:
            await problem_response(problem, scope["path"])(scope, receive, send)
            return
        finally:
            self.free_bytes += len(body)
        await self.answer(scope, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; answer 503 if the response does not begin in time."""
        begun = asyncio.Event()
        late = False

        async def send_in_time(message: Message) -> None:
            if not late:
                begun.set()
                await send(message)

        work = asyncio.ensure_future(self.app(scope, receive, send_in_time))
        beginning = asyncio.ensure_future(begun.wait())
        try:
            await asyncio.wait({work, beginning}, timeout=self.seconds, return_when=asyncio.FIRST_COMPLETED)
            if begun.is_set() or work.done():
                await work
                return
            late = True
            # The thread cannot be interrupted. The reference keeps the task from being garbage-collected.
            self.abandoned.add(work)
            work.add_done_callback(self._ended)
            detail = (
                f"the answer took more than {self.seconds:g} seconds; what was begun goes on, so look whether it is "
                "there before you ask again"
            )
            problem = unavailable("late", "No answer in time", detail)
            await problem_response(problem, scope["path"])(scope, receive, send)
        finally:
            beginning.cancel()
            if not late:
                work.cancel()

    def _ended(self, work: "asyncio.Future[None]") -> None:
        self.abandoned.discard(work)
        if not work.cancelled():
            work.exception()  # retrieved, so that asyncio does not log it


class Turns:
    """A queue for expensive requests of one kind; a waiting request does not occupy a thread."""

    def __init__(
        self, at_once: int = MAX_AT_ONCE, waiting: int = MAX_WAITING, seconds: float = MAX_WAIT_SECONDS
    ) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._most = waiting
        self._seconds = seconds
        self._waiting = 0

    async def take(self, work: Callable[[], T]) -> T:
        """The result of `work`, run in a thread. Raises Problem 503 if the queue is full or the wait too long."""
        if self._waiting >= self._most:
            raise _busy(f"{self._waiting} requests of this kind wait already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            raise _busy(f"other requests of this kind have taken more than {self._seconds:g} seconds") from None
        finally:
            self._waiting -= 1
        try:
            return await run_in_threadpool(work)
        finally:
            self._places.release()


def check_body(body: bytes | bytearray) -> None:
    """Raise Problem 422 for JSON that is nested too deeply, too large, or has values that no field accepts. A body
    that is not JSON passes: the route reports the position of the error."""
    try:
        document = json.loads(body)
    except json.JSONDecodeError:
        return
    except RecursionError:
        detail = "the body is nested too deep"
    except UnicodeDecodeError as error:
        detail = f"the body is no text in UTF-8 (byte {error.start})"
    except ValueError:  # Python does not parse integers of more than 4,300 digits
        detail = "the body holds an integer of more than 4300 digits"
    else:
        check_shape(document)
        return
    raise Problem(422, "bad-request", "The request cannot be understood", detail)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns the body, which was already read, and then the further messages of `receive`."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _limited(receive: Receive) -> Receive:
    """A `receive` that raises HTTPException 413 once the body is longer than MAX_BODY_BYTES."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            problem = _too_large()
            raise HTTPException(problem.status, problem.detail)  # FastAPI would turn any other error into a 400
        return message

    return limited


def _too_large() -> Problem:
    limit = MAX_BODY_BYTES // (1024 * 1024)
    return Problem(413, "too-large", "Too large", f"a request may carry {limit} MiB; name long texts by file instead")


def _busy(why: str) -> Problem:
    return unavailable("busy", "Too much at once", f"{why}; try again in {RETRY_SECONDS} seconds")

"""HEAD at every address: the response to GET without its body."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """ASGI middleware that passes HEAD on as GET and cancels the route once the headers are sent, since a body can be
    endless (live events) or large (a model)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def send_start(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})
                answered.set()

        work = asyncio.ensure_future(self.app({**scope, "method": "GET"}, receive, send_start))
        work.add_done_callback(lambda _: answered.set())  # also if it fails before the headers are sent
        try:
            await answered.wait()
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

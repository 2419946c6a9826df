"""HEAD is GET without its body, at every address: link checkers, proxies and monitors ask that way."""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """ASGI middleware: the route sees a GET and is stopped once its headers are sent, also where its body (a live
    stream, a whole model) would go on for long."""

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
        waiting = asyncio.ensure_future(answered.wait())
        try:
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

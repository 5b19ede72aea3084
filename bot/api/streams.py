"""Server-sent events: parts of an answer as they come, and comments meanwhile, so that no proxy ends the connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from bot.api.errors import encode_json, translate_error
from engine.tasks import cancel_tasks

_COMMENT_EVERY_S: Final = 15.0
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class EventStream:
    """The response to one request."""

    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response

    async def send(self, data: object, event: str = "") -> None:
        """Send one event, whose data is JSON."""
        await self.send_raw(encode_json(data), event)

    async def send_raw(self, data: bytes, event: str = "") -> None:
        """Send one event."""
        name = f"event: {event}\n".encode() if event else b""
        await self.response.write(b"%bdata: %b\n\n" % (name, data))

    async def send_comments(self) -> None:
        """Send comments at intervals, which clients ignore."""
        while True:
            await asyncio.sleep(_COMMENT_EVERY_S)
            await self.response.write(b": the answer is being written\n\n")


@contextlib.asynccontextmanager
async def open_stream(request: web.Request, *, error_event: str = "") -> AsyncIterator[EventStream]:
    """Yield a stream; what fails within the block becomes its last event, and a client that leaves ends it."""
    stream = EventStream(web.StreamResponse(headers=_HEADERS))
    await stream.response.prepare(request)
    comments = asyncio.create_task(stream.send_comments(), name="comments of a stream")
    try:
        yield stream
    except ConnectionError:
        pass  # the client has left
    except Exception as error:  # noqa: BLE001 (the client reads it; the headers are sent already)
        with contextlib.suppress(ConnectionError):
            await stream.send(translate_error(error).build_body(), error_event)
    finally:
        await cancel_tasks(comments)

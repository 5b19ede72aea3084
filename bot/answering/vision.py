"""Show the pictures of a question to a vision model behind HTTP, in the chat format of OpenAI."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.interfaces import ChatMessage, ContentDelta, Delta, StreamEnd
from knowledge.interfaces import Material
from knowledge.web.http.settings import ServerAddress

if TYPE_CHECKING:
    from knowledge.web.http.json_server import JsonServer

_log = logging.getLogger(__name__)

LIMIT_S: Final = 90.0
CONTEXT_TOKENS: Final = 8_192
"""What a prompt and its answer take besides the pictures; each of these models reads several times as much."""
_MOST_PICTURES: Final = 4
_MAX_PICTURE_BYTES: Final = 10_000_000
_AT_ONCE: Final = 2
_MEDIA_TYPES: Final = {"jpg": "jpeg", "tif": "tiff"}
_END_OF_THOUGHT: Final = "</think>"


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """Which model sees pictures, and where."""

    address: ServerAddress
    """Its path ends before ``/v1/chat/completions``."""
    model: str


class VisionModel:
    """A vision model. After three failures in a row it is not asked for half a minute, then tried again."""

    def __init__(
        self, settings: VisionSettings, *, limit_s: float = LIMIT_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        # Without such a model, nothing that connects is loaded.
        from knowledge.web.http.json_server import JsonServer  # noqa: PLC0415
        from knowledge.web.searching.circuit_breaker import CircuitBreaker  # noqa: PLC0415

        self._settings = settings
        self._server: JsonServer = JsonServer(settings.address)
        self._limit_s = limit_s
        self._breaker = CircuitBreaker(now)
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def ask(
        self, messages: Sequence[ChatMessage], pictures: Sequence[Material], answer_tokens: int
    ) -> AsyncGenerator[Delta, None] | None:
        """Return the answer to a prompt with pictures as an engine streams it; None if the model does not answer."""
        ends = asyncio.get_running_loop().time() + self._limit_s
        try:
            async with asyncio.timeout_at(ends):
                await self._turn.acquire()
        except TimeoutError:
            return None  # it answers others, which is no failure
        try:
            return await self._ask_in_turn(messages, pictures, answer_tokens, ends)
        finally:
            self._turn.release()

    async def _ask_in_turn(
        self, messages: Sequence[ChatMessage], pictures: Sequence[Material], answer_tokens: int, ends: float
    ) -> AsyncGenerator[Delta, None] | None:
        from knowledge.web.http.json_server import ServerFailure  # noqa: PLC0415 - as in ``__init__``

        if not self._breaker.acquire():
            return None
        try:
            async with asyncio.timeout_at(ends):
                answer, is_cut = await self._complete(messages, pictures, answer_tokens)
        except (ServerFailure, TimeoutError) as error:
            self._breaker.record_failure()
            _log.warning("A picture was not seen, because the vision model %s", error or "is busy")
            return None
        except BaseException:
            self._breaker.release()
            raise
        self._breaker.record_success()
        return _stream_answer(answer, is_cut=is_cut)

    async def _complete(
        self, messages: Sequence[ChatMessage], pictures: Sequence[Material], answer_tokens: int
    ) -> tuple[str, bool]:
        body = {
            "model": self._settings.model,
            "messages": encode_messages(messages, pictures),
            "max_tokens": answer_tokens,
            "temperature": 0.0,
        }
        return parse_completion(await self._server.post("/v1/chat/completions", body, within_s=self._limit_s))

    async def close(self) -> None:
        """Close the connections. It is safe to call twice."""
        await self._server.close()


def choose_pictures(materials: Sequence[Material]) -> list[Material]:
    """Return the pictures that come with a question and that a model can be sent."""
    found = [one for one in materials if one.is_given and 0 < len(one.picture) <= _MAX_PICTURE_BYTES]
    return found[:_MOST_PICTURES]


def encode_messages(messages: Sequence[ChatMessage], pictures: Sequence[Material]) -> list[dict[str, object]]:
    """Return the messages for the wire; the last one has the pictures before its text."""
    *earlier, last = messages
    parts: list[dict[str, object]] = [
        {"type": "image_url", "image_url": {"url": _make_data_uri(one)}} for one in pictures
    ]
    parts.append({"type": "text", "text": last.content})
    before: list[dict[str, object]] = [{"role": one.role, "content": one.content} for one in earlier]
    return [*before, {"role": last.role, "content": parts}]


def _make_data_uri(picture: Material) -> str:
    media_type = _MEDIA_TYPES.get(picture.kind, picture.kind)
    return f"data:image/{media_type};base64,{base64.b64encode(picture.picture).decode()}"


def parse_completion(reply: bytes) -> tuple[str, bool]:
    """Return the text of an answer without its thinking, and whether it was cut.

    Raises:
        ServerFailure: there is none.

    """
    from knowledge.web.http.json_server import ServerFailure  # noqa: PLC0415 - as in ``VisionModel``

    try:
        choice: Any = json.loads(reply)["choices"][0]
        text = str(choice["message"]["content"] or "").rpartition(_END_OF_THOUGHT)[2].strip()
        is_cut = choice.get("finish_reason") == "length"
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise ServerFailure("answers with something other than a completion") from None
    if not text:
        raise ServerFailure("answers without a text")
    return text, is_cut


async def _stream_answer(answer: str, *, is_cut: bool) -> AsyncGenerator[Delta, None]:
    yield ContentDelta(answer)
    yield StreamEnd("length" if is_cut else "stop")

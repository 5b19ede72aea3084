"""Talks to one SGLang server: streams an answer, asks what it serves and whether it is well.

Every deadline has a name, closing a stream closes its connection at once (SGLang then stops generating within half a
second), and every failure becomes an error of ``engine.errors``. Nothing is tried twice here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import aiohttp

from engine import wire
from engine.errors import (
    EngineError,
    EngineInterrupted,
    EngineTimeout,
    EngineUnavailable,
)
from engine.interfaces import Delta, Done, Message, Sampling, Usage
from engine.reasoning import ReasoningDecoder
from engine.sse import EventTooLong, SseDecoder

_ANSWER_BYTES = 64 << 20
"""No answer's stream is longer; a server that sends more is broken."""
_INFO_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and what it serves."""

    url: str
    """Without a path."""
    api_key: str | None = field(default=None, repr=False)
    model: str = "default"
    thinks: bool = False
    """Whether the model thinks before it answers."""
    opens_think: bool = False
    """Whether its template opens the thinking itself."""
    split_by_server: bool = True
    """Whether the server runs a reasoning parser."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each step may take, in seconds."""

    connect_s: float = 5.0
    first_token_s: float = 180.0
    """From the request to the first delta: waiting in the engine's queue and reading the prompt."""
    read_s: float = 60.0
    """Between two tokens."""
    answer_s: float = 900.0
    """The whole answer."""
    info_s: float = 10.0
    """A question about the server itself."""
    health_s: float = 30.0
    """A look at its health; SGLang itself waits for up to 20 s."""


class EngineClient:
    """One server's client; open it, use it from any number of tasks, close it."""

    def __init__(self, endpoint: Endpoint, deadlines: Deadlines | None = None) -> None:
        """Take the server; nothing is connected before the first request."""
        self._endpoint = endpoint
        self._deadlines = deadlines or Deadlines()
        self._session: aiohttp.ClientSession | None = None

    @property
    def endpoint(self) -> Endpoint:
        """Return the server that is talked to."""
        return self._endpoint

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def stream(
        self, messages: Sequence[Message], sampling: Sampling, *, request_id: str
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; see ``engine.interfaces.ChatEngine.stream``."""
        body = wire.chat_request(self._endpoint.model, messages, sampling, request_id)
        answer = _Answer(self._endpoint, deadline=time.monotonic() + self._deadlines.answer_s)
        first = time.monotonic() + self._deadlines.first_token_s
        response: aiohttp.ClientResponse | None = None
        try:
            with _translated(self._endpoint, answer):
                async with _until(min(first, answer.deadline), "no first token", self._deadlines):
                    url = f"{self._endpoint.url}/v1/chat/completions"
                    response = await self._http().post(url, json=body, allow_redirects=False)  # the key stays here
                    if response.status != HTTPStatus.OK:
                        raise wire.refusal(response.status, await _text(response))
                next_delta = first
                while not answer.ended:
                    async with _until(min(next_delta, answer.deadline), answer.waits_for, self._deadlines):
                        chunk = await response.content.readany()
                    for delta in answer.take(chunk):
                        yield delta
                        next_delta = time.monotonic() + self._deadlines.read_s  # the reader's own time is not counted
        finally:
            if response is not None:
                response.close()  # not released: an answer that nobody reads must not be generated any further

    async def healthy(self) -> bool:
        """Say whether the server generates; False for any failure, within ``health_s``."""
        try:
            async with (
                asyncio.timeout(self._deadlines.health_s),
                self._http().get(f"{self._endpoint.url}/health") as response,
            ):
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def served(self) -> wire.Served:
        """Ask what the server serves.

        Raises:
            EngineError: it cannot be reached, refuses the key, or is still loading.

        """
        models = await self._get("/v1/models")
        info = await self._optional("/model_info")
        return wire.served(models, info)

    async def loads(self) -> wire.Loads | None:
        """Ask how busy the server is; None where it does not say, within ``info_s``."""
        return wire.loads(await self._optional("/v1/loads?include=core"))

    async def _optional(self, path: str) -> dict[str, Any]:
        """Ask a question that only SGLang itself answers; {} from any other server."""
        try:
            return await self._get(path)
        except EngineError:
            return {}

    async def _get(self, path: str) -> dict[str, Any]:
        deadline = time.monotonic() + self._deadlines.info_s
        with _translated(self._endpoint, None):
            async with (
                _until(deadline, f"no answer to {path}", self._deadlines),
                self._http().get(f"{self._endpoint.url}{path}", allow_redirects=False) as response,
            ):
                text = await _text(response)
        if response.status != HTTPStatus.OK:
            raise wire.refusal(response.status, text)
        return wire.json_object(text)

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            key = self._endpoint.api_key
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._deadlines.connect_s),
                connector=aiohttp.TCPConnector(limit=0),  # the queue is the engine's, which says when it is full
                trust_env=False,
            )
        return self._session


class _Answer:
    """One answer as it arrives: bytes in, deltas out; never awaits."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        self.deadline = deadline
        self.began = False
        self.ended = False
        self._sse = SseDecoder()
        self._reasoning = ReasoningDecoder(
            thinks=endpoint.thinks, opens_think=endpoint.opens_think, split_by_server=endpoint.split_by_server
        )
        self._finish: Literal["stop", "length", "abort"] | None = None
        self._usage = Usage()
        self._bytes = 0

    @property
    def waits_for(self) -> str:
        return "no next token" if self.began else "no first token"

    def take(self, chunk: bytes) -> Iterator[Delta]:
        """Yield the deltas that ``chunk`` brings, an error only after what came before it; an empty one is the end."""
        self._bytes += len(chunk)
        if self._bytes > _ANSWER_BYTES:
            raise EventTooLong
        for data in self._sse.decode(chunk) if chunk else self._sse.flush():
            yield from self._begun(self._event(data))
        if not chunk and not self.ended:
            yield from self._begun(self._end())

    def _begun(self, deltas: list[Delta]) -> list[Delta]:
        self.began = self.began or bool(deltas)
        return deltas

    def _event(self, data: str) -> list[Delta]:
        if self.ended:
            return []
        if data.strip() == "[DONE]":
            return self._end()
        event = wire.chat_event(data, began=self.began)
        self._usage = event.usage or self._usage
        self._finish = event.finish or self._finish
        return list(self._reasoning.decode(event.reasoning, event.content))

    def _end(self) -> list[Delta]:
        if self._finish is None:
            raise EngineInterrupted("The engine's answer broke off before its end. Ask again.")
        self.ended = True
        return [*self._reasoning.flush(self._finish), Done(self._finish, self._usage)]


@asynccontextmanager
async def _until(deadline: float, what: str, deadlines: Deadlines) -> AsyncIterator[None]:
    """Bound a step by a moment of ``time.monotonic``."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            yield
    except TimeoutError as error:
        if isinstance(error, aiohttp.ClientError):  # the connection's own deadline
            raise
        raise EngineTimeout(
            f"The engine gave {what} in time (first {deadlines.first_token_s:.0f} s, next {deadlines.read_s:.0f} s, "
            f"whole answer {deadlines.answer_s:.0f} s). It may be overloaded: ask again in a moment."
        ) from error


class _translated:  # noqa: N801  # reads as a statement
    """Turns what aiohttp raises into our own errors, told apart by whether an answer had begun."""

    def __init__(self, endpoint: Endpoint, answer: _Answer | None) -> None:
        self._endpoint = endpoint
        self._answer = answer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EventTooLong):
            raise EngineInterrupted("The engine sent an event that is too long to be an answer. Ask again.") from error
        if isinstance(error, aiohttp.InvalidURL):
            raise EngineUnavailable(
                f"{self._endpoint.url!r} is no address. Set KVASIR_ENGINE_URL to one such as http://gpu-1:30000."
            ) from None
        if isinstance(error, (aiohttp.ClientError, OSError)):
            raise self._broken() from error

    def _broken(self) -> EngineError:
        if self._answer is not None and self._answer.began:
            return EngineInterrupted("The connection to the engine broke in the middle of the answer. Ask again.")
        return EngineUnavailable(
            f"Nothing answers at the engine's address {self._endpoint.url}. It may be restarting: see `kvasir status`."
        )


async def _text(response: aiohttp.ClientResponse) -> str:
    """Read a short body, bounded."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _INFO_BYTES:
            break
    return body.decode("utf-8", errors="replace")

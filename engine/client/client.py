"""Talks to one SGLang server: streams an answer, asks what it serves and whether it is well.

Every deadline has a name, closing a stream closes its connection at once (SGLang then stops generating within half a
second), and every failure becomes an error of ``engine.errors``. Nothing is tried twice here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

from engine.client import thinking_budget, wire
from engine.client.answer import AnswerDecoder
from engine.client.framing import Prompt
from engine.client.reasoning import ReasoningDecoder
from engine.client.sse import EventTooLong
from engine.errors import (
    EngineError,
    EngineInterrupted,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
)
from engine.interfaces import Delta, Message, Sampling

_INFO_BYTES = 1 << 20
ONE_TOKEN = Sampling(temperature=0.0, top_p=1.0, max_tokens=1, thinking_tokens=0)
"""How a choice is sampled: its only token is the first one behind a closed thought."""


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
        self._under_way: set[aiohttp.ClientResponse] = set()

    @property
    def endpoint(self) -> Endpoint:
        """Return the server that is talked to."""
        return self._endpoint

    async def close(self) -> None:
        """Close every connection, and tell whoever waits for an answer; safe to call twice."""
        for response in self._under_way:
            response.close()  # the session alone would leave them waiting
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def stream(
        self, messages: Sequence[Message], sampling: Sampling, *, request_id: str, prompt: Prompt | None = None
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; see ``engine.interfaces.ChatEngine.stream``.

        ``prompt`` is the same conversation as ids, for a server that takes them; the messages go with it, for routers
        that send like to like. Without it the server's own template frames the messages, and makes control tokens of
        whatever in them looks like one (``bot.answering.prompt.neutral`` is what stands before that).
        """
        body = self._request(messages, sampling, request_id, prompt)
        answer = AnswerDecoder(self._reasoning(sampling, prompt))
        first = time.monotonic() + self._deadlines.first_token_s
        ends = time.monotonic() + self._deadlines.answer_s
        response: aiohttp.ClientResponse | None = None
        try:
            with _translated(self._endpoint, answer):
                async with _until(min(first, ends), "no first token", self._deadlines):
                    url = f"{self._endpoint.url}/v1/chat/completions"
                    response = await self._http().post(url, json=body, allow_redirects=False)  # the key stays here
                    self._under_way.add(response)
                    if response.status != HTTPStatus.OK:
                        raise wire.refusal(response.status, await _text(response))
                next_delta = first
                while not answer.ended:
                    async with _until(min(next_delta, ends), answer.waits_for, self._deadlines):
                        chunk = await response.content.readany()
                    for delta in answer.take(chunk):
                        yield delta
                        next_delta = time.monotonic() + self._deadlines.read_s  # the reader's own time is not counted
        finally:
            if response is not None:
                self._under_way.discard(response)
                response.close()  # not released: an answer that nobody reads must not be generated any further

    async def choose(
        self, messages: Sequence[Message], options: Sequence[str], *, request_id: str, prompt: Prompt | None = None
    ) -> tuple[float, ...]:
        """Return the probability of each option as the first token; see ``engine.interfaces.ChoosingEngine.choose``.

        The caller bounds the time. ``prompt`` is as in ``stream``, framed behind a closed thought.
        """
        body = wire.choice_request(self._request(messages, ONE_TOKEN, request_id, prompt))
        with _translated(self._endpoint, None):
            return wire.choice(await self._whole("/v1/chat/completions", body), options)

    def _request(
        self, messages: Sequence[Message], sampling: Sampling, request_id: str, prompt: Prompt | None
    ) -> dict[str, Any]:
        about = self._endpoint
        body = wire.chat_request(about.model, messages, sampling, request_id)
        if prompt is not None:
            body |= wire.as_ids(prompt)
        elif about.thinks and sampling.thinking_tokens == 0:
            body |= wire.behind_a_thought(body["messages"])
        return body

    def _reasoning(self, sampling: Sampling, prompt: Prompt | None) -> ReasoningDecoder:
        about = self._endpoint
        if prompt is not None:  # the server was asked not to split
            return ReasoningDecoder(thinks=about.thinks, opens_think=prompt.inside, split_by_server=False)
        opens = about.opens_think and sampling.thinking_tokens != 0
        return ReasoningDecoder(thinks=about.thinks, opens_think=opens, split_by_server=about.split_by_server)

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
        models = await self._ask("/v1/models")
        try:
            info = await self._ask("/model_info")
        except EngineRefused:  # another server than SGLang; one that is only busy raises, for nothing follows from that
            info = {}
        return wire.served(models, info, await self._optional("/server_info") if info else {})

    async def loads(self) -> wire.Loads | None:
        """Ask how busy the server is; None where it does not say, within ``info_s``."""
        return wire.loads(await self._optional("/v1/loads?include=core"))

    async def framed(self, messages: Sequence[Message]) -> list[int] | None:
        """Have the server frame a conversation with its own template and tokenizer; None where it cannot."""
        question = {"model": self._endpoint.model, "messages": wire.as_dicts(messages)}
        ids = (await self._optional("/v1/tokenize", question)).get("tokens")
        return ids if isinstance(ids, list) and all(isinstance(one, int) for one in ids) else None

    async def bounds_thinking(self) -> bool:
        """Ask whether requests may bring a bound on their thinking; False where the server does not say."""
        return thinking_budget.taken_by(await self._optional("/server_info"))

    async def _optional(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask a question that only SGLang itself answers; {} from any other server."""
        try:
            return await self._ask(path, body)
        except EngineError:
            return {}

    async def _ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        deadline = time.monotonic() + self._deadlines.info_s
        with _translated(self._endpoint, None):
            async with _until(deadline, f"no answer to {path}", self._deadlines):
                return await self._whole(path, body)

    async def _whole(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Return a reply that is not streamed; cancelled, its connection is closed."""
        method, url = "GET" if body is None else "POST", f"{self._endpoint.url}{path}"
        async with self._http().request(method, url, json=body, allow_redirects=False) as response:
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
                # The queue is the engine's, which says when it is full. No connection is kept: it may be closing.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                trust_env=False,
            )
        return self._session


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

    def __init__(self, endpoint: Endpoint, answer: AnswerDecoder | None) -> None:
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

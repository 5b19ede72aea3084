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
from engine.client.framing import TokenPrompt
from engine.client.reasoning import ReasoningDecoder
from engine.client.sse import EventTooLong
from engine.errors import (
    EngineError,
    EngineInterrupted,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
)
from engine.interfaces import ChatMessage, Delta, Sampling

_MAX_REPLY_BYTES = 1 << 20
ONE_TOKEN = Sampling(temperature=0.0, top_p=1.0, max_tokens=1, thinking_tokens=0)
"""How a choice is sampled: its only token is the first one behind a closed thought."""


@dataclass(frozen=True, slots=True)
class ServerEndpoint:
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
class RequestTimeouts:
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

    def __init__(self, endpoint: ServerEndpoint, timeouts: RequestTimeouts | None = None) -> None:
        """Take the server; nothing is connected before the first request."""
        self._endpoint = endpoint
        self._timeouts = timeouts or RequestTimeouts()
        self._session: aiohttp.ClientSession | None = None
        self._open_responses: set[aiohttp.ClientResponse] = set()

    @property
    def endpoint(self) -> ServerEndpoint:
        """Return the server that is talked to."""
        return self._endpoint

    async def close(self) -> None:
        """Close every connection, and tell whoever waits for an answer; safe to call twice."""
        for response in self._open_responses:
            response.close()  # the session alone would leave them waiting
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def stream(
        self, messages: Sequence[ChatMessage], sampling: Sampling, *, request_id: str, prompt: TokenPrompt | None = None
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; see ``engine.interfaces.ChatEngine.stream``.

        ``prompt`` is the same conversation as ids, for a server that takes them; the messages go with it, for routers
        that send like to like. Without it the server's own template frames the messages, and makes control tokens of
        whatever in them looks like one (``bot.answering.prompt.neutral`` is what stands before that).
        """
        body = self._build_request(messages, sampling, request_id, prompt)
        answer = AnswerDecoder(self._create_reasoning_decoder(sampling, prompt))
        first = time.monotonic() + self._timeouts.first_token_s
        ends = time.monotonic() + self._timeouts.answer_s
        response: aiohttp.ClientResponse | None = None
        try:
            with _map_errors(self._endpoint, answer):
                async with _limit_time(min(first, ends), "no first token", self._timeouts):
                    url = f"{self._endpoint.url}/v1/chat/completions"
                    response = await self._open_session().post(
                        url, json=body, allow_redirects=False
                    )  # the key stays here
                    self._open_responses.add(response)
                    if response.status != HTTPStatus.OK:
                        raise wire.map_http_error(response.status, await _read_text(response))
                next_delta = first
                while not answer.is_complete:
                    async with _limit_time(min(next_delta, ends), answer.missing_part, self._timeouts):
                        chunk = await response.content.readany()
                    for delta in answer.decode(chunk):
                        yield delta
                        next_delta = time.monotonic() + self._timeouts.read_s  # the reader's own time is not counted
        finally:
            if response is not None:
                self._open_responses.discard(response)
                response.close()  # not released: an answer that nobody reads must not be generated any further

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        prompt: TokenPrompt | None = None,
    ) -> tuple[float, ...]:
        """Return the probability of each option as the first token; see ``engine.interfaces.ChoosingEngine.choose``.

        The caller bounds the time. ``prompt`` is as in ``stream``, framed behind a closed thought.
        """
        body = wire.build_option_request(self._build_request(messages, ONE_TOKEN, request_id, prompt))
        with _map_errors(self._endpoint, None):
            return wire.parse_option_scores(await self._fetch_json("/v1/chat/completions", body), options)

    def _build_request(
        self, messages: Sequence[ChatMessage], sampling: Sampling, request_id: str, prompt: TokenPrompt | None
    ) -> dict[str, Any]:
        about = self._endpoint
        body = wire.build_chat_request(about.model, messages, sampling, request_id)
        if prompt is not None:
            body |= wire.build_id_fields(prompt)
        elif about.thinks and sampling.thinking_tokens == 0:
            body |= wire.build_no_thinking_fields(body["messages"])
        return body

    def _create_reasoning_decoder(self, sampling: Sampling, prompt: TokenPrompt | None) -> ReasoningDecoder:
        about = self._endpoint
        if prompt is not None:  # the server was asked not to split
            return ReasoningDecoder(thinks=about.thinks, opens_think=prompt.starts_in_thinking, split_by_server=False)
        opens = about.opens_think and sampling.thinking_tokens != 0
        return ReasoningDecoder(thinks=about.thinks, opens_think=opens, split_by_server=about.split_by_server)

    async def check_health(self) -> bool:
        """Say whether the server generates; False for any failure, within ``health_s``."""
        try:
            async with (
                asyncio.timeout(self._timeouts.health_s),
                self._open_session().get(f"{self._endpoint.url}/health") as response,
            ):
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def fetch_served_model(self) -> wire.ServedModel:
        """Ask what the server serves.

        Raises:
            EngineError: it cannot be reached, refuses the key, or is still loading.

        """
        models = await self._fetch("/v1/models")
        try:
            info = await self._fetch("/model_info")
        except EngineRefused:  # another server than SGLang; one that is only busy raises, for nothing follows from that
            info = {}
        return wire.parse_served_model(models, info, await self._fetch_optional("/server_info") if info else {})

    async def fetch_load(self) -> wire.ServerLoad | None:
        """Ask how busy the server is; None where it does not say, within ``info_s``."""
        return wire.parse_load(await self._fetch_optional("/v1/loads?include=core"))

    async def fetch_prompt_ids(self, messages: Sequence[ChatMessage]) -> list[int] | None:
        """Have the server frame a conversation with its own template and tokenizer; None where it cannot."""
        question = {"model": self._endpoint.model, "messages": wire.serialize_messages(messages)}
        ids = (await self._fetch_optional("/v1/tokenize", question)).get("tokens")
        return ids if isinstance(ids, list) and all(isinstance(one, int) for one in ids) else None

    async def fetch_budget_support(self) -> bool:
        """Ask whether requests may bring a bound on their thinking; False where the server does not say."""
        return thinking_budget.supports_budget(await self._fetch_optional("/server_info"))

    async def _fetch_optional(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask a question that only SGLang itself answers; {} from any other server."""
        try:
            return await self._fetch(path, body)
        except EngineError:
            return {}

    async def _fetch(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeouts.info_s
        with _map_errors(self._endpoint, None):
            async with _limit_time(deadline, f"no answer to {path}", self._timeouts):
                return await self._fetch_json(path, body)

    async def _fetch_json(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Return a reply that is not streamed; cancelled, its connection is closed."""
        method, url = "GET" if body is None else "POST", f"{self._endpoint.url}{path}"
        async with self._open_session().request(method, url, json=body, allow_redirects=False) as response:
            text = await _read_text(response)
        if response.status != HTTPStatus.OK:
            raise wire.map_http_error(response.status, text)
        return wire.parse_json_object(text)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            key = self._endpoint.api_key
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s),
                # The queue is the engine's, which says when it is full. No connection is kept: it may be closing.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                trust_env=False,
            )
        return self._session


@asynccontextmanager
async def _limit_time(deadline: float, what: str, timeouts: RequestTimeouts) -> AsyncIterator[None]:
    """Bound a step by a moment of ``time.monotonic``."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            yield
    except TimeoutError as error:
        if isinstance(error, aiohttp.ClientError):  # the connection's own deadline
            raise
        raise EngineTimeout(
            f"The engine gave {what} in time (first {timeouts.first_token_s:.0f} s, next {timeouts.read_s:.0f} s, "
            f"whole answer {timeouts.answer_s:.0f} s). It may be overloaded: ask again in a moment."
        ) from error


class _map_errors:  # noqa: N801  # reads as a statement
    """Turns what aiohttp raises into our own errors, told apart by whether an answer had begun."""

    def __init__(self, endpoint: ServerEndpoint, answer: AnswerDecoder | None) -> None:
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
            raise self._build_connection_error() from error

    def _build_connection_error(self) -> EngineError:
        if self._answer is not None and self._answer.has_started:
            return EngineInterrupted("The connection to the engine broke in the middle of the answer. Ask again.")
        return EngineUnavailable(
            f"Nothing answers at the engine's address {self._endpoint.url}. It may be restarting: see `kvasir status`."
        )


async def _read_text(response: aiohttp.ClientResponse) -> str:
    """Read a short body, bounded."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_REPLY_BYTES:
            break
    return body.decode("utf-8", errors="replace")

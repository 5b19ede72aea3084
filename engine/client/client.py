"""Client of one SGLang server: it streams answers, queries the served model and checks the server's health.

Every timeout has a name. Closing a stream closes its connection at once; SGLang then stops generating within half a
second. Every failure becomes an error of ``engine.errors``. Nothing is retried here.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from engine.client import thinking_budget, wire
from engine.client.answer import AnswerDecoder
from engine.client.framing import TokenPrompt
from engine.client.reasoning import ReasoningDecoder
from engine.client.sse import EventTooLong
from engine.client.timeouts import RequestTimeouts
from engine.errors import (
    EngineError,
    EngineInterrupted,
    EngineRefused,
    EngineTimeout,
    EngineUnavailable,
)
from engine.interfaces import ChatMessage, Delta, Sampling
from engine.notes import EngineNote, NoteCode

_MAX_REPLY_BYTES = 1 << 20
ONE_TOKEN = Sampling(temperature=0.0, top_p=1.0, max_tokens=1, thinking_tokens=0)
"""The sampling of option scores: one token, without thinking."""


@dataclass(frozen=True, slots=True)
class ServerEndpoint:
    """A server, and the model that it serves."""

    url: str
    """The URL without a path."""
    api_key: str | None = field(default=None, repr=False)
    model: str = "default"
    thinks: bool = False
    opens_think: bool = False
    """Whether the chat template opens the thinking."""
    split_by_server: bool = True
    """Whether the server has a reasoning parser."""
    address: str = ""
    """The IP address of the server, if the URL's name may have several; "" to let each connection resolve the name."""

    @property
    def name(self) -> str:
        """Return what identifies the server."""
        return f"{self.url}@{self.address}" if self.address else self.url


class EngineClient:
    """Client of one server, for any number of concurrent requests. Close it after use."""

    def __init__(self, endpoint: ServerEndpoint, timeouts: RequestTimeouts | None = None) -> None:
        """Connect to nothing before the first request."""
        self.endpoint = endpoint
        self._timeouts = timeouts or RequestTimeouts()
        self._session: aiohttp.ClientSession | None = None
        self._open_responses: set[aiohttp.ClientResponse] = set()

    async def close(self) -> None:
        """Close all connections and fail all open requests; safe to call twice."""
        for response in self._open_responses:
            response.close()  # closing the session does not end their reads
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def stream(
        self,
        messages: Sequence[ChatMessage],
        sampling: Sampling,
        *,
        request_id: str,
        prompt: TokenPrompt | None = None,
        cache_salt: str = "",
    ) -> AsyncGenerator[Delta, None]:
        """Stream an answer; see ``engine.interfaces.ChatEngine.stream``.

        ``prompt`` is the same conversation as token ids, for a server that accepts them. The messages go with it, so
        that routers can route similar requests to one server. Without it, the server's template frames the messages and
        turns text that looks like a control token into one. ``bot.answering.prompt`` neutralises such text before.
        ``cache_salt`` is as in ``Requester``.
        """
        body = self._build_request(messages, sampling, request_id, prompt) | wire.build_salt_field(cache_salt)
        answer = AnswerDecoder(self._create_reasoning_decoder(sampling, prompt))
        first = time.monotonic() + self._timeouts.first_token_s
        ends = time.monotonic() + self._timeouts.answer_s
        response: aiohttp.ClientResponse | None = None
        try:
            with _map_errors(self.endpoint, answer):
                async with _limit_time(min(first, ends), NoteCode.LATE_BEGINNING.fill(), self._timeouts):
                    url = f"{self.endpoint.url}/v1/chat/completions"
                    response = await self._open_session().post(
                        url, json=body, allow_redirects=False
                    )  # a redirect must not get the key
                    self._open_responses.add(response)
                    if response.status != HTTPStatus.OK:
                        raise wire.map_http_error(response.status, await _read_text(response))
                next_delta = first
                while not answer.is_complete:
                    async with _limit_time(min(next_delta, ends), answer.missing_part, self._timeouts):
                        chunk = await response.content.readany()
                    for delta in answer.decode(chunk):
                        yield delta
                        next_delta = time.monotonic() + self._timeouts.read_s  # the reader's own time does not count
        finally:
            if response is not None:
                self._open_responses.discard(response)
                response.close()  # closing the connection stops the generation

    async def score_options(
        self,
        messages: Sequence[ChatMessage],
        options: Sequence[str],
        *,
        request_id: str,
        prompt: TokenPrompt | None = None,
        cache_salt: str = "",
    ) -> tuple[float, ...]:
        """Return the probability of each option as the first token; see ``OptionScorer.score_options``.

        The caller sets the time limit. ``prompt`` is as in ``stream``, with an empty thought at its end.
        """
        request = self._build_request(messages, ONE_TOKEN, request_id, prompt) | wire.build_salt_field(cache_salt)
        body = wire.build_option_request(request)
        with _map_errors(self.endpoint):
            return wire.parse_option_scores(await self._fetch_json("/v1/chat/completions", body), options)

    def _build_request(
        self, messages: Sequence[ChatMessage], sampling: Sampling, request_id: str, prompt: TokenPrompt | None
    ) -> dict[str, Any]:
        about = self.endpoint
        body = wire.build_chat_request(about.model, messages, sampling, request_id)
        if prompt is not None:
            body |= wire.build_id_fields(prompt)
        elif about.thinks and sampling.thinking_tokens == 0:
            body |= wire.build_no_thinking_fields(body["messages"])
        return body

    def _create_reasoning_decoder(self, sampling: Sampling, prompt: TokenPrompt | None) -> ReasoningDecoder:
        about = self.endpoint
        if prompt is not None:  # the request asks the server not to split
            return ReasoningDecoder(thinks=about.thinks, opens_think=prompt.starts_in_thinking, split_by_server=False)
        opens = about.opens_think and sampling.thinking_tokens != 0
        return ReasoningDecoder(thinks=about.thinks, opens_think=opens, split_by_server=about.split_by_server)

    async def check_health(self) -> bool:
        """Return whether the server generates; False for any failure, within ``health_s``."""
        try:
            async with (
                asyncio.timeout(self._timeouts.health_s),
                self._open_session().get(f"{self.endpoint.url}/health") as response,
            ):
                return response.status == HTTPStatus.OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def fetch_served_model(self) -> wire.ServedModel:
        """Return what the server serves.

        Raises:
            EngineError: the server cannot be reached, refuses the key, or is still loading.

        """
        models = await self._fetch_in_time("/v1/models")
        try:
            info = await self._fetch_in_time("/model_info")
        except EngineRefused:  # not SGLang; a busy server raises instead
            info = {}
        return wire.parse_served_model(models, info, await self._fetch_optional("/server_info") if info else {})

    async def fetch_load(self) -> wire.ServerLoad | None:
        """Return the server's load; None if it does not report it, within ``info_s``."""
        return wire.parse_load(await self._fetch_optional("/v1/loads?include=core"))

    async def fetch_prompt_ids(self, messages: Sequence[ChatMessage]) -> list[int] | None:
        """Return a conversation framed by the server's template as token ids; None if the server cannot do it."""
        question = {"model": self.endpoint.model, "messages": wire.serialize_messages(messages)}
        ids = (await self._fetch_optional("/v1/tokenize", question)).get("tokens")
        return ids if isinstance(ids, list) and all(isinstance(one, int) for one in ids) else None

    async def fetch_budget_support(self) -> bool:
        """Return whether requests may limit their thinking; False if the server does not report it."""
        return thinking_budget.supports_budget(await self._fetch_optional("/server_info"))

    async def _fetch_optional(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the reply to a query that only SGLang supports; {} from any other server."""
        try:
            return await self._fetch_in_time(path, body)
        except EngineError:
            return {}

    async def _fetch_in_time(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeouts.info_s
        with _map_errors(self.endpoint):
            async with _limit_time(deadline, NoteCode.LATE_REPLY.fill(path=path), self._timeouts):
                return await self._fetch_json(path, body)

    async def _fetch_json(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Return a reply that is not streamed; a cancelled call closes its connection."""
        method, url = "GET" if body is None else "POST", f"{self.endpoint.url}{path}"
        async with self._open_session().request(method, url, json=body, allow_redirects=False) as response:
            text = await _read_text(response)
        if response.status != HTTPStatus.OK:
            raise wire.map_http_error(response.status, text)
        return wire.parse_json_object(text)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            key = self.endpoint.api_key
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s),
                # The engine limits its own queue. Connections are not reused: the server may be closing them.
                connector=aiohttp.TCPConnector(
                    limit=0,
                    force_close=True,
                    resolver=_FixedResolver(self.endpoint.address) if self.endpoint.address else None,
                ),
                trust_env=False,
            )
        return self._session


class _FixedResolver(AbstractResolver):
    """Gives each name one address. The name still is in the ``Host`` header, and in the server's certificate."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the address."""
        found = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        result = ResolveResult(
            hostname=host, host=self._address, port=port, family=found, proto=0, flags=socket.AI_NUMERICHOST
        )
        return [result] if family in {socket.AF_UNSPEC, found} else []

    async def close(self) -> None:
        """Do nothing: it holds nothing."""


@asynccontextmanager
async def _limit_time(deadline: float, missing: EngineNote, timeouts: RequestTimeouts) -> AsyncIterator[None]:
    """Bound a step by a time of ``time.monotonic``."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            yield
    except TimeoutError as error:
        if isinstance(error, aiohttp.ClientError):  # the timeout of the connection itself
            raise
        note = NoteCode.SENT_TOO_LATE.fill(
            missing=missing, first_s=timeouts.first_token_s, next_s=timeouts.read_s, answer_s=timeouts.answer_s
        )
        raise EngineTimeout(note) from error


@contextmanager
def _map_errors(endpoint: ServerEndpoint, answer: AnswerDecoder | None = None) -> Iterator[None]:
    """Map the errors of aiohttp to ours, depending on whether the answer had started."""
    try:
        yield
    except EventTooLong as error:
        raise EngineInterrupted(NoteCode.EVENT_TOO_LONG.fill()) from error
    except aiohttp.InvalidURL:
        raise EngineUnavailable(NoteCode.NOT_A_URL.fill(url=endpoint.url)) from None
    except (aiohttp.ClientError, OSError) as error:
        if answer is not None and answer.has_started:
            raise EngineInterrupted(NoteCode.CONNECTION_BROKE.fill()) from error
        raise EngineUnavailable(NoteCode.NO_SERVER.fill(url=endpoint.url)) from error


async def _read_text(response: aiohttp.ClientResponse) -> str:
    """Read a body up to ``_MAX_REPLY_BYTES``."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_REPLY_BYTES:
            break
    return body.decode("utf-8", errors="replace")

"""The HTTP client for hosted services: retries, size limits and credentials in one place."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

import aiohttp
from yarl import URL

from knowledge.errors import FetchError, SourceDenied, SourceError, SourceUnavailable
from knowledge.interfaces import SourceContext
from knowledge.sources.common import too_large_error
from knowledge.sources.hosted.http_call import ApiCall, CallPacer, RetryLimits, ServiceResponse, compute_wait_s
from knowledge.sources.hosted.json_form import JsonObject, require_objects
from knowledge.web.http.connections import create_unguarded_connector
from knowledge.web.http.domains import is_within_domains
from knowledge.web.http.fetch import create_tls_context
from knowledge.web.http.guard import create_unchecked_target
from knowledge.web.http.proxies import Proxy

MAX_ANSWER_BYTES: Final = 64_000_000
"""The size limit of a JSON answer; documents have the limit of their source."""

_MOST_PAGES = 50_000
_MOST_REDIRECTS = 5
_FAILED_IN_A_ROW = 3
_UNREACHABLE = "cannot be reached"
_PARSED_IN_PLACE_BYTES = 500_000
_PIECE_BYTES = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_THROTTLED = frozenset({429, 503, 529})
_BROKEN = frozenset({500, 502, 504, 520, 521, 522, 523, 524})

_One = TypeVar("_One")


class CallRefused(SourceError):
    """The service refused one call with a status that a retry does not change (403, 404, 410 …)."""

    def __init__(self, message: str, status: int, error_code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.error_code = error_code


class AnswerTooLarge(SourceError):
    """An answer is over its size limit."""

    def __init__(self, message: str, size_bytes: int) -> None:
        super().__init__(message)
        self.size_bytes = size_bytes
        """The announced size, or the number of bytes that arrived before reading stopped."""


class Authorization(Protocol):
    """Authorizes calls."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers to send; only the service's own origin receives them."""

    async def renew(self) -> bool:
        """Return whether there are other credentials to try after the service refused the last ones."""


class FixedHeaders:
    """Credentials that do not change: a token, or a name and a token."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = headers

    async def headers(self) -> Mapping[str, str]:
        """Return the headers."""
        return self._headers

    async def renew(self) -> bool:
        """Return False: there are no other credentials."""
        return False


@dataclass(frozen=True, slots=True)
class HostedService:
    """A hosted service, its name and address, and how it reports errors."""

    name: str
    url: URL
    """The base of all paths, without a slash at the end."""
    credentials: str = "credentials"
    """What the operator renews when the service refuses it, in words."""
    is_throttled: Callable[[ServiceResponse], bool] = lambda _: False
    """Return whether an answer means "slow down" although its status does not say so."""
    parse_error_code: Callable[[bytes], str] = lambda _: ""
    """Return the service's own error code from the body of an answer, or ""."""
    domains: Collection[str] = ()
    """Other domains to which it redirects downloads; Kvasir follows no redirect elsewhere."""


class HttpApi:
    """Calls to one service. The first call opens the sessions; after ``close`` the next call opens them again.

    Calls go through the proxies of ``context.web``, which resolve the name: the operator chose the host.

    All methods raise ``SourceDenied`` when the service refuses the credentials. They raise ``SourceUnavailable`` when
    it cannot be reached, keeps failing or asks for too long a wait, and ``CallRefused`` for one refused call.
    """

    def __init__(
        self,
        service: HostedService,
        context: SourceContext,
        authorization: Authorization,
        *,
        patience: RetryLimits | None = None,
        per_second: float | None = None,
    ) -> None:
        self._service = service
        self._context = context
        self._authorization = authorization
        self._patience = patience or RetryLimits()
        self._pace = CallPacer(per_second, context.sleep) if per_second else None
        self._sessions: dict[Proxy | None, aiohttp.ClientSession] = {}
        self._failures_in_a_row = 0

    async def fetch_json(self, call: ApiCall) -> JsonObject:
        """Return an answer that is a JSON object."""
        value = await self.fetch_value(call)
        if not isinstance(value, dict):
            raise self._not_json_error()
        return value

    async def fetch_value(self, call: ApiCall) -> object:
        """Return an answer that is any JSON value."""
        reply = await self.fetch_reply(call, MAX_ANSWER_BYTES)
        try:
            if len(reply.body) < _PARSED_IN_PLACE_BYTES:
                return json.loads(reply.body)
            return await asyncio.to_thread(json.loads, reply.body)
        except (ValueError, RecursionError):
            # Not chained: the original error quotes the answer.
            raise self._not_json_error() from None

    async def fetch_pages(
        self, first: ApiCall, following: Callable[[ApiCall, JsonObject], ApiCall | None]
    ) -> AsyncIterator[JsonObject]:
        """Yield the pages of a listing; ``following`` returns the call for the next one, or None after the last.

        Raises:
            SourceError: the service names the same page twice, or the listing has no end.

        """
        calls: set[ApiCall] = set()
        call: ApiCall | None = first
        while call is not None:
            if call in calls or len(calls) >= _MOST_PAGES:
                raise SourceError(
                    f"{self._service.name} returned the same page of a listing twice, or too many pages. Try "
                    "again later; nothing was deleted."
                )
            calls.add(call)
            page = await self.fetch_json(call)
            yield page
            call = following(call, page)

    async def fetch_objects(
        self, first: ApiCall, following: Callable[[ApiCall, JsonObject], ApiCall | None], key: str = "results"
    ) -> AsyncIterator[JsonObject]:
        """Yield the objects of a listing, which each page has under ``key``; otherwise as ``fetch_pages``."""
        async for page in self.fetch_pages(first, following):
            for one in require_objects(page, key):
                yield one

    async def download_document(self, call: ApiCall, document: str, limit: int) -> ServiceResponse:
        """Return a document's bytes.

        Raises:
            SourceError: the document is over ``limit`` bytes.

        """
        try:
            return await self.fetch_reply(call, limit, within_s=self._patience.download_s)
        except AnswerTooLarge as error:
            raise too_large_error(document, error.size_bytes, limit) from None

    async def fetch_reply(self, call: ApiCall, limit: int, within_s: float | None = None) -> ServiceResponse:
        """Return the answer to a call once it succeeds, within the attempts and the time of ``Patience``."""
        waited, renewed = 0.0, False
        for attempt in range(1, self._patience.attempts + 1):
            reply = await self._attempt_call(call, limit, within_s or self._patience.call_s)
            if isinstance(reply, ServiceResponse) and reply.status < 300:  # noqa: PLR2004 - HTTP's own number
                self._failures_in_a_row = 0
                return reply
            if isinstance(reply, ServiceResponse) and reply.status == 401:  # noqa: PLR2004 - HTTP's own number
                if renewed or not await self._authorization.renew():
                    raise self._denied_error()
                renewed = True
                continue
            if isinstance(reply, ServiceResponse) and not self._is_temporary(reply):
                raise self._refused_error(reply)
            wait = compute_wait_s(reply, attempt, self._context.now(), random.random())  # noqa: S311 - jitter
            waited += wait
            if attempt == self._patience.attempts or waited > self._patience.waits_s:
                raise self._exhausted_error(reply)
            await self._context.sleep(wait)
        raise self._denied_error()  # the last attempt was the one after renewing the credentials

    async def close(self) -> None:
        """Close the sessions; a second call does nothing."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    def _is_temporary(self, reply: ServiceResponse) -> bool:
        """Return whether a retry may help."""
        return reply.status in _THROTTLED | _BROKEN or self._service.is_throttled(reply)

    async def _attempt_call(self, call: ApiCall, limit: int, within_s: float) -> ServiceResponse | str:
        """Return the answer, or a phrase that says why there is none."""
        if self._pace is not None:
            await self._pace.wait_for_turn()
        try:
            async with asyncio.timeout(within_s):
                return await self._send_call(call, limit)
        except TimeoutError:
            return f"gave no answer within {within_s:.0f} s"
        except FetchError as error:
            return f"{_UNREACHABLE}: {error.reason}"
        except (aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError) as error:
            status = f", which answers {error.status}" if isinstance(error, aiohttp.ClientHttpProxyError) else ""
            return f"{_UNREACHABLE} through the proxy{status}"
        except aiohttp.ClientConnectionError:
            return _UNREACHABLE
        except (aiohttp.ClientError, ConnectionError, ValueError):
            return "broke off its answer"

    async def _send_call(self, call: ApiCall, limit: int) -> ServiceResponse:
        url = URL(f"{self._service.url}/{call.path}")
        url = url.update_query(call.params) if call.params else url
        for _ in range(_MOST_REDIRECTS + 1):
            own = url.origin() == self._service.url.origin()
            headers = dict(await self._authorization.headers()) if own else {}
            if call.body is not None:
                headers["Content-Type"] = call.media_type
            reply = await self._send_once(url, headers, call.body, limit)
            if reply.status not in _REDIRECTS or call.body is not None:
                return reply
            url = self._redirect_target(url, reply)
        raise SourceError(f"{self._service.name} redirects too often. Check that the configured address is right.")

    async def _send_once(self, url: URL, headers: Mapping[str, str], body: str | None, limit: int) -> ServiceResponse:
        method = "GET" if body is None else "POST"
        data = None if body is None else body.encode()
        proxy = self._context.web.proxies.choose_proxy(create_unchecked_target(url))
        named = URL(proxy.url) if proxy is not None and proxy.is_http else None
        session = await self._open_session(proxy)
        async with session.request(
            method, url, headers=headers, data=data, allow_redirects=False, proxy=named
        ) as response:
            if response.status >= 300:  # noqa: PLR2004 - HTTP's own number
                # The first bytes of an error are enough.
                return ServiceResponse(
                    response.status, response.headers.copy(), await response.content.read(_PIECE_BYTES)
                )
            return ServiceResponse(response.status, response.headers.copy(), await self._read_body(response, limit))

    async def _read_body(self, response: aiohttp.ClientResponse, limit: int) -> bytes:
        length = response.content_length or 0
        if length > limit:
            raise self._too_large_error(length)
        pieces, size = list[bytes](), 0
        async for piece in response.content.iter_chunked(_PIECE_BYTES):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise self._too_large_error(max(size, length))
        return b"".join(pieces)

    def _redirect_target(self, url: URL, reply: ServiceResponse) -> URL:
        try:
            target = url.join(URL(reply.headers.get("Location", "")))
            domains = (self._service.url.host or "", *self._service.domains)
            safe = target.scheme in {"https", url.scheme} and is_within_domains(target.host or "", domains)
        except ValueError:
            safe = False
        if not safe or target.user or target.password:
            raise SourceError(
                f"{self._service.name} redirects to an address that Kvasir does not follow. Check that the "
                "configured address is right."
            )
        return target

    async def _open_session(self, proxy: Proxy | None) -> aiohttp.ClientSession:
        if proxy not in self._sessions:
            tls = await asyncio.to_thread(create_tls_context, self._context.web)
            if proxy in self._sessions:  # another task opened it meanwhile
                return self._sessions[proxy]
            self._sessions[proxy] = aiohttp.ClientSession(
                connector=create_unguarded_connector(proxy, tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json, */*;q=0.5", "User-Agent": "Kvasir"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=20),
            )
        return self._sessions[proxy]

    # Errors. They never quote an answer: it may repeat the credentials.

    def _denied_error(self) -> SourceDenied:
        return SourceDenied(
            f"{self._service.name} refuses the {self._service.credentials} of the source "
            f"{self._context.name}: they are wrong or have expired. Renew them, then sync again; nothing was "
            "deleted."
        )

    def _refused_error(self, reply: ServiceResponse) -> CallRefused:
        reason = self._service.parse_error_code(reply.body)
        why = {403: "the account has no right to it", 404: "it does not exist, or the account may not see it"}.get(
            reply.status, "the service does not understand the call"
        )
        word = f" {reason}" if reason else ""
        return CallRefused(
            f"{self._service.name} refused a call of the source {self._context.name} (HTTP "
            f"{reply.status}{word}): {why}. Check the source's keys and the rights of its account.",
            reply.status,
            reason,
        )

    def _exhausted_error(self, reply: ServiceResponse | str) -> SourceError:
        """Return the error for a call that failed in all attempts.

        A single failing document must not stop the others; several failing calls in a row mean that the service is
        down.
        """
        kind: type[SourceError] = SourceUnavailable
        if isinstance(reply, str):
            what, own = reply, not reply.startswith(_UNREACHABLE)
        elif reply.status in _BROKEN:
            what, own = f"answers with an internal error (HTTP {reply.status})", True
        else:
            what, own = f"asks for a longer wait than Kvasir allows (HTTP {reply.status})", False
        if own:
            self._failures_in_a_row += 1
            kind = SourceUnavailable if self._failures_in_a_row >= _FAILED_IN_A_ROW else SourceError
        return kind(
            f"{self._service.name} ({self._service.url.host}) {what}. Check that it is up and that this "
            "machine can reach it; the next sync tries again and nothing was deleted."
        )

    def _not_json_error(self) -> SourceError:
        return SourceError(
            f"{self._service.name} ({self._service.url.host}) answered with something that is not JSON, "
            "perhaps a web page. Check the configured address, and that no login or proxy stands before it."
        )

    def _too_large_error(self, size_bytes: int) -> AnswerTooLarge:
        return AnswerTooLarge(
            f"{self._service.name} answered with {size_bytes / 1e6:.0f} MB, more than Kvasir reads at once. "
            "Narrow the source, or split the content.",
            size_bytes,
        )


async def fetch_or_none(
    call: Callable[[], Awaitable[_One]], statuses: Collection[int] = frozenset({403, 404})
) -> _One | None:
    """Return the answer to a call; None if the service refuses it with one of these statuses."""
    try:
        return await call()
    except CallRefused as error:
        if error.status in statuses:
            return None
        raise


async def run_concurrently(work: Iterable[Callable[[], Awaitable[_One]]], width: int = 4) -> list[_One]:
    """Run several calls, at most ``width`` at a time, and return their results in order; one failure cancels all."""
    turn = asyncio.Semaphore(width)
    errors: list[SourceError] = []

    async def run_one(todo: Callable[[], Awaitable[_One]]) -> _One:
        async with turn:
            try:
                return await todo()
            except SourceError as error:
                errors.append(error)
                raise

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(run_one(todo)) for todo in work]
    except* SourceError:
        pass
    if errors:
        raise errors[0]
    return [task.result() for task in tasks]

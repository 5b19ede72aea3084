"""Fetch something from the web: the one way by which Kvasir asks strangers for anything."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from knowledge.errors import (
    FetchError,
    FetchFailed,
    FetchRefused,
    FetchTimeout,
    FetchTooLarge,
    FetchUnlisted,
)
from knowledge.web.http import connections
from knowledge.web.http.content_encoding import ACCEPT_ENCODING, ContentDecoder
from knowledge.web.http.guard import AccessRules, Target, check_linked_url, check_url
from knowledge.web.http.proxies import Proxy
from knowledge.web.http.settings import FetchLimits, WebSettings

_log = logging.getLogger(__name__)

_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
_OK = 200
_YIELD_AFTER_BYTES = 1 << 20
"""Unpacked before other tasks have a turn."""
_CONDITIONAL_HEADERS = frozenset({"if-none-match", "if-modified-since"})


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect that was followed."""

    url: str
    status: int
    headers: Mapping[str, str]
    to: str


@dataclass(frozen=True, slots=True)
class FetchedResponse:
    """What came back. The body is there where the status is 200, and empty otherwise."""

    url: str
    """Where it was in the end, without a fragment."""
    status: int
    headers: Mapping[str, str]
    """By name in lower case; of several with one name, all, joined by a comma."""
    data: bytes = field(repr=False)
    """Unpacked."""
    hops: tuple[Redirect, ...] = ()
    """What led there, the first one first; none where there was no redirect."""

    @property
    def media_type(self) -> str:
        """Return the type without its parameters, in lower case; "" where none is told."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """What one fetch asks for beside the URL."""

    accept: Collection[str] | None = None
    """Media types whose body is read; None for any."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """``If-None-Match`` and ``If-Modified-Since``, for the URL's own origin alone."""
    authorization: str | None = field(default=None, repr=False)
    """The value of that header, for the URL's own origin alone."""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers of a service's own with what it knows us by, for the URL's own origin alone."""
    post: bytes | None = field(default=None, repr=False)
    """JSON. With it, the URL is posted to, and a redirect is refused."""
    limits: FetchLimits | None = None
    """Where others than the fetcher's own."""
    may: Callable[[Target], Awaitable[None]] | None = None
    """Says no, by an error, to a URL that the guard allows, before it is asked for; a redirect's goal is one, too."""


_NO_OPTIONS = FetchOptions()

_FAILURE_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError), "its certificate is not to be trusted"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "TLS failed"),
    ((aiohttp.ClientConnectorDNSError,), "its name does not resolve"),
    ((aiohttp.ClientConnectorError, ConnectionRefusedError), "it cannot be connected to"),
    ((aiohttp.ClientPayloadError, ConnectionError, aiohttp.ServerDisconnectedError), "the connection broke off"),
    ((aiohttp.ClientResponseError,), "what came is no HTTP, or has too many or too long headers"),
)


class Fetcher:
    """Fetches with one set of rules. Safe from several tasks; opened by its first fetch, usable after a close."""

    def __init__(
        self,
        settings: WebSettings,
        rules: AccessRules | None = None,
        *,
        resolve: connections.ResolveHost | None = None,
    ) -> None:
        self._settings = settings
        self._rules = rules or AccessRules(frozenset(settings.ports))
        self._names = connections.SystemResolver()
        self._resolve = resolve or self._names
        self._sessions: dict[Proxy | None, aiohttp.ClientSession] = {}
        self._tls: ssl.SSLContext | None = None

    async def fetch(self, url: str, ask: FetchOptions = _NO_OPTIONS) -> FetchedResponse:
        """Fetch a URL, following redirects.

        Raises:
            FetchRefused: the guard says no, to the URL, an address behind its name, or a redirect.
            FetchUnlisted: its type is not among those that are accepted.
            FetchTooLarge: it is over the limits.
            FetchTimeout: it took too long.
            FetchFailed: it cannot be reached or broke off.

        """
        limits = ask.limits or self._settings.limits
        try:
            async with asyncio.timeout(limits.total_s) as deadline:
                return await self._follow(url, ask, limits)
        except TimeoutError:
            seconds = limits.total_s if deadline.expired() else limits.idle_s
            error: FetchError = FetchTimeout(f"it took over {seconds:g} s")
        except FetchError as caught:
            error = caught
        _log.info("not fetched: %s (%s)", redact_url(url), error.reason)
        raise error from None

    def judge(self, url: str) -> Target:
        """Take a URL apart by this fetcher's rules; nothing is asked for.

        Raises:
            FetchRefused: the guard says no to the URL itself.

        """
        return check_url(url, self._rules)

    def judge_led(self, url: str, source: Target) -> Target:
        """Take apart a URL to which what a host said leads.

        Raises:
            FetchRefused: the guard says no to it, or to going there from that host.

        """
        return check_linked_url(url, source, self._rules)

    def names(self, host: str) -> bool:
        """Say whether a host may be at a private address, because the operator named it."""
        return self._rules.names(host)

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        self._names.close()
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def _follow(self, url: str, ask: FetchOptions, limits: FetchLimits) -> FetchedResponse:
        hops: list[Redirect] = []
        own = ask
        target = first = check_url(url, self._rules)
        for _ in range(limits.redirects + 1):
            if target.origin != first.origin:
                own = FetchOptions(ask.accept)  # never again, though a later redirect should lead back
            if ask.may is not None:
                await ask.may(target)
            found = await self._ask(target, own, limits, tuple(hops))
            if isinstance(found, FetchedResponse):
                return found
            if ask.post is not None:
                raise FetchRefused("what is posted is not sent on to where a redirect leads")
            following = self._next(target, found.to)
            hops.append(replace(found, to=following.url))
            target = following
        raise FetchRefused(f"there are more than {limits.redirects} redirects")

    def _next(self, target: Target, location: str) -> Target:
        try:
            url = urljoin(target.url, location.strip(" \t").replace(" ", "%20"))
        except ValueError:
            raise FetchRefused("a redirect leads to what is no URL") from None
        following = self.judge_led(url, target)
        if target.scheme == "https" and following.scheme == "http":
            raise FetchRefused("a redirect leads from https to http")
        return following

    async def _ask(
        self, target: Target, ask: FetchOptions, limits: FetchLimits, hops: tuple[Redirect, ...]
    ) -> FetchedResponse | Redirect:
        """Ask for one URL; return what came, or where it redirects to, as it says it."""
        proxy = self._settings.proxies.of(target)
        named = URL(proxy.url) if proxy is not None and proxy.trusted and proxy.is_http else None
        try:
            session = await self._session(proxy)
            url = URL(target.url, encoded=True)
            async with session.request(
                "GET" if ask.post is None else "POST",
                url,
                data=ask.post,
                allow_redirects=False,
                headers=self.headers(ask),
                proxy=named,
            ) as response:
                try:
                    return await _read_response(response, target, ask, limits, hops)
                finally:
                    if not response.content.at_eof():
                        response.close()  # the rest of a body that is not wanted is not waited for
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(_describe_failure(error)) from None

    def headers(self, ask: FetchOptions) -> dict[str, str]:
        """Return the headers that such a request has on its way to the URL's own origin."""
        headers = {"User-Agent": self._settings.user_agent, "Accept-Encoding": ACCEPT_ENCODING}
        headers["Accept"] = ", ".join([*sorted(ask.accept), "*/*;q=0.1"]) if ask.accept else "*/*"
        headers |= {name: value for name, value in ask.conditions.items() if name.lower() in _CONDITIONAL_HEADERS}
        headers |= ask.keys
        if ask.authorization is not None:
            headers["Authorization"] = ask.authorization
        if ask.post is not None:
            headers["Content-Type"] = "application/json"
        return headers

    async def _session(self, proxy: Proxy | None) -> aiohttp.ClientSession:
        if proxy not in self._sessions:
            if self._tls is None:
                # Some hundred certificates are read from disk.
                self._tls = await asyncio.to_thread(create_tls_context, self._settings)
            if proxy not in self._sessions:  # another task may have been quicker
                dialler = connections.create_connector(self._rules, proxy, resolve=self._resolve, tls=self._tls)
                self._sessions[proxy] = connections.create_session(dialler, self._settings.limits)
        return self._sessions[proxy]


def create_tls_context(settings: WebSettings) -> ssl.SSLContext:
    """Return what certificates are checked by: the system's authorities, and the company's own."""
    context = ssl.create_default_context()
    if settings.ca_file is not None:
        context.load_verify_locations(cafile=settings.ca_file)
    return context


async def _read_response(
    response: aiohttp.ClientResponse, target: Target, ask: FetchOptions, limits: FetchLimits, hops: tuple[Redirect, ...]
) -> FetchedResponse | Redirect:
    headers = _join_headers(response)
    location = response.headers.get("Location")
    if response.status in _REDIRECT_STATUSES and location is not None:
        return Redirect(target.url, response.status, headers, location)
    fetched = FetchedResponse(target.url, response.status, headers, b"", hops)
    if response.status != _OK:
        return fetched
    if ask.accept is not None and fetched.media_type not in ask.accept:
        raise FetchUnlisted(f"it is {fetched.media_type or 'of no type'}")
    return FetchedResponse(
        target.url,
        response.status,
        headers,
        await _read_body(response, headers.get("content-encoding", ""), limits),
        hops,
    )


def _join_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        value = value.encode("utf-8", "replace").decode()  # noqa: PLW2901 - bytes that are no text would spoil a memory
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


async def _read_body(response: aiohttp.ClientResponse, encoding: str, limits: FetchLimits) -> bytes:
    if (response.content_length or 0) > limits.wire_bytes:
        raise FetchTooLarge(f"it has {response.content_length} bytes, more than {limits.wire_bytes}")
    unpacker = ContentDecoder(encoding, limits.body_bytes)
    body = bytearray()
    came, breath = 0, _YIELD_AFTER_BYTES
    async for part in response.content.iter_any():
        came += len(part)
        if came > limits.wire_bytes:
            raise FetchTooLarge(f"more than {limits.wire_bytes} bytes came")
        for piece in unpacker.feed(part):
            body += piece
            if len(body) > breath:
                breath = len(body) + _YIELD_AFTER_BYTES
                await asyncio.sleep(0)
    unpacker.end()
    return bytes(body)


def _describe_failure(error: Exception) -> str:
    """Return a phrase of ours: what libraries and servers say may quote what is nobody's business."""
    for kinds, phrase in _FAILURE_REASONS:
        if isinstance(error, kinds):
            return phrase
    return f"the request failed ({error.__class__.__name__})"


def redact_url(url: str) -> str:
    """Return of a URL what a log may hold: no query, no credentials, no line ends."""
    place = url.partition("?")[0].partition("#")[0]
    scheme, mark, rest = place.partition("://")
    return ascii(f"{scheme}{mark}{rest.rpartition('@')[2]}"[:200])[1:-1]

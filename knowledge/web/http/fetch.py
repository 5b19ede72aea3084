"""Guarded fetching: all requests of Kvasir to hosts that it does not control pass here."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import urljoin

import aiohttp
from yarl import URL

from knowledge.errors import (
    FetchError,
    FetchFailed,
    FetchRefused,
    FetchTimeout,
    FetchTooLarge,
    FetchTypeNotAllowed,
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
"""Decoded bytes after which other tasks run."""
_CONDITIONAL_HEADERS = frozenset({"if-none-match", "if-modified-since"})


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirect that was followed."""

    url: str
    status: int
    headers: Mapping[str, str]
    target_url: str


@dataclass(frozen=True, slots=True)
class FetchedResponse:
    """The final response. The body is empty unless the status is 200."""

    url: str
    """The final URL, without a fragment."""
    status: int
    headers: Mapping[str, str]
    """The headers by name in lower case; several headers of one name are joined by a comma."""
    data: bytes = field(repr=False)
    redirects: tuple[Redirect, ...] = ()

    @property
    def media_type(self) -> str:
        """Return the media type without parameters, in lower case; "" if there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """Options of one fetch. Headers other than Accept are sent to the URL's own origin only."""

    accept: Collection[str] | None = None
    """Media types whose body is read; None for any."""
    conditional_headers: Mapping[str, str] = field(default_factory=dict)
    """``If-None-Match`` and ``If-Modified-Since``."""
    authorization: str | None = field(default=None, repr=False)
    secret_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Further headers with credentials."""
    json_body: bytes | None = field(default=None, repr=False)
    """JSON to send by POST, which follows no redirect."""
    limits: FetchLimits | None = None
    """None for the fetcher's own."""
    check_target: Callable[[Target], Awaitable[None]] | None = None
    """Refuses a URL by raising an error. It runs after the guard, before each request, also after a redirect."""


_NO_OPTIONS = FetchOptions()

_FAILURE_REASONS: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError), "its certificate is not trusted"),
    ((aiohttp.ClientSSLError, ssl.SSLError), "TLS failed"),
    ((aiohttp.ClientConnectorDNSError,), "its name does not resolve"),
    ((aiohttp.ClientConnectorError, ConnectionRefusedError), "the connection failed"),
    ((aiohttp.ClientPayloadError, ConnectionError, aiohttp.ServerDisconnectedError), "the connection broke off"),
    ((aiohttp.ClientResponseError,), "the response is not HTTP, or has too many or too long headers"),
)


class Fetcher:
    """Fetches under one set of rules. Safe to share between tasks; the first fetch opens it, also after a close."""

    def __init__(
        self,
        settings: WebSettings,
        rules: AccessRules | None = None,
        *,
        resolve: connections.ResolveHost | None = None,
    ) -> None:
        self._settings = settings
        self.rules = rules or AccessRules(frozenset(settings.ports))
        self._system_resolver = connections.SystemResolver()
        self._resolve = resolve or self._system_resolver
        self._sessions: dict[Proxy | None, aiohttp.ClientSession] = {}
        self._tls: ssl.SSLContext | None = None

    async def fetch(self, url: str, options: FetchOptions = _NO_OPTIONS) -> FetchedResponse:
        """Fetch a URL, following redirects.

        Raises:
            FetchRefused: the guard refuses the URL, an address of its host, or a redirect.
            FetchUnlisted: the media type is not accepted.
            FetchTooLarge: the response exceeds the limits.
            FetchTimeout: the fetch took too long.
            FetchFailed: the connection failed or broke.

        """
        limits = options.limits or self._settings.limits
        try:
            async with asyncio.timeout(limits.total_s) as deadline:
                return await self._follow_redirects(url, options, limits)
        except TimeoutError:
            seconds = limits.total_s if deadline.expired() else limits.idle_s
            error: FetchError = FetchTimeout(f"it took over {seconds:g} s")
        except FetchError as caught:
            error = caught
        _log.info("fetch failed: %s (%s)", redact_url(url), error.reason)
        raise error from None

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        self._system_resolver.close()
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def _follow_redirects(self, url: str, options: FetchOptions, limits: FetchLimits) -> FetchedResponse:
        redirects: list[Redirect] = []
        sent = options
        target = first = check_url(url, self.rules)
        for _ in range(limits.max_redirects + 1):
            if target.origin != first.origin:
                sent = FetchOptions(options.accept)  # for good, even if a later redirect leads back
            if options.check_target is not None:
                await options.check_target(target)
            response = await self._request_once(target, sent, limits, tuple(redirects))
            if isinstance(response, FetchedResponse):
                return response
            if options.json_body is not None:
                raise FetchRefused("a POST follows no redirect")
            following = self._resolve_redirect(target, response.target_url)
            redirects.append(replace(response, target_url=following.url))
            target = following
        raise FetchRefused(f"there are more than {limits.max_redirects} redirects")

    def _resolve_redirect(self, target: Target, location: str) -> Target:
        try:
            url = urljoin(target.url, location.strip(" \t").replace(" ", "%20"))
        except ValueError:
            raise FetchRefused("a redirect leads to a malformed URL") from None
        following = check_linked_url(url, target, self.rules)
        if target.scheme == "https" and following.scheme == "http":
            raise FetchRefused("a redirect leads from https to http")
        return following

    async def _request_once(
        self, target: Target, options: FetchOptions, limits: FetchLimits, redirects: tuple[Redirect, ...]
    ) -> FetchedResponse | Redirect:
        """Request one URL; return the response, or the redirect with its target as the server wrote it."""
        proxy = self._settings.proxies.choose_proxy(target)
        http_proxy = URL(proxy.url) if proxy is not None and proxy.is_trusted and proxy.is_http else None
        try:
            session = await self._open_session(proxy)
            url = URL(target.url, encoded=True)
            async with session.request(
                "GET" if options.json_body is None else "POST",
                url,
                data=options.json_body,
                allow_redirects=False,
                headers=self.build_headers(options),
                proxy=http_proxy,
            ) as response:
                try:
                    return await _read_response(response, target, options, limits, redirects)
                finally:
                    if not response.content.at_eof():
                        response.close()  # do not wait for the rest of the body
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(_describe_failure(error)) from None

    def build_headers(self, options: FetchOptions) -> dict[str, str]:
        """Return the headers of a request to the URL's own origin."""
        headers = {"User-Agent": self._settings.user_agent, "Accept-Encoding": ACCEPT_ENCODING}
        headers["Accept"] = ", ".join([*sorted(options.accept), "*/*;q=0.1"]) if options.accept else "*/*"
        headers |= {
            name: value for name, value in options.conditional_headers.items() if name.lower() in _CONDITIONAL_HEADERS
        }
        headers |= options.secret_headers
        if options.authorization is not None:
            headers["Authorization"] = options.authorization
        if options.json_body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    async def _open_session(self, proxy: Proxy | None) -> aiohttp.ClientSession:
        if proxy not in self._sessions:
            if self._tls is None:
                # This reads some hundred certificates from disk.
                self._tls = await asyncio.to_thread(create_tls_context, self._settings)
            if proxy not in self._sessions:  # another task may have opened it meanwhile
                connector = connections.create_connector(self.rules, proxy, resolve=self._resolve, tls=self._tls)
                self._sessions[proxy] = connections.create_session(connector, self._settings.limits)
        return self._sessions[proxy]


def create_tls_context(settings: WebSettings) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities and the company's own.

    All who trust the same files share it until one of them changes: it has some hundred certificates.
    """
    system = ssl.get_default_verify_paths()
    files = [Path(file) for file in (system.cafile, system.capath, settings.ca_file) if file is not None]
    return _load_authorities(settings.ca_file, tuple((file, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=4)
def _load_authorities(ca_file: Path | None, _changed: tuple[tuple[Path, int], ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context


async def _read_response(
    response: aiohttp.ClientResponse,
    target: Target,
    options: FetchOptions,
    limits: FetchLimits,
    redirects: tuple[Redirect, ...],
) -> FetchedResponse | Redirect:
    headers = _join_headers(response)
    location = response.headers.get("Location")
    if response.status in _REDIRECT_STATUSES and location is not None:
        return Redirect(target.url, response.status, headers, location)
    fetched = FetchedResponse(target.url, response.status, headers, b"", redirects)
    if response.status != _OK:
        return fetched
    if options.accept is not None and fetched.media_type not in options.accept:
        raise FetchTypeNotAllowed(f"it is {fetched.media_type or 'of no type'}")
    return FetchedResponse(
        target.url,
        response.status,
        headers,
        await _read_body(response, headers.get("content-encoding", ""), limits),
        redirects,
    )


def _join_headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = name.lower()
        value = value.encode("utf-8", "replace").decode()  # noqa: PLW2901 - lone surrogates cannot be stored
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    return headers


async def _read_body(response: aiohttp.ClientResponse, encoding: str, limits: FetchLimits) -> bytes:
    if (response.content_length or 0) > limits.wire_bytes:
        raise FetchTooLarge(f"it has {response.content_length} bytes, more than {limits.wire_bytes}")
    decoder = ContentDecoder(encoding, limits.body_bytes)
    body = bytearray()
    received, yield_at = 0, _YIELD_AFTER_BYTES
    async for part in response.content.iter_any():
        received += len(part)
        if received > limits.wire_bytes:
            raise FetchTooLarge(f"more than {limits.wire_bytes} bytes were transferred")
        for piece in decoder.decode(part):
            body += piece
            if len(body) > yield_at:
                yield_at = len(body) + _YIELD_AFTER_BYTES
                await asyncio.sleep(0)
    decoder.finish()
    return bytes(body)


def _describe_failure(error: Exception) -> str:
    """Return a phrase of Kvasir's own, because texts of libraries and servers may quote secrets."""
    for kinds, phrase in _FAILURE_REASONS:
        if isinstance(error, kinds):
            return phrase
    return f"the request failed ({error.__class__.__name__})"


def redact_url(url: str) -> str:
    """Return a URL as a log may show it: without query, credentials and line ends."""
    place = url.partition("?")[0].partition("#")[0]
    scheme, mark, rest = place.partition("://")
    return ascii(f"{scheme}{mark}{rest.rpartition('@')[2]}"[:200])[1:-1]

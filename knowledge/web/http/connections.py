"""How a connection comes about: a name is resolved once, every address is judged, and one of these is dialled.

aiohttp keeps Host and SNI as the URL has them, for HTTP and HTTPS alike, whatever address its resolver returns; behind
a proxy that is told addresses the same holds, as TLS is spoken through the tunnel.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from python_socks import ProxyError, ProxyTimeoutError, ProxyType, parse_proxy_url
from python_socks.async_.asyncio import Proxy as Tunnel

from knowledge.errors import FetchFailed, FetchTimeout
from knowledge.thread_pool import ThreadDoor
from knowledge.web.http.guard import AccessRules, check_address
from knowledge.web.http.proxies import Proxy
from knowledge.web.http.settings import FetchLimits

ResolveHost = Callable[[str], Awaitable[Sequence[str]]]
"""A host's name -> its addresses; raises ``OSError`` where it has none."""

_MAX_PER_HOST = 4
_MAX_CONNECTIONS = 64
_MAX_ADDRESSES = 4
"""Of one name that are tried through a proxy."""
_MAX_LOOKUPS = 8
"""Names that are looked up at the same time."""


class SystemResolver:
    """Resolves as the machine is set up to, in threads of its own.

    A name whose servers do not answer holds a thread for up to half a minute, whoever waits: whoever gives such links
    holds up other links, and nothing else.
    """

    def __init__(self) -> None:
        self._door = ThreadDoor("names", width=_MAX_LOOKUPS)

    async def __call__(self, host: str) -> Sequence[str]:
        """Return the addresses of a host.

        Raises:
            OSError: there is no such name, or nothing answers.

        """
        found = await self._door.run(lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def close(self) -> None:
        """Wait for no answer that is out; the next call opens it again."""
        self._door.close()


class GuardedResolver(AbstractResolver):
    """Returns addresses that may be dialled. One that may not be is enough to refuse the name."""

    def __init__(self, rules: AccessRules, resolve: ResolveHost) -> None:
        self._rules = rules
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Resolve and judge.

        Raises:
            FetchRefused: an address may not be dialled.
            OSError: the name does not resolve.

        """
        del family
        addresses = await self._resolve(host)
        for address in addresses:
            check_address(address, host, self._rules)
        if not addresses:
            raise OSError("the name has no address")
        return [_build_resolve_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        """Do nothing: nothing stays open."""


class _PassThroughResolver(AbstractResolver):
    """Leaves names as they are, for a proxy that resolves them."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        del family
        return [_build_resolve_result(host, host, port)]

    async def close(self) -> None:
        """Do nothing."""


def _build_resolve_result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)


class _TunnelConnector(aiohttp.TCPConnector):
    """Dials through a proxy: a tunnel to what the resolver returned, and whatever is spoken goes through it."""

    def __init__(self, proxy: Proxy, **options: Any) -> None:  # noqa: ANN401 - as TCPConnector's
        super().__init__(**options)
        self._proxy = proxy

    async def _wrap_create_connection(
        self,
        *args: Any,  # noqa: ANN401 - aiohttp's own seam
        addr_infos: list[Any],
        req: aiohttp.ClientRequest,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own seam
        client_error: type[Exception] = aiohttp.ClientConnectorError,
        **kwargs: Any,  # noqa: ANN401 - aiohttp's own seam
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        del req, client_error
        tunnel = await self._any_tunnel([info[4] for info in addr_infos[:_MAX_ADDRESSES]], timeout.sock_connect)
        try:
            return await self._loop.create_connection(*args, **kwargs, sock=tunnel)
        except BaseException:
            tunnel.close()
            raise

    async def _any_tunnel(self, places: Sequence[Sequence[Any]], timeout_s: float | None) -> socket.socket:
        """Return a tunnel to the first of the addresses to which the proxy connects: it may know no IPv6."""
        for host, port, *_ in places[:-1]:
            with contextlib.suppress(FetchFailed):
                return await self._tunnel(str(host), int(port), timeout_s)
        host, port, *_ = places[-1]
        return await self._tunnel(str(host), int(port), timeout_s)

    async def _tunnel(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        kind, proxy_host, proxy_port, user, password = parse_proxy_url(_normalize_scheme(self._proxy.url))
        tunnel = Tunnel(kind, proxy_host, proxy_port, user, password, rdns=True if kind is ProxyType.SOCKS4 else None)
        try:
            return await tunnel.connect(host, port, timeout=timeout_s)
        except ProxyTimeoutError:
            raise FetchTimeout(f"the proxy {self._proxy.shown} does not answer") from None
        except (ProxyError, OSError) as error:
            code = getattr(error, "error_code", None)
            raise FetchFailed(f"the proxy {self._proxy.shown} does not connect there ({code})") from None


def _normalize_scheme(url: str) -> str:
    """Return the scheme that the library knows."""
    return url.replace("socks5h://", "socks5://", 1).replace("socks4a://", "socks4://", 1)


def create_connector(
    rules: AccessRules, proxy: Proxy | None, *, resolve: ResolveHost, tls: ssl.SSLContext
) -> aiohttp.TCPConnector:
    """Return what dials directly, or through a proxy."""
    options: dict[str, Any] = {
        "ssl": tls, "use_dns_cache": False, "limit": _MAX_CONNECTIONS, "limit_per_host": _MAX_PER_HOST,
    }  # fmt: skip
    if proxy is None:
        return aiohttp.TCPConnector(resolver=GuardedResolver(rules, resolve), **options)
    if not proxy.trusted:
        return _TunnelConnector(proxy, resolver=GuardedResolver(rules, resolve), **options)
    if proxy.is_http:
        return aiohttp.TCPConnector(**options)  # dials the proxy alone: each request names it
    return _TunnelConnector(proxy, resolver=_PassThroughResolver(), **options)


def create_unguarded_connector(proxy: Proxy | None, tls: ssl.SSLContext) -> aiohttp.TCPConnector:
    """Return what dials hosts that an operator has named: nothing is judged, and a proxy is told the name.

    Through a proxy that speaks HTTP each request names it.
    """
    if proxy is None or proxy.is_http:
        return aiohttp.TCPConnector(ssl=tls)
    return _TunnelConnector(proxy, resolver=_PassThroughResolver(), ssl=tls)


def create_session(dialler: aiohttp.TCPConnector, limits: FetchLimits) -> aiohttp.ClientSession:
    """Return a session that keeps no cookies, reads no environment and unpacks nothing by itself."""
    return aiohttp.ClientSession(
        connector=dialler,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.idle_s, sock_read=limits.idle_s),
        max_headers=limits.headers,
        max_field_size=limits.header_bytes,
        max_line_size=limits.header_bytes,
    )

"""Connections: Kvasir resolves a name once, checks every address, and connects to one of them.

aiohttp takes Host and SNI from the URL, for HTTP and HTTPS, not from the address that its resolver returns. The same
holds behind an untrusted proxy, because TLS runs through the tunnel.
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
from knowledge.thread_pool import NamedThreadPool
from knowledge.web.http.guard import AccessRules, check_address
from knowledge.web.http.proxies import Proxy
from knowledge.web.http.settings import FetchLimits

ResolveHost = Callable[[str], Awaitable[Sequence[str]]]
"""Return the addresses of a host; raise ``OSError`` if there are none."""

_MAX_PER_HOST = 4
_MAX_CONNECTIONS = 64
_MAX_ADDRESSES = 4
"""Addresses of one host that are tried through a proxy."""
_MAX_LOOKUPS = 8
"""Names that are resolved at the same time."""


class SystemResolver:
    """Resolves names as the system does, in threads of its own.

    A name whose servers do not answer blocks a thread for up to half a minute. So such a link delays other links, but
    nothing else.
    """

    def __init__(self) -> None:
        self._door = NamedThreadPool("names", width=_MAX_LOOKUPS)

    async def __call__(self, host: str) -> Sequence[str]:
        """Return the addresses of a host.

        Raises:
            OSError: the name does not exist, or no server answers.

        """
        infos = await self._door.run(lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        return list(dict.fromkeys(str(address[0]) for *_, address in infos))

    def close(self) -> None:
        """Stop without waiting for pending answers; the next call opens it again."""
        self._door.close()


class GuardedResolver(AbstractResolver):
    """Returns checked addresses. One forbidden address is enough to refuse the name."""

    def __init__(self, rules: AccessRules, resolve: ResolveHost) -> None:
        self._rules = rules
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a host after checking them.

        Raises:
            FetchRefused: one of the addresses is refused.
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
        """Do nothing, because nothing stays open."""


class _PassThroughResolver(AbstractResolver):
    """Returns names unresolved, for a proxy that resolves them."""

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
    """Connects through a proxy: it opens a tunnel to an address from the resolver and sends everything through it."""

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
        tunnel = await self._open_any_tunnel([info[4] for info in addr_infos[:_MAX_ADDRESSES]], timeout.sock_connect)
        try:
            return await self._loop.create_connection(*args, **kwargs, sock=tunnel)
        except BaseException:
            tunnel.close()
            raise

    async def _open_any_tunnel(self, addresses: Sequence[Sequence[Any]], timeout_s: float | None) -> socket.socket:
        """Return a tunnel to the first address that the proxy reaches: it may not support IPv6."""
        for host, port, *_ in addresses[:-1]:
            with contextlib.suppress(FetchFailed):
                return await self._open_tunnel(str(host), int(port), timeout_s)
        host, port, *_ = addresses[-1]
        return await self._open_tunnel(str(host), int(port), timeout_s)

    async def _open_tunnel(self, host: str, port: int, timeout_s: float | None) -> socket.socket:
        kind, proxy_host, proxy_port, user, password = parse_proxy_url(_normalize_scheme(self._proxy.url))
        tunnel = Tunnel(kind, proxy_host, proxy_port, user, password, rdns=True if kind is ProxyType.SOCKS4 else None)
        try:
            return await tunnel.connect(host, port, timeout=timeout_s)
        except ProxyTimeoutError:
            raise FetchTimeout(f"the proxy {self._proxy.redacted_url} does not answer") from None
        except (ProxyError, OSError) as error:
            code = getattr(error, "error_code", None)
            raise FetchFailed(f"the proxy {self._proxy.redacted_url} does not connect there ({code})") from None


def _normalize_scheme(url: str) -> str:
    """Return a proxy's address with a scheme that the library supports."""
    return url.replace("socks5h://", "socks5://", 1).replace("socks4a://", "socks4://", 1)


def create_connector(
    rules: AccessRules, proxy: Proxy | None, *, resolve: ResolveHost, tls: ssl.SSLContext
) -> aiohttp.TCPConnector:
    """Return a connector that connects directly or through a proxy, and checks every address."""
    options: dict[str, Any] = {
        "ssl": tls, "use_dns_cache": False, "limit": _MAX_CONNECTIONS, "limit_per_host": _MAX_PER_HOST,
    }  # fmt: skip
    if proxy is None:
        return aiohttp.TCPConnector(resolver=GuardedResolver(rules, resolve), **options)
    if not proxy.is_trusted:
        return _TunnelConnector(proxy, resolver=GuardedResolver(rules, resolve), **options)
    if proxy.is_http:
        return aiohttp.TCPConnector(**options)  # connects to the proxy only: each request names it
    return _TunnelConnector(proxy, resolver=_PassThroughResolver(), **options)


def create_unguarded_connector(proxy: Proxy | None, tls: ssl.SSLContext) -> aiohttp.TCPConnector:
    """Return a connector for hosts from the configuration: it checks no address, and a proxy gets the name.

    Each request names an HTTP proxy itself.
    """
    if proxy is None or proxy.is_http:
        return aiohttp.TCPConnector(ssl=tls)
    return _TunnelConnector(proxy, resolver=_PassThroughResolver(), ssl=tls)


def create_session(connector: aiohttp.TCPConnector, limits: FetchLimits) -> aiohttp.ClientSession:
    """Return a session without cookies, environment settings and automatic decompression."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.idle_s, sock_read=limits.idle_s),
        max_headers=limits.max_headers,
        max_field_size=limits.header_bytes,
        max_line_size=limits.header_bytes,
    )

"""Find the servers behind the names in ``KVASIR_ENGINE_URL``: each address of a name is a server."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from engine.client.client import ServerEndpoint

_LOOKUP_S: Final = 5.0

ResolveName = Callable[[str], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, or raises ``OSError``."""


async def resolve_name(host: str) -> Sequence[str]:
    """Return the addresses of a host as the system resolves it: those of IPv4, and others only if there are none.

    A host with addresses of both kinds is one server.

    Raises:
        OSError: the name has no address, or no name server answers in time.

    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOKUP_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except UnicodeError as error:  # a label that is too long
        raise OSError(str(error)) from error
    addresses = [(family, str(address[0])) for family, _, _, _, address in found]
    preferred = [address for family, address in addresses if family == socket.AF_INET]
    return sorted(set(preferred or [address for _, address in addresses]))


class ServerAddresses:
    """The servers at the URLs of some endpoints."""

    def __init__(self, endpoints: Sequence[ServerEndpoint], resolve: ResolveName = resolve_name) -> None:
        self._found = {endpoint: [endpoint] for endpoint in endpoints}
        """The last known servers. A name that cannot be resolved keeps them."""
        self._resolve = resolve

    async def find_servers(self) -> list[ServerEndpoint]:
        """Return an endpoint for each address, in the order of the URLs."""
        for endpoint, addresses in zip(
            self._found, await asyncio.gather(*map(self._find_addresses, self._found)), strict=True
        ):
            if addresses:
                self._found[endpoint] = [replace(endpoint, address=address) for address in addresses]
        return [server for servers in self._found.values() for server in servers]

    async def _find_addresses(self, endpoint: ServerEndpoint) -> Sequence[str]:
        host = urlsplit(endpoint.url).hostname or ""
        if host == "localhost" or _is_address(host):
            return ()
        try:
            return await self._resolve(host)
        except OSError:  # also a timeout
            return ()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

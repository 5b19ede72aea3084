"""A DNS server on UDP whose names encode their addresses, and its client; for DNS rebinding at the wire."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from tests.web.http.ssrf_vectors import INNER_NAMES, METADATA_NAMES, PUBLIC, STRANGE_NAMES

A, AAAA = 1, 28
_INSIDE = frozenset(name.lower().rstrip(".") for name in (*INNER_NAMES, *METADATA_NAMES, *STRANGE_NAMES))


class DnsServer(asyncio.DatagramProtocol):
    """Answers with a TTL of 0.

    ``v4-10-0-0-1.*``, ``v6-HEX.*`` and ``*.10.0.0.1.nip.io`` resolve to the addresses in their names. ``rebindN.*`` is
    public at first and private later, ``rebindsixN.*`` the same in IPv6, and ``mixedN.*`` is both at once. Names of the
    inner network resolve to it, and all others to ``elsewhere``.
    """

    def __init__(self, inner: str = "127.0.0.1", elsewhere: str = PUBLIC) -> None:
        self.inner = inner
        self.elsewhere = elsewhere
        self.asked: Counter[str] = Counter()

    async def start(self) -> int:
        """Listen, and return the port."""
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        (kind,) = struct.unpack_from(">H", data, at + 1)
        question = data[12 : at + 5]
        answers = [one for one in self._addresses(labels, kind) if (4 if kind == A else 16) == len(one)]
        head = struct.pack(">HHHHHH", struct.unpack_from(">H", data)[0], 0x8180, 1, len(answers), 0, 0)
        body = b"".join(struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(one)) + one for one in answers)
        self.transport.sendto(head + question + body, addr)

    def _addresses(self, labels: list[str], kind: int) -> list[bytes]:
        name, _, value = labels[0].partition("-")
        inner, public = IPv4Address(self.inner).packed, IPv4Address(PUBLIC).packed
        if name in {"v4", "v6"}:
            return [ip_address(value.replace("-", ".") if name == "v4" else int(value, 16)).packed]
        if labels[-2:] == ["nip", "io"]:
            return [IPv4Address(".".join(labels[-6:-2])).packed]
        if name.startswith("rebind"):
            return [self._rebound(name, kind)]
        if name.startswith("mixed"):
            return [public, inner]
        return [inner if ".".join(labels).lower() in _INSIDE else IPv4Address(self.elsewhere).packed]

    def _rebound(self, name: str, kind: int) -> bytes:
        """Return the public address first, then the internal one, for some names as an IPv6 address."""
        six = name.startswith("rebindsix")
        self.asked[name] += kind == A
        if self.asked[name] <= 1:
            return IPv4Address(PUBLIC).packed
        return IPv6Address(f"::ffff:{self.inner}").packed if six else IPv4Address(self.inner).packed


class DnsClient:
    """Resolves by this DNS server, without a cache."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ids = itertools.count(1)

    async def __call__(self, host: str) -> Sequence[str]:
        found = [await self._query(host, kind) for kind in (A, AAAA)]
        return [address for some in found for address in some]

    async def _query(self, host: str, kind: int) -> list[str]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
            line.setblocking(False)
            name = b"".join(bytes([len(part)]) + part.encode() for part in host.split(".")) + b"\0"
            query = struct.pack(">HHHHHH", next(self._ids) & 0xFFFF, 0x0100, 1, 0, 0, 0) + name
            await loop.sock_sendto(line, query + struct.pack(">HH", kind, 1), ("127.0.0.1", self._port))
            async with asyncio.timeout(5):
                data = await loop.sock_recv(line, 2_000)
        return list(_answers(data, 12 + len(name) + 4))


def _answers(data: bytes, at: int) -> list[str]:
    found = []
    for _ in range(struct.unpack_from(">H", data, 6)[0]):
        size = struct.unpack_from(">H", data, at + 10)[0]
        packed = data[at + 12 : at + 12 + size]
        found.append(str(IPv4Address(packed) if size == 4 else IPv6Address(packed)))
        at += 12 + size
    return found

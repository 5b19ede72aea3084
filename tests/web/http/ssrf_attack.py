"""Try every SSRF vector against a canary, through each kind of proxy: ``python -m tests.web.http.ssrf_attack``.

This runs in a network namespace in which the kernel routes every address to this machine. So each connection reaches
the canary, which records it with its address and port. Without a namespace the canary listens on loopback.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field

import aiohttp

from knowledge.errors import FetchError, FetchRefused
from knowledge.web.http.fetch import Fetcher, FetchOptions
from knowledge.web.http.guard import AccessRules, build_rules
from knowledge.web.http.proxies import Proxies, Proxy
from knowledge.web.http.settings import FetchLimits, WebSettings
from tests.web.http.dns_server import DnsClient, DnsServer
from tests.web.http.proxy_servers import HttpProxy, SocksProxy, TestProxy, listening
from tests.web.http.ssrf_vectors import PORTS, PUBLIC, urls

WAYS = ("direct", "http proxy", "socks proxy", "trusted http proxy", "trusted socks proxy")
WEB_PORTS = (80, 443)
LIMITS = FetchLimits(total_s=10, idle_s=5)
SITE = "site.example"
ALLOWED = "127.9.9.9"
"""Where the canary may be dialled, as an operator's own host."""


@dataclass
class Outcome:
    """The outcome of all vectors through one kind of proxy."""

    vectors: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    """Vectors that failed for another reason than a refusal."""
    hits: list[str] = field(default_factory=list)
    """Forbidden connections to the canary."""
    control: int = 0
    """Required hits: the canary as a private host, and by rebinding without the guard."""
    targets: list[str] = field(default_factory=list)
    """Targets that the proxy received, each once."""
    families: dict[str, int] = field(default_factory=dict)


class Canary:
    """Listens on every address or on loopback, and acts as a public site that redirects on request."""

    def __init__(self) -> None:
        self.dialled: list[tuple[str, int]] = []
        self.odd: list[str] = []
        """Requests that are not one request with one Host."""

    async def start(self, stack: AsyncExitStack, port: int, *, everywhere: bool) -> int:
        family, host = (socket.AF_INET6, "::") if everywhere else (socket.AF_INET, "127.0.0.1")
        line = socket.create_server((host, port), family=family, dualstack_ipv6=everywhere)
        server = await asyncio.start_server(self._serve, sock=line)
        stack.callback(server.close)
        bound: int = line.getsockname()[1]
        return bound

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        self.dialled.append((address.removeprefix("::ffff:"), port))
        try:
            if port == 443:
                return  # that it was dialled is enough, TLS is not spoken
            async with asyncio.timeout(5):
                writer.write(self._answer((await reader.readuntil(b"\r\n\r\n")).decode("latin-1")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a knock that says nothing
        finally:
            writer.close()

    def _answer(self, head: str) -> bytes:
        line, *fields = head.split("\r\n")
        if len(line.split(" ")) != 3 or sum(one.lower().startswith("host:") for one in fields) != 1:
            self.odd.append(head)
        path, _, query = line.split(" ")[1].partition("?")
        if path.startswith("/to"):
            return _response(path[3:] or "302", f"Location: {query}", "")
        more = 'Refresh: 0;url=http://10.0.0.1/\r\nAlt-Svc: h2="10.0.0.1:80"' if path == "/refresh" else "X: y"
        return _response("200", more, "<meta http-equiv=refresh content='0;url=http://10.0.0.1/'>")


def _response(status: str, field: str, body: str) -> bytes:
    return (
        f"HTTP/1.1 {status} -\r\nContent-Type: text/html\r\nContent-Location: http://10.0.0.1/\r\n{field}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode("latin-1")


async def attack(*, everywhere: bool) -> dict[str, Outcome]:
    """Try every vector in every way; in a namespace also through trusted proxies."""
    outcomes: dict[str, Outcome] = {}
    async with AsyncExitStack() as stack:
        canary = Canary()
        port = await canary.start(stack, 80 if everywhere else 0, everywhere=everywhere)
        if everywhere:
            for other in (443, *PORTS):
                await canary.start(stack, other, everywhere=True)
        dns = DnsServer(
            inner="10.0.0.1" if everywhere else "127.0.0.1", elsewhere=PUBLIC if everywhere else "127.0.0.1"
        )
        resolve = DnsClient(await dns.start())
        stack.callback(dns.transport.close)
        # Without a namespace nothing is public: the site that redirects is allowed by name, and nothing else is.
        named = build_rules([] if everywhere else [f"{SITE}:{port}"], {80, 443} if everywhere else {80, port})
        for way in WAYS if everywhere else WAYS[:3]:
            # A trusted proxy must itself stay out of the inner network. This one does, and the test reads its requests.
            careful = frozenset({PUBLIC, ALLOWED}) if "trusted" in way else None
            proxy = _proxy(way, resolve, careful)
            place = await stack.enter_async_context(listening(proxy)) if proxy else ""
            dns.asked.clear()
            outcomes[way] = await _one_way(canary, _proxies(way, place), named, resolve, port)
            outcomes[way].targets = sorted(set(proxy.targets)) if proxy else []
    return outcomes


def _proxy(way: str, resolve: DnsClient, dials: frozenset[str] | None) -> TestProxy | None:
    if way == "direct":
        return None
    return (HttpProxy if "http" in way else SocksProxy)(resolve, dials=dials)


def _proxies(way: str, place: str) -> Proxies:
    if not place:
        return Proxies()
    one = Proxy(f"{'http' if 'http' in way else 'socks5'}://{place}", is_trusted="trusted" in way)
    return Proxies(http=one, https=one)


async def _one_way(canary: Canary, proxies: Proxies, named: AccessRules, resolve: DnsClient, port: int) -> Outcome:
    outcome = Outcome()
    settings = WebSettings(proxies=proxies, limits=LIMITS)
    fetcher = Fetcher(settings, named, resolve=resolve)
    families: Counter[str] = Counter()
    for family, url in urls("" if port == 80 else f":{port}"):
        if family == "rebinding" and port != 80:
            continue  # its first address is public, and nothing public is dialled outside a namespace
        families[family] += 1
        before = len(canary.dialled)
        try:
            fetched = await fetcher.fetch(url, FetchOptions(authorization="Bearer secret"))
            outcome.failed.append(f"{url!a}: {fetched.status} at {fetched.url}")
        except FetchRefused:
            outcome.refused += 1
        except FetchError as error:
            outcome.failed.append(f"{url!a}: {error.reason}")
        # The site that redirects may be reached, on the web's ports; what it redirects to may not.
        site = 2 if named.is_private_host(SITE) and SITE in url else 0
        hit = [one for one in canary.dialled[before:] if one[0] != PUBLIC or one[1] not in WEB_PORTS]
        outcome.hits += [f"{family}: {url!a} at {one}" for one in hit[site:]]
    await fetcher.close()
    outcome.hits += [f"an odd request: {head!a}" for head in canary.odd]
    outcome.vectors, outcome.families = sum(families.values()), dict(families)
    outcome.control = await _control(canary, settings, resolve, port)
    return outcome


async def _control(canary: Canary, settings: WebSettings, resolve: DnsClient, port: int) -> int:
    """Reach the canary as a private host, and by rebinding without the guard, to show a hit."""
    inner = f"v4-{ALLOWED if port == 80 else '127.0.0.1'}.evil.example".replace(".", "-", 3)
    allowed = Fetcher(settings, build_rules([f"{inner}:{port}"]), resolve=resolve)
    before = len(canary.dialled)
    await allowed.fetch(f"http://{inner}:{port}/")
    await allowed.close()
    if port == 80:
        await careless("http://rebind99.evil.example/", resolve)
    return sum(1 for one, _ in canary.dialled[before:] if one in {"10.0.0.1", "127.0.0.1", ALLOWED})


async def careless(url: str, resolve: DnsClient) -> None:
    """Act like a guard that resolves twice: check the address, then let the library resolve the name again."""
    host = url.split("/")[2]
    assert (await resolve(host))[0] == PUBLIC
    address = (await resolve(host))[0]  # another one by now
    async with aiohttp.ClientSession() as session, session.get(url.replace(host, address)) as response:
        await response.read()


def main() -> None:
    """Set up the namespace's network, attack, and print the outcome as JSON."""
    for command in ("ip link set lo up", "ip route add local 0.0.0.0/0 dev lo", "ip -6 route add local ::/0 dev lo"):
        subprocess.run(command.split(), check=True, timeout=120)

    outcomes = asyncio.run(attack(everywhere=True))
    json.dump({way: asdict(outcome) for way, outcome in outcomes.items()}, sys.stdout)


if __name__ == "__main__":
    main()

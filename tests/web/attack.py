"""Every way into the inner network tried at a canary, through each kind of proxy: ``python -m tests.web.attack``.

In a network namespace of its own, where the kernel takes every address there is for this machine's, whatever is
dialled reaches the canary, which notes the address it was dialled at. Without a namespace the canary is on loopback.
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
from aiohttp import web

from knowledge.errors import FetchError, FetchRefused
from knowledge.web.fetch import Ask, Fetcher
from knowledge.web.guard import Rules, rules
from knowledge.web.proxies import Proxies, Proxy
from knowledge.web.settings import Limits, WebSettings
from tests.web.names import DnsClient, DnsServer
from tests.web.proxying import HttpProxy, SocksProxy, TestProxy, listening
from tests.web.vectors import PUBLIC, urls

WAYS = ("direct", "http proxy", "socks proxy")


@dataclass
class Outcome:
    """What one way through the vectors led to."""

    vectors: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    """Vectors that ended otherwise than by the guard's word."""
    hits: list[str] = field(default_factory=list)
    """Addresses at which the canary was dialled and may not have been."""
    control: int = 0
    """Hits of what must hit: the canary, allowed by name, and the public site."""
    proxied: int = 0
    """What the proxy was told to dial."""
    families: dict[str, int] = field(default_factory=dict)


class Canary:
    """A server that knows at which address it was dialled; the public site's pages redirect where they are told."""

    def __init__(self) -> None:
        self.dialled: list[str] = []

    async def start(self, stack: AsyncExitStack, port: int, *, everywhere: bool) -> int:
        runner = web.AppRunner(self._app())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        if everywhere:
            line = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
        else:
            line = socket.create_server(("127.0.0.1", port))
        await web.SockSite(runner, line).start()
        bound: int = line.getsockname()[1]
        return bound

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.dialled.append(request.transport.get_extra_info("sockname")[0].removeprefix("::ffff:"))
        if request.path == "/to":
            return web.Response(status=302, headers={"Location": request.rel_url.raw_query_string})
        return web.Response(text="canary", content_type="text/html")


async def attack(*, everywhere: bool) -> dict[str, Outcome]:
    """Try every vector every way."""
    outcomes: dict[str, Outcome] = {}
    async with AsyncExitStack() as stack:
        canary = Canary()
        port = await canary.start(stack, 80 if everywhere else 0, everywhere=everywhere)
        dns = DnsServer(
            inner="10.0.0.1" if everywhere else "127.0.0.1", elsewhere=PUBLIC if everywhere else "127.0.0.1"
        )
        resolve = DnsClient(await dns.start())
        stack.callback(dns.transport.close)
        http, socks = HttpProxy(resolve), SocksProxy(resolve)
        ways: dict[str, tuple[Proxies, TestProxy | None]] = {
            "direct": (Proxies(), None),
            "http proxy": (_all(f"http://{await stack.enter_async_context(listening(http))}"), http),
            "socks proxy": (_all(f"socks5://{await stack.enter_async_context(listening(socks))}"), socks),
        }
        # Without a namespace nothing is public: the site that redirects is allowed by name, and nothing else is.
        named = rules([] if everywhere else [f"site.example:{port}"], {80, port})
        for way, (proxies, proxy) in ways.items():
            dns.asked.clear()
            outcomes[way] = await _one_way(canary, proxies, named, resolve, port)
            outcomes[way].proxied = len(proxy.told) if proxy else 0
    return outcomes


def _all(url: str) -> Proxies:
    return Proxies(http=Proxy(url), https=Proxy(url))


async def _one_way(canary: Canary, proxies: Proxies, named: Rules, resolve: DnsClient, port: int) -> Outcome:
    outcome = Outcome()
    settings = WebSettings(proxies=proxies, limits=Limits(total_s=10, idle_s=5))
    fetcher = Fetcher(settings, named, resolve=resolve)
    families: Counter[str] = Counter()
    for family, url in urls("" if port == 80 else f":{port}"):
        if family == "rebinding" and port != 80:
            continue  # its first address is public, and nothing public is dialled outside a namespace
        families[family] += 1
        before = len(canary.dialled)
        try:
            fetched = await fetcher.fetch(url, Ask(authorization="Bearer secret"))
            outcome.failed.append(f"{url!a}: {fetched.status}")
        except FetchRefused:
            outcome.refused += 1
        except FetchError as error:
            outcome.failed.append(f"{url!a}: {error.reason}")
        # The site that redirects may be reached; what it redirects to may not.
        site = 1 if named.names("site.example") and "site.example" in url else 0
        hit = [one for one in canary.dialled[before:] if one != PUBLIC]
        outcome.hits += [f"{family}: {url!a} at {one}" for one in hit[2 * site :]]
    await fetcher.close()
    outcome.vectors, outcome.families = sum(families.values()), dict(families)
    outcome.control = await _control(canary, settings, resolve, port)
    return outcome


async def _control(canary: Canary, settings: WebSettings, resolve: DnsClient, port: int) -> int:
    """Reach the canary where it may be, and by rebinding without the guard: this is what a hit looks like."""
    inner = "v4-10-0-0-1.evil.example" if port == 80 else "v4-127-0-0-1.evil.example"
    allowed = Fetcher(settings, rules([f"{inner}:{port}"]), resolve=resolve)
    before = len(canary.dialled)
    await allowed.fetch(f"http://{inner}:{port}/")
    await allowed.close()
    if port == 80:
        await careless("http://rebind99.evil.example/", resolve)
    return sum(1 for one in canary.dialled[before:] if one in {"10.0.0.1", "127.0.0.1"})


async def careless(url: str, resolve: DnsClient) -> None:
    """Do what a guard that resolves twice does: look at the address, then let the library resolve the name again."""
    host = url.split("/")[2]
    assert (await resolve(host))[0] == PUBLIC
    address = (await resolve(host))[0]  # another one by now
    async with aiohttp.ClientSession() as session, session.get(url.replace(host, address)) as response:
        await response.read()


def main() -> None:
    """Make the namespace's network, attack, and print what came of it as JSON."""
    for command in ("ip link set lo up", "ip route add local 0.0.0.0/0 dev lo", "ip -6 route add local ::/0 dev lo"):
        subprocess.run(command.split(), check=True, timeout=10)

    async def run() -> None:
        outcomes = await attack(everywhere=True)
        json.dump({way: asdict(outcome) for way, outcome in outcomes.items()}, sys.stdout)

    asyncio.run(run())


if __name__ == "__main__":
    main()

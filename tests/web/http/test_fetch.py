"""The fetcher: where it connects, what it sends, and through which proxy."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from knowledge.errors import FetchError, FetchFailed, FetchRefused, FetchTypeNotAllowed
from knowledge.web.http.fetch import Fetcher, FetchOptions, create_tls_context
from knowledge.web.http.guard import build_rules, check_address, check_url
from knowledge.web.http.proxies import Proxies, Proxy
from knowledge.web.http.settings import FetchLimits, WebSettings
from tests.waiting import WAIT_S
from tests.web.http.certificates import Authority
from tests.web.http.proxy_servers import HttpProxy, SocksProxy, TestProxy, listening

Resolve = Callable[[str], Any]


class Server:
    """A server that records requests and SNI names."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.names: list[str | None] = []
        self.port = 0

    async def start(self, stack: AsyncExitStack, tls: ssl.SSLContext | None = None) -> int:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        self.port = runner.addresses[0][1]
        return self.port

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if request.path == "/to":
            return web.Response(status=302, headers={"Location": request.query_string, "Set-Cookie": "a=b"})
        if request.path == "/typed":
            return web.Response(body=b"x", headers={"Content-Type": request.query_string})
        if request.headers.get("If-None-Match"):
            return web.Response(status=304)
        return web.Response(text="hello", content_type="text/html", headers={"ETag": '"1"'})


def counting(names: list[str], *addresses: str) -> Resolve:
    async def resolve(host: str) -> Sequence[str]:
        names.append(host)
        return addresses

    return resolve


async def opened(stack: AsyncExitStack, allow: list[str], resolve: Resolve | None = None, **settings: Any) -> Fetcher:
    web_settings = WebSettings(**{"limits": FetchLimits(total_s=5, idle_s=3), **settings})
    seam = {"resolve": resolve} if resolve else {}
    fetcher = Fetcher(web_settings, build_rules(allow, web_settings.ports), **seam)
    stack.push_async_callback(fetcher.close)
    return fetcher


# ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_name_is_resolved_once_and_keeps_its_host_and_sni(stack: AsyncExitStack, tmp_path: Path) -> None:
    authority, server, names = Authority(tmp_path), Server(), list[str]()
    port = await server.start(stack, authority.server("docs.example"))
    fetcher = await opened(stack, [f"docs.example:{port}"], counting(names, "127.0.0.1"), ca_file=authority.ca_file)
    fetched = await fetcher.fetch(f"https://docs.example:{port}/page?q=1")
    assert (fetched.status, fetched.data) == (200, b"hello")
    assert names == ["docs.example"]
    assert server.names == ["docs.example"]
    assert server.requests[0].host == f"docs.example:{port}"


@pytest.mark.parametrize("flaw", ["self-signed", "expired", "another name"])
async def test_a_wrong_certificate_is_refused(stack: AsyncExitStack, tmp_path: Path, flaw: str) -> None:
    authority, server = Authority(tmp_path), Server()
    name = "other.example" if flaw == "another name" else "docs.example"
    port = await server.start(stack, authority.server(name, expired=flaw == "expired"))
    trusted = {} if flaw == "self-signed" else {"ca_file": authority.ca_file}
    fetcher = await opened(stack, [f"docs.example:{port}"], counting([], "127.0.0.1"), **trusted)
    with pytest.raises(FetchFailed) as caught:
        await fetcher.fetch(f"https://docs.example:{port}/")
    assert "certificate" in caught.value.reason
    assert server.requests == []


def test_authorities_are_shared_until_their_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "trusted.pem"
    settings = WebSettings(ca_file=file)
    for number, name in enumerate(("old", "new")):
        (tmp_path / name).mkdir()
        shutil.move(Authority(tmp_path / name).ca_file, file)
        os.utime(file, (number, number))
        context = create_tls_context(settings)
        assert ssl.PEM_cert_to_DER_cert(file.read_text()) in context.get_ca_certs(binary_form=True)
        assert create_tls_context(settings) is context
        assert create_tls_context(WebSettings()) is not context


@pytest.mark.slow
async def test_slow_names_delay_no_others(stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = threading.Event()
    stack.callback(answered.set)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(90) and [])
    fetcher = await opened(stack, [])
    waiting = [asyncio.create_task(fetcher.fetch(f"http://n{number}.example/")) for number in range(40)]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(WAIT_S):
        assert await asyncio.to_thread(str, 1) == "1"
    for task in waiting:
        task.cancel()
    async with asyncio.timeout(WAIT_S):
        await asyncio.wait(waiting)


async def test_one_bad_address_among_good_ones_refuses_the_name(stack: AsyncExitStack) -> None:
    fetcher = await opened(stack, [], counting([], "93.184.216.34", "10.0.0.1"))
    with pytest.raises(FetchRefused) as caught:
        await fetcher.fetch("http://mixed.example/")
    assert "10.0.0.1" in caught.value.reason
    assert "10.0.0.1" not in str(caught.value)


async def test_an_allowed_host_may_not_be_at_a_metadata_address(stack: AsyncExitStack) -> None:
    for address in ("169.254.169.254", "fd00:ec2::254", "168.63.129.16", "::ffff:169.254.169.254", "0.0.0.0"):
        fetcher = await opened(stack, ["intranet.company"], counting([], address))
        with pytest.raises(FetchRefused):
            await fetcher.fetch("http://intranet.company/")


async def test_only_the_allowed_host_and_port_may_be_private(stack: AsyncExitStack) -> None:
    server = Server()
    port = await server.start(stack)
    fetcher = await opened(stack, [f"intranet.company:{port}"], counting([], "127.0.0.1"))
    assert (await fetcher.fetch(f"http://intranet.company:{port}/")).status == 200
    for url in (f"http://127.0.0.1:{port}/", f"http://other.company:{port}/", "http://intranet.company:81/"):
        with pytest.raises(FetchRefused):
            await fetcher.fetch(url)
    assert len(server.requests) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_a_host_named_without_a_port_may_be_private_and_not_this_machine(address: str) -> None:
    for inner in ("10.0.0.7", "172.16.3.4", "192.168.1.1", "fd12::1", "100.64.0.9"):
        check_address(inner, "wiki.intra", build_rules(["wiki.intra"]))
    with pytest.raises(FetchRefused) as caught:
        check_address(address, "wiki.intra", build_rules(["wiki.intra"]))
    assert "without a port" in caught.value.reason
    check_address(address, "wiki.intra", build_rules(["wiki.intra:8080"]))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_may_be_allowed_as_localhost(host: str) -> None:
    named = build_rules([host])
    check_url(f"http://{host}/", named)
    check_address("::1" if ":" in host else "127.0.0.1", host.strip("[]"), named)


async def test_no_redirect_leads_from_the_web_to_a_private_host(stack: AsyncExitStack) -> None:
    server = Server()
    port = await server.start(stack)
    private = f"wiki.intra:{port}"
    proxy = HttpProxy(counting([], "127.0.0.1"))  # which brings even a public address to this machine
    proxies = await proxied(stack, proxy, "http", trusted=True)
    fetcher = await opened(stack, [private, f"other.intra:{port}"], proxies=proxies, ports=[port])
    assert (await fetcher.fetch(f"http://{private}/")).status == 200
    assert (await fetcher.fetch(f"http://other.intra:{port}/to?http://{private}/")).status == 200
    assert (await fetcher.fetch(f"http://{private}/to?http://site.example:{port}/")).status == 200
    server.requests.clear()
    for url in (f"/to?http://{private}/", f"/to?http://{private}/to?http://{private}/"):
        with pytest.raises(FetchRefused) as caught:
            await fetcher.fetch(f"http://site.example:{port}{url}")
        assert "wiki.intra" in caught.value.reason
    assert {request.headers["Host"] for request in server.requests} == {f"site.example:{port}"}


# ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_credentials_stay_with_their_origin_and_cookies_nowhere(stack: AsyncExitStack) -> None:
    here, there = Server(), Server()
    ports = await here.start(stack), await there.start(stack)
    fetcher = await opened(stack, [f"127.0.0.1:{port}" for port in ports])
    ask = FetchOptions(
        authorization="Bearer secret",
        conditional_headers={"If-None-Match": '"x"', "Host": "evil"},
        secret_headers={"X-Key": "secret"},
    )
    back = f"http://127.0.0.1:{ports[0]}/end"
    await fetcher.fetch(f"http://127.0.0.1:{ports[0]}/to?http://127.0.0.1:{ports[1]}/to?{back}", ask)
    sent = [(request.headers.get("Authorization"), request.headers.get("If-None-Match")) for request in here.requests]
    assert sent == [("Bearer secret", '"x"'), (None, None)]
    assert [request.headers.get("X-Key") for request in here.requests] == ["secret", None]
    assert "Authorization" not in there.requests[0].headers
    assert "X-Key" not in there.requests[0].headers
    assert not any("Cookie" in request.headers for request in here.requests + there.requests)
    assert not any(request.host == "evil" for request in here.requests)


async def test_a_post_is_sent_once_and_follows_no_redirect(stack: AsyncExitStack) -> None:
    here, there = Server(), Server()
    ports = await here.start(stack), await there.start(stack)
    fetcher = await opened(stack, [f"127.0.0.1:{port}" for port in ports])
    for target in (f"http://127.0.0.1:{ports[1]}/end", f"http://127.0.0.1:{ports[0]}/end"):
        here.requests.clear()
        with pytest.raises(FetchRefused) as caught:
            await fetcher.fetch(f"http://127.0.0.1:{ports[0]}/to?{target}", FetchOptions(json_body=b"{}"))
        assert "redirect" in caught.value.reason
        assert [(request.method, request.content_type) for request in here.requests] == [("POST", "application/json")]
    assert there.requests == []


async def test_no_redirect_leads_from_https_to_http(stack: AsyncExitStack, tmp_path: Path) -> None:
    authority, secure, plain = Authority(tmp_path), Server(), Server()
    port = await secure.start(stack, authority.server("docs.example"))
    other = await plain.start(stack)
    allow = [f"docs.example:{port}", f"127.0.0.1:{other}"]
    fetcher = await opened(stack, allow, counting([], "127.0.0.1"), ca_file=authority.ca_file)
    with pytest.raises(FetchRefused) as caught:
        await fetcher.fetch(f"https://docs.example:{port}/to?http://127.0.0.1:{other}/")
    assert "https to http" in caught.value.reason
    assert plain.requests == []


async def test_five_redirects_are_followed_and_six_are_not(stack: AsyncExitStack) -> None:
    server = Server()
    port = await server.start(stack)
    fetcher = await opened(stack, [f"127.0.0.1:{port}"])
    for count, fine in ((5, True), (6, False)):
        server.requests.clear()
        url = f"http://127.0.0.1:{port}" + "/to?" + "/to?".join([""] * count) + "/end"
        try:
            fetched = await fetcher.fetch(url)
        except FetchRefused:
            assert not fine
        else:
            assert fine
            assert (fetched.url, len(fetched.redirects)) == (f"http://127.0.0.1:{port}/end", 5)


async def test_unchanged_pages_are_reported_and_types_are_sent(stack: AsyncExitStack) -> None:
    server = Server()
    port = await server.start(stack)
    fetcher = await opened(stack, [f"127.0.0.1:{port}"])
    url = f"http://127.0.0.1:{port}/typed?"
    html = FetchOptions(accept=frozenset({"text/html"}))
    assert (await fetcher.fetch(f"{url}TEXT/HTML;charset=x", html)).data == b"x"
    with pytest.raises(FetchTypeNotAllowed):
        await fetcher.fetch(f"{url}image/png", html)
    assert (
        await fetcher.fetch(f"http://127.0.0.1:{port}/", FetchOptions(conditional_headers={"If-None-Match": '"1"'}))
    ).status == 304


async def test_the_log_has_the_reason_and_no_secret(stack: AsyncExitStack, caplog: pytest.LogCaptureFixture) -> None:
    fetcher = await opened(stack, [])
    with caplog.at_level(logging.INFO), pytest.raises(FetchError):
        await fetcher.fetch("http://user:hunter2@10.0.0.1/a?token=hunter2\r\nX: y")
    assert "10.0.0.1/a" in caplog.text
    assert "hunter2" not in caplog.text
    assert caplog.text.count("\n") == 1


async def test_a_fetcher_is_used_again_after_a_close(stack: AsyncExitStack) -> None:
    server = Server()
    port = await server.start(stack)
    fetcher = await opened(stack, [f"127.0.0.1:{port}"])
    for _ in range(2):
        assert (await fetcher.fetch(f"http://127.0.0.1:{port}/")).status == 200
        await fetcher.close()
        await fetcher.close()


# ── Through proxies ──────────────────────────────────────────────────────────────────────────────────────────────────


async def proxied(stack: AsyncExitStack, proxy: TestProxy, scheme: str, *, trusted: bool, user: str = "") -> Proxies:
    one = Proxy(f"{scheme}://{user}{await stack.enter_async_context(listening(proxy))}", is_trusted=trusted)
    return Proxies(http=one, https=one)


@pytest.mark.parametrize(("scheme", "kind"), [("http", HttpProxy), ("socks5", SocksProxy), ("socks5h", SocksProxy)])
@pytest.mark.parametrize("tls", [False, True])
async def test_a_proxy_gets_the_checked_address(
    stack: AsyncExitStack, tmp_path: Path, scheme: str, kind: type[TestProxy], *, tls: bool
) -> None:
    authority, server, names = Authority(tmp_path), Server(), list[str]()
    port = await server.start(stack, authority.server("docs.example") if tls else None)
    proxy = kind(counting([], "10.9.9.9"), password="hunter2")
    proxies = await proxied(stack, proxy, scheme, trusted=False, user="kvasir:hunter2@")
    fetcher = await opened(
        stack, [f"docs.example:{port}"], counting(names, "127.0.0.1"), proxies=proxies, ca_file=authority.ca_file
    )
    fetched = await fetcher.fetch(f"http{'s' if tls else ''}://docs.example:{port}/")
    assert fetched.data == b"hello"
    assert (proxy.targets, names) == ([f"127.0.0.1:{port}"], ["docs.example"])
    assert server.requests[0].host == f"docs.example:{port}"
    assert server.names == (["docs.example"] if tls else [])


@pytest.mark.parametrize(("scheme", "kind"), [("http", HttpProxy), ("socks5", SocksProxy)])
async def test_a_proxy_without_ipv6_gets_the_next_address(
    stack: AsyncExitStack, scheme: str, kind: type[TestProxy]
) -> None:
    server = Server()
    port = await server.start(stack)
    proxy = kind(counting([]), dials=frozenset({"127.0.0.1"}))
    proxies = await proxied(stack, proxy, scheme, trusted=False)
    fetcher = await opened(stack, [f"docs.example:{port}"], counting([], "::1", "127.0.0.1"), proxies=proxies)
    assert (await fetcher.fetch(f"http://docs.example:{port}/")).data == b"hello"
    assert [one.replace("[", "").replace("]", "") for one in proxy.targets] == [f"::1:{port}", f"127.0.0.1:{port}"]


@pytest.mark.parametrize(("scheme", "kind"), [("http", HttpProxy), ("socks5", SocksProxy)])
@pytest.mark.parametrize("tls", [False, True])
async def test_a_trusted_proxy_gets_the_name(
    stack: AsyncExitStack, tmp_path: Path, scheme: str, kind: type[TestProxy], *, tls: bool
) -> None:
    authority, server, names = Authority(tmp_path), Server(), list[str]()
    port = await server.start(stack, authority.server("docs.example") if tls else None)
    proxy = kind(counting([], "127.0.0.1"), password="hunter2")
    proxies = await proxied(stack, proxy, scheme, trusted=True, user="kvasir:hunter2@")
    fetcher = await opened(stack, [f"docs.example:{port}"], counting(names), proxies=proxies, ca_file=authority.ca_file)
    assert (await fetcher.fetch(f"http{'s' if tls else ''}://docs.example:{port}/")).data == b"hello"
    assert (proxy.targets, names) == ([f"docs.example:{port}"], [])
    count = len(proxy.targets)
    for url in (
        "http://10.0.0.1/",
        "http://localhost/",
        "http://metadata.google.internal/",
        "http://db/",
        "http://2130706433/",
    ):
        with pytest.raises(FetchRefused):
            await fetcher.fetch(url)
    assert len(proxy.targets) == count, "what can be seen from the address is refused here"


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_failing_proxy_is_reported_without_its_password(
    stack: AsyncExitStack, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = HttpProxy(counting([]), password="right") if scheme == "http" else SocksProxy(counting([]), "right")
    for trusted in (False, True):
        proxies = await proxied(stack, proxy, scheme, trusted=trusted, user="kvasir:hunter2@")
        away = Proxies(http=Proxy(f"{scheme}://kvasir:hunter2@127.0.0.1:9", is_trusted=trusted))
        for those in (proxies, away):
            fetcher = await opened(stack, ["docs.example:80"], counting([], "127.0.0.1"), proxies=those)
            with caplog.at_level(logging.INFO):
                try:
                    status = (await fetcher.fetch("http://docs.example/")).status
                except FetchFailed as error:
                    assert "hunter2" not in f"{error!r} {error.reason} {error.__cause__}"  # noqa: PT017
                else:
                    assert status == 407
    assert "hunter2" not in caplog.text + repr(proxies)


def test_rules_and_exceptions_choose_the_proxy() -> None:
    general, special = Proxy("http://general:3128"), Proxy("socks5://special:1080")
    proxies = Proxies(
        https=general,
        no_proxy=("intranet.company", ".lan.company", "192.0.2.0/24", "[2001:db8::1]", "port.company:8443"),
        rules={"china.example": special, "direct.china.example": None},
    )
    named = build_rules([
        "intranet.company", "notintranet.company", "x.lan.company", "192.0.2.7", "[2001:db8::1]", "port.company:8443",
        "port.company:443", "192.0.3.7",
    ])  # fmt: skip
    for url, proxy in {
        "https://x.example/": general,
        "http://x.example/": None,
        "https://intranet.company/": None,
        "https://notintranet.company/": general,
        "https://x.lan.company/": None,
        "https://192.0.2.7/": None,
        "https://192.0.3.7/": general,
        "https://[2001:db8::1]/": None,
        "https://port.company:8443/": None,
        "https://port.company/": general,
        "https://www.china.example/": special,
        "http://china.example/": special,
        "https://a.direct.china.example/": None,
    }.items():
        assert proxies.choose_proxy(check_url(url, named)) is proxy, url
    assert Proxies(http=general, no_proxy=("*",)).choose_proxy(check_url("http://x.example/", named)) is None


@pytest.mark.parametrize("url", ["proxy:3128", "https://proxy:443", "http://", "http://u:hunter2@:1", "ftp://x:21", ""])
def test_an_invalid_proxy_is_reported_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port") as caught:
        Proxy(url)
    assert "hunter2" not in str(caught.value)


def test_a_proxy_is_shown_without_its_password() -> None:
    proxy = Proxy("http://kvasir:hunter2@proxy:3128")
    assert proxy.redacted_url == "http://***@proxy:3128"
    assert "hunter2" not in repr(proxy)

"""Calls to hosted services: retries, limits and secrets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.dates import parse_retry_after_s
from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import Source
from knowledge.sources.confluence import source as confluence
from knowledge.sources.hosted.http_call import CallPacer, ServiceResponse, compute_wait_s
from knowledge.web.http.proxies import Proxies, Proxy
from knowledge.web.http.settings import WebSettings
from tests.sources.confluence.fake_confluence import FakeConfluence
from tests.sources.hosted.fake_service import Fault
from tests.sources.hosted.world import World, listing
from tests.web.http.certificates import Authority
from tests.web.http.proxy_servers import HttpProxy, SocksProxy, TestProxy, listening

TOKEN = "s3cret-t0ken"


@pytest.fixture
async def fake() -> AsyncIterator[FakeConfluence]:
    async with FakeConfluence(cloud=True, token=TOKEN) as fake:
        fake.space("ENG")
        fake.page("Leave", "<p>Thirty days.</p>")
        yield fake


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def source(fake: FakeConfluence, world: World) -> AsyncIterator[Source]:
    source = world.build(
        confluence.KIND, {"token": TOKEN}, url=fake.url, edition="cloud", token_env="T", rights="ignore", max_mb=1.0
    )
    yield source
    await source.close()


async def test_a_busy_service_is_retried_later(fake: FakeConfluence, source: Source, world: World) -> None:
    fake.faults = [Fault("/pages", status=429, headers={"Retry-After": "17"}, times=2)]
    assert len(await listing(source)) == 1
    assert len(world.slept) == 2
    assert all(17 <= slept <= 22 for slept in world.slept)


async def test_a_retry_after_may_be_a_date(fake: FakeConfluence, source: Source, world: World) -> None:
    at = formatdate(world.now + 40, usegmt=True)
    fake.faults = [Fault("/pages", status=503, headers={"Retry-After": at}, times=1)]
    await listing(source)
    assert 39 <= world.slept[0] <= 46


async def test_repeated_429_answers_end(fake: FakeConfluence, source: Source, world: World) -> None:
    fake.faults = [Fault("/pages", status=429)]
    with pytest.raises(SourceUnavailable, match="longer wait than Kvasir allows"):
        await listing(source)
    assert fake.asked("/pages") == 6
    assert sum(world.slept) <= 300


async def test_a_service_that_asks_for_a_day_is_not_retried(fake: FakeConfluence, source: Source, world: World) -> None:
    fake.faults = [Fault("/pages", status=429, headers={"Retry-After": "86400"})]
    with pytest.raises(SourceUnavailable):
        await listing(source)
    assert world.slept == []


@pytest.mark.parametrize("fault", [Fault("/pages", status=502, times=2), Fault("/pages", cut=True, times=2)])
async def test_broken_calls_are_retried(fake: FakeConfluence, source: Source, world: World, fault: Fault) -> None:
    fake.faults = [Fault(fault.path, fault.status, cut=fault.cut, times=2)]
    assert len(await listing(source)) == 1
    assert len(world.slept) == 2


async def test_one_failing_document_does_not_stop_the_others(fake: FakeConfluence, source: Source) -> None:
    other = fake.page("Other", "<p>Fine.</p>")
    found = await listing(source)
    broken = next(one for document, one in found.items() if document != f"ENG/{other.id}")
    fake.faults = [Fault(f"{broken.document.partition('/')[2]}?", status=500)]
    for _ in range(4):
        with pytest.raises(SourceError) as caught:
            await source.read(broken)
        assert not isinstance(caught.value, SourceUnavailable)
        await source.read(found[f"ENG/{other.id}"])
    fake.faults = [Fault("body-format", status=500)]
    for _ in range(3):
        with pytest.raises(SourceError) as caught:
            await source.read(broken)
    assert isinstance(caught.value, SourceUnavailable)


async def test_an_unreachable_service_stops_the_run(fake: FakeConfluence, source: Source) -> None:
    (one,) = (await listing(source)).values()
    await source.close()
    await fake.stop()
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        await source.read(one)


async def test_expired_credentials_stop_the_run_and_reveal_no_secret(fake: FakeConfluence, source: Source) -> None:
    (listed,) = (await listing(source)).values()
    fake.authorization = "expired"
    with pytest.raises(SourceDenied) as caught:
        await source.read(listed)
    assert TOKEN not in str(caught.value)
    with pytest.raises(SourceDenied):
        await listing(source)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        ("<html><body>Log in</body></html>", "text/html"), ('{"results": [', "application/json"),
        ("[" * 9999, "text/x"),
        ("[]", "application/json"), ('{"results": 3}', "application/json"), ('{"results": [{}]}', "application/json"),
        ("{}", "application/json"), ("", "application/json"), (b"\xff\xfe\xff", "application/json"),
    ],
)  # fmt: skip
async def test_an_unexpected_answer_is_an_error(
    fake: FakeConfluence, source: Source, body: str | bytes, media_type: str
) -> None:
    fake.faults = [Fault("/pages", status=200, body=body, content_type=media_type)]
    with pytest.raises(SourceError) as caught:
        await listing(source)
    assert str(caught.value).endswith(".")
    assert "Log in" not in str(caught.value)


async def test_a_listing_with_repeated_pages_ends(fake: FakeConfluence, source: Source) -> None:
    page = '{"results": [], "_links": {"next": "/wiki/api/v2/spaces/1/pages?cursor=again"}}'
    fake.faults = [Fault("/pages", status=200, body=page)]
    with pytest.raises(SourceError, match="same page of a listing twice"):
        await listing(source)
    assert fake.asked("/pages") == 2


async def test_a_body_of_200_mb_is_refused_unread(fake: FakeConfluence, source: Source) -> None:
    (listed,) = (await listing(source)).values()
    fake.faults = [Fault("body-format", flood_bytes=200_000_000)]
    with pytest.raises(SourceError, match="MB"):
        await source.read(listed)


async def test_a_redirect_to_another_origin_gets_no_credentials(fake: FakeConfluence, source: Source) -> None:
    async with FakeConfluence(cloud=True) as elsewhere:
        elsewhere.authorization = "refused"
        target = f"{elsewhere.url}/wiki/api/v2/spaces"
        fake.faults = [Fault("/spaces", status=302, headers={"Location": target})]
        with pytest.raises(SourceDenied):
            await listing(source)
        assert [call.headers.get("Authorization") for call in elsewhere.calls] == [None]


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example/wiki",
        "file:///etc/passwd",
        "ftp://host/",
        "http://user:pass@127.0.0.1/",
        "gopher://h:1/",
    ],
)
async def test_a_redirect_to_anything_else_is_not_followed(fake: FakeConfluence, source: Source, target: str) -> None:
    fake.faults = [Fault("/spaces", status=302, headers={"Location": target})]
    with pytest.raises(SourceError, match="does not follow"):
        await listing(source)


async def test_endless_redirects_end(fake: FakeConfluence, source: Source) -> None:
    fake.faults = [Fault("/spaces", status=302, headers={"Location": f"{fake.url}/wiki/api/v2/spaces"})]
    with pytest.raises(SourceError, match="redirects too often"):
        await listing(source)


@pytest.mark.parametrize(
    "url", ["http://wiki.company.com", "ftp://x", "https://user:pw@x.com", "https://x?y=1", "", "x"]
)
def test_credentials_go_only_over_https(world: World, url: str) -> None:
    with pytest.raises(SourceMisconfigured):
        world.build(confluence.KIND, {"token": TOKEN}, url=url, token_env="T")


async def test_calls_keep_their_average_pace() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    pace = CallPacer(3.0, sleep)
    await asyncio.gather(*(pace.wait_for_turn() for _ in range(12)))
    assert len(slept) == 8  # a second's worth at once, and the one that is due
    assert 2.5 < slept[-1] < 3.1


@given(st.text(max_size=30) | st.floats().map(str) | st.integers().map(str), st.floats(0, 4e9))
def test_any_retry_after_is_a_wait_or_nothing(header: str, now: float) -> None:
    found = parse_retry_after_s(header, now)
    assert found is None or 0 <= found < float("inf")


@given(st.integers(1, 6), st.floats(0, 1))
def test_delays_grow_and_have_jitter(attempt: int, chance: float) -> None:
    wait = compute_wait_s(ServiceResponse(500, {}, b""), attempt, 0.0, chance)
    assert 2 ** (attempt - 1) <= wait <= 1.5 * 2 ** (attempt - 1)


# ── Through proxies ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def behind(
    world: World, folder: Path, scheme: str, *, tls: bool, password: str = "hunter2"
) -> AsyncIterator[tuple[FakeConfluence, TestProxy, Source]]:
    """Yield a service, a proxy with a password, and a source that uses both."""
    authority, fake = Authority(folder), FakeConfluence(cloud=True, token=TOKEN)
    fake.tls = authority.server("localhost") if tls else None
    fake.space("ENG")
    page = fake.page("Leave", "<p>Thirty days.</p>")
    fake.file(page, "leave.pdf", b"%PDF-1.4")
    proxy = (HttpProxy if scheme == "http" else SocksProxy)(_at_home, password="hunter2")
    async with fake, listening(proxy) as place:
        one = Proxy(f"{scheme}://kvasir:{password}@{place}")
        world.web = WebSettings(proxies=Proxies(http=one, https=one), ca_file=authority.ca_file)
        options = {"url": fake.url, "edition": "cloud", "token_env": "T", "rights": "ignore"}
        source = world.build(confluence.KIND, {"token": TOKEN}, **options)
        yield fake, proxy, source
        await source.close()


async def _at_home(_host: str) -> list[str]:
    return ["127.0.0.1"]


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("tls", [False, True])
async def test_a_service_is_called_through_the_proxy(world: World, tmp_path: Path, scheme: str, *, tls: bool) -> None:
    """The proxy gets only the name, and sees only TLS."""
    async with behind(world, tmp_path, scheme, tls=tls) as (fake, proxy, source):
        found = await listing(source)
        for one in found.values():
            assert (await source.read(one)).data
        assert len(found) == 2
        assert set(proxy.targets) == {fake.url.partition("://")[2]}
        assert not proxy.refused
        assert not any("Proxy-Authorization" in call.headers for call in fake.calls if tls)


async def test_no_proxy_bypasses_the_proxy(world: World, tmp_path: Path) -> None:
    async with behind(world, tmp_path, "http", tls=True) as (fake, proxy, _):
        proxies = replace(world.web.proxies, no_proxy=("localhost",))
        world.web = replace(world.web, proxies=proxies)
        options = {"url": fake.url, "edition": "cloud", "token_env": "T", "rights": "ignore"}
        past = world.build(confluence.KIND, {"token": TOKEN}, **options)
        assert len(await listing(past)) == 2
        assert proxy.targets == []
        await past.close()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_refuses_is_named_without_secrets(
    world: World, tmp_path: Path, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with behind(world, tmp_path, scheme, tls=True, password="wr0ng-s3cret") as (fake, proxy, source):
            with pytest.raises(SourceUnavailable, match="proxy") as caught:
                await listing(source)
            assert proxy.refused
            assert fake.calls == []
    assert "wr0ng-s3cret" not in f"{caught.value!r} {caught.value.__cause__!r} {caplog.text} {world.web!r}"
    assert TOKEN not in caplog.text

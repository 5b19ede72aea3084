"""Only a self-hosted search leads to private hosts; hosted services do not."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from knowledge.interfaces import LiveWebRequest
from knowledge.web.http.guard import AccessRules, build_rules, leads_to_private_host
from knowledge.web.http.proxies import Proxies, Proxy
from knowledge.web.http.settings import FetchLimits, WebSettings
from knowledge.web.live.live_web import LiveWeb
from knowledge.web.live_settings import LiveSettings, SearchSettings
from knowledge.web.opening import open_live
from knowledge.web.searching.registry import create_providers
from knowledge.web.searching.web_search import WebSearch
from tests.web.http.proxy_servers import HttpProxy, listening
from tests.web.live.small_web import SmallWeb, SmallWebEmbedder
from tests.web.searching.fake_providers import Page
from tests.web.searching.provider_bench import KINDS, Bench

QUESTION = "When does the lighthouse open?"
ANSWER = "The lighthouse opens at seven in summer and at nine in winter."


async def here(_host: str) -> list[str]:
    return ["127.0.0.1"]


async def opened(stack: AsyncExitStack, little: SmallWeb, searxng: str) -> LiveWeb:
    """Open the live web behind a proxy that connects every name to this machine; ``wiki.intra`` is a private host."""
    proxy = Proxy(f"http://{await stack.enter_async_context(listening(HttpProxy(here)))}", is_trusted=True)
    web = WebSettings(Proxies(http=proxy), ports=[little.site.port], limits=FetchLimits(total_s=20, idle_s=15))
    search = SearchSettings(("searxng",), f"http://{searxng}:{little.engine.port}")
    live = LiveSettings(private_hosts=(f"wiki.intra:{little.site.port}",), search=search)
    folder = Path(stack.enter_context(TemporaryDirectory()))
    return await stack.enter_async_context(open_live(live, web, SmallWebEmbedder(), folder))


@pytest.mark.slow
@pytest.mark.timeout(360)
@pytest.mark.parametrize(("searxng", "own"), [("searx.example", False), ("searxng", True)])
async def test_only_a_self_hosted_search_leads_to_private_hosts(
    stack: AsyncExitStack, searxng: str, *, own: bool
) -> None:
    little = SmallWeb()
    await little.start(stack)
    inside, outside = little.put("wiki.intra", "/in", ANSWER), little.put("a.example", "/out", ANSWER)
    little.engine.pages.append(Page(inside.replace("wiki.intra", "\uff37\uff29\uff2b\uff29.intra."), "Notes", ""))
    live = await opened(stack, little, searxng)
    lookup = await live.look_up(QUESTION, LiveWebRequest("always", within_s=60))
    assert (lookup.look.read, lookup.look.left_out) == ((inside, outside) if own else (outside,), ())
    assert little.site.asked("/in") == own
    if not own:
        lookup = await live.look_up(QUESTION, LiveWebRequest("always", links=(inside,), search=False, within_s=60))
        assert lookup.look.read == (inside,), "a person may point at it"


@pytest.mark.parametrize("name", KINDS)
async def test_hits_of_hosted_services_on_private_hosts_are_dropped(stack: AsyncExitStack, name: str) -> None:
    bench = Bench(KINDS[name], KINDS[name].fake(), stack)
    await bench.fake.start(stack)
    urls = [
        "http://wiki.intra/a",
        "https://wiki.intra:443/b",
        "http://\uff37\uff29\uff2b\uff29.intra/c",
        "https://docs.example/d",
    ]
    bench.fake.pages = [Page(url, "Notes", "") for url in urls]
    own = build_rules(["wiki.intra"])
    search = WebSearch([bench.provider()], is_private=lambda url: leads_to_private_host(url, own))
    results = await search.search("lighthouse", within_s=5)
    assert results.urls == ("https://docs.example/d",)


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("http://searxng:8080", True),
        ("http://127.0.0.1:8888/sx", True),
        ("http://[fd12::1]:8080", True),
        ("https://search.company.lan", True),
        ("http://search.company.com:8080", True),  # named below
        ("https://searx.example", False),
        ("http://searx.example:8080/searx", False),
        ("http://93.184.216.34:8080", False),
    ],
)
async def test_a_searxng_is_self_hosted_by_address_or_setting(address: str, *, own: bool) -> None:
    [made] = create_providers(SearchSettings(("searxng",), address), WebSettings(), build_rules(["search.company.com"]))
    assert made.is_self_hosted is own
    await made.close()


def test_the_sites_that_the_operator_listed_are_the_operators_own_search() -> None:
    listed = SearchSettings(("brave", "sitemap"), api_keys={"brave": "k"}, sites=("http://wiki.intra",))
    assert [one.is_self_hosted for one in create_providers(listed, WebSettings(), AccessRules())] == [False, True]

"""Providers from their specs, and the hosts that they may connect to."""

from __future__ import annotations

from pkgutil import resolve_name

import pytest

from knowledge.errors import FetchRefused
from knowledge.web.http.guard import AccessRules, check_address, check_url
from knowledge.web.http.settings import WebSettings
from knowledge.web.live_settings import PROVIDERS, ProviderSpec, SearchSettings
from knowledge.web.searching.registry import build_single_host_rules, create_providers

ALL = SearchSettings(
    tuple(PROVIDERS),
    "http://searxng:8080",
    {name: f"key-of-{name}" for name in ("brave", "tavily", "exa", "serper")},
    ("https://docs.example.com/guide/",),
)


async def test_providers_have_the_configured_order() -> None:
    made = create_providers(ALL, WebSettings(), AccessRules())
    assert [one.name for one in made] == [*PROVIDERS]
    for one in made:
        await one.close()
    only_exa = SearchSettings(("exa",), api_keys={"exa": "k"})
    assert [one.name for one in create_providers(only_exa, WebSettings(), AccessRules())] == ["exa"]


@pytest.mark.parametrize("spec", PROVIDERS.values(), ids=PROVIDERS)
def test_each_spec_names_its_implementation(spec: ProviderSpec) -> None:
    assert resolve_name(spec.implementation).name == spec.name


def test_settings_and_providers_show_no_key() -> None:
    assert "key-of" not in repr(ALL)
    assert "key-of" not in repr([vars(one) for one in create_providers(ALL, WebSettings(), AccessRules())])


@pytest.mark.parametrize(
    "address", ["http://10.1.2.3:8080", "http://searxng:8080", "https://[fd12::1]/sx", "http://127.0.0.1"]
)
def test_only_the_operators_hosts_may_be_private(address: str) -> None:
    rules = build_single_host_rules(address)
    target = check_url(f"{address}/search", rules)
    check_address("10.9.9.9", target.host, rules)
    for other in ("http://10.1.2.4:8080/", "http://10.1.2.3:81/", "http://searxng:81/", "https://example.com/"):
        with pytest.raises(FetchRefused):
            check_url(other, rules)
    with pytest.raises(FetchRefused):
        check_address("169.254.169.254", target.host, rules)

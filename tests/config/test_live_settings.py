"""What ``[web]`` and the environment say of the live web."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.answering.policy import Policy
from bot.config.environment import Environment
from bot.config.live_settings import build_web_policy
from bot.config.settings import Settings, load_settings
from bot.errors import SettingsError
from knowledge.web.live_settings import PROVIDERS, LiveSettings

WEB = "[web]\n"


def loaded(folder: Path, web: str = "", **variables: str) -> Settings:
    (folder / "kvasir.toml").write_text(f'[[source]]\nname = "a"\nkind = "folder"\npath = "."\n{web}')
    return load_settings({"KVASIR_HOME": str(folder), **variables}, folder)


def live(folder: Path, web: str = WEB, **variables: str) -> LiveSettings:
    found = loaded(folder, web, **variables).knowledge.live
    assert found is not None
    return found


def test_it_is_off_without_a_table_whatever_provider_is_set_up(tmp_path: Path) -> None:
    settings = loaded(tmp_path, BRAVE_API_KEY="k", KVASIR_SEARXNG_URL="http://searxng:8080")
    assert settings.knowledge.live is None
    assert (settings.configuration.web.everywhere, settings.configuration.web.find_policy("C034EF5GH")) == (
        Policy(),
        Policy(),
    )


def test_a_table_turns_it_on_and_nobody_searches_unless_something_is_set(tmp_path: Path) -> None:
    assert live(tmp_path) == LiveSettings()


def test_make_run_writes_a_table_that_turns_it_on(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    settings = load_settings({}, tmp_path, default_docs=tmp_path / "docs")
    assert settings.configuration.web.everywhere == Policy("on")
    assert '[web]\nmode = "on"' in settings.config.read_text(encoding="utf-8")


def test_off_leaves_nothing(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[web]\nmode = "off"\n', BRAVE_API_KEY="k").knowledge.live is None


def test_who_searches_is_who_has_a_key_in_the_usual_order(tmp_path: Path) -> None:
    search = live(
        tmp_path,
        '[web]\nsites = ["https://docs.example.com"]\n',
        SERPER_API_KEY="s",
        BRAVE_API_KEY="b",
        KVASIR_SEARXNG_URL="http://searxng:8080",
    ).search
    assert search.provider_order == ("searxng", "brave", "serper", "sitemap")
    assert (search.searxng_url, search.sites) == ("http://searxng:8080", ("https://docs.example.com",))
    assert search.api_keys == {"brave": "b", "serper": "s"}


def test_each_provider_is_documented_in_order_with_its_setting() -> None:
    root = Path(__file__).parents[2]
    page, example = ((root / name).read_text(encoding="utf-8") for name in ("docs/live-web.md", ".env.example"))
    table = page[page.index("| provider | what it needs |") :].partition("\n\n")[0]
    places = [table.index(f"`{spec.name}`") for spec in PROVIDERS.values()]
    assert places == sorted(places)
    for spec in PROVIDERS.values():
        assert f"`{spec.setting}`" in table
        if spec.needs != "sites":
            assert spec.setting in Environment.model_fields
            assert f"{spec.setting}=" in example


def test_an_order_of_ones_own(tmp_path: Path) -> None:
    search = live(tmp_path, '[web]\nsearch = ["exa", "brave"]\n', EXA_API_KEY="e", BRAVE_API_KEY="b").search
    assert search.provider_order == ("exa", "brave")
    assert live(tmp_path, "[web]\nsearch = []\n", BRAVE_API_KEY="b").search.provider_order == ()


def test_listed_domains_are_in_one_spelling(tmp_path: Path) -> None:
    found = live(tmp_path, '[web]\nmode = "listed"\ndomains = ["Docs.Example.com.", "bücher.example"]\n')
    assert (found.listed_only, found.domains) == (True, frozenset({"docs.example.com", "xn--bcher-kva.example"}))


def test_what_else_can_be_said(tmp_path: Path) -> None:
    found = live(tmp_path, '[web]\nprivate = ["wiki.intra", "10.0.0.7:8080"]\ncache_mb = 10\n')
    assert (found.private_hosts, found.cache_bytes) == (("wiki.intra", "10.0.0.7:8080"), 10_000_000)


def test_keys_are_no_log_s_business(tmp_path: Path) -> None:
    settings = loaded(tmp_path, WEB, TAVILY_API_KEY="hunter2")
    assert "hunter2" in settings.secrets
    assert "hunter2" not in repr(settings.knowledge)


@pytest.mark.parametrize(
    ("web", "said"),
    [
        ('mode = "some"', "mode should be"),
        ('mode = "listed"', "domains names none"),
        ('domains = "example.com"', "domains should be a list"),
        ('domains = ["https://example.com"]', "domains should be a list of hosts"),
        ('domains = ["example.com:8080"]', "has a port"),
        ('domains = ["*.example.com"]', "domains should be a list of hosts"),
        ('private = ["http://wiki"]', "private should be a list of hosts"),
        ('search = ["braev"]', "Did you mean “brave”"),
        ('search = ["brave"]', "BRAVE_API_KEY is not set"),
        ('search = ["searxng"]', "KVASIR_SEARXNG_URL is not set"),
        ('search = ["sitemap"]', "sites names no address"),
        ('sites = ["docs.example.com"]', "sites should be a list of addresses"),
        ('sites = ["https://"]', "sites should be a list of addresses"),
        ('sites = ["https://user:hunter2@docs.example.com"]', "sites should be a list of addresses"),
        ("cache_mb = 0", "cache_mb should be a number"),
        ("cache_mb = true", "cache_mb should be a number"),
        ("cach_mb = 1", "Did you mean “cache_mb”"),
    ],
)
def test_what_cannot_be_meant_is_said_by_name(tmp_path: Path, web: str, said: str) -> None:
    with pytest.raises(SettingsError, match="web") as caught:
        loaded(tmp_path, f"[web]\n{web}\n")
    assert said in str(caught.value)


@pytest.mark.parametrize("url", ["searxng:8080", "http://u:hunter2@searxng", "ftp://searxng", "http://searxng:99999"])
def test_an_address_of_searxng_that_cannot_be_meant(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError, match="KVASIR_SEARXNG_URL") as caught:
        loaded(tmp_path, WEB, KVASIR_SEARXNG_URL=url)
    assert "hunter2" not in str(caught.value)


# ── In channels ──────────────────────────────────────────────────────────────────────────────────────────────────────


def channel(web: str, installation: str = "") -> str:
    return f'{installation}[[channel]]\nid = "C034EF5GH"\nweb = "{web}"\n'


def test_a_channel_narrows_what_the_installation_allows(tmp_path: Path) -> None:
    policies = loaded(tmp_path, channel("off", WEB), BRAVE_API_KEY="b").configuration.web
    assert policies.everywhere == Policy("on", searches=True)
    assert policies.find_policy("C034EF5GH") == Policy("off", searches=True, off_in_channel=True)
    installation = '[web]\nmode = "listed"\ndomains = ["docs.example.com"]\nprivate = ["wiki.intra:8443"]\n'
    policies = loaded(tmp_path, channel("on", installation)).configuration.web
    assert policies.find_policy("C034EF5GH") == policies.everywhere
    assert policies.everywhere == Policy("listed", frozenset({"docs.example.com"}), frozenset({"wiki.intra"}))
    for off in ("", '[web]\nmode = "off"\n'):
        assert loaded(tmp_path, channel("on", off)).configuration.web.find_policy("C034EF5GH") == Policy()


def test_what_cannot_be_meant_of_a_channel_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="web should be"):
        loaded(tmp_path, channel("never"))
    with pytest.raises(SettingsError, match="names no domains"):
        loaded(tmp_path, channel("listed", WEB))


def test_private_hosts_are_known_in_whatever_spelling_they_are_named() -> None:
    policy = build_web_policy(
        LiveSettings(private_hosts=("Wiki.Intra", "[fd12::1]", "[FD12::2]:8080", "10.0.0.7:8080"))
    )
    assert policy.private == {"wiki.intra", "fd12::1", "fd12::2", "10.0.0.7"}

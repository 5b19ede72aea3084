"""What ``[web]`` in ``kvasir.toml`` and the environment say of the live web, checked."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from bot.answering.policy import Policy
from bot.config.tables import as_table, nearest, no_others
from bot.errors import SettingsError
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.http.guard import build_rules
from knowledge.web.http.settings import PROVIDERS, LiveSettings, SearchSettings

SEARXNG_URL = "KVASIR_SEARXNG_URL"
KEY_VARIABLES = {
    "brave": "BRAVE_API_KEY",
    "tavily": "TAVILY_API_KEY",
    "exa": "EXA_API_KEY",
    "serper": "SERPER_API_KEY",
}
"""The variable with the key of each provider that has one."""

_KEYS = ("mode", "domains", "private", "search", "sites", "cache_mb")
_MODES = ("on", "listed", "off")
_CACHE_MB = 256
_MOST_CACHE_MB = 100_000


def live_settings(value: object, variables: Mapping[str, str], where: str) -> LiveSettings | None:
    """Return the settings, None where the live web is off; ``variables`` hold keys and the address of SearXNG.

    Raises:
        SettingsError: a key is unknown or not of its form; a provider is named whose key is not set.

    """
    table = as_table(value, where)
    no_others(table, _KEYS, where)
    mode = table.get("mode", "on")
    if mode not in _MODES:
        raise SettingsError(f'{where}: mode should be "on", "listed" (only the domains that are named) or "off".')
    domains = _hosts(table, "domains", where)
    if mode == "listed" and not domains:
        raise SettingsError(f'{where}: mode is "listed", but domains names none. Name some, or set mode to "on".')
    live = LiveSettings(
        listed=mode == "listed",
        domains=frozenset(domains),
        private=_hosts(table, "private", where),
        search=_search(table, variables, where),
        cache_bytes=_cache_mb(table, where) * 1_000_000,
    )
    return None if mode == "off" else live


def web_policy(live: LiveSettings | None) -> Policy:
    """Return what of the live web may be asked where a channel does not narrow it."""
    if live is None:
        return Policy()
    hosts = frozenset(build_rules(live.private).allowed)
    return Policy("listed" if live.listed else "on", live.domains, hosts, searches=bool(live.search.order))


def _search(table: Mapping[str, object], variables: Mapping[str, str], where: str) -> SearchSettings:
    sites = _texts(table, "sites", where)
    for site in sites:
        try:
            Site.of(site)
        except ValueError:
            raise SettingsError(f'{where}: sites should be addresses such as ["https://docs.example.com"].') from None
    keys = {name: variables[variable] for name, variable in KEY_VARIABLES.items() if variables.get(variable)}
    searxng = _with_a_port(variables.get(SEARXNG_URL))
    usable = {"searxng": bool(searxng), "sitemap": bool(sites), **{name: name in keys for name in KEY_VARIABLES}}
    order = _texts(table, "search", where) if "search" in table else [name for name in PROVIDERS if usable[name]]
    for name in order:
        if name not in usable:
            raise SettingsError(f"{where}: search names {name!r}.{nearest(name, usable)} Known: {', '.join(usable)}.")
        if not usable[name]:
            raise SettingsError(f"{where}: search names {name}, but {_lacks(name)}.")
    return SearchSettings(tuple(dict.fromkeys(order)), searxng, keys, tuple(sites))


def _with_a_port(url: str | None) -> str | None:
    """Return an address whose form was looked at; its port, where it has one, can be dialled."""
    try:
        if url is not None and urlsplit(url).port == 0:
            raise ValueError("0")  # noqa: TRY301 - said in one place
    except ValueError:
        raise SettingsError(f"{SEARXNG_URL} has a port that is no number from 1 to 65535. Set it in .env.") from None
    return url


def _lacks(name: str) -> str:
    if name == "sitemap":
        return "sites names no address"
    return f"{KEY_VARIABLES.get(name, SEARXNG_URL)} is not set. Set it in .env"


def _hosts(table: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    """Return hosts in small letters and ASCII; ``private`` may tell a port with them."""
    entries = _texts(table, key, where)
    try:
        for entry in entries:
            named = build_rules([entry]).allowed
            if key == "domains" and any(named.values()):
                raise ValueError(f"{entry!r} has a port")  # noqa: TRY301 - said in one place
    except ValueError as error:
        example = "example.com" if key == "domains" else "wiki.intra"
        raise SettingsError(f'{where}: {key} should be hosts such as ["{example}"]: {error}.') from None
    if key == "domains":
        return tuple(host for entry in entries for host in build_rules([entry]).allowed)
    return tuple(entries)


def _texts(table: Mapping[str, object], key: str, where: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
        raise SettingsError(f"{where}: {key} should be a list of texts.")
    return [one.strip() for one in value]


def _cache_mb(table: Mapping[str, object], where: str) -> int:
    value = table.get("cache_mb", _CACHE_MB)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_CACHE_MB:
        raise SettingsError(f"{where}: cache_mb should be a number from 1 to {_MOST_CACHE_MB}.")
    return value

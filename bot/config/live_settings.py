"""What ``[web]`` in ``kvasir.toml`` and the environment say of the live web, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from bot.answering.policy import Policy
from bot.config.tables import refuse_unknown_keys, require_table, suggest_nearest
from bot.errors import SettingsError
from knowledge.web.crawling.canonical_urls import Site
from knowledge.web.http.guard import build_rules
from knowledge.web.live_settings import PROVIDERS, LiveSettings, ProviderSpec, SearchSettings

_KEYS = ("mode", "domains", "private", "search", "sites", "cache_mb")
_MODES = ("on", "listed", "off")
_CACHE_MB = 256
_MOST_CACHE_MB = 100_000


def read_live_settings(value: object, variables: Mapping[str, str], where: str) -> LiveSettings | None:
    """Return the settings, None where the live web is off; ``variables`` hold keys and the address of SearXNG.

    Raises:
        SettingsError: a key is unknown or not of its form; a provider is named whose key is not set.

    """
    table = require_table(value, where)
    refuse_unknown_keys(table, _KEYS, where)
    mode = table.get("mode", "on")
    if mode not in _MODES:
        raise SettingsError(f'{where}: mode should be "on", "listed" (only the domains that are named) or "off".')
    domains = _read_hosts(table, "domains", where)
    if mode == "listed" and not domains:
        raise SettingsError(f'{where}: mode is "listed", but domains names none. Name some, or set mode to "on".')
    live = LiveSettings(
        listed_only=mode == "listed",
        domains=frozenset(domains),
        private_hosts=_read_hosts(table, "private", where),
        search=_read_search_settings(table, variables, where),
        cache_bytes=_read_cache_mb(table, where) * 1_000_000,
    )
    return None if mode == "off" else live


def build_web_policy(live: LiveSettings | None) -> Policy:
    """Return what of the live web may be asked where a channel does not narrow it."""
    if live is None:
        return Policy()
    hosts = frozenset(build_rules(live.private_hosts).private_hosts)
    return Policy(
        "listed" if live.listed_only else "on", live.domains, hosts, searches=bool(live.search.provider_order)
    )


def _read_search_settings(table: Mapping[str, object], variables: Mapping[str, str], where: str) -> SearchSettings:
    sites = _read_texts(table, "sites", where)
    for site in sites:
        try:
            Site.from_url(site)
        except ValueError:
            raise SettingsError(f'{where}: sites should be addresses such as ["https://docs.example.com"].') from None
    keys = {spec.name: variables[spec.setting] for spec in PROVIDERS if spec.needs_key and variables.get(spec.setting)}
    (address,) = (spec.setting for spec in PROVIDERS if spec.needs == "address")
    search = SearchSettings((), _check_port(address, variables.get(address)), keys, tuple(sites))
    specs = {spec.name: spec for spec in PROVIDERS}
    usable = [spec.name for spec in PROVIDERS if search.has_what_it_needs(spec)]
    order = _read_texts(table, "search", where) if "search" in table else usable
    for name in order:
        if name not in specs:
            raise SettingsError(
                f"{where}: search names {name!r}.{suggest_nearest(name, specs)} Known: {', '.join(specs)}."
            )
        if name not in usable:
            raise SettingsError(f"{where}: search names {name}, but {_describe_missing(specs[name])}.")
    return replace(search, provider_order=tuple(dict.fromkeys(order)))


def _check_port(variable: str, url: str | None) -> str | None:
    """Return an address whose form was checked, after checking its port."""
    try:
        if url is not None and urlsplit(url).port == 0:
            raise ValueError("0")  # noqa: TRY301 - one message for both
    except ValueError:
        raise SettingsError(f"{variable} has a port that is no number from 1 to 65535. Set it in .env.") from None
    return url


def _describe_missing(spec: ProviderSpec) -> str:
    return "sites names no address" if spec.needs == "sites" else f"{spec.setting} is not set. Set it in .env"


def _read_hosts(table: Mapping[str, object], key: str, where: str) -> tuple[str, ...]:
    """Return hosts in small letters and ASCII; ``private`` may tell a port with them."""
    entries = _read_texts(table, key, where)
    try:
        for entry in entries:
            named = build_rules([entry]).private_hosts
            if key == "domains" and any(named.values()):
                raise ValueError(f"{entry!r} has a port")  # noqa: TRY301 - said in one place
    except ValueError as error:
        example = "example.com" if key == "domains" else "wiki.intra"
        raise SettingsError(f'{where}: {key} should be hosts such as ["{example}"]: {error}.') from None
    if key == "domains":
        return tuple(host for entry in entries for host in build_rules([entry]).private_hosts)
    return tuple(entries)


def _read_texts(table: Mapping[str, object], key: str, where: str) -> list[str]:
    value = table.get(key, [])
    if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
        raise SettingsError(f"{where}: {key} should be a list of texts.")
    return [one.strip() for one in value]


def _read_cache_mb(table: Mapping[str, object], where: str) -> int:
    value = table.get("cache_mb", _CACHE_MB)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _MOST_CACHE_MB:
        raise SettingsError(f"{where}: cache_mb should be a number from 1 to {_MOST_CACHE_MB}.")
    return value

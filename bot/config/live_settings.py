"""Settings of the live web, from ``[web]`` in ``kvasir.toml`` and the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from bot.answering.masking import DEFAULT_MASKING, Masking
from bot.answering.policy import Policy, PrivateWords
from bot.config.models import WebTable, read_table
from bot.errors import SettingsError
from knowledge.errors import suggest_nearest
from knowledge.web.http.guard import build_rules
from knowledge.web.live_settings import PROVIDERS, LiveSettings, ProviderSpec, SearchSettings


def read_live_settings(
    value: object, variables: Mapping[str, str], where: str, masking: Masking = DEFAULT_MASKING
) -> LiveSettings | None:
    """Return the settings, None if there is no table or its mode is off.

    ``variables`` have API keys and the address of SearXNG. They alone turn nothing on. ``masking`` says what happens
    to private words.

    Raises:
        SettingsError: a key is unknown or has a wrong value, or a provider lacks what it needs.

    """
    if value is None:
        return None
    table = read_table(WebTable, value, where)
    if table.mode == "listed" and not table.domains:
        raise SettingsError(f'{where}: mode is "listed", but domains names none. Name some, or set mode to "on".')
    live = LiveSettings(
        listed_only=table.mode == "listed",
        domains=frozenset(table.domains),
        private_hosts=tuple(table.private),
        search=_read_search_settings(table, variables, where),
        cache_bytes=table.cache_mb * 1_000_000,
        recogniser=masking.recogniser,
        withholds_private=masking.private_words != "mask",
    )
    return None if table.mode == "off" else live


def build_web_policy(live: LiveSettings | None, private_words: PrivateWords = "mask") -> Policy:
    """Return what Kvasir may ask the live web where a channel does not narrow it."""
    if live is None:
        return Policy()
    hosts = frozenset(build_rules(live.private_hosts).private_hosts)
    return Policy(
        "listed" if live.listed_only else "on",
        live.domains,
        hosts,
        searches=bool(live.search.provider_order),
        private_words=private_words,
    )


def _read_search_settings(table: WebTable, variables: Mapping[str, str], where: str) -> SearchSettings:
    keys = {
        name: variables[spec.setting]
        for name, spec in PROVIDERS.items()
        if spec.needs == "key" and variables.get(spec.setting)
    }
    (address,) = (spec.setting for spec in PROVIDERS.values() if spec.needs == "address")
    search = SearchSettings((), _check_port(address, variables.get(address)), keys, tuple(table.sites))
    usable = [name for name, spec in PROVIDERS.items() if search.has_what_it_needs(spec)]
    order = usable if table.search is None else table.search
    for name in order:
        if name not in PROVIDERS:
            raise SettingsError(
                f"{where}: search names {name!r}.{suggest_nearest(name, PROVIDERS)} Known: {', '.join(PROVIDERS)}."
            )
        if name not in usable:
            raise SettingsError(f"{where}: search names {name}, but {_describe_missing(PROVIDERS[name])}.")
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

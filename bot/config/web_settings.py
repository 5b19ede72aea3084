"""How the web is gone to, from the environment: proxies as every program reads them, and who Kvasir says it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bot.errors import SettingsError
from knowledge.web.http.proxies import DIRECT, Proxies, Proxy
from knowledge.web.http.settings import WebSettings

PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Read in capitals or in small letters; the small ones win, as curl has it."""


def read_web_settings(
    variables: Mapping[str, str], *, trusted: bool, rules: str, contact: str, ca_file: Path | None
) -> WebSettings:
    """Return the settings; ``rules`` are ``domain=proxy`` with commas between, ``direct`` for no proxy.

    Raises:
        SettingsError: a proxy, a rule or the file of certificates cannot be meant; its text holds no password.

    """
    addresses = {name: variables.get(name.lower()) or variables.get(name) or "" for name in PROXY_VARIABLES}
    if ca_file is not None and not ca_file.is_file():
        raise SettingsError(f"KVASIR_CA_FILE names {ca_file}, which is no file. Correct it, or unset it.")
    return WebSettings(
        proxies=Proxies(
            http=_parse_proxy("HTTP_PROXY", addresses["HTTP_PROXY"] or addresses["ALL_PROXY"], trusted=trusted),
            https=_parse_proxy("HTTPS_PROXY", addresses["HTTPS_PROXY"] or addresses["ALL_PROXY"], trusted=trusted),
            no_proxy=tuple(entry.strip() for entry in addresses["NO_PROXY"].split(",") if entry.strip()),
            rules=_read_proxy_rules(rules, trusted=trusted),
        ),
        contact=contact,
        ca_file=ca_file,
    )


def list_proxy_passwords(web: WebSettings) -> list[str]:
    """Return the proxies' addresses that hold a password."""
    return [proxy.url for proxy in web.proxies.all_proxies if "@" in proxy.url]


def _read_proxy_rules(text: str, *, trusted: bool) -> dict[str, Proxy | None]:
    proxies: dict[str, Proxy | None] = {}
    for rule in (part.strip() for part in text.split(",") if part.strip()):
        domain, equals, url = (part.strip() for part in rule.partition("="))
        if not equals or not domain or not url:
            raise SettingsError(
                "KVASIR_PROXY_RULES should be domain=proxy with commas between, such as "
                f"“partner.com=socks5://proxy:1080, intranet.company={DIRECT}”."
            )
        proxies[domain] = None if url == DIRECT else _parse_proxy("KVASIR_PROXY_RULES", url, trusted=trusted)
    return proxies


def _parse_proxy(variable: str, url: str, *, trusted: bool) -> Proxy | None:
    if not url.strip():
        return None
    try:
        return Proxy(url.strip() if "://" in url else f"http://{url.strip()}", is_trusted=trusted)
    except ValueError as error:
        raise SettingsError(f"{variable} cannot be used: {error}. Correct it, or unset it.") from None

"""The checks of the configuration: each is pure, and returns the places of its problem."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from bot.config.settings import Settings
from bot.security.egress import DATABASE, ENGINE, STORE, Destination, list_egress, parse_destination
from knowledge.database.postgresql_url import list_database_addresses
from knowledge.interfaces import WORLD
from knowledge.masking import DEFAULT_RECOGNISER, Kind

_OTHERS = 0o077
_ENCRYPTED = {"require", "verify-ca", "verify-full"}  # of ``sslmode``, with which PostgreSQL never speaks plain text
# Schemes that encrypt, or connect to nothing; a text without a scheme is no address.
_SAFE = {
    "", "file", "https", "wss", "ftps", "webdavs", "ssh", "sftp", "git+ssh", "s3", "s3a", "gs", "gcs", "az", "abfs",
    "abfss",
}  # fmt: skip
_ASSIGNMENT = re.compile(
    r"(?i)(?:pass(?:word|wd|phrase)?|pwd|secret|token|(?:api|access|secret|private)[_-]?key)[\"']?\s{0,9}=\s{0,9}"
    r"(?:[\[{]\s{0,9}(?:\w{1,30}\s{0,9}=\s{0,9})?)?[\"']{1,3}(?!\$\{?\w|<)[^\"'\s]{6}"
)
_NO_SECRET = re.compile(r"^\s*credentials\s*=")  # it names a file


@dataclass(frozen=True, slots=True)
class SecurityFacts:
    """What the checks look at; ``modes`` are those of what other accounts must not read, and could reach."""

    settings: Settings
    egress: Sequence[Destination]
    user: int
    config_text: str
    modes: Mapping[Path, int]


def read_facts(settings: Settings, environ: Mapping[str, str]) -> SecurityFacts:
    """Read what the checks look at; blocking. It connects to nothing.

    Raises:
        SourceMisconfigured: a source's table is wrong.

    """
    home, config = settings.home, settings.config
    is_open = home.is_dir() and home.stat().st_mode & _OTHERS
    private = [config.parent / ".env", home, *(home.iterdir() if is_open else ())]
    return SecurityFacts(
        settings,
        list_egress(settings, environ),
        os.geteuid(),
        config.read_text(encoding="utf-8") if config.is_file() else "",
        {path: stat.S_IMODE(path.stat().st_mode) for path in private if path.exists()},
    )


def _find_missing_home(facts: SecurityFacts) -> Iterable[str]:
    slack = facts.settings.slack
    return ["[slack] workspaces"] if slack and slack.oauth and not slack.oauth.workspaces else []


def _find_secrets(facts: SecurityFacts) -> Iterable[str]:
    lines = enumerate(facts.config_text.splitlines(), 1)
    return [
        f"line {number} of {facts.settings.config.name}"
        for number, line in lines
        if _ASSIGNMENT.search(line) or DEFAULT_RECOGNISER.find(_NO_SECRET.sub("", line), {Kind.SECRET})
    ]


def _find_open_ports(facts: SecurityFacts) -> Iterable[str]:
    settings = facts.settings
    ports = (
        (settings.metrics_host, settings.metrics_port),
        (settings.api_host, settings.api_port),
        (settings.health_host, settings.health_port),
    )
    served = (Destination(host, str(port), "") for host, port in ports if port is not None)
    return [str(one) for one in served if one.is_elsewhere]


def _find_open_engines(facts: SecurityFacts) -> Iterable[str]:
    has_key = facts.settings.engine.api_key is not None
    return [str(one) for one in facts.egress if not has_key and one.reason == ENGINE and one.is_elsewhere]


def _find_plain_storage(facts: SecurityFacts) -> Iterable[str]:
    """Return the servers of the tables and the passages that are reached in plain text."""
    settings = facts.settings
    stored = [one for one in map(str, settings.knowledge.store_variables.values()) if one.startswith("postgres")]
    urls = {DATABASE: [settings.database_url, settings.migration_url], STORE: stored}
    plain = {reason for reason, some in urls.items() if not all(map(_is_encrypted, some))}
    databases = [one for one in facts.egress if one.reason in plain and one.scheme.startswith("postgres")]
    found = (*_find_plain(facts, STORE), *(str(one) for one in databases if one.is_elsewhere))
    return list(dict.fromkeys(found))


def _find_plain_sources(facts: SecurityFacts) -> Iterable[str]:
    """Return the sources that send a secret in plain text, by the addresses in their tables and secrets."""
    for spec in facts.settings.knowledge.sources:
        lists = [value if isinstance(value, list) else [value] for key, value in spec.options.items() if key != "link"]
        texts = [*(str(one) for values in lists for one in values), *spec.secrets.values()] if spec.secrets else []
        plain = [one for one in texts if "://" in one and not _is_encrypted(one)]
        hosts = [host for one in plain for host in list_database_addresses(one)] if spec.kind == "sql" else plain
        if any(parse_destination(host, "").is_elsewhere for host in hosts):
            yield spec.name


def _find_public_private_hosts(facts: SecurityFacts) -> Iterable[str]:
    for spec in facts.settings.knowledge.sources:
        readers, hosts = spec.readers.union(*(one.readers for one in spec.rights)), spec.options.get("allow_hosts")
        if WORLD in readers and isinstance(hosts, list) and hosts:
            yield f"{', '.join(map(str, hosts))} by the source {spec.name}"


def _find_trusted_proxies(facts: SecurityFacts) -> Iterable[str]:
    proxies, live = facts.settings.knowledge.web.proxies.all_proxies, facts.settings.knowledge.live
    return sorted({one.redacted_url for one in proxies if one.is_trusted and live is not None and not live.listed_only})


def _find_plain(facts: SecurityFacts, reason: str) -> Sequence[str]:
    """Return where a part connects in plain text to another machine."""
    return [str(one) for one in facts.egress if (one.reason, one.scheme) == (reason, "http") and one.is_elsewhere]


def _is_encrypted(url: str) -> bool:
    """Return whether an address sends no plain text: by its scheme, or by the last ``sslmode`` of PostgreSQL."""
    scheme, _, _, query, _ = urlsplit(url)
    mode = [value for name, value in parse_qsl(query) if name in {"sslmode", "ssl"}][-1:]
    return scheme in _SAFE or (scheme.startswith("postgres") and not _ENCRYPTED.isdisjoint(mode))


CHECKS: Mapping[str, Callable[[SecurityFacts], Iterable[str]]] = {
    "home-workspace": _find_missing_home,
    "no-owners": lambda facts: [] if facts.settings.configuration.access.owners else ["[access] owners"],
    "running-as-root": lambda facts: [] if facts.user else ["user 0"],
    "loose-modes": lambda facts: [f"{path} ({mode:03o})" for path, mode in facts.modes.items() if mode & _OTHERS],
    "secret-in-config": _find_secrets,
    "open-ports": _find_open_ports,
    "engine-plain": lambda facts: _find_plain(facts, ENGINE),
    "engine-without-key": _find_open_engines,
    "storage-plain": _find_plain_storage,
    "source-plain": _find_plain_sources,
    "world-reads-private": _find_public_private_hosts,
    "trusted-proxy": _find_trusted_proxies,
}
"""The checks by name. Each returns the places of its problem, none if there is none."""

SEVERITIES: Mapping[str, Literal["high", "medium"]] = {
    **dict.fromkeys(CHECKS, "high"),
    **dict.fromkeys(("no-owners", "running-as-root", "open-ports", "trusted-proxy"), "medium"),
    **dict.fromkeys(("parser-sandbox", "weaviate-anonymous", "audit-chain", "advisories"), "high"),
    **dict.fromkeys(("weaviate-administrator", "rights-drift", "unusual-reading"), "medium"),
}
"""How much each problem matters; also of the checks that ask something (``bot.security.probes``)."""

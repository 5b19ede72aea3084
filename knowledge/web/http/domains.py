"""Which hosts of the web may be read: a domain stands for itself and for what lies under it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from yarl import URL


def is_within_domains(host: str, domains: Collection[str]) -> bool:
    """Say whether a host is one of the domains or lies under one; hosts in ASCII and small letters."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def extract_host(url: str) -> str:
    """Return a URL's host in ASCII and small letters, "" where it has none."""
    try:
        host = (urlsplit(url).hostname or "").removesuffix(".")
        if not host.isascii():
            host = (URL.build(scheme="http", host=host).raw_host or "").removesuffix(".")
    except ValueError:
        return ""
    return host


def intersect_domains(allowed: frozenset[str], wanted: frozenset[str]) -> frozenset[str] | None:
    """Return the domains of what lies under both sets, none for everything; None where nothing does.

    An empty set is no limit.
    """
    if not allowed or not wanted:
        return allowed | wanted
    found = {domain for domain in wanted if is_within_domains(domain, allowed)}
    found |= {domain for domain in allowed if is_within_domains(domain, wanted)}
    return frozenset(found) or None

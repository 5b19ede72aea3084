"""Domains and their subdomains. Pure."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from yarl import URL


def is_within_domains(host: str, domains: Collection[str]) -> bool:
    """Return whether a host is one of the domains or a subdomain of one; all in ASCII and lower case."""
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)


def extract_host(url: str) -> str:
    """Return a URL's host in ASCII and lower case, "" if it has none."""
    try:
        host = (urlsplit(url).hostname or "").removesuffix(".")
        if not host.isascii():
            host = (URL.build(scheme="http", host=host).raw_host or "").removesuffix(".")
    except ValueError:
        return ""
    return host


def intersect_domains(first: frozenset[str], second: frozenset[str]) -> frozenset[str] | None:
    """Return the domains whose hosts lie within both sets, None if there are no such hosts.

    An empty set stands for all domains.
    """
    if not first or not second:
        return first | second
    common = {domain for domain in second if is_within_domains(domain, first)}
    common |= {domain for domain in first if is_within_domains(domain, second)}
    return frozenset(common) or None

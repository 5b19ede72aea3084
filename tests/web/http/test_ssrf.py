"""No SSRF vector makes Kvasir connect to the internal network."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from knowledge.errors import FetchRefused
from knowledge.web.http.guard import AccessRules, check_url
from tests.web.http.ssrf_attack import ALLOWED, SITE, WAYS, attack
from tests.web.http.ssrf_vectors import PUBLIC, urls

ROOT = Path(__file__).parents[3]
RESOLVED = {"a name's A", "a name's AAAA", "a strange name", "rebinding", "mixed answer"}
"""Families whose addresses look like any other."""
NAMESPACES = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))


@cache
def namespace() -> tuple[str, ...] | None:
    """Return the command prefix for a network namespace, None if there is none here."""
    for command in NAMESPACES:
        try:
            tried = subprocess.run(
                [*command, "ip", "link", "set", "lo", "up"], check=False, capture_output=True, timeout=10
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return command
    return None


@cache
def attacked() -> Mapping[str, Any]:
    """Attack in a namespace in which every address leads to the canary."""
    command = [*(namespace() or ()), sys.executable, "-m", "tests.web.http.ssrf_attack"]
    done = subprocess.run(
        command, check=False, capture_output=True, cwd=ROOT, timeout=200, env={**os.environ, "PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    found: Mapping[str, Any] = json.loads(done.stdout)
    return found


async def attacked_or_skipped() -> Mapping[str, Any]:
    if namespace() is None:
        pytest.skip("neither root nor user namespaces here: the canary on loopback has to do")
    return await asyncio.to_thread(attacked)


def test_there_are_nine_hundred_vectors_of_every_family() -> None:
    found = list(urls(""))
    assert len(set(found)) >= 900
    assert {family for family, _ in found} >= {
        "plain IPv4", "embedded in IPv6", "odd spelling", "plain IPv6", "zone", "IDNA", "rebinding", "mixed answer",
        "redirect", "metadata name", "inner name", "userinfo", "CRLF", "scheme", "backslash", "port", "https",
        "Host smuggling", "slashes", "dots", "long", "a strange name", "a name's A", "a name's AAAA",
    }  # fmt: skip


def test_refused_addresses_are_never_connected() -> None:
    addresses = {url for family, url in urls("") if family not in RESOLVED and SITE not in url}
    assert len(addresses) >= 500
    assert [ascii(url) for url in addresses if is_taken(url)] == []


def is_taken(url: str) -> bool:
    try:
        check_url(url, AccessRules())
    except FetchRefused:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_no_vector_reaches_a_canary_that_is_at_every_address(way: str) -> None:
    outcome = (await attacked_or_skipped())[way]
    assert outcome["hits"] == []
    assert outcome["vectors"] >= 900
    assert outcome["control"] == 2, "the canary must be hit where it may be, and by a guard that resolves twice"
    # Only the site itself, and the first, public answer of names that are rebound, may be reached.
    allowed = [one for one in outcome["failed"] if f"200 at http://{SITE}/" in one or "/rebind" in one]
    handed_over = [one for one in outcome["failed"] if one not in allowed]
    assert outcome["refused"] + len(allowed) + len(handed_over) == outcome["vectors"]
    hosts = [one.rpartition(":")[0] for one in outcome["targets"]]
    if "trusted" in way:  # names are the proxy's affair, what an address shows by itself is not
        assert len(hosts) > 50
        assert all(one.endswith((".example", "nip.io", "localtest.me")) for one in hosts), hosts
    else:
        assert handed_over == []
        assert set(hosts) == (set() if way == "direct" else {PUBLIC, ALLOWED})


@pytest.mark.slow
async def test_no_vector_reaches_a_canary_on_loopback() -> None:
    for way, outcome in (await attack(everywhere=False)).items():
        assert outcome.hits == [], way
        assert outcome.control == 1, "the canary must be hit where it may be"
        assert [one for one in outcome.failed if SITE not in one] == [], way

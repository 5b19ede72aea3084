"""Nothing that a stranger writes brings Kvasir to dial the inner network."""

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

from tests.web.attack import WAYS, attack
from tests.web.vectors import urls

ROOT = Path(__file__).parents[2]
NAMESPACES = (("unshare", "--net"), ("unshare", "--map-root-user", "--net"))


@cache
def namespace() -> tuple[str, ...] | None:
    """Return what gives a command a network of its own here, None where nothing does."""
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
def attacked() -> Mapping[str, Mapping[str, Any]]:
    """Attack in a namespace, where every address there is leads to the canary."""
    command = [*(namespace() or ()), sys.executable, "-m", "tests.web.attack"]
    done = subprocess.run(
        command, check=False, capture_output=True, cwd=ROOT, timeout=100, env={**os.environ, "PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    outcomes: Mapping[str, Mapping[str, Any]] = json.loads(done.stdout)
    return outcomes


def test_there_are_three_hundred_vectors_of_every_family() -> None:
    found = list(urls(""))
    assert len(set(found)) >= 300
    assert {family for family, _ in found} >= {
        "plain IPv4", "embedded in IPv6", "odd spelling", "plain IPv6", "zone", "IDNA", "rebinding", "mixed answer",
        "redirect", "metadata name", "inner name", "userinfo", "CRLF", "scheme", "backslash", "port", "https",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_no_vector_reaches_a_canary_that_is_at_every_address(way: str) -> None:
    if namespace() is None:
        pytest.skip("neither root nor user namespaces here: the canary on loopback has to do")
    outcome = (await asyncio.to_thread(attacked))[way]
    assert outcome["hits"] == []
    assert outcome["vectors"] >= 300
    assert outcome["control"] == 2, "the canary must be hit where it may be, and by a guard that resolves twice"
    # Only the site itself, and the first, public answer of names that are rebound, may be reached.
    allowed = [one for one in outcome["failed"] if "rebind" in one or "site.example#" in one]
    assert outcome["failed"] == allowed
    assert outcome["refused"] + len(allowed) == outcome["vectors"]
    assert outcome["proxied"] == 0 if way == "direct" else outcome["proxied"] > 0


async def test_no_vector_reaches_a_canary_on_loopback() -> None:
    for way, outcome in (await attack(everywhere=False)).items():
        assert outcome.hits == [], way
        assert outcome.control == 1, "the canary must be hit where it may be"
        assert [one for one in outcome.failed if "site.example" not in one] == [], way

"""Nothing but what ``kvasir doctor --egress`` lists is contacted, in a network whose every address is a canary."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT
from tests.web.http.test_ssrf import namespace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def is_listed(place: str, listed: list[str]) -> bool:
    """Return whether a list has a place; of a name that was only resolved, the port does not matter."""
    if place.endswith(":*"):
        place, listed = place.removesuffix(":*"), [one.rpartition(":")[0] for one in listed]
    return any(fnmatchcase(place, one) for one in listed)


async def watch(folder: Path, part: str) -> dict[str, Any]:
    """Run the app in a namespace; return what was contacted and what is listed."""
    prefix = namespace()
    if prefix is None:
        pytest.skip("neither root nor user namespaces here")
    done = await asyncio.to_thread(
        subprocess.run,
        [*prefix, sys.executable, "-m", "tests.e2e.egress", str(folder), part],
        check=False, capture_output=True, cwd=ROOT, timeout=600, env={**os.environ, "PYTHONPATH": "."},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-4_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_only_listed_places_are_contacted(tmp_path: Path) -> None:
    seen = await watch(tmp_path, "quiet")
    assert [one for one in seen["contacted"] if not is_listed(one, seen["listed"])] == []
    assert {"site.example:80", "engine.example:30000"} <= set(seen["contacted"]), "the recorder sees names and ports"
    assert "The ferry leaves at noon" in seen["answer"], "the site was read, and answers"
    assert "elsewhere.example" not in str(seen["contacted"]), "neither links, nor redirects, nor sitemaps lead there"
    assert seen["listed"].count("*:443") == 0


async def test_the_live_web_is_listed_as_any_public_host(tmp_path: Path) -> None:
    seen = await watch(tmp_path, "web")
    assert "elsewhere.example:80" in seen["contacted"]
    assert [one for one in seen["contacted"] if not is_listed(one, seen["listed"])] == []


@pytest.mark.engine
async def test_a_real_sglang_contacts_nothing_outside(tmp_path: Path) -> None:
    """It takes a minute, because SGLang starts in a namespace of its own."""
    seen = await watch(tmp_path, "sglang")
    outside = [one for one in seen["contacted"] if not one.startswith(("127.", "[::1]", "::1", "localhost:"))]
    assert outside == ["site.example:80"]


async def test_an_unlisted_connection_is_seen(tmp_path: Path) -> None:
    """The recorder is no blind one: a connection and a name that the list lacks are found."""
    seen = await watch(tmp_path, "stray")
    stray = {one for one in seen["contacted"] if not is_listed(one, seen["listed"])}
    assert stray == {"stray.example:4444", "10.9.8.7:5555", "10.9.8.7:6666"}

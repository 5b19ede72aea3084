"""Test ``kvasir fetch`` and ``kvasir cache clear`` as an operator calls them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from tests.forks import run_command
from tests.waiting import WAIT_S
from tests.web.site import ARTICLE, Site

OFF = 'the live web is off. To turn it on, write a table [web] with mode = "on" into kvasir.toml (docs/live-web.md)'
pytestmark = pytest.mark.slow


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site().served() as site:
        yield site


def make_environ(folder: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.upper().startswith(("KVASIR", "SLACK", "HTTP"))
    }
    return kept | {"KVASIR_CACHE": str(folder / "cache"), "PYTHONPATH": str(Path.cwd())}


async def started(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=make_environ(folder),
    )  # fmt: skip


async def kvasir(folder: Path, *arguments: str) -> tuple[int, str, str]:
    return await run_command(folder, make_environ(folder), arguments, timeout_s=240)


def configure(folder: Path, site: Site, mode: str = "on", domains: str = "[]") -> None:
    (folder / "kvasir.toml").write_text(
        f'[[source]]\nname = "docs"\nkind = "folder"\npath = "docs"\n\n'
        f'[web]\nmode = "{mode}"\nprivate = ["{site.host}"]\ndomains = {domains}\n',
        encoding="utf-8",
    )


async def test_pages_are_printed_in_order_with_exact_reasons(site: Site, tmp_path: Path) -> None:
    configure(tmp_path, site)
    site.html("/a", ARTICLE)
    site.html("/app", '<title>App</title><div id="root"></div><script src="app.js"></script>')
    urls = [f"{site.url}/app", f"{site.url}/a", f"{site.url}/none", "http://10.0.0.1/", "gopher://x/"]
    status, out, err = await kvasir(tmp_path, "fetch", "--json", *urls)
    lines = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (1, "")
    assert [line["url"] for line in lines] == urls
    assert {tuple(line) for line in lines} == {("url", "final_url", "status", "title", "text", "refused", "seconds")}
    app, page, none, inner, gopher = lines
    assert (page["status"], page["title"], page["refused"]) == (200, "The night shift", None)
    assert page["final_url"] == urls[1]
    assert "runs at night" in page["text"]
    assert page["seconds"] > 0
    assert "script" in app["refused"]
    assert (none["status"], none["refused"]) == (404, "it answers 404")
    assert inner["refused"] == "10.0.0.1 resolves to 10.0.0.1, which is not public"
    assert gopher["refused"] == "the URL is not http:// or https:// with a host"
    assert {path.name for path in tmp_path.iterdir()} == {"kvasir.toml", "cache"}, "no store, no manifest"
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"web"}, "no embedder"


async def test_text_output_has_the_page_or_the_reason(site: Site, tmp_path: Path) -> None:
    configure(tmp_path, site)
    site.html("/a", ARTICLE)
    status, out, err = await kvasir(tmp_path, "fetch", f"{site.url}/a")
    assert (status, err) == (0, "")
    assert out.startswith(f"# The night shift\n({site.url}/a, by Ada Lovelace, of 2026-11-03, as of 20")
    status, out, err = await kvasir(tmp_path, "fetch", "http://10.0.0.1/")
    assert (status, out) == (1, "")
    assert err == "kvasir: http://10.0.0.1/: 10.0.0.1 resolves to 10.0.0.1, which is not public\n"


async def test_cached_pages_are_used_until_the_cache_is_cleared(site: Site, tmp_path: Path) -> None:
    configure(tmp_path, site)
    site.page("/a", f"# Kept\n\n{os.urandom(50_000).hex()}", Cache_Control="max-age=600")
    for _ in range(2):
        assert (await kvasir(tmp_path, "fetch", "--json", f"{site.url}/a"))[0] == 0
    assert site.asked("/a") == 1
    status, out, _ = await kvasir(tmp_path, "cache", "clear", "--json")
    cleared = json.loads(out)
    assert (status, cleared["folder"]) == (0, str(tmp_path / "cache" / "web"))
    assert 40_000 < cleared["freed_bytes"] < 60_000, "it is compressed"
    assert (await kvasir(tmp_path, "fetch", f"{site.url}/a"))[0] == 0
    assert site.asked("/a") == 2


async def test_a_web_that_is_off_or_listed_refuses(site: Site, tmp_path: Path) -> None:
    configure(tmp_path, site, "off")
    status, out, _ = await kvasir(tmp_path, "fetch", "--json", f"{site.url}/a")
    assert (status, json.loads(out)["refused"]) == (1, OFF)
    status, out, _ = await kvasir(tmp_path, "cache", "clear")
    assert (status, out.startswith("0.0 MB")) == (0, True)
    configure(tmp_path, site, "listed", '["docs.example.com"]')
    status, out, _ = await kvasir(tmp_path, "fetch", "--json", f"{site.url}/a")
    assert (status, json.loads(out)["refused"]) == (1, "127.0.0.1 is not among the sites that Kvasir may read")
    assert site.requests == []


async def test_ctrl_c_ends_the_command_and_wrong_use_is_reported(site: Site, tmp_path: Path) -> None:
    configure(tmp_path, site)
    site.answers("/robots.txt", lambda: web.Response(status=404))
    site.hangs("/slow")
    process = await started(tmp_path, "fetch", f"{site.url}/slow", f"{site.url}/slow?2")
    await site.until_asked("/slow")
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")
    for arguments in (["fetch"], ["cache"], ["cache", "burn"]):
        status, _, err_text = await kvasir(tmp_path, *arguments)
        assert status == 2
        assert "usage: kvasir" in err_text

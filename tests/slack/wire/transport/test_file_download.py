"""Tests of downloads from Slack: which host gets the token, and what counts as a file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.slack.wire.transport.file_download import FileRefused, download_file, may_send_token
from bot.slack.wire.transport.web_client import make_web_client


@pytest.mark.parametrize(
    ("url", "api", "allowed"),
    [
        ("https://files.slack.com/files-pri/T1-F1/download/a.md", "https://slack.com/api/", True),
        ("https://files.slack-gov.com/files-pri/T1-F1/download/a.md", "https://slack-gov.com/api/", True),
        ("https://files.slack.com:8443/a.md", "https://slack.com/api/", False),
        ("http://files.slack.com/a.md", "https://slack.com/api/", False),
        ("https://files.slack.com.evil.example/a.md", "https://slack.com/api/", False),
        ("https://files.slack.com@evil.example/a.md", "https://slack.com/api/", False),
        ("https://evil.example/files.slack.com/a.md", "https://slack.com/api/", False),
        ("https://slack.com/a.md", "https://slack.com/api/", False),
        ("https://evil.files.slack.com/a.md", "https://slack.com/api/", False),
        ("https://docs.google.com/a.md", "https://slack.com/api/", False),
        ("http://127.0.0.1:3000/files-pri/a.md", "http://127.0.0.1:3000/api/", True),
        ("http://127.0.0.1:3001/files-pri/a.md", "http://127.0.0.1:3000/api/", False),
        ("http://[::1", "http://127.0.0.1:3000/api/", False),
        ("file:///etc/passwd", "https://slack.com/api/", False),
        ("", "https://slack.com/api/", False),
    ],
)
def test_token_is_sent_to_slacks_file_host_only(url: str, api: str, allowed: bool) -> None:  # noqa: FBT001
    assert may_send_token(url, api) is allowed


@contextlib.asynccontextmanager
async def serve_other_host() -> AsyncIterator[tuple[str, list[str | None]]]:
    """Serve a host on another port, and record the tokens that it gets."""
    tokens: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization"))
        if request.path == "/away":
            return web.Response(status=302, headers={"Location": "/other"})
        if request.path == "/page":
            return web.Response(text="<!DOCTYPE html><title>Sign in</title>", content_type="text/html")
        return web.Response(body=b"y" * 5_000_000 if request.path == "/endless" else b"x")

    app = web.Application()
    app.add_routes([web.get("/{path:.*}", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", tokens
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("path", "says"), [("/away", "files:read"), ("/page", "files:read"), ("/endless", "is larger than")]
)
async def test_redirect_page_and_large_file_are_refused(path: str, says: str) -> None:
    async with serve_other_host() as (url, tokens), aiohttp.ClientSession() as session:
        client = make_web_client(f"{url}/api/", "xoxb-secret-token", session)
        with pytest.raises(FileRefused, match=says) as caught:
            await download_file(client, {"name": "a.md", "url_private_download": url + path}, 1_000_000)
        assert len(tokens) == 1, "no redirect is followed"
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "file",
    [
        {"is_external": True},
        {"mode": "tombstone"},
        {"url_private_download": ""},
        {"url_private_download": "http://ELSEWHERE/a"},
    ],
)
async def test_files_on_other_hosts_are_not_requested(file: dict[str, Any]) -> None:
    async with serve_other_host() as (url, tokens), aiohttp.ClientSession() as session:
        client = make_web_client("https://slack.com/api/", "xoxb-secret-token", session)
        file_object = {"name": "a.md", "url_private_download": url, **file}
        file_object["url_private_download"] = str(file_object["url_private_download"]).replace("http://ELSEWHERE", url)
        with pytest.raises(FileRefused):
            await download_file(client, file_object, 1_000)
        assert tokens == []

"""Test that other sites, hosts and programs are refused, and that the state folder protects its secrets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from bot.config.settings import load_settings
from bot.sandbox.http.credentials import load_credentials, write_settings
from tests.slack_sandbox import SandboxClient, start_sandbox_process
from tests.waiting import WAIT_S


async def status(box: SandboxClient, path: str, **headers: str) -> int:
    """Return the HTTP status of a GET."""
    async with box.session.get(box.base_url + path, headers=headers) as answer:
        return answer.status


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page-socket", "/sandbox/messages", "/api/auth.test", "/link/"])
async def test_another_host_or_origin_is_refused(box: SandboxClient, path: str) -> None:
    """A name rebound to this machine and a page of another site are refused."""
    assert await status(box, path, Host="evil.example") == 403
    assert await status(box, path, Host="127.0.0.1:1") == 403
    assert await status(box, path, Origin="http://evil.example") == 403
    assert await status(box, path, Origin="null") == 403


async def test_the_page_brings_nothing_from_elsewhere(box: SandboxClient) -> None:
    """The policy forbids other sources, inline code and frames; scripts cannot read the session's cookie."""
    async with box.session.get(box.base_url) as answer:
        policy = answer.headers["Content-Security-Policy"]
        cookie = answer.headers["Set-Cookie"]
        page = await answer.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "://" not in page
    folder = Path(__file__).parents[2] / "bot/sandbox/page"
    sources = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.js")}
    assert sources
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert not [name for name, text in sources.items() if word in text], word


async def test_the_socket_of_the_page_needs_its_session(box: SandboxClient) -> None:
    """Without the cookie of the page, or without an origin, there is no websocket."""
    origin = {"Origin": box.base_url}
    for headers in ({}, origin, {**origin, "Cookie": f"kvasir_sandbox_{box.base_url[-5:].lstrip(':')}=guess"}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await box.session.ws_connect(box.base_url + "/page-socket", headers=headers)
        assert caught.value.status == 403


async def page_socket(box: SandboxClient, person: str) -> aiohttp.ClientWebSocketResponse:
    """Open a page's websocket as a person."""
    async with box.session.get(box.base_url) as answer:
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    headers = {"Origin": box.base_url, "Cookie": cookie}
    socket = await box.session.ws_connect(box.base_url + "/page-socket", headers=headers)
    await socket.send_json({"do": "be", "id": 1, "person": person})
    snapshot = (await socket.receive_json(timeout=WAIT_S))[0]
    assert snapshot["ok"]
    return socket


async def asked(socket: aiohttp.ClientWebSocketResponse, **what: Any) -> Any:
    """Send a request over a page's websocket and return the answer."""
    await socket.send_json({"id": 7, **what})
    while True:
        for item in await socket.receive_json(timeout=WAIT_S):
            if item["type"] == "reply" and item["id"] == 7:
                return item


async def test_a_page_sees_only_what_its_person_sees(box: SandboxClient) -> None:
    """The direct conversation of two others is neither in a snapshot nor in updates nor in answers."""
    await box.say("ada", "@bo", "between us")
    socket = await page_socket(box, "chen")
    await box.say("bo", "@ada", "yes, between us")
    await box.say("bo", "#general", "for all")
    news = await socket.receive_json(timeout=WAIT_S)
    assert [item["message"]["text"] for item in news if item["type"] == "message"] == ["for all"]
    assert box.hub
    room = box.hub.workspace.find_direct_channel(("U0ADA00001", "U0BO000002"))
    assert room
    assert (await asked(socket, do="history", channel=room.id, before="9"))["error"] == "channel_not_found"
    assert (await asked(socket, do="say", channel=room.id, text="hello"))["error"] == "channel_not_found"
    await socket.close()


async def test_no_update_is_lost_while_a_page_switches_the_person(box: SandboxClient, tmp_path: Path) -> None:
    """A message between the creation of a snapshot and its arrival follows it, even with a slow disk."""
    assert box.hub
    workspace = box.hub.workspace
    socket = await page_socket(box, "ada")
    with sqlite3.connect(tmp_path / "sandbox/workspace.sqlite3", isolation_level=None) as slow:
        slow.execute("BEGIN EXCLUSIVE")
        first = asyncio.create_task(box.say("bo", "#general", "one"))
        await box.wait_until(lambda: len(workspace.list_history("C0GENERAL1")) == 1)
        await socket.send_json({"do": "be", "id": 2, "person": "ada"})
        for _ in range(3):
            await status(box, "/")
        second = asyncio.create_task(box.say("bo", "#general", "two"))
        await box.wait_until(lambda: len(workspace.list_history("C0GENERAL1")) == 2)
        await status(box, "/")
        slow.execute("ROLLBACK")
    said = {await first, await second}
    message_ids: set[str] = set()
    snapshots = 0
    while message_ids != said or not snapshots:
        for item in await socket.receive_json(timeout=WAIT_S):
            if item["type"] == "reply":
                snapshots += 1
                message_ids = {message["ts"] for message in item["snapshot"]["messages"]}
            elif item["type"] == "message":
                message_ids.add(item["message"]["ts"])
    await socket.close()


@pytest.mark.parametrize("frame", ["", "[]", "{", '{"do": 1}', '{"do": "fly"}', '{"do": "say"}', "null", '"be"'])
async def test_invalid_frames_from_a_page_are_answered(box: SandboxClient, frame: str) -> None:
    """The websocket stays open after any input."""
    socket = await page_socket(box, "ada")
    await socket.send_str(frame)
    assert (await socket.receive_json(timeout=WAIT_S))[0]["error"] == "invalid_arguments"
    assert (await asked(socket, do="say", channel="C0GENERAL1", text="still here"))["ok"]
    await socket.close()


@pytest.mark.parametrize("frame", ["", "[]", "{", "null", '{"envelope_id": 1}', '{"envelope_id": "unknown"}'])
async def test_invalid_frames_from_the_app_are_ignored(box: SandboxClient, frame: str) -> None:
    """A frame that acknowledges nothing leaves the connection as it is."""
    connection = await box.api("apps.connections.open", token=box.app_token)
    socket = await box.session.ws_connect(connection["url"])
    assert (await socket.receive_json(timeout=WAIT_S))["type"] == "hello"
    await socket.send_str(frame)
    await box.say("ada", "@kvasir", "hi")
    envelope = await socket.receive_json(timeout=WAIT_S)
    await socket.send_json({"envelope_id": envelope["envelope_id"]})
    await box.wait_delivered()
    await socket.close()


async def test_control_and_socket_need_their_tokens(box: SandboxClient) -> None:
    """The control API needs the control token, the app's websocket a valid ticket."""
    async with box.session.get(box.base_url + "/sandbox/messages", headers={"Authorization": "Bearer x"}) as answer:
        assert answer.status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await box.session.ws_connect(box.base_url + "/link/?ticket=9999999999-abc")
    connection = await box.api("apps.connections.open", token=box.app_token)
    await box.advance(601)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await box.session.ws_connect(connection["url"])


async def test_the_eleventh_connection_is_turned_away(box: SandboxClient) -> None:
    """An app has up to ten."""
    sockets = []
    for _ in range(11):
        connection = await box.api("apps.connections.open", token=box.app_token)
        sockets.append(await box.session.ws_connect(connection["url"]))
    first = [await socket.receive_json(timeout=WAIT_S) for socket in sockets]
    assert [frame["type"] for frame in first] == ["hello"] * 10 + ["disconnect"]
    assert first[-1]["reason"] == "too_many_websockets"
    for socket in sockets:
        await socket.close()


def test_credentials_are_made_once_and_kept_private(tmp_path: Path) -> None:
    """The file has mode 0600 from the start and is used again; damage is reported with a remedy."""
    made = load_credentials(tmp_path)
    file = tmp_path / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert load_credentials(tmp_path) == made
    assert made.bot_token not in repr(made)
    assert [path.name for path in tmp_path.iterdir()] == ["credentials.json"]
    file.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="delete it"):
        load_credentials(tmp_path)


@pytest.mark.parametrize("oauth", [False, True])
def test_settings_for_kvasir_are_complete(tmp_path: Path, *, oauth: bool) -> None:
    credentials = load_credentials(tmp_path)
    file = write_settings(tmp_path, "http://127.0.0.1:3000", credentials, oauth=oauth)
    assert file.stat().st_mode & 0o777 == 0o600
    environ = dict(line.split("=", 1) for line in file.read_text().splitlines())
    (tmp_path / "kvasir.toml").write_text('[[source]]\nname = "docs"\nkind = "folder"\npath = "."\n')
    slack = load_settings({**environ, "KVASIR_HOME": str(tmp_path)}, tmp_path).slack
    assert slack is not None
    assert (slack.app_token, slack.api_url) == (credentials.app_token, "http://127.0.0.1:3000/api/")
    assert (slack.oauth is not None, slack.bot_token) == (oauth, "" if oauth else credentials.bot_token)


@pytest.mark.slow
async def test_a_process_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """After kill -9 the messages, the open stream and the undelivered event are there."""
    async with start_sandbox_process(tmp_path) as box:
        ts = await box.say("ada", "@kvasir", "are you there?")
        client = AsyncWebClient(token=box.bot_token, base_url=box.api_url)
        room = (await box.messages("@kvasir"))[0]["channel"]
        stream = (await client.chat_startStream(channel=room, thread_ts=ts, markdown_text="one"))["ts"]
    async with start_sandbox_process(tmp_path) as box:
        texts = [message["text"] for message in await box.messages("@kvasir")]
        assert texts == ["are you there?", "one"]
        pending = (await box.state())["pending"]
        assert ts in {envelope["payload"]["event"]["ts"] for envelope in pending}
        reply = await box.api("chat.appendStream", channel=room, ts=stream, markdown_text=" two")
        assert reply["ok"]


@pytest.mark.slow
async def test_the_command_prints_no_secret_and_ends_on_sigterm(tmp_path: Path) -> None:
    """SIGTERM ends it with status 0; a used port is an error with the next step."""
    argv = [sys.executable, "-m", "bot.sandbox", "--state", str(tmp_path)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, "--port", "0", stdout=pipe, stderr=pipe)
    assert process.stdout
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    port = line.decode().strip().rpartition(":")[2]
    line += await asyncio.wait_for(process.stdout.readline(), 60)
    assert f"Settings for Kvasir: {tmp_path}/kvasir.env" in line.decode()
    reply = b""
    for state, remedy in ((tmp_path, "stop it first"), (tmp_path / "other", "--port")):
        other = [sys.executable, "-m", "bot.sandbox", "--state", str(state), "--port", port]
        second = await asyncio.create_subprocess_exec(*other, stdout=pipe, stderr=pipe)
        reply = (await asyncio.wait_for(second.communicate(), 60))[1]
        assert second.returncode == 1
        assert remedy in reply.decode()
    os.kill(process.pid, signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert (out, err) == (b"", b"")
    secrets = json.loads((tmp_path / "credentials.json").read_text()).values()
    assert not [secret for secret in secrets if secret in line.decode() + reply.decode()]


@pytest.mark.slow
async def test_the_process_ends_with_its_parent(tmp_path: Path) -> None:
    """The process ends when standard input closes, because its parent has ended."""
    argv = [sys.executable, "-m", "bot.sandbox", "--state", str(tmp_path), "--port", "0", "--with-parent"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe)
    assert process.stdout
    assert process.stdin
    await asyncio.wait_for(process.stdout.readline(), 60)
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0

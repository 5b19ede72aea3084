"""Tests of signed HTTP: signatures, invalid requests and the health check."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.http.listeners import PortUnavailable
from bot.slack.wire.transport.http_server import HttpServer
from tests.services import free_ports
from tests.slack.running_bot import RunningBot, run_bot, run_bot_in_sandbox, wait_for_ephemeral
from tests.slack_sandbox import TEAM_ID, open_sandbox

pytestmark = pytest.mark.slow


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[tuple[RunningBot, str]]:
    """Run a bot that listens, in a workspace that sends it nothing."""
    port = free_ports(1)[0]
    async with open_sandbox(tmp_path) as sandbox:
        sandbox.wait_connected = skip_wait  # type: ignore[method-assign]
        async with run_bot(sandbox, tmp_path, port=port) as bot:
            yield bot, f"http://127.0.0.1:{port}"


async def skip_wait(deadline_s: float = 0) -> None:
    """Return at once, because nothing connects."""


def make_event(text: str = "<@U0KVASIR01> how?") -> bytes:
    said = {"type": "app_mention", "user": "U0ADA00001", "channel": "C0GENERAL1", "ts": "1.000001", "text": text}
    return json.dumps({"type": "event_callback", "team_id": TEAM_ID, "event": said}).encode()


def sign_body(secret: str, body: bytes, at: float | None = None) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    mac = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", "X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={mac}"}


async def post_event(bot: RunningBot, url: str, body: bytes, headers: dict[str, str]) -> int:
    async with bot.sandbox.session.post(f"{url}/slack/events", data=body, headers=headers) as answer:
        return answer.status


async def test_wrong_signature_is_refused(http: tuple[RunningBot, str]) -> None:
    """A wrong, old, future, foreign or missing signature gets 401."""
    bot, url = http
    secret, body = bot.sandbox.signing_secret, make_event()
    now = time.time()
    refused = [
        sign_body("another secret", body),
        sign_body(secret, body, now - 301),
        sign_body(secret, body, now + 3_600),
        sign_body(secret, b"another body"),
        {"Content-Type": "application/json"},
        sign_body(secret, body) | {"X-Slack-Signature": "v0=é".encode().decode("latin-1")},
        sign_body(secret, body) | {"X-Slack-Request-Timestamp": "yesterday"},
    ]
    assert [await post_event(bot, url, body, headers) for headers in refused] == [401] * len(refused)
    assert not bot.answerer.questions
    assert await post_event(bot, url, body, sign_body(secret, body)) == 200


async def test_url_verification_returns_challenge(http: tuple[RunningBot, str]) -> None:
    bot, url = http
    body = json.dumps({"type": "url_verification", "challenge": "xyz", "token": "t"}).encode()
    headers = sign_body(bot.sandbox.signing_secret, body)
    async with bot.sandbox.session.post(f"{url}/slack/events", data=body, headers=headers) as answer:
        assert (answer.status, json.loads(await answer.text())) == (200, {"challenge": "xyz"})


async def test_invalid_requests_are_refused(http: tuple[RunningBot, str]) -> None:
    bot, url = http
    secret = bot.sandbox.signing_secret
    huge = b"x" * (1024 * 1024 + 1)
    assert await post_event(bot, url, huge, sign_body(secret, huge)) == 413
    assert await post_event(bot, url, b"\xff\xfe", sign_body(secret, b"\xff\xfe")) == 400
    async with bot.sandbox.session.get(f"{url}/slack/events") as answer:
        assert answer.status == 405


async def test_health_check_answers_ok(http: tuple[RunningBot, str]) -> None:
    bot, url = http
    async with bot.sandbox.session.get(f"{url}/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ok": True})


async def test_port_in_use_raises_port_unavailable(http: tuple[RunningBot, str]) -> None:
    bot, url = http
    other = HttpServer(bot.app._runner._bolt, int(url.rpartition(":")[2]))
    with pytest.raises(PortUnavailable, match="Set PORT"):
        await other.start()
    await other.close()


async def test_questions_commands_buttons_and_forms_arrive_over_http(tmp_path: Path) -> None:
    """Everywhere else the same arrives over Socket Mode."""
    async with run_bot_in_sandbox(tmp_path, "http") as bot:
        answer = await bot.wait_for_answer(await bot.ask())
        await bot.sandbox.command("ada", "#general", "/kb help")
        await wait_for_ephemeral(bot, "/kb refresh")
        await bot.sandbox.press("bo", "#general", answer["ts"], "kvasir:answer-again")
        await wait_for_ephemeral(bot, "Only the person who asked", person="bo")
        await bot.sandbox.shortcut("ada", "ask_anything")
        view = await bot.sandbox.wait_for_modal("U0ADA00001")
        [field] = view["blocks"]
        for text, is_open in (("?", True), ("why?", False)):
            value = {field["element"]["action_id"]: {"type": "plain_text_input", "value": text}}
            await bot.sandbox.submit("ada", view["id"], {field["block_id"]: value})
            await bot.sandbox.wait_until(lambda: bool(bot.sandbox.view(view["id"]).get("errors")) is is_open)  # noqa: B023
        await bot.sandbox.wait_until(lambda: bot.answerer.questions[-1].text == "why?")
        assert not (await bot.sandbox.state())["modals"]

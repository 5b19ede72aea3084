"""Test events over HTTP: verified, signed, retried."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

from aiohttp import web
from slack_sdk.signature import SignatureVerifier

from tests.slack_sandbox import open_sandbox


class Endpoint:
    """An app's request URL, which stores its requests."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], str]] = []
        self.answers: list[int | str] = []
        """What to answer the next requests with: a status, or a text; 200 after that."""
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        """Keep a request and answer it."""
        body = await request.text()
        if request.content_type == "application/json" and json.loads(body)["type"] == "url_verification":
            return web.json_response({"challenge": json.loads(body)["challenge"]})
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
        answer = self.answers.pop(0) if self.answers else 200
        if answer == 0:
            await asyncio.sleep(5)
        return web.Response(text=answer) if isinstance(answer, str) else web.Response(status=answer or 200)


@contextlib.asynccontextmanager
async def serving(endpoint: Endpoint) -> AsyncIterator[Endpoint]:
    """Serve a request URL."""
    app = web.Application()
    app.add_routes([web.post("/slack/events", endpoint.take)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    endpoint.url = f"http://127.0.0.1:{port}/slack/events"
    try:
        yield endpoint
    finally:
        await runner.cleanup()


async def test_requests_are_signed_and_retried(tmp_path: Path) -> None:
    """The retry's reason distinguishes a 500 from a timeout; each request has its own signature."""
    async with (
        serving(Endpoint()) as endpoint,
        open_sandbox(tmp_path, events_url=endpoint.url, ack_deadline_s=0.2, retry_delays_s=[0, 0, 0]) as box,
    ):
        await box.wait_connected()
        endpoint.answers = [500, 0]
        await box.say("ada", "@kvasir", "hello, 你好")
        await box.wait_delivered()
        checker = SignatureVerifier(box.signing_secret)
        assert all(checker.is_valid_request(body, headers) for headers, body in endpoint.got)
        retries = [(h.get("x-slack-retry-num"), h.get("x-slack-retry-reason")) for h, _ in endpoint.got]
        assert retries == [(None, None), ("1", "http_error"), ("2", "http_timeout")]
        assert len({json.loads(body)["event_id"] for _, body in endpoint.got}) == 1


async def test_commands_and_buttons_are_forms(tmp_path: Path) -> None:
    """A command's fields are in the form, an interaction in its ``payload``; an answer's text is shown."""
    async with serving(Endpoint()) as endpoint, open_sandbox(tmp_path, events_url=endpoint.url) as box:
        await box.wait_connected()
        endpoint.answers = ["plain answer"]
        await box.command("ada", "#general", "/kb status")
        await box.wait_for_message(lambda m: m["text"] == "plain answer")
        button = {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "Go"}}
        blocks = [{"type": "actions", "elements": [button]}]
        posted = await box.api("chat.postMessage", channel="#general", text="?", blocks=blocks)
        await box.wait_delivered()
        await box.press("ada", "#general", posted["ts"], "a")
        await box.wait_until(lambda: any("payload=" in body for _, body in endpoint.got))
    forms = [parse_qs(body) for headers, body in endpoint.got if "form" in headers["content-type"]]
    assert forms[0]["command"] == ["/kb"]
    assert json.loads(forms[1]["payload"][0])["actions"][0]["action_id"] == "a"

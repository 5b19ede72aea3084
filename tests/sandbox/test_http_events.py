"""Test events over HTTP: verified, signed, retried."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from slack_sdk.signature import SignatureVerifier

from tests.slack_sandbox import open_sandbox


async def test_requests_are_signed_and_retried(tmp_path: Path) -> None:
    """The retry's reason distinguishes a 500 from a timeout; each request has its own signature."""
    got: list[tuple[dict[str, str], str]] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.text()
        if json.loads(body)["type"] == "url_verification":
            return web.json_response({"challenge": json.loads(body)["challenge"]})
        got.append(({name.lower(): value for name, value in request.headers.items()}, body))
        if len(got) == 2:
            await asyncio.sleep(5)
        return web.Response(status=500 if len(got) == 1 else 200)

    app = web.Application()
    app.router.add_post("/slack/events", take)
    options = {"ack_deadline_s": 0.2, "retry_delays_s": [0, 0, 0]}
    async with TestServer(app) as server:
        url = str(server.make_url("/slack/events"))
        async with open_sandbox(tmp_path, events_url=url, **options) as box:
            await box.wait_connected()
            await box.say("ada", "@kvasir", "hello, 你好")
            await box.wait_delivered()
            checker = SignatureVerifier(box.signing_secret)
            assert all(checker.is_valid_request(body, headers) for headers, body in got)
            retries = [(h.get("x-slack-retry-num"), h.get("x-slack-retry-reason")) for h, _ in got]
            assert retries == [(None, None), ("1", "http_error"), ("2", "http_timeout")]
            assert len({json.loads(body)["event_id"] for _, body in got}) == 1

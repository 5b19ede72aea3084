"""Events over HTTP: signed requests to the app's URL, as an alternative to Socket Mode.

The signature is that of https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
from typing import Self
from urllib.parse import urlencode

import aiohttp

from bot.sandbox.delivery.clock import SandboxClock
from bot.sandbox.delivery.outbox import Acknowledgement, Carrier, DeliveryFailure
from bot.sandbox.http.credentials import Credentials
from bot.sandbox.state.model import Envelope, Json
from engine.tasks import cancel_tasks

_OK = range(200, 300)
_VERIFY_EVERY_S = 1.0


def sign_request(secret: str, timestamp: str, body: str) -> str:
    """Return the ``X-Slack-Signature`` of a request."""
    base = f"v0:{timestamp}:{body}".encode()
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


class Webhook(Carrier):
    """The carrier that posts to a URL; the URL must first answer a ``url_verification``."""

    def __init__(self, clock: SandboxClock, url: str, credentials: Credentials) -> None:
        super().__init__()
        self._clock = clock
        self._url = url
        self._credentials = credentials

    async def __aenter__(self) -> Self:
        """Start to verify the URL, with retries until it answers."""
        self._session = aiohttp.ClientSession()
        self._verification = asyncio.create_task(self._verify_url())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop and release the connections."""
        await cancel_tasks(self._verification)
        await self._session.close()

    async def _verify_url(self) -> None:
        challenge = secrets.token_urlsafe(30)
        body = {"token": self._credentials.verification_token, "challenge": challenge, "type": "url_verification"}
        while True:
            outcome = await self._post_body(json.dumps(body), "application/json", {}, 3.0)
            if isinstance(outcome, str) and challenge in outcome:
                self.connected.set()
                self.on_change()
                return
            await asyncio.sleep(_VERIFY_EVERY_S)

    async def deliver_envelope(self, envelope: Envelope, deadline_s: float) -> Acknowledgement | DeliveryFailure:
        """Post once; any answer of 2xx within the deadline acknowledges."""
        headers = {}
        if envelope.attempt:
            headers = {
                "X-Slack-Retry-Num": str(envelope.attempt),
                "X-Slack-Retry-Reason": envelope.reason or "unknown_error",
            }
        outcome = await self._post_body(*_encode_envelope(envelope), headers, deadline_s)
        return outcome if isinstance(outcome, DeliveryFailure) else Acknowledgement(_parse_answer(outcome))

    async def _post_body(
        self, body: str, content_type: str, headers: dict[str, str], deadline_s: float
    ) -> str | DeliveryFailure:
        timestamp = str(int(self._clock.now()))
        headers |= {
            "Content-Type": content_type,
            "X-Slack-Request-Timestamp": timestamp,
            "X-Slack-Signature": sign_request(self._credentials.signing_secret, timestamp, body),
            "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        }
        timeout = aiohttp.ClientTimeout(total=deadline_s)
        try:
            async with self._session.post(self._url, data=body.encode(), headers=headers, timeout=timeout) as answer:
                text = await answer.text(errors="replace")
                return text if answer.status in _OK else DeliveryFailure("http_error")
        except TimeoutError:
            return DeliveryFailure("http_timeout")
        except aiohttp.ClientError:
            return DeliveryFailure("connection_failed")


def _encode_envelope(envelope: Envelope) -> tuple[str, str]:
    """Return body and content type: events as JSON, commands and interactions as forms."""
    if envelope.kind == "events_api":
        return json.dumps(envelope.payload, ensure_ascii=False), "application/json"
    form = envelope.payload
    if envelope.kind == "interactive":
        form = {"payload": json.dumps(envelope.payload, ensure_ascii=False)}
    return urlencode(form), "application/x-www-form-urlencoded"


def _parse_answer(text: str) -> Json | None:
    """Return an app's answer to a command: JSON, or plain text to show."""
    try:
        body = json.loads(text)
    except ValueError:
        return {"text": text} if text.strip() else None
    return body if isinstance(body, dict) and body else None

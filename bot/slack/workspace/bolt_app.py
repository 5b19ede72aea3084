"""Builds Bolt apps, which check the signature of each request."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.wire.settings import SlackSettings
from bot.slack.wire.transport.web_client import copy_without_token

Authorize = Callable[..., Awaitable[AuthorizeResult | None]]
"""Returns the token for a request, None if the app is not installed where it comes from."""


def create_bolt_app(
    settings: SlackSettings,
    client: AsyncWebClient,
    authorize: Authorize,
    before_authorize: AsyncMiddleware | None = None,
) -> AsyncApp:
    """Return a Bolt app without listeners; ``before_authorize`` gets only requests whose signature is valid."""
    return AsyncApp(
        name="slack_bolt.kvasir",  # Bolt gives the logger of this name the level of the next one
        logger=logging.getLogger("slack_bolt"),
        client=copy_without_token(client),
        before_authorize=before_authorize,
        authorize=authorize,  # type: ignore[arg-type]  # Bolt accepts None, too
        signing_secret=settings.signing_secret or "",
        request_verification_enabled=True,
        ssl_check_enabled=False,  # this check answers 200 before Bolt verifies the signature
        process_before_response=False,
    )

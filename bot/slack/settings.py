"""Tokens and addresses of the Slack side."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """Tokens and addresses; Socket Mode with an app token, else signed HTTP on ``port``."""

    bot_token: str = field(repr=False)
    app_token: str | None = field(default=None, repr=False)
    signing_secret: str | None = field(default=None, repr=False)
    api_url: str | None = None
    """The Web API's base URL, ending in ``/api/``; None is Slack's own."""
    port: int = 3000

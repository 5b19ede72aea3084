"""Tells other apps that only people get answers."""

from __future__ import annotations

import time

import structlog

from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.errors import SlackError
from bot.slack.incoming.events import AppAsked
from bot.slack.transport.web_api import SlackWebApi
from knowledge.language import choose_language

_log = structlog.get_logger(__name__)

_INTERVAL_S = 3_600.0
_MAX_APPS = 1_000


class AppRefusals:
    """Refuses each app once an hour in a channel: two apps that answer each other never stop."""

    def __init__(self, api: SlackWebApi) -> None:
        self._api = api
        self._refused_at: dict[tuple[str, str], float] = {}

    async def refuse(self, asked: AppAsked) -> None:
        """Say in the app's thread that a person has to ask; a failure is logged."""
        now, key = time.monotonic(), (asked.key.channel, asked.app)
        if now - self._refused_at.get(key, float("-inf")) < _INTERVAL_S:
            return
        if len(self._refused_at) >= _MAX_APPS:
            self._refused_at.clear()
        self._refused_at[key] = now
        text = render_message(replies.APPS_REFUSED, choose_language(asked.text))
        try:
            await self._api.call("chat.postMessage", channel=asked.key.channel, thread_ts=asked.thread_ts, text=text)
        except SlackError as error:
            _log.warning("app not refused", channel=asked.key.channel, error=str(error))

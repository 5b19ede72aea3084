"""Addresses of messages."""

from __future__ import annotations

from bot.slack.wire.errors import SlackError
from bot.slack.wire.transport.web_api import SlackWebApi


async def find_permalink(api: SlackWebApi, channel: str, ts: str) -> str | None:
    """Return Slack's link to a message, None if Slack does not say: a text without a link is better than none."""
    try:
        answer = await api.call("chat.getPermalink", channel=channel, message_ts=ts)
    except SlackError:
        return None
    return str(answer["permalink"])

"""Sends direct messages to the owners of the knowledge, each in the language of the owner's Slack."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import structlog

from bot.languages.registry import Language
from bot.slack.people.directory import SlackDirectory
from bot.slack.posting.ephemeral import MAX_BLOCKS, MAX_TEXT_CHARACTERS, build_sections
from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused
from bot.slack.wire.transport.web_api import SlackWebApi

_log = structlog.get_logger("kvasir.owners")

_UNKNOWN_PERSON = {"channel_not_found", "user_not_found"}
"""Slack's codes for an owner who is in another workspace that has the app."""
BuildText = Callable[[str, Language], Awaitable[str]]
"""Returns the mrkdwn for a person in a language; "" for no message."""


class OwnerMessages:
    """Sends messages; one that Slack refuses is logged."""

    def __init__(self, api: SlackWebApi, directory: SlackDirectory) -> None:
        self._api = api
        self._directory = directory

    async def send_messages(self, owners: Iterable[str], build: BuildText) -> bool:
        """Send each owner a message; return whether at least one was sent, or nobody needed one."""
        sent = failed = 0
        for owner in sorted(owners):
            text = await build(owner, await self._directory.find_language(owner) or "en")
            if not text:
                continue
            try:
                start, blocks = text[:MAX_TEXT_CHARACTERS], build_sections(text)[:MAX_BLOCKS]
                await self._api.call("chat.postMessage", channel=owner, text=start, blocks=blocks)
                sent += 1
            except (SlackGone, SlackRefused) as error:
                if error.code not in _UNKNOWN_PERSON:
                    _log.warning("owner not reached", owner=owner, error=str(error))
                    failed += 1
            except SlackError as error:
                _log.warning("owner not reached", owner=owner, error=str(error))
                failed += 1
        return sent > 0 or not failed

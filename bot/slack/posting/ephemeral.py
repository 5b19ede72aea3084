"""Messages that only one person sees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from bot.messages.message import Message, render_message
from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused
from bot.slack.wire.interactions import ButtonPress, Interaction
from bot.slack.wire.text import cutting, render
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.questions import is_app

_log = structlog.get_logger(__name__)

MAX_TEXT_CHARACTERS = 3_900
"""Slack's limit for a message's text is 4,000."""
MAX_SECTION_CHARACTERS = 2_900
MAX_BLOCKS = 50

Block = Mapping[str, Any]
PostToResponseUrl = Callable[[str, Mapping[str, Any]], Awaitable[bool]]
"""Posts a payload to a response URL; returns False if Slack refuses it."""


class EphemeralMessenger:
    """Sends messages that only one person sees."""

    def __init__(self, api: SlackWebApi, post_to_response_url: PostToResponseUrl) -> None:
        self._api = api
        self._post = post_to_response_url

    async def answer_interaction(
        self, interaction: Interaction, text: str, blocks: Sequence[Block] | None = None
    ) -> None:
        """Answer an interaction in mrkdwn: at its response URL, else in its channel or in the direct messages."""
        text, blocks = text[:MAX_TEXT_CHARACTERS], list(blocks or build_sections(text))[:MAX_BLOCKS]
        payload: dict[str, Any] = {"response_type": "ephemeral", "replace_original": False, "text": text}
        thread_ts = interaction.active_thread_ts
        payload |= {"blocks": blocks} | ({"thread_ts": thread_ts} if thread_ts else {})
        if interaction.response_url and await self._post(interaction.response_url, payload):
            return
        if interaction.channel:
            await self.reach_person(interaction.channel, interaction.user, text, thread_ts=thread_ts, blocks=blocks)
        else:  # of a modal or the Home tab
            await self._message_directly(interaction.user, text, blocks)

    async def replace_message(self, press: ButtonPress, message: Message) -> bool:
        """Replace the ephemeral message of a pressed button by a text; return whether that worked."""
        text = render.escape_mrkdwn(render_message(message, press.language))
        payload = {"response_type": "ephemeral", "replace_original": True, "text": text, "blocks": build_sections(text)}
        return bool(press.response_url) and await self._post(press.response_url, payload)

    async def reach_person(
        self,
        channel: str,
        user: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: Sequence[Block] | None = None,
        only_there: bool = False,
    ) -> None:
        """Send mrkdwn to one person in a channel; a failure is logged.

        If Slack refuses that, it goes to the direct messages, unless it belongs ``only_there``.
        """
        try:
            await self.send_message(channel, user, text, thread_ts=thread_ts, blocks=blocks)
        except SlackError as error:
            if isinstance(error, (SlackGone, SlackRefused)) and not only_there:
                await self._message_directly(user, text, blocks)
            else:
                _log.warning("person not reached", channel=channel, error=str(error))

    async def _message_directly(self, user: str, text: str, blocks: Sequence[Block] | None = None) -> None:
        try:
            await self._api.call("chat.postMessage", channel=user, text=text, blocks=blocks)
        except SlackError as error:
            _log.warning("person not reached", error=str(error))

    async def reply_to_press(self, press: ButtonPress, message: Message) -> None:
        """Send a text to the person who pressed a button, in its thread; a failure is logged."""
        await self.answer_interaction(press, render.escape_mrkdwn(render_message(message, press.language)))

    async def send_message(
        self,
        channel: str,
        user: str,
        text: str,
        *,
        thread_ts: str | None = None,
        blocks: Sequence[Block] | None = None,
    ) -> None:
        """Send mrkdwn to one person in a channel; an app gets none.

        Raises:
            SlackError: Slack refuses it.

        """
        if is_app(user):
            return
        await self._api.call(
            "chat.postEphemeral", channel=channel, user=user, text=text, thread_ts=thread_ts, blocks=blocks
        )


def build_sections(text: str) -> list[Block]:
    """Return mrkdwn as section blocks, cut where a section is full."""
    pieces: list[str] = []
    while text:
        head, text = cutting.split_head(text, MAX_SECTION_CHARACTERS)
        pieces.append(head)
    return [build_section(piece) for piece in pieces or ["…"]]


def build_section(text: str) -> Block:
    """Return a section block of mrkdwn."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}

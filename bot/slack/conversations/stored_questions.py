"""Stored questions, as other texts of Kvasir refer to them: to whom each may be shown, and its link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeVar

from bot.answering.outgoing import release_text
from bot.slack.people.directory import SlackDirectory
from bot.slack.wire.permalinks import find_permalink
from bot.slack.wire.text import render
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.answers import StoredAnswer
from bot.storage.turns.questions import QuestionKey

_MAX_CHARACTERS: Final = 120
_MAX_LINKS: Final = 2_000
_Item = TypeVar("_Item")


class StoredQuestions:
    """Filters and links questions. It raises no ``SlackError``: what Slack does not say counts as no."""

    def __init__(self, directory: SlackDirectory, api: SlackWebApi) -> None:
        self._directory = directory
        self._api = api
        self._links: dict[QuestionKey, str] = {}

    async def filter_visible(
        self, items: Sequence[_Item], user: str, get_answer: Callable[[_Item], StoredAnswer]
    ) -> list[_Item]:
        """Return the items whose question stands in a conversation that a person is in."""
        channels = {get_answer(item).key.channel for item in items}
        visible = await self._filter_channels({one for one in channels if not one.startswith("D")}, user)

        def is_visible(answer: StoredAnswer) -> bool:
            channel = answer.key.channel
            return answer.user == user if channel.startswith("D") else channel in visible

        return [item for item in items if is_visible(get_answer(item))]

    async def _filter_channels(self, channels: Collection[str], user: str) -> set[str]:
        """Return the channels that a person is in; the list of a person's channels lacks group messages."""
        joined = await self._directory.list_joined_channels(user) if channels else frozenset()
        others = [channel for channel in channels if channel not in joined]
        members = await asyncio.gather(*map(self._directory.list_members, others))
        found = {channel for channel, listed in zip(others, members, strict=True) if user in (listed or ())}
        return found.union(joined.intersection(channels))

    async def format_link(self, answer: StoredAnswer) -> str:
        """Return a question as the link to it, in mrkdwn; without the link if Slack does not give it."""
        question = " ".join(release_text(answer.question).split())
        is_long = len(question) > _MAX_CHARACTERS
        name = render.escape_mrkdwn(question[: _MAX_CHARACTERS - 1] + "…" if is_long else question)
        link = await self._find_link(answer.key)
        return f"<{link}|{name.replace('|', '¦')}>" if link else name

    async def _find_link(self, key: QuestionKey) -> str:
        if (link := self._links.get(key)) is not None:
            return link
        if (found := await find_permalink(self._api, key.channel, key.ts)) is None:
            return ""
        if len(self._links) >= _MAX_LINKS:
            self._links.clear()
        return self._links.setdefault(key, render.encode_link_target(found))

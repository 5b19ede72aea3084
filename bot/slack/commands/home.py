"""The app's Home tab: the commands, and the state of the documents."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bot.messages import commands
from bot.messages.message import LANGUAGES, render_message
from bot.slack.posting.cutting import split_head
from bot.slack.posting.ephemeral import MAX_SECTION_CHARACTERS, Block, build_section
from bot.slack.transport.web_api import SlackWebApi
from knowledge.language import Language

_MAX_STATUS_SECTIONS = 25
"""Slack takes 100 blocks, but also limits the size of a view."""


class HomeTab:
    """Publishes Home in the language of a person's Slack, or in both languages."""

    def __init__(
        self,
        api: SlackWebApi,
        find_language: Callable[[str], Awaitable[Language | None]],
        describe_status: Callable[[str, Language], Awaitable[str]],
    ) -> None:
        """``describe_status`` returns the text of ``/kb status`` for a person."""
        self._api = api
        self._find_language = find_language
        self._describe_status = describe_status

    async def publish(self, user: str) -> None:
        """Publish the current view to a person."""
        language = await self._find_language(user)
        status = await self._describe_status(user, language or "en")
        view = build_home_view(status, (language,) if language else LANGUAGES)
        await self._api.call("views.publish", user_id=user, view=view)


def build_home_view(status: str, languages: Sequence[Language]) -> dict[str, Any]:
    """Return the view; ``status`` is the text of ``/kb status``."""
    return {
        "type": "home",
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Kvasir"}},
            *(build_section(render_message(commands.HELP, language)) for language in languages),
            {"type": "divider"},
            *_build_status(status, languages),
        ],
    }


def _build_status(status: str, languages: Sequence[Language]) -> list[Block]:
    """Return the status as sections; what exceeds Slack's limits is counted, with the way to see it."""
    sections: list[Block] = []
    while status and len(sections) < _MAX_STATUS_SECTIONS:
        head, status = split_head(status, MAX_SECTION_CHARACTERS)
        sections.append(build_section(head))
    if not status:
        return sections
    count = len(status.splitlines())
    notice = "\n".join(render_message(commands.HOME_LEFT_OUT, language, count=count) for language in languages)
    return [*sections, build_section(notice)]

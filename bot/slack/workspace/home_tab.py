"""The app's Home tab. Its parts together have fewer than the 100 blocks that Slack takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog

from bot.languages.registry import LANGUAGES, Language
from bot.messages import commands
from bot.messages.errors import explain_error
from bot.messages.forms import home
from bot.messages.message import render_message
from bot.slack.features.kit.feature import Feature
from bot.slack.features.kit.home import HomePart, HomeViewer, build_header, join_blocks
from bot.slack.features.kit.status_texts import format_engine
from bot.slack.posting.ephemeral import Block, build_section
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ActionHandler, ButtonPress
from bot.slack.wire.text import render
from knowledge.errors import KnowledgeError

_log = structlog.get_logger(__name__)

MIN_S: Final = 1.0
"""Home is published at most this often to a person who only opens it."""
_MAX_PEOPLE: Final = 10_000


class HomeTab:
    """Publishes Home to people, each in the language that the person reads."""

    def __init__(self, shared: SharedParts, features: Sequence[Feature]) -> None:
        self._shared = shared
        self._features = features
        self._started: dict[str, float] = {}
        """When the last publication to each person began."""
        self._waiting: set[str] = set()

    async def open_home(self, user: str) -> None:
        """Publish Home to a person who opens it; a little later if that happened a moment ago.

        Raises:
            SlackError: Slack refuses the view.

        """
        if user in self._waiting:
            return
        self._waiting.add(user)
        try:
            await asyncio.sleep(self._started.get(user, float("-inf")) + MIN_S - time.monotonic())
        finally:
            self._waiting.discard(user)
        await self.publish_home(user)

    def publish_after(self, handler: ActionHandler) -> ActionHandler:
        """Return a handler of a button that publishes Home again if the button is there."""

        async def run(press: ButtonPress) -> None:
            await handler(press)
            if press.view_id:
                await self.publish_home(press.user)

        return run

    async def publish_home(self, user: str) -> None:
        """Publish Home to a person now.

        Raises:
            SlackError: Slack refuses the view.

        """
        if len(self._started) >= _MAX_PEOPLE:
            self._started.clear()
        started = self._started[user] = time.monotonic()
        view = await self._build_view(user)
        if self._started.get(user) == started:  # a newer view shows newer settings
            await self._shared.api.call("views.publish", user_id=user, view=view)

    async def _build_view(self, user: str) -> dict[str, Any]:
        language = await self._shared.languages.find_language(user)
        viewer = HomeViewer(user, language or "en", await self._shared.roles.find_roles(user))
        parts = [await self._build_part(part, viewer) for feature in self._features for part in feature.home_parts]
        blocks = join_blocks([self._build_head(viewer), *parts, _build_help(language)])
        return {"type": "home", "blocks": blocks}

    def _build_head(self, viewer: HomeViewer) -> list[Block]:
        engine = render.build_context_block(format_engine(self._shared.dependencies.engine_status(), viewer.language))
        return [build_header(home.TITLE, viewer.language), engine]

    async def _build_part(self, part: HomePart, viewer: HomeViewer) -> list[Block]:
        """Return the blocks of a part, or why it is missing: one part must not hide the others."""
        try:
            return await part.build_blocks(viewer)
        except KnowledgeError as error:
            _log.warning("part of home not built", part=type(part).__name__, error=str(error))
            reason = render_message(explain_error(error), viewer.language)
            return [build_section(render.format_notice(reason))]


def _build_help(language: Language | None) -> list[Block]:
    """Return the list of commands, in all languages if that of the person is unknown."""
    texts = [render_message(commands.HELP, one) for one in ([language] if language else LANGUAGES)]
    return [build_header(home.HELP, language or "en"), *map(build_section, texts)]

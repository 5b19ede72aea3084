"""The part of Home with the person's settings."""

from __future__ import annotations

from dataclasses import dataclass

from bot.languages.registry import find_pack
from bot.messages.forms import home, settings
from bot.messages.message import render_message
from bot.slack.features.kit.home import HomeViewer, build_header, build_section_with_button
from bot.slack.features.settings.personal_settings import OPEN_SETTINGS
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import Block
from bot.slack.turns.shared_parts import SharedParts


@dataclass(frozen=True, slots=True)
class SettingsPart:
    """Shows what the person chose, with the button that changes it."""

    shared: SharedParts

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return the settings."""
        chosen = await self.shared.preferences.find_or_default(self.shared.me.team, viewer.user)
        summary = render_message(
            home.SETTINGS,
            viewer.language,
            reads=find_pack(chosen.language).name if chosen.language else settings.AS_IN_SLACK,
            thinking=settings.DEPTH_NAMES[chosen.depth] if chosen.depth else settings.AS_IN_CHANNEL,
            length=settings.LENGTH_NAMES[chosen.length],
            privacy=home.ANSWERS_KEPT if chosen.keeps_answers else home.ANSWERS_NOT_KEPT,
        )
        button = build_button(OPEN_SETTINGS, render_message(home.CHANGE_SETTINGS, viewer.language), "settings")
        return [build_header(home.MY_SETTINGS, viewer.language), build_section_with_button(summary, button)]

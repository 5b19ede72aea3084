"""A person chooses language, thinking, length of answers and privacy: in a modal, which Home opens."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from bot.answering.thinking import DEPTHS, LENGTHS, describe_thinking_limit
from bot.languages.registry import LANGUAGES, Language, find_pack
from bot.messages.forms import home, settings
from bot.messages.message import Message, render_message
from bot.slack.features.kit.home import HomeViewer, build_header, build_section_with_button
from bot.slack.features.kit.modal import Modal, build_checkboxes, build_menu, build_modal
from bot.slack.features.kit.opening import open_modal
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import Block
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, ModalSubmission
from bot.storage.preferences import Preferences, find_value

_log = structlog.get_logger(__name__)

OPEN_SETTINGS: Final = "kvasir:settings"
"""The action id of the button that opens the modal."""
_DEFAULT: Final = "default"
_LANGUAGE, _THINKING, _LENGTH, _PRIVACY = "language", "thinking", "length", "privacy"
_NO_ANSWERS, _ERASE = "no_answers", "erase"

_DAY_S: Final = 86_400.0
_SCRUB_S: Final = 2.0
"""How long to wait until nobody reads what was deleted; the hourly deletion of old rows tries it again."""

Publish = Callable[[str], Awaitable[None]]
"""Publishes Home to a person again."""


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
            privacy=self._describe_privacy() if chosen.keeps_answers else home.ANSWERS_NOT_KEPT,
        )
        button = build_button(OPEN_SETTINGS, render_message(home.CHANGE_SETTINGS, viewer.language), "settings")
        return [build_header(home.MY_SETTINGS, viewer.language), build_section_with_button(summary, button)]

    def _describe_privacy(self) -> Message:
        kept_s = self.shared.dependencies.configuration.retention.turns_s
        is_forever = math.isinf(kept_s)
        return home.ANSWERS_KEPT_FOREVER if is_forever else home.ANSWERS_KEPT.fill(count=math.ceil(kept_s / _DAY_S))


@dataclass(slots=True)
class SettingsModal(Modal):
    """Opens the modal, and stores what is submitted."""

    shared: SharedParts
    publish_home: Publish
    callback_id: str = "kvasir:settings"

    async def open(self, press: ButtonPress) -> None:
        """Open the modal for the person who pressed the button.

        Raises:
            DatabaseError: the settings cannot be read.
            SlackError: Slack refuses the modal.

        """
        await open_modal(self.shared.api, press, self._build_view(press))

    async def _build_view(self, press: ButtonPress) -> dict[str, Any]:
        chosen = await self.shared.preferences.find_preferences(self.shared.me.team, press.user)
        count = await self.shared.answers.count_answers(self.shared.me.team, press.user)
        limit = describe_thinking_limit(self.shared.dependencies.control(), press.language)
        return build_settings_view(self.callback_id, chosen, count, limit, press.language)

    async def run(self, submission: ModalSubmission) -> None:
        """Store the settings, delete what the person wants to be deleted, and publish Home again.

        Raises:
            DatabaseError: the settings cannot be stored.
            SlackError: Slack refuses Home.

        """
        chosen = read_settings(submission)
        await self.shared.preferences.change_preferences(self.shared.me.team, submission.user, lambda _: chosen)
        if _ERASE in submission.values.get(_PRIVACY, ()):
            await self.shared.answers.erase_person(self.shared.me.team, submission.user)
            is_clean = await self.shared.database.scrub_files(_SCRUB_S)
            _log.info("personal data erased", user=submission.user, files_clean=is_clean)
        await self.publish_home(submission.user)


def read_settings(submission: ModalSubmission) -> Preferences:
    """Return the settings that a person submitted."""
    return Preferences(
        find_value(DEPTHS, submission.get_text(_THINKING)),
        find_value(tuple(LANGUAGES), submission.get_text(_LANGUAGE)),
        find_value(LENGTHS, submission.get_text(_LENGTH)) or "normal",
        keeps_answers=_NO_ANSWERS not in submission.values.get(_PRIVACY, ()),
    )


def build_settings_view(
    callback_id: str, chosen: Preferences, count: int, limit: str, language: Language
) -> dict[str, Any]:
    """Return the modal; ``count`` answers are stored, and ``limit`` says why the engine cannot follow a depth."""

    def render_text(message: Message) -> str:
        return render_message(message, language)

    def name_values(messages: Mapping[str, Message]) -> dict[str, str]:
        return {value: render_text(message) for value, message in messages.items()}

    languages = {_DEFAULT: render_text(settings.SLACK_LANGUAGE)} | {pack.code: pack.name for pack in LANGUAGES.values()}
    privacy = {_NO_ANSWERS: render_text(settings.NO_ANSWERS_KEPT)}
    privacy[_ERASE] = render_message(settings.ERASE, language, count=count)
    return build_modal(
        callback_id,
        render_text(settings.TITLE),
        [
            build_menu(
                _LANGUAGE,
                render_text(settings.LANGUAGE),
                languages,
                chosen=chosen.language or _DEFAULT,
                hint=render_text(settings.LANGUAGE_HINT),
            ),
            build_menu(
                _THINKING,
                render_text(settings.THINKING),
                name_values({_DEFAULT: settings.DEFAULT_THINKING, **settings.DEPTHS}),
                chosen=chosen.depth or _DEFAULT,
                hint=limit,
            ),
            build_menu(
                _LENGTH,
                render_text(settings.LENGTH),
                name_values(settings.LENGTHS),
                chosen=chosen.length,
                hint=render_text(settings.LENGTH_HINT),
            ),
            build_checkboxes(
                _PRIVACY,
                render_text(settings.PRIVACY),
                privacy,
                hint=render_text(settings.PRIVACY_HINT),
                chosen=[] if chosen.keeps_answers else [_NO_ANSWERS],
            ),
        ],
        submit=render_text(settings.SAVE),
        close=render_text(settings.CANCEL),
    )

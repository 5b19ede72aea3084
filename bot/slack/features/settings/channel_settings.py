"""The modal in which people change how Kvasir answers in a channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bot.answering.retrieval.channel_filters import restrict_sources
from bot.messages.forms import channel_settings as texts
from bot.messages.message import Message, render_message
from bot.slack.conversations.channel_changes import SettingsAccess
from bot.slack.conversations.channel_descriptions import ASKER
from bot.slack.conversations.channel_rules import Setting
from bot.slack.features.kit.opening import open_modal
from bot.slack.features.settings.channel_view import SettingsView, list_source_options
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, ModalSubmission, SlashCommand
from bot.slack.wire.text import render
from bot.storage.channels.channel_settings import ChannelSettings


class ChannelSettingsModal:
    """Opens the modal, and changes the settings as submitted."""

    callback_id = "kvasir:channel"

    def __init__(self, shared: SharedParts, access: SettingsAccess) -> None:
        self._shared = shared
        self._access = access

    async def open(self, act: SlashCommand | ButtonPress) -> None:
        """Open the modal for the channel in which a person typed the command or pressed the button.

        Raises:
            DatabaseError: the settings cannot be read.
            SlackError: Slack refuses the modal.

        """
        await open_modal(self._shared.api, act, self._build_view(act))

    async def _build_view(self, act: SlashCommand | ButtonPress) -> dict[str, Any] | None:
        """Return the modal, None if the person learns in a message why it is refused."""
        if (refusal := await self._access.find_refusal(act.channel, act.user)) is not None:
            await self._shared.messenger.answer_interaction(act, render_message(refusal, act.language))
            return None
        channel, chosen = act.channel, await self._shared.rules.find_chosen(act.channel)
        rule, most = (
            self._shared.rules.combine_settings(channel, chosen),
            self._shared.rules.combine_settings(channel, ChannelSettings()),
        )
        readable = await self._shared.visible_sources.list_readable(act.user)
        filters = restrict_sources(rule.filters, readable, datetime.now(UTC)) or ""
        view = SettingsView(rule, most.web, self._shared.rules.list_fixed(channel), act.language)
        return view.build_view(
            self.callback_id,
            channel,
            sources=list_source_options(readable),
            chosen=chosen.sources,
            filters=render.escape_mrkdwn(filters),
        )

    def find_errors(self, submission: ModalSubmission) -> Mapping[str, Message]:
        """Return that answers without a mention contradict answers to mentions only."""
        unasked = submission.get_text(Setting.UNASKED) or "0"
        if submission.get_text(Setting.MENTION_ONLY) and unasked != "0":
            return {Setting.UNASKED.value: texts.MENTION_OR_UNASKED}
        return {}

    async def run(self, submission: ModalSubmission) -> None:
        """Change the settings; refuse a person who may no longer change them.

        Raises:
            DatabaseError: the settings cannot be stored.

        """
        channel, user = submission.metadata, submission.user
        if (refusal := await self._access.find_refusal(channel, user)) is not None:
            await self._shared.messenger.reach_person(channel, user, render_message(refusal, submission.language))
            return
        before = await self._shared.rules.find_chosen(channel)
        readable = list_source_options(await self._shared.visible_sources.list_readable(user))
        hidden = {source for source in before.sources if source not in readable}
        chosen = hidden | set(submission.values.get(Setting.SOURCES, ())).intersection(readable)
        settings: dict[Setting, Mapping[str, Any]] = {
            Setting.SOURCES: {"sources": tuple(sorted(chosen))},
            Setting.MENTION_ONLY: {"mention_only": bool(submission.get_text(Setting.MENTION_ONLY))},
            Setting.UNASKED: {"unasked_per_hour": int(submission.get_text(Setting.UNASKED) or 0)},
            **self._read_words(channel, submission),
        }
        fixed = self._shared.rules.list_fixed(channel)
        values = {name: value for one in settings.keys() - fixed for name, value in settings[one].items()}
        after = replace(before, **values)
        await self._shared.channel_changes.change_settings(channel, user, before, after)

    def _read_words(self, channel: str, submission: ModalSubmission) -> Mapping[Setting, Mapping[str, Any]]:
        """Return what was chosen in menus; a default is stored as ""."""
        default = self._shared.rules.combine_settings(channel, ChannelSettings())
        defaults = {
            Setting.WEB: default.web.mode,
            Setting.LANGUAGE: ASKER,
            Setting.THINK: default.depth,
            Setting.TONE: default.tone,
        }
        chosen = {setting: submission.get_text(setting) for setting in defaults}
        return {setting: {setting.value: "" if word == defaults[setting] else word} for setting, word in chosen.items()}

"""The modal in which people change how Kvasir answers in a channel."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from bot.answering.policy import MODES, Policy
from bot.answering.retrieval.channel_filters import restrict_sources
from bot.languages.registry import Language
from bot.messages.forms import channel_settings as texts
from bot.messages.message import Message, render_message
from bot.slack.conversations.channel_descriptions import ASKER, describe_settings
from bot.slack.conversations.channel_rules import ChannelRule, Setting
from bot.slack.features.kit.modal import (
    MAX_TITLE_CHARACTERS,
    Block,
    Modal,
    build_checkboxes,
    build_menu,
    build_modal,
)
from bot.slack.features.kit.opening import open_modal
from bot.slack.posting.ephemeral import build_section
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, ModalSubmission, SlashCommand
from bot.slack.wire.text import render
from bot.storage.channels.channel_settings import ChannelSettings

_PER_HOUR: Final = (0, 1, 2, 3, 5, 10, 20)
_MAX_OPTIONS = 100
_MAX_OPTION_CHARACTERS = 75


class ChannelSettingsModal(Modal):
    """Opens the modal, and changes the settings as submitted."""

    callback_id = "kvasir:channel"

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def open(self, act: SlashCommand | ButtonPress) -> None:
        """Open the modal for the channel in which a person typed the command or pressed the button.

        Raises:
            DatabaseError: the settings cannot be read.
            SlackError: Slack refuses the modal.

        """
        await open_modal(self._shared.api, act, self._build_view(act))

    async def _build_view(self, act: SlashCommand | ButtonPress) -> dict[str, Any] | None:
        """Return the modal, None if the person learns in a message why it is refused."""
        if (refusal := await self._shared.channel_changes.find_refusal(act.channel, act.user)) is not None:
            await self._shared.messenger.answer_interaction(act, render_message(refusal, act.language))
            return None
        channel, chosen = act.channel, await self._shared.channel_settings.find_settings(act.channel)
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
        if (refusal := await self._shared.channel_changes.find_refusal(channel, user)) is not None:
            await self._shared.messenger.reach_person(channel, user, render_message(refusal, submission.language))
            return
        before = await self._shared.channel_settings.find_settings(channel)
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


def list_web_modes(most: Policy) -> Sequence[str]:
    """Return the modes of the live web that may be chosen where this policy is the widest."""
    modes = MODES[: MODES.index(most.mode) + 1]
    return [mode for mode in modes if mode != "listed" or most.domains or most.mode == "listed"]


def list_source_options(readable: Collection[str]) -> Sequence[str]:
    """Return the sources that Slack can show as options."""
    return sorted(source for source in readable if len(source) <= _MAX_OPTION_CHARACTERS)[:_MAX_OPTIONS]


class SettingsView:
    """Builds the modal for one person in one language."""

    def __init__(self, rule: ChannelRule, most: Policy, fixed: Collection[Setting], language: Language) -> None:
        """``most`` is the widest use of the live web that ``kvasir.toml`` allows, ``fixed`` what it fixes."""
        self._rule = rule
        self._most = most
        self._fixed = fixed
        self._language = language

    def build_view(
        self, callback_id: str, channel: str, *, sources: Sequence[str], chosen: Sequence[str], filters: str
    ) -> dict[str, Any]:
        """Return the view.

        ``sources`` are those that the person may read, ``chosen`` those of them that are chosen. ``filters`` are the
        channel's as far as the person may know them.
        """
        introduction = self._render_text(texts.INTRODUCTION, channel=f"<#{channel}>")
        blocks = [dict(build_section(introduction)), *self._list_fields(sources, chosen, filters)]
        title = self._render_text(texts.TITLE)[:MAX_TITLE_CHARACTERS]
        save, cancel = self._render_text(texts.SAVE), self._render_text(texts.CANCEL)
        return build_modal(callback_id, title, blocks, submit=save, close=cancel, metadata=channel)

    def _list_fields(self, sources: Sequence[str], chosen: Sequence[str], filters: str) -> list[Block]:
        rule = self._rule
        source_text = filters or render.escape_mrkdwn(describe_settings(rule, self._language)[Setting.SOURCES])
        fields = {
            Setting.SOURCES: self._build_sources(sources, chosen),
            Setting.WEB: self._build_menu(Setting.WEB, texts.WEB_MODES, list_web_modes(self._most), rule.web.mode),
            Setting.LANGUAGE: self._build_menu(
                Setting.LANGUAGE, texts.name_languages(), list(texts.name_languages()), rule.language or ASKER
            ),
            Setting.THINK: self._build_menu(
                Setting.THINK, texts.DEPTHS, list(texts.DEPTHS), rule.depth, hint=texts.THINK_HINT
            ),
            Setting.TONE: self._build_menu(Setting.TONE, texts.TONES, list(texts.TONES), rule.tone),
            Setting.MENTION_ONLY: build_checkboxes(
                Setting.MENTION_ONLY,
                self._name_setting(Setting.MENTION_ONLY),
                {"on": self._render_text(texts.MENTION_ONLY)},
                chosen=["on"] if rule.is_mention_only else [],
            ),
            Setting.UNASKED: self._build_unasked(),
        }
        return [
            self._build_fixed(setting, source_text) if setting in self._fixed else field
            for setting, field in fields.items()
            if field
        ]

    def _build_sources(self, sources: Sequence[str], chosen: Sequence[str]) -> Block:
        """Return the menu of sources; nothing if the person may read none and none is fixed."""
        if not sources and Setting.SOURCES not in self._fixed:
            return {}
        options = dict(zip(sources, sources, strict=True))
        hint = self._render_text(texts.SOURCES_HINT)
        return build_menu(Setting.SOURCES, self._name_setting(Setting.SOURCES), options, chosen=list(chosen), hint=hint)

    def _build_unasked(self) -> Block:
        counts = sorted({*_PER_HOUR, self._rule.unasked_per_hour})
        options = {
            str(count): self._render_text(texts.PER_HOUR, count=count) if count else self._render_text(texts.NEVER)
            for count in counts
        }
        chosen, hint = str(self._rule.unasked_per_hour), self._render_text(texts.UNASKED_HINT)
        return build_menu(Setting.UNASKED, self._name_setting(Setting.UNASKED), options, chosen=chosen, hint=hint)

    def _build_menu(
        self,
        setting: Setting,
        names: Mapping[str, Message],
        values: Sequence[str],
        chosen: str,
        *,
        hint: Message | None = None,
    ) -> Block:
        options = {value: self._render_text(names[value]) for value in values}
        shown_hint = self._render_text(hint) if hint is not None else ""
        return build_menu(setting, self._name_setting(setting), options, chosen=chosen, hint=shown_hint)

    def _build_fixed(self, setting: Setting, sources: str) -> Block:
        values = {**describe_settings(self._rule, self._language), Setting.SOURCES: sources}
        return dict(
            build_section(self._render_text(texts.FIXED, name=self._name_setting(setting), value=values[setting]))
        )

    def _name_setting(self, setting: Setting) -> str:
        return self._render_text(texts.SETTINGS[setting])

    def _render_text(self, message: Message, **fields: object) -> str:
        return render_message(message, self._language, **fields)

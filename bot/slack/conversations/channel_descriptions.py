"""What the settings of a channel say, and what differs between two of them, as texts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.languages.registry import Language
from bot.messages.forms import channel_settings as texts
from bot.messages.message import Message, join_clauses, render_message
from bot.slack.conversations.channel_rules import ChannelRule, Setting

ASKER: Final = "asker"
"""It stands in place of a language for that of each question."""


def describe_settings(rule: ChannelRule, language: Language) -> Mapping[Setting, str]:
    """Return the value of each setting in words; it names no source."""
    sources = texts.SOME_SOURCES if rule.filters else texts.ALL_SOURCES
    per_hour = texts.PER_HOUR.fill(count=rule.unasked_per_hour) if rule.unasked_per_hour else texts.NEVER
    values: dict[Setting, Message] = {
        Setting.SOURCES: sources,
        Setting.WEB: texts.WEB_MODES[rule.web.mode],
        Setting.LANGUAGE: texts.name_languages()[rule.language or ASKER],
        Setting.THINK: texts.DEPTHS[rule.depth],
        Setting.TONE: texts.TONES[rule.tone],
        Setting.MENTION_ONLY: texts.ON if rule.is_mention_only else texts.OFF,
        Setting.UNASKED: per_hour,
    }
    return {setting: render_message(value, language) for setting, value in values.items()}


def describe_changes(before: ChannelRule, after: ChannelRule, language: Language) -> str:
    """Return what differs between two rules of a channel, "" if nothing does; it names no source."""
    old, new = describe_settings(before, language), describe_settings(after, language)
    changed = [
        render_message(texts.CHANGE, language, name=texts.SETTINGS[setting], value=value)
        for setting, value in new.items()
        if value != old[setting] or (setting is Setting.SOURCES and before.filters != after.filters)
    ]
    return join_clauses(changed, language)

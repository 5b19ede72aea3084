"""The one place that decides how Kvasir answers in a channel: what ``kvasir.toml`` fixes, and what people chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from bot.answering.asker import TONES, Tone
from bot.answering.guidance import Guidance
from bot.answering.policy import MODES, Policies, Policy
from bot.answering.retrieval.channel_filters import join_filters, restrict_sources
from bot.answering.thinking import DEPTHS, Defaults, Depth
from bot.config.models import ChannelTable
from bot.languages.registry import LANGUAGES, Language
from bot.slack.conversations.library import KnowledgeLibrary
from bot.storage.channels.channel_settings import ChannelSettings, ChannelSettingsStore
from knowledge.interfaces import Viewers


class Setting(StrEnum):
    """A setting of a channel."""

    SOURCES = "sources"
    WEB = "web"
    LANGUAGE = "language"
    THINK = "think"
    TONE = "tone"
    MENTION_ONLY = "mention_only"
    UNASKED = "unasked"


@dataclass(frozen=True, slots=True)
class ChannelRule:
    """How Kvasir answers in a channel."""

    filters: str
    """What narrows every search, "" for nothing."""
    web: Policy
    depth: Depth
    """How long to think for people who did not choose it."""
    language: Language | None
    """The language of answers; None for that of each question."""
    tone: Tone
    is_mention_only: bool
    unasked_per_hour: int
    guidance: Guidance | None = None
    """What answers from guidelines alone; None for answers from all sources."""


class ChannelRules:
    """The rules of all channels."""

    def __init__(
        self,
        fixed: Mapping[str, ChannelTable],
        web: Policies,
        thinking: Defaults,
        chosen: ChannelSettingsStore,
        library: KnowledgeLibrary,
        guidance: Mapping[str, Guidance],
    ) -> None:
        """``guidance`` has the profiles that ``kvasir.toml`` may name for a channel."""
        self._fixed = fixed
        self._web = web
        self._thinking = thinking
        self._chosen = chosen
        self._library = library
        self._guidance = guidance

    async def find_rule(self, channel: str) -> ChannelRule:
        """Return the rule of a channel.

        Raises:
            DatabaseError: the settings of the channel cannot be read.

        """
        return self.combine_settings(channel, await self._chosen.find_settings(channel))

    def combine_settings(self, channel: str, chosen: ChannelSettings) -> ChannelRule:
        """Return the rule of a channel in which people chose these settings; ``kvasir.toml`` comes first."""
        fixed, general = self.find_fixed(channel), self._web.find_policy(channel)
        language, tone = fixed.language or chosen.language, fixed.tone or chosen.tone
        only_mentions = _find_fixed_mentions(fixed)
        mention_only = chosen.mention_only if only_mentions is None else only_mentions
        unasked = chosen.unasked_per_hour if fixed.unasked_per_hour is None else fixed.unasked_per_hour
        guidance = None if fixed.profile is None else self._guidance[fixed.profile]
        if guidance is not None:
            general, unasked = Policy(), 0
            filters = join_filters(guidance.within, fixed.search or "", datetime.now(UTC))
        else:
            filters = fixed.search or " ".join(f'in:"{source}"' for source in chosen.sources)
        depth = next((one for one in DEPTHS if one == chosen.think), None)
        return ChannelRule(
            filters,
            general
            if fixed.web
            else general.limit_to_mode(next((one for one in MODES if one == chosen.web), general.mode)),
            self._thinking.find_depth(channel) if fixed.think or depth is None else depth,
            next((one for one in LANGUAGES if one == language), None),
            next((one for one in TONES if one == tone), "plain"),
            mention_only,
            0 if mention_only else unasked,
            guidance,
        )

    def find_fixed(self, channel: str) -> ChannelTable:
        """Return what ``kvasir.toml`` fixes for a channel."""
        return self._fixed.get(channel) or ChannelTable.model_construct(id=channel)

    def is_confidential(self, channel: str) -> bool:
        """Return whether the messages and files of a channel stay in its threads: it has a profile."""
        return self.find_fixed(channel).profile is not None

    def list_fixed(self, channel: str) -> frozenset[Setting]:
        """Return the settings of a channel that people cannot change."""
        fixed = self.find_fixed(channel)
        values: dict[Setting, object] = {
            Setting.SOURCES: fixed.search,
            Setting.WEB: fixed.web,
            Setting.LANGUAGE: fixed.language,
            Setting.THINK: fixed.think,
            Setting.TONE: fixed.tone,
            Setting.MENTION_ONLY: _find_fixed_mentions(fixed),
            Setting.UNASKED: 0 if fixed.mention_only else fixed.unasked_per_hour,
        }
        if self._web.everywhere.mode == "off":
            values[Setting.WEB] = "off"
        if fixed.profile is not None:
            values |= dict.fromkeys((Setting.SOURCES, Setting.WEB, Setting.UNASKED), fixed.profile)
        return frozenset(setting for setting, value in values.items() if value is not None)

    async def find_filters(self, channel: str, viewers: Viewers) -> str | None:
        """Return the filters of a channel without the sources of which the viewers may read nothing.

        None if the channel searches only such sources.

        Raises:
            DatabaseError: the database of the manifest or of the settings failed.

        """
        rule = (await self.find_rule(channel)).filters
        return restrict_sources(rule, await self._library.count_readable(viewers), datetime.now(UTC)) if rule else rule


def _find_fixed_mentions(fixed: ChannelTable) -> bool | None:
    """Return whether every question needs a mention if ``kvasir.toml`` fixes that, directly or not; else None."""
    return False if fixed.mention_only is None and fixed.unasked_per_hour else fixed.mention_only

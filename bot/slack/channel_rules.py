"""The filters of a channel, as far as the people who see an answer may know them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from bot.answering.retrieval.channel_filters import restrict_sources
from bot.slack.commands.library import KnowledgeLibrary
from knowledge.interfaces import Viewers


class ChannelRules:
    """Filters that narrow every search of a channel, by the channel's id."""

    def __init__(self, filters: Mapping[str, str], library: KnowledgeLibrary) -> None:
        self._filters = filters
        self._library = library

    async def find(self, channel: str, viewers: Viewers) -> str | None:
        """Return the filters of a channel without the sources of which the viewers may read nothing.

        None if the channel searches only such sources.

        Raises:
            DatabaseError: the manifest's database failed.

        """
        rule = self._filters.get(channel, "")
        return restrict_sources(rule, await self._library.count_readable(viewers), datetime.now(UTC)) if rule else rule

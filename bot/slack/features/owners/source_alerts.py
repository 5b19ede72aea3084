"""Tells the owners of a source when it fails, and when it works again, once each."""

from __future__ import annotations

import structlog

from bot.config.configuration import Access
from bot.languages.registry import Language
from bot.messages.forms import owners
from bot.messages.message import render_message
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.features.kit.status_texts import format_failure_reason
from bot.slack.features.owners.owner_messages import OwnerMessages
from bot.slack.wire.tasks import PeriodicTask
from bot.slack.wire.text import render
from bot.storage.sent_notices import SentNotices
from knowledge.status import SourceStatus

_log = structlog.get_logger("kvasir.owners")

_KIND = "source"


class SourceAlerts(PeriodicTask):
    """Checks the state of the sources at intervals. Without owners it does nothing."""

    def __init__(
        self,
        library: KnowledgeLibrary,
        notices: SentNotices,
        messages: OwnerMessages,
        access: Access,
        team: str,
        *,
        every_s: float,
    ) -> None:
        super().__init__("source alerts", every_s)
        self._library = library
        self._notices = notices
        self._messages = messages
        self._access = access
        self._team = team

    async def run_once(self) -> None:
        """Check every source, if there are owners."""
        if self._access.all_owners:
            for source in (await self._library.status()).sources:
                await self._look_at(source)

    async def _look_at(self, source: SourceStatus) -> None:
        """Tell the owners of a source if it has begun to fail, or works again.

        Raises:
            DatabaseError: what they know cannot be stored.

        """
        names = {owner for owner in self._access.all_owners if self._access.is_owner(owner, source.name)}
        if source.error:
            if not await self._notices.add_notice(self._team, _KIND, source.name):
                return
            _log.warning("source fails", source=source.name)
            is_sent = await self._messages.send_messages(names, lambda _, language: _describe_failure(source, language))
            if not is_sent:  # Slack may be down; the next check tells them
                await self._notices.remove_notice(self._team, _KIND, source.name)
        elif source.syncing is None and await self._notices.remove_notice(self._team, _KIND, source.name):
            _log.info("source works again", source=source.name)
            await self._messages.send_messages(names, lambda _, language: _describe_recovery(source, language))


async def _describe_failure(source: SourceStatus, language: Language) -> str:
    reason = format_failure_reason(source.error_code, source.error or "", language)
    return render_message(owners.SOURCE_FAILED, language, source=render.escape_mrkdwn(source.name), reason=reason)


async def _describe_recovery(source: SourceStatus, language: Language) -> str:
    return render_message(owners.SOURCE_WELL, language, source=render.escape_mrkdwn(source.name))

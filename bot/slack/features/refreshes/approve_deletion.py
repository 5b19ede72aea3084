"""The button "Delete 12 documents": an owner approves the pending deletions of a source."""

from __future__ import annotations

import asyncio

import structlog

from bot.config.configuration import Access
from bot.messages.message import render_message
from bot.slack.features.kit import kb_texts
from bot.slack.features.refreshes.pending_deletions import PendingDeletions, parse_request
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.posting.ephemeral import EphemeralMessenger
from bot.slack.wire.interactions import ButtonPress

_log = structlog.get_logger(__name__)

_STATUS_TIMEOUT_S = 20.0


class ApproveDeletionAction:
    """Lists the source again and deletes the approved documents that are still missing."""

    def __init__(
        self,
        pending: PendingDeletions,
        refresh: RefreshRunner,
        access: Access,
        messenger: EphemeralMessenger,
    ) -> None:
        self._pending = pending
        self._refresh = refresh
        self._access = access
        self._messenger = messenger

    async def run(self, press: ButtonPress) -> None:
        """Delete what the button names; if the pending deletions have changed, show the current ones instead.

        Raises:
            KnowledgeError: the pending deletions cannot be read.
            TimeoutError: reading them takes too long.

        """
        source, mark = parse_request(press.value)
        if not self._access.is_owner(press.user, source):
            refusal = kb_texts.explain_refusal(self._access, press.user)
            await self._messenger.answer_interaction(press, render_message(refusal, press.language))
            return
        async with asyncio.timeout(_STATUS_TIMEOUT_S):
            current = await self._pending.find_pending(source)
        if [one.approval_mark for one in current] != [mark]:
            await self._pending.show_pending(press, current, source)
            return
        _log.info("approved", user=press.user, source=source, pending_deletions=current[0].pending_deletions)
        await self._refresh.run(press, source, approve={source: mark})

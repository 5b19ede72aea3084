"""The buttons of owners: "Delete 12 documents" under pending deletions, and "Refresh" next to a failing source."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from bot.config.configuration import Access
from bot.languages.registry import Language
from bot.messages.forms import home
from bot.messages.message import render_message
from bot.slack.features.kit import kb_texts
from bot.slack.features.refreshes.pending_deletions import PendingDeletions, parse_request
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.posting.buttons import MAX_VALUE_CHARACTERS, build_button
from bot.slack.wire.interactions import ButtonPress, InteractionRefused

_log = structlog.get_logger(__name__)

REFRESH_SOURCE: Final = "kvasir:refresh"
"""The action id of the button "Refresh"; its value is the source's name."""
_STATUS_TIMEOUT_S = 20.0
_MAX_LABEL_CHARACTERS: Final = 75


class ApproveDeletionAction:
    """Lists a source again and deletes the approved documents that are still missing."""

    def __init__(self, pending: PendingDeletions, refresh: RefreshRunner, access: Access) -> None:
        self._pending = pending
        self._refresh = refresh
        self._access = access

    async def run(self, press: ButtonPress) -> None:
        """Delete what the button names; if the pending deletions have changed, show the current ones instead.

        Raises:
            InteractionRefused: the person does not own the source.
            KnowledgeError: the pending deletions cannot be read.
            TimeoutError: reading them takes too long.

        """
        source, mark = parse_request(press.value)
        if not self._access.is_owner(press.user, source):
            raise InteractionRefused(kb_texts.explain_refusal(self._access, press.user))
        async with asyncio.timeout(_STATUS_TIMEOUT_S):
            current = await self._pending.find_pending(source)
        if [one.approval_mark for one in current] != [mark]:
            await self._pending.show_pending(press, current, source)
            return
        _log.info("deletion approved", user=press.user, source=source, pending_deletions=current[0].pending_deletions)
        await self._refresh.run(press, source, approve={source: mark})


class RefreshSourceAction:
    """Refreshes the source of a button, for those who may."""

    def __init__(self, refresh: RefreshRunner, access: Access) -> None:
        self._refresh = refresh
        self._access = access

    async def run(self, press: ButtonPress) -> None:
        """Refresh the source.

        Raises:
            InteractionRefused: the person may not refresh it; the text says who may.
            DatabaseError: what the person may see cannot be found out.

        """
        if not self._access.may_refresh(press.user, press.value):
            raise InteractionRefused(kb_texts.explain_refusal(self._access, press.user))
        await self._refresh.run(press, press.value)


def build_refresh_button(source: str, language: Language) -> dict[str, Any]:
    """Return the button that refreshes a source."""
    label = render_message(home.REFRESH, language)
    button = build_button(REFRESH_SOURCE, label, source[:MAX_VALUE_CHARACTERS])
    return button | {"accessibility_label": f"{label}: {source}"[:_MAX_LABEL_CHARACTERS]}

"""A refresh that a person starts: shows its progress, then its report."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping

import structlog

from bot.languages.registry import Language
from bot.messages import commands
from bot.messages.errors import explain_error
from bot.messages.message import render_message
from bot.slack.conversations.library import KnowledgeLibrary
from bot.slack.conversations.visible_sources import VisibleSources
from bot.slack.features.kit import kb_texts
from bot.slack.features.kit.status_texts import format_progress
from bot.slack.features.refreshes.pending_deletions import PendingDeletions
from bot.slack.posting.ephemeral import MAX_TEXT_CHARACTERS, EphemeralMessenger
from bot.slack.wire.errors import SlackError
from bot.slack.wire.interactions import Interaction
from bot.slack.wire.text import render
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.refresh_records import RefreshRecord
from knowledge.errors import KnowledgeError, PendingDeletionsChanged, SyncRunning, UnknownSource
from knowledge.sync.report import OnProgress, SyncProgress

_log = structlog.get_logger(__name__)

TrackRefresh = Callable[[RefreshRecord], contextlib.AbstractAsyncContextManager[None]]
"""Stores the message of a refresh while it runs."""

_REFRESH_TIMEOUT_S = 6 * 3_600.0
_STATUS_TIMEOUT_S = 20.0
_UPDATE_EVERY_S = 2.0
"""The time between two updates of the message with the progress."""


class ProgressMessage:
    """One direct message, updated while a refresh runs."""

    def __init__(self, api: SlackWebApi, user: str, sources: Collection[str] | None) -> None:
        """Show the progress of ``sources`` only; None for all of them."""
        self._api = api
        self._user = user
        self._sources = sources
        self._channel = ""
        self._ts = ""
        self._progress: dict[str, SyncProgress] = {}
        self._changed = asyncio.Event()

    def make_record(self, source: str | None, language: Language, *, approves: bool) -> RefreshRecord:
        """Return where the message is and what it is about, for the process that has to end it after a restart."""
        return RefreshRecord(self._channel, self._ts, source or "", approves, language)

    def record_progress(self, progress: SyncProgress) -> None:
        """Store progress; the next update shows it if the person may see it."""
        if self._sources is None or progress.source in self._sources:
            self._progress[progress.source] = progress
            self._changed.set()

    async def keep_updated(self, language: Language) -> None:
        """Update the message with new progress at intervals, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            lines = [format_progress(progress, language) for progress in self._progress.values()]
            await self.show_text("\n".join(lines))
            await asyncio.sleep(_UPDATE_EVERY_S)

    async def show_text(self, text: str) -> bool:
        """Replace the message's text; return False if Slack refuses it."""
        try:
            if not self._ts:
                posted = await self._api.call("chat.postMessage", channel=self._user, text=text[:MAX_TEXT_CHARACTERS])
                self._channel, self._ts = str(posted.get("channel", "")), str(posted.get("ts", ""))
            else:
                await self._api.call("chat.update", channel=self._channel, ts=self._ts, text=text[:MAX_TEXT_CHARACTERS])
        except SlackError as error:
            _log.info("progress not shown", error=str(error))
            return False
        return True


class RefreshRunner:
    """Runs refreshes. The progress goes to the person's direct messages."""

    def __init__(
        self,
        library: KnowledgeLibrary,
        pending: PendingDeletions,
        api: SlackWebApi,
        messenger: EphemeralMessenger,
        visible: VisibleSources,
        track: TrackRefresh,
    ) -> None:
        self._library = library
        self._pending = pending
        self._api = api
        self._messenger = messenger
        self._visible = visible
        self._track = track

    async def run(
        self,
        interaction: Interaction,
        source: str | None,
        *,
        approve: Mapping[str, str] | None = None,
    ) -> None:
        """Refresh one source, or all, and show the outcome; ``approve`` maps a source to the mark of its deletions.

        Raises:
            DatabaseError: what the person may see cannot be found out.

        """
        language = interaction.language
        try:
            await self._visible.check_name(interaction.user, source)
        except UnknownSource as error:
            await self._messenger.answer_interaction(interaction, self._explain_error(error, language))
            return
        countable = await self._visible.list_countable(interaction.user)
        progress = ProgressMessage(self._api, interaction.user, countable)
        start = kb_texts.format_refresh_start(source, language)
        await progress.show_text(start)
        if not interaction.is_direct_message:
            where = render_message(commands.PROGRESS_ELSEWHERE, language)
            await self._messenger.answer_interaction(interaction, f"{start} {where}")
        async with self._track(progress.make_record(source, language, approves=bool(approve))):
            outcome = await self._refresh_with_progress(interaction, source, progress, approve)
            is_shown = await progress.show_text(outcome)
        if not interaction.is_direct_message or not is_shown:
            await self._messenger.answer_interaction(interaction, outcome)

    async def _refresh_with_progress(
        self,
        interaction: Interaction,
        source: str | None,
        progress: ProgressMessage,
        approve: Mapping[str, str] | None,
    ) -> str:
        """Return what ``_refresh_source`` returns, and update the message meanwhile."""
        try:
            async with asyncio.TaskGroup() as group:
                updates = group.create_task(progress.keep_updated(interaction.language), name="kb progress")
                outcome = await self._refresh_source(interaction, source, progress.record_progress, approve)
                updates.cancel()
        except ExceptionGroup as failed:
            error = failed.exceptions[0]
            _log.warning("refresh failed", error=type(error).__name__, exc_info=error)
            return self._explain_error(error, interaction.language)
        return outcome

    async def _refresh_source(
        self,
        interaction: Interaction,
        source: str | None,
        on_progress: OnProgress,
        approve: Mapping[str, str] | None,
    ) -> str:
        """Return the report of a refresh, or why it failed, as mrkdwn."""
        language = interaction.language
        try:
            async with asyncio.timeout(_REFRESH_TIMEOUT_S):
                report = await self._library.refresh(source, on_progress=on_progress, approve=approve)
        except PendingDeletionsChanged as error:
            # Another sync has changed the deletions since the person saw them.
            with contextlib.suppress(KnowledgeError, TimeoutError):
                async with asyncio.timeout(_STATUS_TIMEOUT_S):
                    sources = await self._pending.find_pending(source)
                    await self._pending.show_pending(interaction, sources, source)
            return self._explain_error(error, language)
        except SyncRunning as error:
            return self._explain_error(await self._visible.restrict_running_sync(interaction.user, error), language)
        except UnknownSource as error:
            return self._explain_error(error, language)
        except Exception as error:  # noqa: BLE001 (the message with the progress names every failure)
            _log.warning("refresh failed", error=type(error).__name__, exc_info=error)
            return self._explain_error(error, language)
        deleted = sum(one.deleted for one in report.sources.values())
        _log.info(
            "refreshed", user=interaction.user, source=source, approved=bool(approve), deleted=deleted, ok=report.ok
        )
        report = await self._visible.restrict_report(interaction.user, report, language)
        return kb_texts.format_report(report, language)

    @staticmethod
    def _explain_error(error: Exception, language: Language) -> str:
        return render.escape_mrkdwn(render_message(explain_error(error), language))

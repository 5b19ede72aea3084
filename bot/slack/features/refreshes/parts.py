"""Builds what refreshes sources and deletes documents after approval."""

from __future__ import annotations

from collections.abc import Mapping

from bot.slack.features.kit.shared_parts import SharedParts
from bot.slack.features.refreshes.approve_deletion import ApproveDeletionAction
from bot.slack.features.refreshes.pending_deletions import APPROVE_DELETION, PendingDeletions
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.features.refreshes.refresh_keeper import RefreshKeeper
from bot.slack.features.refreshes.refresh_source import REFRESH_SOURCE, RefreshSourceAction
from bot.slack.wire.interactions import ActionHandler
from bot.storage.refresh_records import RefreshRecords


class RefreshParts:
    """The parts of refreshes in one workspace."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        library = shared.dependencies.library
        self.keeper = RefreshKeeper(RefreshRecords(shared.database, shared.me.team), shared.api)
        self.pending = PendingDeletions(library, shared.messenger)
        self.runner = RefreshRunner(
            library, self.pending, shared.api, shared.messenger, shared.visible_sources, self.keeper.track_refresh
        )

    def list_actions(self) -> Mapping[str, ActionHandler]:
        """Return what the buttons on sources do, by their action ids."""
        access, messenger = self._shared.access, self._shared.messenger
        return {
            APPROVE_DELETION: ApproveDeletionAction(self.pending, self.runner, access, messenger).run,
            REFRESH_SOURCE: RefreshSourceAction(self.runner, access, messenger).run,
        }

"""Refreshes and approved deletions that people start, the messages with their progress, and failing sources."""

from __future__ import annotations

from bot.config.configuration import Access
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.subcommand import Subcommand, strip_quotes
from bot.slack.features.refreshes.pending_deletions import APPROVE_DELETION, PendingDeletions
from bot.slack.features.refreshes.refresh import RefreshRunner
from bot.slack.features.refreshes.refresh_buttons import REFRESH_SOURCE, ApproveDeletionAction, RefreshSourceAction
from bot.slack.features.refreshes.refresh_keeper import RefreshKeeper
from bot.slack.features.refreshes.source_section import SourceSection
from bot.slack.wire.interactions import SlashCommand
from bot.storage.refresh_records import RefreshRecords


def build_feature(tools: FeatureTools) -> Feature:
    """Return the commands, the buttons and what owners see."""
    shared, library, access = tools.shared, tools.shared.dependencies.library, tools.shared.access
    messenger = shared.messenger
    keeper = RefreshKeeper(RefreshRecords(shared.database, shared.me.team), shared.api)
    pending = PendingDeletions(library, messenger)
    runner = RefreshRunner(library, pending, shared.api, messenger, shared.visible_sources, keeper.track_refresh)

    return Feature(
        home_actions={
            APPROVE_DELETION: ApproveDeletionAction(pending, runner, access).run,
            REFRESH_SOURCE: RefreshSourceAction(runner, access).run,
        },
        subcommands=build_subcommands(runner, pending, access),
        owner_sections=[SourceSection()],
        tasks=[keeper],
    )


def build_subcommands(runner: RefreshRunner, pending: PendingDeletions, access: Access) -> list[Subcommand]:
    """Return ``/kb refresh`` and ``/kb approve``."""

    async def refresh(typed: SlashCommand, rest: str) -> None:
        await runner.run(typed, _read_source(rest))

    async def show_pending(typed: SlashCommand, rest: str) -> None:
        source = _read_source(rest)
        await pending.show_pending(typed, await pending.find_pending(source), source)

    return [
        Subcommand(
            ("refresh", "sync", "刷新", "更新", "同步"),
            refresh,
            lambda user, rest: access.may_refresh(user, _read_source(rest)),
            timeout_s=None,
        ),
        Subcommand(
            ("approve", "批准", "确认"),
            show_pending,
            lambda user, rest: access.is_owner(user, _read_source(rest)),
        ),
    ]


def _read_source(rest: str) -> str | None:
    """Return the source that a person typed, None for all."""
    return strip_quotes(rest) or None

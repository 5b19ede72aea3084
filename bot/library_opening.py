"""Opens the knowledge, and what guidelines warn of, for the bot and for commands, which need no Slack."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bot.answering.guidance import Guidance
from bot.answering.retrieval.channel_filters import join_filters
from bot.audit.commands import DirectAuditLog
from bot.audit.entries import AuditLog, make_sync_entry
from bot.config.configuration import Configuration
from bot.config.environment import list_secret_variables
from bot.config.settings import Settings, read_node_settings
from bot.errors import BotError, SettingsError
from bot.profiles.guidance.guidance import read_guidance, select_guidelines
from bot.profiles.profile import ProfileError
from bot.profiles.registry import Profiles
from bot.storage.processes import is_dead, name_this_process
from bot.wheels import WheelCache
from knowledge.embedding import open_embedder
from knowledge.errors import EmbedderError, InvalidFilter
from knowledge.interfaces import Embedder
from knowledge.interfaces.embedding import EmbedderMemory
from knowledge.library import Library
from knowledge.opening import open_library
from knowledge.sources import registry
from knowledge.sync.manifest.lease import LeaseOwner
from knowledge.sync.report import SourceReport

if TYPE_CHECKING:
    from bot.slack.wire.settings import SlackSettings
    from bot.storage.channels.channel_event_log import ChannelEventLog
    from knowledge.ray_cluster.worker import OpenNodeEmbedder
    from knowledge.web.reading.page_cache import PageCache
    from knowledge.web.reading.page_loader import PageLoader


@contextlib.asynccontextmanager
async def open_configured_library(settings: Settings, *, on_cluster: bool = False) -> AsyncIterator[Library]:
    """Open the library; with ``on_cluster``, its syncs compute on the Ray cluster of the settings, if there is one.

    Raises:
        KnowledgeError: the store, the manifest, the embedder, the cluster or a source's description is wrong.
        WheelError: the embedder's package cannot be downloaded or unpacked.

    """
    async with contextlib.AsyncExitStack() as stack:
        kinds: Mapping[str, registry.SourceKind] = {}
        if uses_slack_source(settings):
            from bot.storage.channels.channel_event_log import ChannelEventLog  # noqa: PLC0415 - only where it is needed
            from bot.storage.turns.ledger import open_ledger  # noqa: PLC0415

            ledger = await stack.enter_async_context(open_ledger(settings.database_url))
            kinds = build_source_kinds(settings, settings.slack, ChannelEventLog(ledger.database))
        audit = DirectAuditLog(settings.audit)
        yield await stack.enter_async_context(
            open_library_of_kinds(settings, kinds, audit, open_node_embedder if on_cluster else None)
        )


@contextlib.asynccontextmanager
async def open_library_of_kinds(
    settings: Settings,
    kinds: Mapping[str, registry.SourceKind],
    audit: AuditLog,
    open_node_embedder: OpenNodeEmbedder | None = None,
) -> AsyncIterator[Library]:
    """Open the library with further kinds of sources, as ``open_library``. Its syncs are recorded in the audit."""
    wheels = WheelCache(settings.cache / "wheels", settings.engine.hidden_variables)

    async def record_sync(source: str, report: SourceReport, approved: int) -> None:
        if (entry := make_sync_entry(source, report, approved)) is not None:
            await audit.record(entry)

    owner = LeaseOwner(name_this_process(), is_dead, may_lead=settings.role != "answer")
    async with open_library(
        settings.knowledge, wheels.unpack_wheel, kinds=kinds, owner=owner, open_node_embedder=open_node_embedder
    ) as library:
        library.syncs.call_on_report(record_sync)
        # Half a million objects of libraries live as long as the process, so garbage collections skip them. Each turn
        # adds about a thousand, and a collection for every 700 takes a twentieth of the event loop's time.
        gc.freeze()
        gc.set_threshold(20_000)
        yield library


def open_guidance(configuration: Configuration) -> Mapping[str, Guidance]:
    """Return the profiles of kind guidance by name, none if no source is a guideline; reads files.

    Raises:
        BotError: one is wrong, or a channel cannot use its own.

    """
    sources = configuration.guidelines
    channels = {id_: table for id_, table in configuration.channels.items() if table.profile is not None}
    for id_, table in channels.items():
        where = f"[[channel]] {id_}"
        guidance = find_guidance(configuration, f"{table.profile}", where)
        try:
            join_filters(guidance.within, table.search or "", datetime.now(UTC))
        except InvalidFilter:
            raise SettingsError(
                f"{where}: its search admits no guideline, but its profile answers from nothing else. Remove search."
            ) from None
    found = Profiles(configuration.profiles).list_profiles("guidance") if sources else ()
    return {one.name: select_guidelines(read_guidance(one), sources, one.name) for one in found}


def find_guidance(configuration: Configuration, name: str, where: str = "--profile") -> Guidance:
    """Return a profile of kind guidance by its name; reads files.

    Raises:
        BotError: there is none, it is wrong, or no source is a guideline.

    """
    try:
        profile = Profiles(configuration.profiles).find_profile(name, "guidance")
    except ProfileError as error:
        raise SettingsError(f"{where}: {error}") from None
    return select_guidelines(read_guidance(profile), configuration.guidelines, where)


async def open_node_embedder(memory: EmbedderMemory) -> Embedder:
    """Open the embedder that the variables of a node of a Ray cluster choose.

    Raises:
        EmbedderError: it cannot be opened, or the variables are wrong.

    """
    try:
        cache, spec = read_node_settings(os.environ, Path.cwd())
        unpack_wheel = WheelCache(cache / "wheels", list_secret_variables(os.environ)).unpack_wheel
        return await open_embedder(spec, cache, unpack_wheel, memory=memory)
    except BotError as error:
        raise EmbedderError(str(error)) from error


def open_page_loader(settings: Settings) -> AbstractAsyncContextManager[PageLoader]:
    """Open only the loader of web pages; the live web must be on."""
    from knowledge.web.opening import open_pages  # noqa: PLC0415 - only where the web is on

    knowledge = settings.knowledge
    if knowledge.live is None:
        raise ValueError("the live web is off")
    return open_pages(knowledge.live, knowledge.web, knowledge.web_cache)


def open_page_cache(settings: Settings) -> PageCache:
    """Return the cache of web pages; the caller closes it."""
    from knowledge.web.reading.page_cache import PageCache  # noqa: PLC0415 - for one command

    live = settings.knowledge.live
    return PageCache(settings.knowledge.web_cache, live.cache_bytes if live is not None else 0)


def uses_slack_source(settings: Settings) -> bool:
    """Return whether a source has a kind that the registry does not know, such as Slack's channels."""
    return any(spec.kind not in registry.KINDS for spec in settings.knowledge.sources)


def build_source_kinds(
    settings: Settings, slack: SlackSettings | None, event_log: ChannelEventLog
) -> Mapping[str, registry.SourceKind]:
    """Return the kinds of sources that ``knowledge`` may not import: Slack's channels."""
    if not uses_slack_source(settings):
        return {}
    from bot.slack.conversations.history.source import make_slack_kind, refuse_without_tokens  # noqa: PLC0415
    from bot.slack.wire.transport.web_client import open_web_api  # noqa: PLC0415 - only where it is needed

    connect = refuse_without_tokens if slack is None else functools.partial(open_web_api, slack)
    if slack is not None and slack.oauth is not None:
        from bot.slack.workspace.installations.parts import open_home_api  # noqa: PLC0415 - only where it is needed

        connect = functools.partial(open_home_api, slack, slack.oauth, event_log.database)
    # The port of the workspace on this machine may change, so the place has no address.
    place = "this machine" if settings.slack is None else settings.slack.api_url or "slack.com"
    confidential = settings.configuration.confidential_channels
    return {"slack": make_slack_kind(connect, event_log, place, confidential=confidential)}

"""``kvasir status``: show the engine, the store, how fresh each source is, and problems."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from datetime import UTC, datetime

from bot.answering.policy import Policy
from bot.cli.command_settings import load_command_settings
from bot.cli.status_view import show_status
from bot.health.parts import list_problems
from bot.library_opening import open_configured_library
from bot.messages.errors import describe_error
from bot.terminal.output import print_json
from engine.interfaces import EngineStatus
from engine.service import Engine
from knowledge.status import LibraryStatus, SourceStatus


async def main(arguments: argparse.Namespace) -> int:
    """Show the state; start nothing."""
    settings = load_command_settings(arguments)
    engine = await Engine.query_status(settings.engine)
    async with open_configured_library(settings) as library:
        state = await library.access.add_unreachable(await library.check())
    if arguments.json:
        print_json(status_json(engine, state, settings.configuration.web.everywhere))
    else:
        show_status(engine, state, settings.configuration.web.everywhere, sys.stdout)
    return 1 if arguments.check and list_problems(None if settings.role == "sync" else engine, state) else 0


def status_json(engine: EngineStatus, state: LibraryStatus, web: Policy) -> dict[str, object]:
    """Return the state in the shape that scripts rely on (docs/operating.md names every key)."""
    growth, repair, trouble = state.growth, state.last_repair, state.index.find_trouble()
    return {
        "engine": engine_json(engine),
        "store": state.store,
        "indexing": state.indexing,
        "index": {"complete": state.index.share, "trouble": None if trouble is None else describe_error(trouble)},
        "growth": growth
        and {"share": growth.share, "documents": growth.documents, "of": growth.of, "eta_s": growth.eta_s},
        "repaired": repair and {"at": _iso_time(repair.at), "differed": repair.differences, "mended": repair.repairs},
        "refused": state.refused_passages
        and {"at": _iso_time(state.refused_passages.at), "passages": state.refused_passages.passages},
        "embedder": {"name": state.embedder, "trouble": state.embedder_trouble or None},
        "uncalibrated": state.uncalibrated or None,
        "elsewhere": state.elsewhere,
        "leader": state.leader and {"process": state.leader.label, "since": _iso_time(state.leader.since)},
        "removed": [_removed_json(source) for source in state.removed],
        "other_configurations": {host: list(names) for host, names in state.other_configurations.items()},
        "live_web": web.mode,
        "sources": {source.name: _source_json(source) for source in state.sources},
    }


def engine_json(engine: EngineStatus) -> dict[str, object]:
    """Return the engine's state for scripts."""
    return {
        "state": engine.state.value,
        "progress": engine.progress,
        "url": engine.url,
        "model": engine.model,
        "small_model": engine.small_model,
        "detail": engine.detail,
    }


def _removed_json(source: SourceStatus) -> dict[str, object]:
    return {
        "name": source.name,
        "kind": source.kind,
        "root": source.root,
        "documents": source.documents,
        "listed_by": list(source.listed_by),
    }


def _source_json(source: SourceStatus) -> dict[str, object]:
    return {
        "kind": source.kind,
        "root": source.root,
        "documents": source.documents,
        "chunks": source.chunks,
        "synced_at": source.synced_at.isoformat() if source.synced_at else None,
        "age_s": source.age_s,
        "max_age_s": source.max_age_s,
        "stale": source.late,
        "schedule": source.schedule,
        "next_at": source.next_at.isoformat() if source.next_at else None,
        "syncing": asdict(source.syncing) if source.syncing else None,
        "watched": source.is_watched,
        "watch_trouble": source.watch_trouble,
        "error": source.error,
        "failed": source.failed,
        "failures": [
            {
                "document": failure.document,
                "reason": failure.reason,
                "retry_at": None if failure.retry_at is None else _iso_time(failure.retry_at),
            }
            for failure in source.failures
        ],
        "unreachable": source.unreachable,
        "held": source.pending_deletions,
        "held_first": [
            {
                "document": deletion.document,
                "title": deletion.title,
                "since": None if deletion.since is None else _iso_time(deletion.since),
            }
            for deletion in source.first_pending_deletions
        ],
    }


def _iso_time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()

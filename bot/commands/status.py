"""``kvasir status``: the engine, the store, and how fresh each source is."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from bot import logs
from bot.app import engine_line, library_of
from bot.commands.output import result, result_json
from bot.settings import load
from engine.interfaces import Status
from engine.service import Engine
from knowledge.library import LibraryStatus, SourceStatus


async def main(arguments: argparse.Namespace) -> int:
    """Show the state; starts nothing."""
    settings = load(os.environ, Path.cwd(), config=arguments.config)
    logs.configure(secrets=settings.secrets, level=logs.WARNING)
    engine = await Engine.look(settings.engine)
    async with library_of(settings) as library:
        state = await library.status()
    if arguments.json:
        result_json(status_json(engine, state))
    else:
        result(status_text(engine, state))
    return 0


def status_json(engine: Status, state: LibraryStatus) -> dict[str, object]:
    """Return the state in the shape that scripts rely on."""
    return {
        "engine": {
            "state": engine.state.value,
            "progress": engine.progress,
            "url": engine.url,
            "model": engine.model,
            "stand_in": engine.stand_in,
            "detail": engine.detail,
        },
        "store": state.store,
        "indexing": state.indexing,
        "sources": {source.name: _source_json(source) for source in state.sources},
    }


def _source_json(source: SourceStatus) -> dict[str, object]:
    return {
        "kind": source.kind,
        "root": source.root,
        "documents": source.documents,
        "chunks": source.chunks,
        "failed": source.failed,
        "failures": [{"document": failure.document, "reason": failure.reason} for failure in source.failures],
        "held": source.held,
        "synced_at": source.synced_at.isoformat() if source.synced_at else None,
        "error": source.error,
        "schedule": source.schedule,
    }


def status_text(engine: Status, state: LibraryStatus) -> str:
    """Return the state for a person."""
    lines = [f"engine   {engine_line(engine)}", f"store    {state.store}"]
    if state.indexing:
        lines.append("         a new index is growing; searches use the old one until it is complete")
    for source in state.sources:
        lines.append(f"{source.name}  {source.kind} {source.root}")
        lines.append(f"         {source.documents} documents, {source.chunks} passages, {_age(source.synced_at)}")
        if source.held:
            lines.append(
                f"         {source.held} documents are gone from the source and held: look whether it is whole"
            )
        if source.error:
            lines.append(f"         {source.error}")
        lines.extend(f"         {failure.document}: {failure.reason}" for failure in source.failures)
        if source.failed > len(source.failures):
            lines.append(f"         … and {source.failed - len(source.failures)} more that could not be read")
    return "\n".join(lines)


def _age(at: datetime | None) -> str:
    if at is None:
        return "never read yet: kvasir sync"
    minutes = max(0, int((datetime.now(UTC) - at).total_seconds() // 60))
    for size, word in ((1440, "d"), (60, "h"), (1, "min")):
        if minutes >= size:
            return f"as of {minutes // size} {word} ago"
    return "as of just now"

"""``kvasir sync``: bring the knowledge up to date, with its progress, and say what was in the way."""

from __future__ import annotations

import argparse
import os
from dataclasses import fields
from pathlib import Path

from bot import logs
from bot.app import library_of, report_lines, show_progress
from bot.commands.output import complain, result, result_json
from bot.settings import load
from bot.terminal import Terminal
from knowledge.sync.report import SourceReport, SyncReport

_TOLD_ELSEWHERE = {"error", "failures"}


async def main(arguments: argparse.Namespace) -> int:
    """Sync one source or all; exit status 1 if anything failed."""
    settings = load(os.environ, Path.cwd(), config=arguments.config)
    logs.configure(secrets=settings.secrets, level=logs.WARNING)
    async with library_of(settings) as library:
        with Terminal() as terminal:
            report = await library.refresh(arguments.source, lambda progress: show_progress(terminal, progress))
    if arguments.json:
        result_json(report_json(report))
    else:
        result("\n".join(report_lines(report)))
    for sentence in complaints(report):
        complain(sentence)
    return 0 if report.ok else 1


def report_json(report: SyncReport) -> dict[str, object]:
    """Return a sync's report in the shape that scripts rely on."""
    return {
        "sources": {name: _source_json(source) for name, source in report.sources.items()},
        "seconds": round(report.seconds, 6),
    }


def _source_json(source: SourceReport) -> dict[str, object]:
    told: dict[str, object] = {
        field.name: getattr(source, field.name) for field in fields(source) if field.name not in _TOLD_ELSEWHERE
    }
    told["seconds"] = round(source.seconds, 6)
    return told


def complaints(report: SyncReport) -> list[str]:
    """Return a sentence for each source that did not end well."""
    told = []
    for name, source in report.sources.items():
        if source.error:
            told.append(f"{name}: {source.error}")
        if source.failed:
            first = source.failures[0] if source.failures else None
            why = f" The first, {first.document}: {first.reason}" if first else ""
            told.append(f"{name}: {source.failed} document(s) could not be taken in.{why}")
    return told

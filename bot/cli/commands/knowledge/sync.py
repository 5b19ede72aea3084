"""``kvasir sync``: sync the sources, show the progress, and report problems."""

from __future__ import annotations

import argparse
from dataclasses import fields
from datetime import UTC, datetime

from bot.cli.command_settings import load_command_settings
from bot.cli.status_view import list_details
from bot.health.parts import list_problems
from bot.library_opening import open_configured_library
from bot.terminal.lines import format_report, show_progress
from bot.terminal.output import print_error, print_note, print_outcome
from bot.terminal.terminal import Terminal
from knowledge.library import Library
from knowledge.status import SourceStatus
from knowledge.sync.report import SourceReport, SyncReport

OK, FAILED, PENDING_DELETION = 0, 1, 3
_LISTED = 3


async def main(arguments: argparse.Namespace) -> int:
    """Sync one source or all; exit status 1 if anything failed, 3 if only deletions wait for approval."""
    on = {} if arguments.on is None else {"KVASIR_RAY_ADDRESS": arguments.on}
    settings = load_command_settings(arguments, variables=on)
    async with open_configured_library(settings, on_cluster=True) as library:
        approve = await _show_pending_deletions(library, arguments.source) if arguments.approve else None
        with Terminal() as terminal:
            report = await library.refresh(
                arguments.source, lambda progress: show_progress(terminal, progress), approve=approve
            )
        state = await library.check()
    print_outcome(report_json(report), "\n".join(format_report(report)), json=arguments.json)
    sources = {source.name: source for source in (*state.sources, *state.removed)}
    needed = {"store", "index", "embedder", "configuration", *report.sources, *(one.name for one in state.removed)}
    # A sync needs no other process, and says nothing about sources that it left alone.
    problems = {name: finding for name, finding in list_problems(None, state).items() if name in needed}
    for name, finding in problems.items():
        details = list_details(sources[name], datetime.now(UTC)) if name in sources else ()
        print_error("\n  ".join([f"{name}: {finding.text}", *(line.plain for line in details)]))
    if not report.ok or not all(finding.is_usable for finding in problems.values()):
        return FAILED
    is_pending = any(source.pending_deletions for source in report.sources.values()) or state.removed
    return PENDING_DELETION if is_pending else OK


async def _show_pending_deletions(library: Library, source: str | None) -> dict[str, str]:
    """Print the documents that are pending deletion and return the marks that approve exactly these."""
    state = await library.status()
    for one in state.sources:
        if one.pending_deletions and source in {None, one.name}:
            names = list_pending_deletions(one)
            print_note(f"{one.name}: {one.pending_deletions} pending deletion: {names}. Listing the source again …")
    for one in state.removed:
        if source in {None, one.name}:
            print_note(f"{one.name}: {one.documents} documents of a removed source are pending deletion.")
    return state.approval_marks(source)


def list_pending_deletions(source: SourceStatus) -> str:
    """Return the first documents that are pending deletion, and how many more there are."""
    names = [one.document for one in source.first_pending_deletions[:_LISTED]]
    more = source.pending_deletions - len(names)
    return ", ".join([*names, *([f"{more} more"] if more > 0 else [])])


def report_json(report: SyncReport) -> dict[str, object]:
    """Return a sync's report as JSON for scripts."""
    return {
        "ok": report.ok,
        "sources": {name: _source_json(source) for name, source in report.sources.items()},
        "repaired": report.repaired,
        "seconds": round(report.seconds, 6),
    }


def _source_json(source: SourceReport) -> dict[str, object]:
    report: dict[str, object] = {field.name: getattr(source, field.name) for field in fields(source)}
    report["held"] = report.pop("pending_deletions")
    del report["error_code"], report["readers_changed"]  # the command line has sentences, the audit has readers
    report["failures"] = [{"document": failure.document, "reason": failure.reason} for failure in source.failures]
    report["seconds"] = round(source.seconds, 6)
    return report

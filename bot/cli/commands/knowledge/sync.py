"""``kvasir sync``: sync the sources, show the progress, and report problems."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import fields

from bot.cli.command_settings import load_command_settings
from bot.health import parts
from bot.library_opening import open_configured_library
from bot.terminal.lines import format_report, show_progress
from bot.terminal.output import print_error, print_note, print_outcome
from bot.terminal.terminal import Terminal
from knowledge.library import Library
from knowledge.status import LibraryStatus, SourceStatus
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
    problems = parts.list_problems(None, state)
    # A sync needs no other process, and its report has the sources.
    shared = [finding for name in ("store", "index", "embedder", "configuration") if (finding := problems.get(name))]
    for sentence in (*list_problems(report, state), *(finding.text for finding in shared)):
        print_error(sentence)
    if not report.ok or not all(finding.is_usable for finding in shared):
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


def list_problems(report: SyncReport, state: LibraryStatus) -> list[str]:
    """Return a sentence for each source with failures, and for each with pending deletions."""
    states = {one.name: one for one in state.sources}
    problems = [
        f"{one.name.removesuffix(f' ({one.kind} {one.root})')} ({one.kind} {one.root}) is not in kvasir.toml, and its "
        f"{one.documents} document(s) are pending deletion. To delete them: "
        f"kvasir sync --approve {shlex.quote(one.name)}"
        for one in state.removed
    ]
    for name, source in report.sources.items():
        if source.error:
            problems.append(f"{name}: {source.error}")
        if source.failed:
            # The report has no reason for documents that failed in an earlier sync.
            failures = source.failures or (states[name].failures if name in states else ())
            first = failures[0] if failures else None
            why = f" The first, {first.document}: {first.reason}" if first else ""
            problems.append(f"{name}: {source.failed} document(s) could not be read.{why}")
        if source.pending_deletions and name in states:
            problems.append(
                f"{name}: {source.pending_deletions} document(s) are pending deletion: "
                f"{list_pending_deletions(states[name])}. "
                "They are missing from the source. Check the source; to delete them: "
                f"kvasir sync --approve {name}"
            )
    return problems

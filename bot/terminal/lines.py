"""Format the engine's state and a sync's results as lines for the terminal."""

from __future__ import annotations

from datetime import datetime

from bot.answering.policy import Policy
from bot.config.configuration import ADDED_SOURCE, PAGES_SOURCE
from bot.messages.durations import format_age
from bot.terminal.terminal import Terminal
from engine.interfaces import EngineStatus
from knowledge.sync.manifest.records import RefusedPassages
from knowledge.sync.report import SyncProgress, SyncReport


def format_engine_state(status: EngineStatus) -> str:
    """Return the engine's state in one line."""
    kind = ", a small model on the CPU, not an R1" if status.small_model else ""
    model = f" ({status.model}{kind})" if status.model else ""
    return f"{status.state.value}{model}" + (f": {status.detail}" if status.detail else "")


def format_live_web(policy: Policy) -> str:
    """Return in one line what an answer may fetch from the web."""
    if policy.mode == "off":
        return "off, nothing is fetched for an answer; a table [web] in kvasir.toml turns it on (docs/live-web.md)"
    searches = "search and links" if policy.searches else "links only, no search provider is set up"
    return f"{policy.mode}: {searches}"


def show_progress(terminal: Terminal, progress: SyncProgress) -> None:
    """Show the progress of a source's sync."""
    name = progress.source
    if not progress.total:
        terminal.show_progress("knowledge", None, f"{name}: {progress.listed} listed")
        return
    eta = f", about {progress.eta_s:.0f} s left" if progress.eta_s is not None and progress.eta_s >= 1 else ""
    detail = f"{name}: {progress.done} of {progress.total} documents{eta}"
    terminal.show_progress("knowledge", progress.done / progress.total, detail)


def format_report(report: SyncReport) -> list[str]:
    """Return the result of a sync, with a line for each source and each failure."""
    lines = []
    for name, source in report.sources.items():
        if (
            name in {ADDED_SOURCE, PAGES_SOURCE}
            and source.ok
            and not (source.listed or source.deleted or source.pending_deletions)
        ):
            continue  # nothing was added yet
        counts = [
            f"{count} {word}"
            for word, count in (
                ("unchanged", source.unchanged),
                ("added", source.added),
                ("updated", source.updated),
                ("deleted", source.deleted),
                ("pending deletion", source.pending_deletions),
                ("failed", source.failed),
            )
            if count
        ]
        but = "" if source.ok else ", with failures"
        lines.append(f"{name}: {', '.join(counts) or 'empty'} in {source.seconds:.1f} s{but}")
        lines.extend(f"  {failure.document}: {failure.reason}" for failure in source.failures)
        if source.error:
            lines.append(f"  {source.error}")
    return lines


def format_refused(refused: RefusedPassages, now: datetime) -> str:
    """Return how often the store proposed passages to people who may not read them, and the next step."""
    age = format_age(max(0.0, now.timestamp() - refused.at))
    return (
        f"the store proposed {refused.passages} passages to people who may not read them, last {age}; nobody saw them. "
        "If it goes on, check that all nodes of the store run, and start kvasir sync (docs/operating.md)"
    )

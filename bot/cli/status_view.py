"""The output of ``kvasir status``: a table of the sources, and the problems below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bot.answering.outgoing import release_text
from bot.answering.policy import Policy
from bot.health.parts import list_problems, select_sources
from bot.messages.durations import format_age, format_due_time, format_duration
from bot.terminal.lines import format_engine_state, format_live_web, format_refused
from engine.interfaces import EngineState, EngineStatus
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.manifest.records import QuarantinedDocument
from knowledge.sync.report import SyncProgress

_NARROW = 76
"""Below this width in columns, each source takes several lines instead of a table row."""
_NO_TERMINAL = 120
_COLOUR = {
    EngineState.READY: "green",
    EngineState.FAILED: "red",
    EngineState.DEGRADED: "yellow",
    EngineState.ABSENT: "dim",
}


def show_status(
    engine: EngineStatus, state: LibraryStatus, web: Policy, stream: TextIO, *, width: int | None = None
) -> None:
    """Write the state to a stream, in colours if it is a terminal."""
    console = Console(file=stream, highlight=False, width=width)
    if console.is_terminal:
        console.print(build_view(engine, state, web, datetime.now(UTC), narrow=console.width < _NARROW))
        return
    console = Console(file=stream, highlight=False, width=width or _NO_TERMINAL)
    with console.capture() as capture:
        console.print(build_view(engine, state, web, datetime.now(UTC), narrow=console.width < _NARROW))
    stream.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))


def build_view(
    engine: EngineStatus, state: LibraryStatus, web: Policy, now: datetime, *, narrow: bool
) -> RenderableType:
    """Return the whole output."""
    sources = select_sources(state)
    parts: list[RenderableType] = [_facts_table(engine, state, web, now), Text()]
    parts += [_source_lines(source, now) for source in sources] if narrow else [_source_table(sources, now)]
    if problems := _format_problems(engine, state, now):
        parts += [Text(), Text("Problems", style="bold yellow"), *problems]
    elif sources:
        parts += [Text(), Text("No problems.", style="green")]
    return Group(*parts)


# ── Above the sources ────────────────────────────────────────────────────────────────────────────────────────────────


def _facts_table(engine: EngineStatus, state: LibraryStatus, web: Policy, now: datetime) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("engine", Text(format_engine_state(engine), style=_COLOUR.get(engine.state, "yellow")))
    facts.add_row("store", _store_line(state))
    if state.growth is not None:
        left = f", about {format_duration(state.growth.eta_s)} left" if state.growth.eta_s is not None else ""
        facts.add_row(
            "index", f"a new one is at {state.growth.share:.0%}{left}; the old one answers until it is complete"
        )
    elif state.indexing:
        facts.add_row("index", "a new one is being built; the old one answers until it is complete")
    if state.refused_passages is not None:
        facts.add_row("rights", Text(format_refused(state.refused_passages, now), style="yellow"))
    facts.add_row("embedder", state.embedder)
    if state.uncalibrated:
        facts.add_row("", Text(state.uncalibrated, style="yellow"))
    facts.add_row("live web", Text(format_live_web(web)))
    facts.add_row("leader", _leader_line(state, now))
    if state.elsewhere is not None:
        facts.add_row("sync", f"running in another process ({state.elsewhere})")
    return facts


def _leader_line(state: LibraryStatus, now: datetime) -> Text:
    if state.leader is None:
        return Text("none, so nothing is synced by the clock; kvasir run starts one", style="yellow")
    return Text(f"{state.leader.label}, which took over {format_age(max(0.0, now.timestamp() - state.leader.since))}")


def _store_line(state: LibraryStatus) -> Text:
    line = Text(state.store)
    if state.last_repair is None:
        return line
    since = max(0.0, datetime.now(UTC).timestamp() - state.last_repair.at)
    line.append(f" · compared with the manifest {format_age(since)}, ")
    if state.last_repair.differences:
        left = state.last_repair.differences - state.last_repair.repairs
        rest = f", {left} to be read again" if left else ""
        line.append(
            f"{state.last_repair.differences} passages differed, {state.last_repair.repairs} repaired{rest}",
            style="yellow",
        )
    else:
        line.append("no differences", style="green")
    return line


# ── A source ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _source_table(sources: Sequence[SourceStatus], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("source", overflow="fold", style="bold")
    table.add_column("kind")
    table.add_column("documents", justify="right", no_wrap=True)
    table.add_column("passages", justify="right", no_wrap=True)
    table.add_column("as of", overflow="fold")
    table.add_column("next", no_wrap=True)
    for source in sources:
        documents, chunks = f"{source.documents:,}", f"{source.chunks:,}"
        table.add_row(
            source.name, source.kind, documents, chunks, _format_freshness(source), _format_next_sync(source, now)
        )
    return table


def _source_lines(source: SourceStatus, now: datetime) -> Group:
    name = Text(source.name, style="bold").append(f"  {source.kind}", style="not bold")
    counts = Text(f"{source.documents:,} documents · {source.chunks:,} passages")
    due = Text(f"next {_format_next_sync(source, now)}")
    return Group(name, *(Padding(line, (0, 0, 0, 2)) for line in (counts, _format_freshness(source), due)))


def _format_freshness(source: SourceStatus) -> Text:
    if source.syncing is not None:
        return Text(_format_progress(source.syncing), style="cyan")
    if source.age_s is None:
        return Text("never synced", style="yellow")
    text = Text(format_age(source.age_s), style="yellow" if source.late else "green")
    if source.late:
        text.append(f" · stale (target {format_duration(source.max_age_s)})")
    return text


def _format_progress(progress: SyncProgress) -> str:
    if not progress.total:
        return f"syncing: {progress.listed:,} listed"
    left = f", {format_duration(progress.eta_s)} left" if progress.eta_s is not None and progress.eta_s >= 1 else ""
    return f"syncing {progress.done / progress.total:.0%} of {progress.total:,}{left}"


def _format_next_sync(source: SourceStatus, now: datetime) -> str:
    due = format_due_time(source.next_at, now) if source.next_at is not None else "by hand"
    return f"watched; {due}" if source.is_watched else due


# ── Problems ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _format_problems(engine: EngineStatus, state: LibraryStatus, now: datetime) -> list[RenderableType]:
    """Return what needs attention, in lines; nothing if all is well."""
    sources = {source.name: source for source in (*select_sources(state), *state.removed)}
    lines: list[RenderableType] = []
    for name, finding in list_problems(engine, state).items():
        lines += [Text(name, style="bold"), Padding(Text(release_text(finding.text), style="yellow"), (0, 0, 0, 2))]
        details = list_details(sources[name], now) if name in sources else ()
        lines += [Padding(line, (0, 0, 0, 4)) for line in details]
    return lines


def list_details(source: SourceStatus, now: datetime) -> Iterator[Text]:
    """Return the place of a removed source, and the first documents that are pending deletion or failed."""
    if source.is_removed:
        others = f" Another process lists it: {', '.join(source.listed_by)}." if source.listed_by else ""
        yield Text(release_text(f"It was {source.kind} {source.root}. Its documents answer nobody here.{others}"))
        return
    yield from (Text(release_text(one.document)) for one in source.first_pending_deletions)
    if source.pending_deletions > len(source.first_pending_deletions):
        yield Text(f"… and {source.pending_deletions - len(source.first_pending_deletions):,} more", style="dim")
    yield from (_failure_line(failure, now) for failure in source.failures)
    if source.failed > len(source.failures):
        yield Text(f"… and {source.failed - len(source.failures):,} more", style="dim")


def _failure_line(failure: QuarantinedDocument, now: datetime) -> Text:
    has_name = failure.reason.startswith(failure.document)
    reason = failure.reason if has_name else f"{failure.document}: {failure.reason}"
    line = Text(release_text(reason))
    if failure.retry_at is not None and failure.retry_at > now.timestamp():
        again = format_due_time(datetime.fromtimestamp(failure.retry_at, UTC), now)
        line.append(f" Next attempt after {again}.", style="dim")
    return line

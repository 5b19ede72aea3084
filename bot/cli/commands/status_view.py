"""``kvasir status`` as an operator sees it: a table of the sources, and under it what needs a person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bot.cli.printable import printable
from bot.cli.terminal_lines import engine_line
from bot.durations import ago, span, until
from engine.interfaces import EngineState, EngineStatus
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.manifest.records import Failure
from knowledge.sync.report import Progress

_NARROW = 76
"""Columns under which a source is a few lines instead of a row."""
_NO_TERMINAL = 120
_COLOUR = {
    EngineState.READY: "green",
    EngineState.FAILED: "red",
    EngineState.DEGRADED: "yellow",
    EngineState.ABSENT: "dim",
}


def show(engine: EngineStatus, state: LibraryStatus, stream: TextIO, *, width: int | None = None) -> None:
    """Write the state to a terminal, or without colours to whatever else the stream is."""
    console = Console(file=stream, highlight=False, width=width)
    if console.is_terminal:
        console.print(view(engine, state, datetime.now(UTC), narrow=console.width < _NARROW))
        return
    console = Console(file=stream, highlight=False, width=width or _NO_TERMINAL)
    with console.capture() as shown:
        console.print(view(engine, state, datetime.now(UTC), narrow=console.width < _NARROW))
    stream.write("".join(f"{line.rstrip()}\n" for line in shown.get().splitlines()))


def view(engine: EngineStatus, state: LibraryStatus, now: datetime, *, narrow: bool) -> RenderableType:
    """Return what is shown."""
    sources = [s for s in state.sources if s.kind not in {"push", "pages"} or s.documents or s.failed or s.error]
    parts: list[RenderableType] = [_facts(engine, state), Text()]
    parts += [_stacked(source, now) for source in sources] if narrow else [_table(sources, now)]
    troubles = [line for source in sources for line in _troubles(source, now)]
    if troubles:
        parts += [Text(), Text("What needs a look", style="bold yellow"), *troubles]
    elif sources:
        parts += [Text(), Text("Nothing needs a look.", style="green")]
    return Group(*parts)


# ── Above the sources ────────────────────────────────────────────────────────────────────────────────────────────────


def _facts(engine: EngineStatus, state: LibraryStatus) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row("engine", Text(engine_line(engine), style=_COLOUR.get(engine.state, "yellow")))
    facts.add_row("store", _store(state))
    if state.growth is not None:
        left = f", about {span(state.growth.eta_s)} left" if state.growth.eta_s is not None else ""
        facts.add_row(
            "index", f"a new one is at {state.growth.share:.0%}{left}; the old one answers until it is complete"
        )
    elif state.indexing:
        facts.add_row("index", "a new one is growing; the old one answers until it is complete")
    if state.elsewhere is not None:
        facts.add_row("sync", f"under way in another process ({state.elsewhere})")
    return facts


def _store(state: LibraryStatus) -> Text:
    told = Text(state.store)
    if state.repaired is None:
        return told
    since = max(0.0, datetime.now(UTC).timestamp() - state.repaired.at)
    told.append(f" · compared with the manifest {ago(since)}, ")
    if state.repaired.differed:
        left = state.repaired.differed - state.repaired.mended
        rest = f", {left} read again" if left else ""
        told.append(
            f"{state.repaired.differed} passages differed, {state.repaired.mended} mended{rest}", style="yellow"
        )
    else:
        told.append("no drift", style="green")
    return told


# ── A source ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(sources: Sequence[SourceStatus], now: datetime) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("source", overflow="fold", style="bold")
    table.add_column("kind")
    table.add_column("documents", justify="right", no_wrap=True)
    table.add_column("passages", justify="right", no_wrap=True)
    table.add_column("as of", overflow="fold")
    table.add_column("next", no_wrap=True)
    for source in sources:
        documents, chunks = f"{source.documents:,}", f"{source.chunks:,}"
        table.add_row(source.name, source.kind, documents, chunks, _freshness(source), _next(source, now))
    return table


def _stacked(source: SourceStatus, now: datetime) -> Group:
    name = Text(source.name, style="bold").append(f"  {source.kind}", style="not bold")
    counts = Text(f"{source.documents:,} documents · {source.chunks:,} passages")
    due = Text(f"next {_next(source, now)}")
    return Group(name, *(Padding(line, (0, 0, 0, 2)) for line in (counts, _freshness(source), due)))


def _freshness(source: SourceStatus) -> Text:
    if source.syncing is not None:
        return Text(_progress(source.syncing), style="cyan")
    if source.age_s is None:
        return Text("never read yet", style="yellow")
    told = Text(ago(source.age_s), style="yellow" if source.late else "green")
    if source.late:
        told.append(f" · stale (target {span(source.max_age_s)})")
    return told


def _progress(progress: Progress) -> str:
    if not progress.total:
        return f"syncing: {progress.listed:,} listed"
    left = f", {span(progress.eta_s)} left" if progress.eta_s is not None and progress.eta_s >= 1 else ""
    return f"syncing {progress.done / progress.total:.0%} of {progress.total:,}{left}"


def _next(source: SourceStatus, now: datetime) -> str:
    due = until(source.next_at, now) if source.next_at is not None else "by hand"
    return f"watched; {due}" if source.watched else due


# ── What needs a look ────────────────────────────────────────────────────────────────────────────────────────────────


def _troubles(source: SourceStatus, now: datetime) -> Iterator[RenderableType]:
    told = list(_told(source, now))
    if told:
        yield Text(source.name, style="bold")
        yield from (Padding(line, (0, 0, 0, 2)) for line in told)


def _told(source: SourceStatus, now: datetime) -> Iterator[Text]:
    if source.error:
        yield Text(printable(source.error), style="red")
    if source.watch_trouble:
        yield Text(f"Not watched: {printable(source.watch_trouble)}", style="yellow")
    if source.age_s is None and not source.error and source.syncing is None:
        yield Text(f"It was never read. To read it: kvasir sync {source.name}")
    elif source.late:
        yield Text(
            f"It is stale: {span(source.age_s or 0.0)} old, {span(source.max_age_s)} at most. To read it now: "
            f"kvasir sync {source.name}"
        )
    if source.held:
        yield from _held(source)
    if source.failed:
        yield Text(f"{source.failed:,} could not be read", style="red")
        yield from (_failure(failure, now) for failure in source.failures)
        if source.failed > len(source.failures):
            yield Text(f"  … and {source.failed - len(source.failures):,} more", style="dim")


def _held(source: SourceStatus) -> Iterator[Text]:
    yield Text(f"{source.held:,} are gone from the source and held; they still answer", style="yellow")
    for one in source.held_first:
        yield Text(f"  {printable(one.document)}")
    if source.held > len(source.held_first):
        yield Text(f"  … and {source.held - len(source.held_first):,} more", style="dim")
    yield Text(f"  If the source is whole and they are really gone: kvasir sync --approve {source.name}")


def _failure(failure: Failure, now: datetime) -> Text:
    named = failure.reason.startswith(failure.document)
    told = Text(printable(f"  {failure.reason}" if named else f"  {failure.document}: {failure.reason}"))
    if failure.retry_at is not None and failure.retry_at > now.timestamp():
        again = until(datetime.fromtimestamp(failure.retry_at, UTC), now)
        told.append(f" Tried again after {again}.", style="dim")
    return told

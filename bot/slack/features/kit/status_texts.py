"""What ``/kb status`` and ``/kb sources`` show, as mrkdwn. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from bot.answering.outgoing import release_text
from bot.health.parts import select_sources
from bot.languages.registry import Language
from bot.messages import status
from bot.messages.durations import format_age, format_due_time, format_duration
from bot.messages.engine import render_notes
from bot.messages.errors import explain_error, explain_failure
from bot.messages.message import join_names, render_message
from bot.slack.wire.text import render
from engine.interfaces import EngineStatus
from knowledge.errors import ErrorCode
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.manifest.records import PendingDeletion, QuarantinedDocument
from knowledge.sync.report import SyncProgress

_MAX_NAMED = 3


def format_status(engine: EngineStatus, state: LibraryStatus, language: Language) -> str:
    """Return the state of the engine, the store and the sources."""
    lines = [format_engine(engine, language), *format_store(state, language)]
    lines += [format_source(source, language) for source in select_sources(state)]
    lines += [f"• {format_removed_source(source, language)}" for source in state.removed]
    lines += format_differences(state, language)
    return "\n".join(lines)


def format_engine(engine: EngineStatus, language: Language) -> str:
    """Return the state of the engine."""
    percent = f" {engine.progress:.0%}" if engine.progress is not None else ""
    model = f" · {render.escape_mrkdwn(engine.model)}" if engine.model else ""
    notes = render.escape_mrkdwn(render_notes(engine.notes, language))
    detail = f" · {notes}" if notes else ""
    text = render_message(status.ENGINE, language, state=status.ENGINE_STATES[engine.state])
    return f"{text}{percent}{model}{detail}"


def format_store(state: LibraryStatus, language: Language) -> Iterator[str]:
    """Return the state of the store, and of an index or a sync that is in progress elsewhere."""
    parts = [render_message(status.STORE, language, store=state.store)]
    if state.last_repair is not None:
        count = state.last_repair.differences
        age = format_age(datetime.now(UTC).timestamp() - state.last_repair.at, language)
        parts.append(
            render_message(status.REPAIRED if count else status.NO_DIFFERENCES, language, age=age, count=count)
        )
    yield " · ".join(parts)
    if (trouble := state.index.find_trouble()) is not None:
        reason = render.escape_mrkdwn(render_message(explain_error(trouble), language))
        yield f":warning: {render_message(status.INDEX_LOST, language, reason=reason)}"
    if state.embedder_trouble:
        reason = format_failure_reason(ErrorCode.EMBEDDER, state.embedder_trouble, language)
        yield f":warning: {render_message(status.EMBEDDER, language, reason=reason)}"
    if state.growth is not None:
        left_s = state.growth.eta_s
        left = "" if left_s is None else status.INDEX_TIME_LEFT.fill(duration=format_duration(left_s, language))
        yield render_message(status.NEW_INDEX, language, share=state.growth.share, left=left)
    if state.elsewhere is not None:
        yield render_message(status.SYNCING_ELSEWHERE, language, process=render.escape_mrkdwn(state.elsewhere))


def format_removed_source(source: SourceStatus, language: Language) -> str:
    """Return what a removed source was, who still has it, and what approval does."""
    others = ", ".join(map(render.escape_mrkdwn, source.listed_by))
    return render_message(
        status.REMOVED_SOURCE,
        language,
        source=render.escape_mrkdwn(source.name),
        count=source.documents,
        others=status.LISTED_ELSEWHERE.fill(hosts=others) if others else "",
    )


def format_differences(state: LibraryStatus, language: Language) -> Iterator[str]:
    """Return a line for each process with another configuration."""
    for host, names in state.other_configurations.items():
        sources = join_names([render.escape_mrkdwn(name) for name in names], language)
        yield render_message(status.OTHER_CONFIGURATION, language, host=render.escape_mrkdwn(host), sources=sources)


def format_sources(state: LibraryStatus, language: Language) -> str:
    """Return the sources with their kinds, and with their places as far as they are given."""
    if not state.sources:
        return render_message(status.NO_SOURCES, language)
    return "\n".join(format_source(source, language, show_place=True) for source in state.sources)


def format_source(source: SourceStatus, language: Language, *, show_place: bool = False) -> str:
    """Return the state of one source: one line, if wanted one for its kind and place, and a line for each problem."""
    counts = render_message(status.DOCUMENTS, language, count=source.documents)
    if source.chunks or not source.documents:  # people who may read only a part of a source see no passages
        passages = render_message(status.PASSAGES, language, count=source.chunks)
        counts = render_message(status.COUNTS, language, documents=counts, passages=passages)
    parts = [counts, format_freshness(source, language)]
    if source.next_at is not None:
        due = format_due_time(source.next_at, datetime.now(UTC), language)
        parts.append(render_message(status.NEXT_SYNC, language, time=due))
    if source.is_watched:
        parts.append(render_message(status.WATCHED, language))
    head = f"• *{render.escape_mrkdwn(source.name)}*: " + " · ".join(parts)
    place = " · ".join(render.escape_mrkdwn(part) for part in (source.kind, source.root) if part)
    details = [*([place] if show_place else []), *_format_problems(source, language)]
    return "\n".join([head, *(f"   {line}" for line in details)])


def format_freshness(source: SourceStatus, language: Language) -> str:
    """Return when a source was synced, and whether that is too long ago."""
    if source.age_s is None:
        return render_message(status.NEVER_SYNCED, language)
    age, target = format_age(source.age_s, language), format_duration(source.max_age_s, language)
    return render_message(status.STALE if source.late else status.SYNCED, language, age=age, target=target)


def _format_problems(source: SourceStatus, language: Language) -> Iterator[str]:
    if source.syncing is not None:
        yield f":arrows_counterclockwise: {format_progress(source.syncing, language)}"
    if source.error:
        yield f":warning: {format_failure_reason(source.error_code, source.error, language)}"
    if source.watch_trouble:
        yield f":warning: {render.escape_mrkdwn(release_text(source.watch_trouble))}"
    if source.pending_deletions:
        yield f":pause_button: {format_pending_deletions(source, language)}"
    if source.failed:
        yield f":warning: {render_message(status.UNREADABLE, language, count=source.failed)}"
        yield from format_failures(source.failures, language)


def format_pending_deletions(source: SourceStatus, language: Language) -> str:
    """Return the pending deletions of a source, and the command that approves them."""
    names = _format_document_names(source.first_pending_deletions, source.pending_deletions, language)
    return render_message(
        status.PENDING_DELETIONS,
        language,
        count=source.pending_deletions,
        documents=status.PENDING_DOCUMENTS.fill(names=names) if names else "",
        source=render.escape_mrkdwn(source.name),
    )


def _format_document_names(pending: Sequence[PendingDeletion], count: int, language: Language) -> str:
    named = [render.escape_name(release_text(one.document)) for one in pending if one.public][:_MAX_NAMED]
    more = count - len(named)
    if named and more > 0:
        named.append(render_message(status.MORE_DOCUMENTS, language, count=more))
    return join_names(named, language)


def format_failures(failures: Iterable[QuarantinedDocument], language: Language) -> Iterator[str]:
    """Return a line for each of the first failures, without those of documents that not everybody may read."""
    named = [failure for failure in failures if failure.public][:_MAX_NAMED]
    return (f"   ◦ {_format_failure(failure, language)}" for failure in named)


def _format_failure(failure: QuarantinedDocument, language: Language) -> str:
    reason = format_failure_reason(failure.code, failure.reason, language)
    document = release_text(failure.document)
    name, named = render.escape_name(document), render.escape_mrkdwn(document)
    text = f"{name}{reason.removeprefix(named)}" if reason.startswith(f"{named} ") else f"{name}: {reason}"
    if failure.retry_at is None:
        return text
    at = format_due_time(datetime.fromtimestamp(failure.retry_at, UTC), datetime.now(UTC), language)
    return render_message(status.RETRY, language, failure=text, time=at)


def format_failure_reason(code: ErrorCode, text: str, language: Language) -> str:
    """Return why a source or a document failed."""
    return render.escape_mrkdwn(release_text(render_message(explain_failure(code, text), language)))


def format_progress(progress: SyncProgress, language: Language) -> str:
    """Return the progress of one source."""
    name = render.escape_mrkdwn(progress.source)
    if not progress.total:
        return render_message(status.LISTED, language, source=name, count=progress.listed)
    has_eta = progress.eta_s is not None and progress.eta_s >= 1
    return render_message(
        status.PROGRESS,
        language,
        source=name,
        done=progress.done,
        total=progress.total,
        failed=status.PROGRESS_FAILED.fill(count=progress.failed) if progress.failed else "",
        left=status.TIME_LEFT.fill(duration=format_duration(progress.eta_s or 0, language)) if has_eta else "",
    )

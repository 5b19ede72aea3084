"""What ``/kb status`` and ``/kb sources`` show, as mrkdwn in both languages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from bot.messages.durations import format_age, format_due_time, format_duration
from bot.slack.posting import render
from engine.interfaces import EngineStatus
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.manifest.records import PendingDeletion, QuarantinedDocument
from knowledge.sync.report import SyncProgress

_MAX_NAMED = 3
"""Documents that a list names."""


def format_status(engine: EngineStatus, state: LibraryStatus, *, chinese: bool) -> str:
    """Return the state of the engine, the store and the sources."""
    percent = f" {engine.progress:.0%}" if engine.progress is not None else ""
    model = f" · {render.escape_mrkdwn(engine.model)}" if engine.model else ""
    detail = f" · {render.escape_mrkdwn(engine.detail)}" if engine.detail else ""
    lines = [f"*{'引擎' if chinese else 'Engine'}*: {engine.state}{percent}{model}{detail}"]
    lines += _format_store(state, chinese=chinese)
    lines += [format_source(source, chinese=chinese) for source in select_visible_sources(state.sources)]
    return "\n".join(lines)


def _format_store(state: LibraryStatus, *, chinese: bool) -> Iterator[str]:
    label, parts = ("存储" if chinese else "Store"), [state.store]
    if state.repaired is not None:
        compared = format_age(_seconds_since(state.repaired.at), "zh" if chinese else "en")
        count = state.repaired.differed
        if chinese:
            parts.append(f"{compared}核对，" + (f"{count} 段不一致，已修复" if count else "完全一致"))
        else:
            differed = f"repaired {count} passages" if count else "no differences"
            parts.append(f"checked {compared}, {differed}")
    yield f"*{label}*: " + " · ".join(parts)
    if state.growth is not None:
        left = state.growth.eta_s
        if chinese:
            eta = f"，约剩 {format_duration(left, 'zh')}" if left is not None else ""
            yield f"*新索引*: {state.growth.share:.0%}{eta}；完成前仍用旧索引回答"
        else:
            eta = f", about {format_duration(left)} left" if left is not None else ""
            yield f"*New index*: {state.growth.share:.0%}{eta}; answers use the old one until it is complete"
    if state.elsewhere is not None:
        who = render.escape_mrkdwn(state.elsewhere)
        yield f"_另一进程正在同步（{who}）_" if chinese else f"_Another process is syncing ({who})_"


def select_visible_sources(sources: Iterable[SourceStatus]) -> list[SourceStatus]:
    """Return the sources to list; those for uploads and added pages only once they contain something."""
    return [one for one in sources if one.kind not in {"push", "pages"} or one.documents or one.failed or one.error]


def format_sources(state: LibraryStatus, *, chinese: bool) -> str:
    """Return the sources with their kinds and locations."""
    if not state.sources:
        return "尚未配置任何来源。" if chinese else "No source is configured. Add one to kvasir.toml."
    return "\n".join(_format_source_place(source, chinese=chinese) for source in state.sources)


def _format_source_place(source: SourceStatus, *, chinese: bool) -> str:
    name, kind, root = (render.escape_mrkdwn(text) for text in (source.name, source.kind, source.root))
    return f"*{name}* · {kind} · {root}\n" + format_source(source, chinese=chinese)


def format_source(source: SourceStatus, *, chinese: bool) -> str:
    """Return the state of one source: one line, then a line for each problem."""
    parts = [_format_counts(source, chinese=chinese), format_freshness(source, chinese=chinese)]
    if source.next_at is not None:
        due = format_due_time(source.next_at, datetime.now(UTC), "zh" if chinese else "en")
        parts.append(f"下次 {due}" if chinese else f"next {due}")
    if source.watched:
        parts.append("实时跟踪" if chinese else "watched for changes")
    head = f"• *{render.escape_mrkdwn(source.name)}*: " + " · ".join(parts)
    return "\n".join([head, *(f"   {line}" for line in _format_problems(source, chinese=chinese))])


def _format_counts(source: SourceStatus, *, chinese: bool) -> str:
    if chinese:
        return f"{source.documents:,} 篇文档，{source.chunks:,} 段"
    return f"{source.documents:,} documents, {source.chunks:,} passages"


def format_freshness(source: SourceStatus, *, chinese: bool = False) -> str:
    """Return when a source was synced, and whether that is too long ago."""
    if source.age_s is None:
        return "尚未同步" if chinese else "never synced"
    synced = (
        f"{format_age(source.age_s, 'zh' if chinese else 'en')}同步"
        if chinese
        else f"synced {format_age(source.age_s)}"
    )
    if not source.late:
        return synced
    target = format_duration(source.max_age_s, "zh" if chinese else "en")
    return f"{synced}，*已过期*（目标 {target}）" if chinese else f"{synced}, *stale* (target {target})"


def _format_problems(source: SourceStatus, *, chinese: bool) -> Iterator[str]:
    if source.syncing is not None:
        yield f":arrows_counterclockwise: {format_progress(source.syncing, chinese=chinese)}"
    if source.error:
        yield f":warning: {render.escape_mrkdwn(source.error)}"
    if source.watch_trouble:
        yield f":warning: {render.escape_mrkdwn(source.watch_trouble)}"
    if source.pending_deletions:
        yield f":pause_button: {format_pending_deletions(source, chinese=chinese)}"
    if source.failed:
        yield f":warning: {_format_failure_count(source, chinese=chinese)}"
        yield from format_failures(source.failures, chinese=chinese)


def format_pending_deletions(source: SourceStatus, *, chinese: bool) -> str:
    """Return the pending deletions of a source, and the command that approves them."""
    count = source.pending_deletions
    names = _format_document_names(source.first_pending_deletions, count, chinese=chinese)
    command = f"`/kb {'批准' if chinese else 'approve'} {render.escape_mrkdwn(source.name)}`"
    if chinese:
        listed = f"：{names}" if names else ""
        return f"{count} 篇文档待删除：来源中已没有它们，但仍用于回答{listed}。确认删除请输入 {command}"
    listed = f": {names}" if names else ""
    return (
        f"{count} pending deletions: these documents are missing from the source and still used in answers"
        f"{listed}. To delete them, type {command}"
    )


def _format_document_names(held: Sequence[PendingDeletion], count: int, *, chinese: bool) -> str:
    named = [render.escape_mrkdwn(one.document) for one in held if one.public][:_MAX_NAMED]
    more = count - len(named)
    if named and more > 0:
        named.append(f"另外 {more} 篇" if chinese else f"{more} more")
    return ("、" if chinese else ", ").join(named)


def _format_failure_count(source: SourceStatus, *, chinese: bool) -> str:
    return f"{source.failed} 篇无法读取" if chinese else f"{source.failed} could not be read"


def format_failures(failures: Iterable[QuarantinedDocument], *, chinese: bool) -> Iterator[str]:
    """Return a line for each of the first failures, without those of documents that not everybody may read."""
    named = [failure for failure in failures if failure.public][:_MAX_NAMED]
    return (f"   ◦ {_format_failure(failure, chinese=chinese)}" for failure in named)


def _format_failure(failure: QuarantinedDocument, *, chinese: bool) -> str:
    text = f"{render.escape_mrkdwn(failure.document)}: {render.escape_mrkdwn(failure.reason)}"
    if failure.retry_at is None:
        return text
    at = format_due_time(datetime.fromtimestamp(failure.retry_at, UTC), datetime.now(UTC), "zh" if chinese else "en")
    return f"{text} （{at} 之后重试）" if chinese else f"{text} (next attempt after {at})"


def _seconds_since(moment: float) -> float:
    return max(0.0, datetime.now(UTC).timestamp() - moment)


def format_progress(progress: SyncProgress, *, chinese: bool) -> str:
    """Return the progress of one source."""
    name = render.escape_mrkdwn(progress.source)
    if not progress.total:
        return f"*{name}*: 已列出 {progress.listed}" if chinese else f"*{name}*: {progress.listed} listed"
    eta = ""
    if progress.eta_s is not None and progress.eta_s >= 1:
        left = format_duration(progress.eta_s, "zh" if chinese else "en")
        eta = f" · 约 {left}" if chinese else f" · about {left} left"
    failed = ""
    if progress.failed:
        failed = f" · {progress.failed} 篇失败" if chinese else f" · {progress.failed} failed"
    return f"*{name}*: {progress.done} / {progress.total}{failed}{eta}"

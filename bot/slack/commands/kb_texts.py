"""What ``/kb`` shows, as mrkdwn in both languages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from bot.config.configuration import ADDED_SOURCE, PAGES_SOURCE
from bot.durations import format_age, format_due_time, format_duration
from bot.slack.commands.parsing import HELP, HELP_CHINESE, HelpCommand
from bot.slack.posting import render
from engine.interfaces import EngineStatus
from knowledge.interfaces import Hit, SearchResult
from knowledge.status import LibraryStatus, SourceStatus
from knowledge.sync.manifest.records import PendingDeletion, QuarantinedDocument
from knowledge.sync.report import SourceReport, SyncProgress, SyncReport

MAX_TEXT_CHARACTERS = 3_900
"""Characters of a message's text."""
_MAX_SECTION_CHARACTERS = 2_900
_MAX_QUOTE_CHARACTERS = 280
_MAX_NAMED = 3
"""Failed and held documents that are named."""


def split_into_sections(text: str) -> list[str]:
    """Return a text in pieces that a section takes."""
    pieces: list[str] = []
    while text:
        head, text = render.split_head(text, _MAX_SECTION_CHARACTERS)
        pieces.append(head)
    return pieces or ["…"]


def format_help(command: HelpCommand, *, chinese: bool) -> str:
    """Return the list of commands, and what may have been meant."""
    listed = HELP_CHINESE if chinese else HELP
    if command.unknown is None:
        return listed
    word = render.escape_mrkdwn(command.unknown)
    if chinese:
        hint = f"您是指 `/kb {command.nearest}` 吗？" if command.nearest else ""
        return f"没有 `/kb {word}` 这个命令。{hint}\n{listed}"
    hint = f" Did you mean `/kb {command.nearest}`?" if command.nearest else ""
    return f"`/kb {word}` is not a command.{hint}\n{listed}"


def format_search_results(result: SearchResult, *, chinese: bool) -> str:
    """Return the passages found, each with its link and its first words."""
    query = render.escape_mrkdwn(" ".join(result.query.split())[:_MAX_QUOTE_CHARACTERS])
    if not result.hits:
        return f"没有找到与“{query}”相关的段落。" if chinese else f"Nothing was found for “{query}”."
    head = f"*“{query}”*：{len(result.hits)} 段" if chinese else f"*“{query}”*: {len(result.hits)} passages"
    return "\n".join([head, *(_format_hit(n, hit) for n, hit in enumerate(result.hits, start=1))])


def _format_hit(n: int, hit: Hit) -> str:
    path = render.escape_mrkdwn(" › ".join(part for part in (hit.title or hit.document, hit.heading) if part)[:120])
    url = render.encode_link_target(hit.url) if hit.url and hit.url.startswith(("http://", "https://")) else ""
    quote = " ".join(hit.text.split())
    quote = quote if len(quote) <= _MAX_QUOTE_CHARACTERS else quote[: _MAX_QUOTE_CHARACTERS - 1] + "…"
    name = f"<{url}|{path}>" if url else f"*{path}*"
    return f"{n}. {name} · {render.escape_mrkdwn(hit.source)}\n> {render.escape_mrkdwn(quote)}"


# ── Status ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def format_status(engine: EngineStatus, state: LibraryStatus, *, chinese: bool) -> str:
    """Return how the engine, the store and the sources are."""
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
        compared = format_age(_seconds_since(state.repaired.at), chinese=chinese)
        count = state.repaired.differed
        if chinese:
            parts.append(f"{compared}核对，" + (f"{count} 段不一致，已修复" if count else "完全一致"))
        else:
            differed = f"{count} passages differed and were mended" if count else "no drift"
            parts.append(f"compared {compared}, {differed}")
    yield f"*{label}*: " + " · ".join(parts)
    if state.growth is not None:
        left = state.growth.eta_s
        if chinese:
            eta = f"，约剩 {format_duration(left, chinese=True)}" if left is not None else ""
            yield f"*新索引*: {state.growth.share:.0%}{eta}；完成前仍用旧索引回答"
        else:
            eta = f", about {format_duration(left)} left" if left is not None else ""
            yield f"*New index*: {state.growth.share:.0%}{eta}; the old one answers until it is complete"
    if state.elsewhere is not None:
        who = render.escape_mrkdwn(state.elsewhere)
        yield f"_另一进程正在同步（{who}）_" if chinese else f"_Another process is syncing ({who})_"


def select_visible_sources(sources: Iterable[SourceStatus]) -> list[SourceStatus]:
    """Return the sources that are worth a line: those for what people add only once there is any."""
    return [one for one in sources if one.kind not in {"push", "pages"} or one.documents or one.failed or one.error]


def format_sources(state: LibraryStatus, *, chinese: bool) -> str:
    """Return the sources with their kinds and places."""
    if not state.sources:
        return "尚未配置任何来源。" if chinese else "No source is configured. Add one to kvasir.toml."
    return "\n".join(_format_source_place(source, chinese=chinese) for source in state.sources)


def _format_source_place(source: SourceStatus, *, chinese: bool) -> str:
    name, kind, root = (render.escape_mrkdwn(text) for text in (source.name, source.kind, source.root))
    return f"*{name}* · {kind} · {root}\n" + format_source(source, chinese=chinese)


def format_source(source: SourceStatus, *, chinese: bool) -> str:
    """Return how one source is: a line, and one for each thing that a person should look at."""
    parts = [_format_counts(source, chinese=chinese), format_freshness(source, chinese=chinese)]
    if source.next_at is not None:
        due = format_due_time(source.next_at, datetime.now(UTC), chinese=chinese)
        parts.append(f"下次 {due}" if chinese else f"next {due}")
    if source.watched:
        parts.append("实时跟踪" if chinese else "watched")
    head = f"• *{render.escape_mrkdwn(source.name)}*: " + " · ".join(parts)
    return "\n".join([head, *(f"   {line}" for line in _format_problems(source, chinese=chinese))])


def _format_counts(source: SourceStatus, *, chinese: bool) -> str:
    if chinese:
        return f"{source.documents:,} 篇文档，{source.chunks:,} 段"
    return f"{source.documents:,} documents, {source.chunks:,} passages"


def format_freshness(source: SourceStatus, *, chinese: bool = False) -> str:
    """Return how old a source is, and whether that is too old."""
    if source.age_s is None:
        return "尚未同步" if chinese else "never synced"
    synced = f"{format_age(source.age_s, chinese=chinese)}同步" if chinese else f"synced {format_age(source.age_s)}"
    if not source.late:
        return synced
    target = format_duration(source.max_age_s, chinese=chinese)
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
        yield from _format_failures(source.failures, chinese=chinese)


def format_pending_deletions(source: SourceStatus, *, chinese: bool) -> str:
    """Return what is held of a source, and what to type."""
    names = _format_document_names(source.first_pending_deletions, source.pending_deletions, chinese=chinese)
    command = f"`/kb {'批准' if chinese else 'approve'} {render.escape_mrkdwn(source.name)}`"
    if chinese:
        told = f"：{names}" if names else ""
        return f"{source.pending_deletions} 篇已从来源消失，暂时保留，仍在用来回答{told}。确认属实后输入 {command}"
    told = f": {names}" if names else ""
    gone = f"{source.pending_deletions} gone from the source and held, still answering{told}."
    return f"{gone} If they are really gone: {command}"


def _format_document_names(held: Sequence[PendingDeletion], count: int, *, chinese: bool) -> str:
    named = [render.escape_mrkdwn(one.document) for one in held if one.public][:_MAX_NAMED]
    more = count - len(named)
    if named and more > 0:
        named.append(f"另外 {more} 篇" if chinese else f"{more} more")
    return ("、" if chinese else ", ").join(named)


def _format_failure_count(source: SourceStatus, *, chinese: bool) -> str:
    return f"{source.failed} 篇无法读取" if chinese else f"{source.failed} could not be read"


def _format_failures(failures: Iterable[QuarantinedDocument], *, chinese: bool) -> Iterator[str]:
    """Return a line for each of the first failures; of what not everybody may read, none."""
    named = [failure for failure in failures if failure.public][:_MAX_NAMED]
    return (f"   ◦ {_format_failure(failure, chinese=chinese)}" for failure in named)


def _format_failure(failure: QuarantinedDocument, *, chinese: bool) -> str:
    told = f"{render.escape_mrkdwn(failure.document)}: {render.escape_mrkdwn(failure.reason)}"
    if failure.retry_at is None:
        return told
    at = format_due_time(datetime.fromtimestamp(failure.retry_at, UTC), datetime.now(UTC), chinese=chinese)
    return f"{told} （{at} 之后重试）" if chinese else f"{told} (tried again after {at})"


def _seconds_since(moment: float) -> float:
    return max(0.0, datetime.now(UTC).timestamp() - moment)


# ── Approving ────────────────────────────────────────────────────────────────────────────────────────────────────────


def format_nothing_pending(source: str | None, *, chinese: bool) -> str:
    """Say that there is nothing to approve."""
    if source is None:
        return "没有待确认的删除。" if chinese else "Nothing is held; there is nothing to approve."
    name = render.escape_mrkdwn(source)
    if chinese:
        return f"来源“{name}”没有待确认的删除。"
    return f"Nothing of “{name}” is held; there is nothing to approve."


def format_approval_request(source: SourceStatus, *, chinese: bool) -> str:
    """Show what is held of a source, and say what approving does."""
    name = render.escape_mrkdwn(source.name)
    named = [one for one in source.first_pending_deletions if one.public]
    listed = "".join(f"\n   ◦ {render.escape_mrkdwn(one.document)}" for one in named)
    more = source.pending_deletions - len(named)
    if chinese:
        rest = f"\n   ◦ 另外 {more} 篇" if more > 0 else ""
        return (
            f"*{name}*：{source.pending_deletions} 篇文档不在最近的列表里，仍在用来回答：{listed}{rest}\n"
            "确认后会重新列出来源，只删除其中仍然不在的文档。"
        )
    rest = f"\n   ◦ and {more} more" if more > 0 else ""
    return (
        f"*{name}*: {source.pending_deletions} documents are missing from its last listing and still answer:"
        f"{listed}{rest}\n"
        "Approving lists the source again and deletes those of them that are still gone."
    )


def format_owners_only(owners: Iterable[str], *, chinese: bool) -> str:
    """Say who may do it."""
    who = ", ".join(f"<@{owner}>" for owner in sorted(owners)[:5])
    return f"只有负责人可以这样做，请找 {who}。" if chinese else f"Only an owner may do this. Ask {who}."


def format_no_owners(user: str, *, chinese: bool) -> str:
    """Say to somebody that nobody may do it from Slack, and how that is changed."""
    if chinese:
        return (
            "尚未指定负责人，所以只能在终端批准删除：`kvasir sync --approve 来源`。"
            f'管理员可以在 kvasir.toml 中指定负责人：`[access]` `owners = ["{user}"]`（这是您的 ID）。'
        )
    return (
        "No owner is named, so deletions are approved at the terminal alone: `kvasir sync --approve SOURCE`. "
        f'An administrator names owners in kvasir.toml: `[access]` `owners = ["{user}"]` (that is your id).'
    )


# ── A sync ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def format_progress(progress: SyncProgress, *, chinese: bool) -> str:
    """Return how far one source is."""
    name = render.escape_mrkdwn(progress.source)
    if not progress.total:
        return f"*{name}*: 已列出 {progress.listed}" if chinese else f"*{name}*: {progress.listed} listed"
    eta = ""
    if progress.eta_s is not None and progress.eta_s >= 1:
        left = format_duration(progress.eta_s, chinese=chinese)
        eta = f" · 约 {left}" if chinese else f" · about {left} left"
    failed = ""
    if progress.failed:
        failed = f" · {progress.failed} 篇失败" if chinese else f" · {progress.failed} failed"
    return f"*{name}*: {progress.done} / {progress.total}{failed}{eta}"


def format_report(report: SyncReport, *, chinese: bool) -> str:
    """Return what a refresh did; one with failures never reads like plain success."""
    if report.ok:
        head = f"更新完成，用时 {report.seconds:.1f} 秒。" if chinese else f"Refreshed in {report.seconds:.1f} s."
    elif chinese:
        head = f":warning: 更新结束，用时 {report.seconds:.1f} 秒，但有失败："
    else:
        head = f":warning: The refresh ended after {report.seconds:.1f} s, with failures:"
    told = {name: source for name, source in report.sources.items() if not is_unused_source(name, source)}
    return "\n".join([head, *(_format_source_report(name, source, chinese=chinese) for name, source in told.items())])


def is_unused_source(name: str, report: SourceReport) -> bool:
    """Tell whether a report is that of a source for what people add, where there is nothing."""
    return (
        name in {ADDED_SOURCE, PAGES_SOURCE}
        and report.ok
        and not (report.listed or report.deleted or report.pending_deletions)
    )


def _format_source_report(name: str, told: SourceReport, *, chinese: bool) -> str:
    words = (
        ("未变", "新增", "更新", "删除", "保留", "失败")
        if chinese
        else ("unchanged", "added", "updated", "deleted", "held back", "failed")
    )
    counts = (told.unchanged, told.added, told.updated, told.deleted, told.pending_deletions, told.failed)
    parts = [f"{count} {word}" for count, word in zip(counts, words, strict=True) if count]
    lines = [f"• *{render.escape_mrkdwn(name)}*: {', '.join(parts) or '0'}"]
    lines += _format_failures(told.failures, chinese=chinese)
    if told.error:
        lines.append(f"   :warning: {render.escape_mrkdwn(told.error)}")
    if told.pending_deletions and chinese:
        lines.append(f"   :pause_button: 查看保留的文档并确认：`/kb 批准 {render.escape_mrkdwn(name)}`")
    elif told.pending_deletions:
        lines.append(
            f"   :pause_button: To see what is held, and to let it go: `/kb approve {render.escape_mrkdwn(name)}`"
        )
    return "\n".join(lines)

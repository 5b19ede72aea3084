"""What ``/kb`` answers, as mrkdwn in both languages; the state of sources is in ``status_texts``. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bot.config.configuration import ADDED_SOURCE, PAGES_SOURCE, Access
from bot.slack.commands.parsing import HELP, HELP_CHINESE, HelpCommand
from bot.slack.commands.status_texts import format_failures
from bot.slack.posting import render
from knowledge.interfaces import Hit, SearchResult
from knowledge.status import SourceStatus
from knowledge.sync.report import SourceReport, SyncReport

_MAX_QUOTE_CHARACTERS = 280
_MAX_OWNERS = 5
"""Owners that a message mentions."""


def format_help(command: HelpCommand, *, chinese: bool) -> str:
    """Return the list of commands, and the command that an unknown word resembles."""
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
    """Return the passages of a search, each with its link and its first words."""
    query = render.escape_mrkdwn(" ".join(result.query.split())[:_MAX_QUOTE_CHARACTERS])
    if not result.hits:
        return f"没有找到与“{query}”相关的段落。" if chinese else f"No passage matches “{query}”."
    head = f"*“{query}”*：{len(result.hits)} 段" if chinese else f"*“{query}”*: {len(result.hits)} passages"
    return "\n".join([head, *(_format_hit(n, hit) for n, hit in enumerate(result.hits, start=1))])


def _format_hit(n: int, hit: Hit) -> str:
    path = render.escape_mrkdwn(" › ".join(part for part in (hit.title or hit.document, hit.heading) if part)[:120])
    url = render.encode_link_target(hit.url) if hit.url and hit.url.startswith(("http://", "https://")) else ""
    quote = " ".join(hit.text.split())
    quote = quote if len(quote) <= _MAX_QUOTE_CHARACTERS else quote[: _MAX_QUOTE_CHARACTERS - 1] + "…"
    name = f"<{url}|{path}>" if url else f"*{path}*"
    return f"{n}. {name} · {render.escape_mrkdwn(hit.source)}\n> {render.escape_mrkdwn(quote)}"


# ── Pending deletions ────────────────────────────────────────────────────────────────────────────────────────────────


def format_nothing_pending(source: str | None, *, chinese: bool) -> str:
    """Return the sentence for an approval without pending deletions."""
    if source is None:
        return "没有待批准的删除。" if chinese else "There are no pending deletions."
    name = render.escape_mrkdwn(source)
    return f"来源“{name}”没有待批准的删除。" if chinese else f"There are no pending deletions in “{name}”."


def format_approval_request(source: SourceStatus, *, chinese: bool) -> str:
    """Return the pending deletions of a source, and what approval does."""
    name = render.escape_mrkdwn(source.name)
    named = [one for one in source.first_pending_deletions if one.public]
    listed = "".join(f"\n   ◦ {render.escape_mrkdwn(one.document)}" for one in named)
    more = source.pending_deletions - len(named)
    if chinese:
        rest = f"\n   ◦ 另外 {more} 篇" if more > 0 else ""
        return (
            f"*{name}*：{source.pending_deletions} 篇文档不在最近的列表里，仍在用来回答：{listed}{rest}\n"
            "批准后会重新列出来源，只删除其中仍然不在的文档。"
        )
    rest = f"\n   ◦ and {more} more" if more > 0 else ""
    return (
        f"*{name}*: {source.pending_deletions} documents are missing from the last listing and still used in answers:"
        f"{listed}{rest}\n"
        "After approval, Kvasir lists the source again and deletes the documents that are still missing."
    )


def format_delete_label(count: int, *, chinese: bool) -> str:
    """Return the text of the button that deletes documents."""
    if chinese:
        return f"删除 {count} 篇文档"
    return f"Delete {count} documents" if count != 1 else "Delete 1 document"


def format_refusal(access: Access, user: str, *, chinese: bool) -> str:
    """Return why a person may not do something."""
    if not access.owners:
        return format_no_owners(user, chinese=chinese)
    return format_owners_only(access.owners, chinese=chinese)


def format_owners_only(owners: Iterable[str], *, chinese: bool) -> str:
    """Return whom to ask for something that only owners may do."""
    who = ", ".join(f"<@{owner}>" for owner in sorted(owners)[:_MAX_OWNERS])
    return f"只有负责人可以这样做，请找 {who}。" if chinese else f"Only an owner may do this. Ask {who}."


def format_no_owners(user: str, *, chinese: bool) -> str:
    """Return why nobody may do this in Slack, and how an administrator changes that."""
    if chinese:
        return (
            "尚未指定负责人，所以只能在终端批准删除：`kvasir sync --approve 来源`。"
            f'管理员可以在 kvasir.toml 中指定负责人：`[access]` `owners = ["{user}"]`（这是您的 ID）。'
        )
    return (
        "No owner is configured, so deletions can only be approved in the terminal: `kvasir sync --approve SOURCE`. "
        f'An administrator adds owners to kvasir.toml: `[access]` `owners = ["{user}"]` (this is your ID).'
    )


# ── A refresh ────────────────────────────────────────────────────────────────────────────────────────────────────────


def format_refresh_start(source: str | None, *, chinese: bool) -> str:
    """Return the sentence that a refresh begins with."""
    name = render.escape_mrkdwn(source or ("所有来源" if chinese else "all sources"))
    return f"正在更新{name}…" if chinese else f"Refreshing {name} …"


def format_progress_place(*, chinese: bool) -> str:
    """Return where the progress of a refresh appears; it follows ``format_refresh_start``."""
    return "，进度见我们的私信。" if chinese else " The progress appears in our direct messages."


def format_sync_running(error: Exception, *, chinese: bool) -> str:
    """Return that another refresh runs."""
    return render.escape_mrkdwn("更新已在进行中，请等它结束。" if chinese else str(error))


def format_deletions_changed(error: Exception, *, chinese: bool) -> str:
    """Return that the pending deletions are not those that the person saw."""
    return render.escape_mrkdwn("待批准的删除已有变化，请重新查看后再批准。" if chinese else str(error))


def format_unknown_source(source: str | None, error: Exception, *, chinese: bool) -> str:
    """Return that no source has a name."""
    chinese_text = f"没有名为“{source}”的来源。用 /kb 来源 查看所有来源。"
    return render.escape_mrkdwn(chinese_text if chinese else str(error))


def format_report(report: SyncReport, *, chinese: bool) -> str:
    """Return what a refresh did; a refresh with failures never looks like a success."""
    if report.ok:
        head = f"更新完成，用时 {report.seconds:.1f} 秒。" if chinese else f"Refreshed in {report.seconds:.1f} s."
    elif chinese:
        head = f":warning: 更新结束，用时 {report.seconds:.1f} 秒，但有失败："
    else:
        head = f":warning: The refresh ended after {report.seconds:.1f} s, with failures:"
    visible = {name: source for name, source in report.sources.items() if not is_unused_source(name, source)}
    return "\n".join([head, *(_format_source_report(name, one, chinese=chinese) for name, one in visible.items())])


def is_unused_source(name: str, report: SourceReport) -> bool:
    """Return whether a report is about uploads or added pages, and there are none."""
    return (
        name in {ADDED_SOURCE, PAGES_SOURCE}
        and report.ok
        and not (report.listed or report.deleted or report.pending_deletions)
    )


def _format_source_report(name: str, report: SourceReport, *, chinese: bool) -> str:
    labels = (
        ("未变", "新增", "更新", "删除", "待批准删除", "失败")
        if chinese
        else ("unchanged", "added", "updated", "deleted", "pending deletion", "failed")
    )
    counts = (report.unchanged, report.added, report.updated, report.deleted, report.pending_deletions, report.failed)
    parts = [f"{count} {label}" for count, label in zip(counts, labels, strict=True) if count]
    escaped = render.escape_mrkdwn(name)
    lines = [f"• *{escaped}*: {', '.join(parts) or '0'}"]
    lines += format_failures(report.failures, chinese=chinese)
    if report.error:
        lines.append(f"   :warning: {render.escape_mrkdwn(report.error)}")
    if report.pending_deletions and chinese:
        lines.append(f"   :pause_button: 查看并批准待删除的文档：`/kb 批准 {escaped}`")
    elif report.pending_deletions:
        lines.append(f"   :pause_button: To see and approve the pending deletions: `/kb approve {escaped}`")
    return "\n".join(lines)

"""What ``/kb`` answers, as mrkdwn; the state of sources is in ``status_texts``. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bot.answering.notices.answer_notices import explain_search_trouble
from bot.answering.outgoing import release_text
from bot.config.configuration import ADDED_SOURCE, PAGES_SOURCE, Access
from bot.languages.registry import Language
from bot.messages import commands
from bot.messages.forms import channel_settings
from bot.messages.message import Message, render_message
from bot.slack.features.kit.status_texts import format_failure_reason, format_failures, format_removed_source
from bot.slack.posting.buttons import build_button
from bot.slack.posting.ephemeral import Block
from bot.slack.wire.text import render
from knowledge.interfaces import Hit, SearchResult
from knowledge.status import SourceStatus
from knowledge.sync.report import SourceReport, SyncReport
from knowledge.tables import describe_tables

_MAX_QUOTE_CHARACTERS = 280
_MAX_OWNERS = 5
CHANNEL_SETTINGS = "kvasir:channel-settings"
"""The action id of the button that opens the settings of a channel."""


def format_help(unknown: str, nearest: str, language: Language) -> str:
    """Return the list of commands, and what an unknown word resembles; "" for no such word."""
    if not unknown:
        return render_message(commands.HELP, language)
    return render_message(
        commands.UNKNOWN_COMMAND,
        language,
        word=render.escape_mrkdwn(unknown),
        suggestion=commands.SUGGESTION.fill(command=nearest) if nearest else "",
        help=commands.HELP,
    )


def build_settings_button(language: Language) -> list[Block]:
    """Return the blocks of the button that opens the settings of a channel."""
    button = build_button(CHANNEL_SETTINGS, render_message(channel_settings.TITLE, language), "open")
    return [{"type": "actions", "elements": [button]}]


def format_search_results(result: SearchResult, language: Language) -> str:
    """Return the passages of a search, each with its link and its first words."""
    query = render.escape_mrkdwn(" ".join(result.query.split())[:_MAX_QUOTE_CHARACTERS])
    head = render_message(
        commands.PASSAGES if result.hits else commands.NO_PASSAGES, language, query=query, count=len(result.hits)
    )
    if result.trouble is not None:
        head = f"{render.escape_mrkdwn(explain_search_trouble(result.trouble, language))}\n{head}"
    return "\n".join([head, *(f"{n}. {format_passage(hit)}" for n, hit in enumerate(result.hits, start=1))])


def format_passage(hit: Hit) -> str:
    """Return a passage with its link, its source and its first words."""
    parts = (release_text(part) for part in (hit.title or hit.document, hit.heading) if part)
    path = render.escape_name(" › ".join(parts)[:120])
    url = render.encode_link_target(hit.url) if hit.url and hit.url.startswith(("http://", "https://")) else ""
    quote = " ".join(describe_tables(release_text(hit.text)).split())
    quote = quote if len(quote) <= _MAX_QUOTE_CHARACTERS else quote[: _MAX_QUOTE_CHARACTERS - 1] + "…"
    name = f"<{url}|{path}>" if url else f"*{path}*"
    return f"{name} · {render.escape_mrkdwn(hit.source)}\n> {render.escape_mrkdwn(quote)}"


# ── Pending deletions ────────────────────────────────────────────────────────────────────────────────────────────────


def format_nothing_pending(source: str | None, language: Language) -> str:
    """Return the sentence for an approval without pending deletions."""
    if source is None:
        return render_message(commands.NOTHING_PENDING, language)
    return render_message(commands.NOTHING_PENDING_IN, language, source=render.escape_mrkdwn(source))


def format_approval_request(source: SourceStatus, language: Language) -> str:
    """Return the pending deletions of a source, and what approval does."""
    if source.is_removed:
        return format_removed_source(source, language)
    documents = [render.escape_name(one.document) for one in source.first_pending_deletions if one.public]
    more = source.pending_deletions - len(documents)
    if more > 0:
        documents.append(render_message(commands.MORE_PENDING, language, count=more))
    return render_message(
        commands.APPROVAL_REQUEST,
        language,
        source=render.escape_mrkdwn(source.name),
        count=source.pending_deletions,
        documents="".join(f"\n   ◦ {document}" for document in documents),
    )


def explain_refusal(access: Access, user: str) -> Message:
    """Return why a person may not do something, and whom to ask or how an administrator changes that."""
    if not access.owners:
        return commands.NO_OWNERS.fill(user=user)
    return explain_owners_only(access.owners)


def explain_owners_only(owners: Iterable[str]) -> Message:
    """Return whom to ask for something that only owners may do."""
    return commands.OWNERS_ONLY.fill(owners=", ".join(f"<@{owner}>" for owner in sorted(owners)[:_MAX_OWNERS]))


# ── A refresh ────────────────────────────────────────────────────────────────────────────────────────────────────────


def format_refresh_start(source: str | None, language: Language) -> str:
    """Return the sentence that a refresh begins with."""
    name = commands.ALL_SOURCES if source is None else render.escape_mrkdwn(source)
    return render_message(commands.REFRESHING, language, source=name)


def format_report(report: SyncReport, language: Language) -> str:
    """Return what a refresh did; a refresh with failures never looks like a success."""
    message = commands.REFRESHED if report.ok else commands.REFRESH_FAILED
    visible = {name: source for name, source in report.sources.items() if not is_unused_source(name, source)}
    lines = [_format_source_report(name, one, language) for name, one in visible.items()]
    return "\n".join([render_message(message, language, seconds=report.seconds), *lines])


def is_unused_source(name: str, report: SourceReport) -> bool:
    """Return whether a report is about uploads or added pages, and there are none."""
    return (
        name in {ADDED_SOURCE, PAGES_SOURCE}
        and report.ok
        and not (report.listed or report.deleted or report.pending_deletions)
    )


def _format_source_report(name: str, report: SourceReport, language: Language) -> str:
    counts = {
        commands.UNCHANGED: report.unchanged,
        commands.ADDED: report.added,
        commands.UPDATED: report.updated,
        commands.DELETED: report.deleted,
        commands.PENDING_DELETION: report.pending_deletions,
        commands.FAILED: report.failed,
    }
    parts = [render_message(message, language, count=count) for message, count in counts.items() if count]
    escaped = render.escape_mrkdwn(name)
    done = ", ".join(parts) or render_message(commands.SYNC_ENDED, language)
    lines = [f"• *{escaped}*: {done}", *format_failures(report.failures, language)]
    if report.error:
        lines.append(f"   :warning: {format_failure_reason(report.error_code, report.error, language)}")
    if report.pending_deletions:
        lines.append(f"   {render_message(commands.APPROVE, language, source=escaped)}")
    return "\n".join(lines)

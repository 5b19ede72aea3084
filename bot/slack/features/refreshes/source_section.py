"""What owners see of their sources: pending deletions, failures, and sources that are late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from bot.languages.registry import Language
from bot.messages.durations import format_age
from bot.messages.forms import home, owners
from bot.messages.message import render_message
from bot.slack.features.kit.home import SourceOwner, build_section_with_button
from bot.slack.features.kit.kb_texts import format_approval_request
from bot.slack.features.kit.status_texts import format_failure_reason
from bot.slack.features.refreshes.pending_deletions import build_delete_button
from bot.slack.features.refreshes.refresh_buttons import build_refresh_button
from bot.slack.posting.ephemeral import Block, build_section
from bot.slack.wire.text import render
from knowledge.status import SourceStatus

_MAX_SOURCES: Final = 10
"""The most sources of each kind: with pending deletions, and failing."""


class SourceSection:
    """Shows the sources that need their owner."""

    async def build_blocks(self, owner: SourceOwner) -> list[Block]:
        """Return the sources with pending deletions and those that fail, each with its button."""
        pending = [one for one in owner.sources if one.pending_deletions]
        failing = [one for one in owner.sources if one.error or one.watch_trouble]
        return [
            *_list_sources(pending, _build_pending, owner.language),
            *_list_sources(failing, _build_failing, owner.language),
        ]

    async def describe_week(self, owner: SourceOwner) -> str:
        """Return the sources that fail or are late."""
        stale = [one for one in owner.sources if one.error or one.late]
        if not stale:
            return ""
        lines = [render_message(owners.STALE_SOURCES, owner.language, count=len(stale))]
        return "\n".join([*lines, *(f"• {_describe_source(one, owner.language)}" for one in stale)])


def _list_sources(
    sources: Sequence[SourceStatus], build: Callable[[SourceStatus, Language], Block], language: Language
) -> list[Block]:
    blocks = [build(source, language) for source in sources[:_MAX_SOURCES]]
    if more := len(sources) - len(blocks):
        blocks.append(build_section(render_message(home.MORE_SOURCES, language, count=more)))
    return blocks


def _build_pending(source: SourceStatus, language: Language) -> Block:
    return build_section_with_button(format_approval_request(source, language), build_delete_button(source, language))


def _build_failing(source: SourceStatus, language: Language) -> Block:
    reason = (
        format_failure_reason(source.error_code, source.error, language)
        if source.error
        else render.escape_mrkdwn(source.watch_trouble or "")
    )
    text = render_message(home.FAILING, language, source=render.escape_mrkdwn(source.name), reason=reason)
    return build_section_with_button(text, build_refresh_button(source.name, language))


def _describe_source(source: SourceStatus, language: Language) -> str:
    name = render.escape_mrkdwn(source.name)
    if source.error:
        reason = format_failure_reason(source.error_code, source.error, language)
        return render_message(owners.FAILING_SOURCE, language, source=name, reason=reason)
    return render_message(owners.STALE_SOURCE, language, source=name, age=format_age(source.age_s or 0.0, language))

"""What owners learn: their part of Home, the weekly digest, alerts about failing sources, and the security audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from bot.languages.registry import Language
from bot.messages.forms import home, owners, security
from bot.messages.message import join_names, render_message
from bot.security.audit import SecurityAudit
from bot.security.report import CheckVerdict, SecurityReport
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.home import HomeViewer, OwnerSection, SourceOwner, build_header
from bot.slack.features.kit.status_texts import format_failure_reason
from bot.slack.posting.ephemeral import MAX_BLOCKS, MAX_TEXT_CHARACTERS, Block, build_section, build_sections
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError, SlackGone, SlackRefused
from bot.slack.wire.tasks import PeriodicTask
from bot.slack.wire.text import render
from bot.storage.sent_notices import SentNotices
from knowledge.errors import KnowledgeError
from knowledge.status import SourceStatus

_log = structlog.get_logger("kvasir.owners")

_ALERT_HEARTBEATS = 6
"""After so many heartbeats, the sources are checked again, to tell their owners of a failure."""
_DIGEST: Final = "digest"
_ALERT: Final = "source"
_AUDIT: Final = "security"
_UNKNOWN_PERSON = {"channel_not_found", "user_not_found"}
"""Slack's codes for an owner who is in another workspace that has the app."""

BuildText = Callable[[str, Language], Awaitable[str]]
"""Returns the mrkdwn for a person in a language; "" for no message."""


def build_feature(tools: FeatureTools) -> Feature:
    """Return the part of Home, the digest and the alerts."""
    part = OwnerPart(tools.shared, tools.features)
    alerts = SourceAlerts(tools.shared, every_s=tools.settings.heartbeat_s * _ALERT_HEARTBEATS)
    audit = tools.shared.dependencies.security_audit
    scheduled = {"digest": part.send_digest}
    if audit is not None and tools.shared.is_home:
        scheduled["audit"] = SecurityReporter(tools.shared, audit).send_report
    return Feature(home_parts=[part], tasks=[alerts], scheduled=scheduled)


class OwnerPart:
    """Shows owners what the features have for them, in Home and in the digest. Without tasks there is no digest."""

    def __init__(self, shared: SharedParts, features: Sequence[Feature]) -> None:
        self._shared = shared
        self._features = features
        self._notices = SentNotices(shared.database)

    @property
    def _sections(self) -> list[OwnerSection]:
        return [section for feature in self._features for section in feature.owner_sections]

    async def _find_owner(self, user: str, language: Language) -> SourceOwner | None:
        """Return a person with the sources that the person owns, None if that is nothing."""
        access, status = self._shared.access, await self._shared.dependencies.library.status()
        sources = [one for one in (*status.sources, *status.removed) if access.is_owner(user, one.name)]
        owns_all = access.is_owner(user)
        return SourceOwner(user, language, sources, owns_all) if sources or owns_all else None

    async def build_blocks(self, viewer: HomeViewer) -> list[Block]:
        """Return nothing for people who own no source."""
        owner = await self._find_owner(viewer.user, viewer.language)
        if owner is None:
            return []
        blocks = [block for section in self._sections for block in await section.build_blocks(owner)]
        nothing = build_section(render_message(home.NOTHING_TO_DO, viewer.language))
        return [build_header(home.FOR_OWNERS, viewer.language), *(blocks or [nothing])]

    async def send_digest(self) -> None:
        """Send today's digest unless another process has sent it; raises nothing."""
        team, people = self._shared.me.team, self._shared.access.all_owners
        try:
            today = datetime.now(UTC).date().isoformat()
            if not people or not await self._notices.add_notice(team, _DIGEST, today):
                return
            await self._notices.purge_notices(team, _DIGEST)
            await send_messages(self._shared, people, self._build_digest)
        except KnowledgeError as error:
            _log.warning("digest not sent", error=str(error))

    async def _build_digest(self, user: str, language: Language) -> str:
        """Return the digest for an owner as mrkdwn, "" if there is nothing."""
        owner = await self._find_owner(user, language)
        texts = [] if owner is None else [await section.describe_week(owner) for section in self._sections]
        found = [text for text in texts if text]
        return "\n\n".join([render_message(owners.DIGEST, language), *found]) if found else ""


class SourceAlerts(PeriodicTask):
    """Tells the owners of a source when it fails, and when it works again, once each."""

    def __init__(self, shared: SharedParts, *, every_s: float) -> None:
        super().__init__("source alerts", every_s)
        self._shared = shared
        self._notices = SentNotices(shared.database)

    async def run_once(self) -> None:
        """Check every source, if there are owners."""
        if self._shared.access.all_owners:
            for source in (await self._shared.dependencies.library.status()).sources:
                await self._look_at(source)

    async def _look_at(self, source: SourceStatus) -> None:
        """Tell the owners of a source if it has begun to fail, or works again.

        Raises:
            DatabaseError: what they know cannot be stored.

        """
        access, notice = self._shared.access, (self._shared.me.team, _ALERT, source.name)
        people = {owner for owner in access.all_owners if access.is_owner(owner, source.name)}
        if source.error:
            if not await self._notices.add_notice(*notice):
                return
            _log.warning("source fails", source=source.name)
            is_sent = await send_messages(self._shared, people, lambda _, language: _describe_failure(source, language))
            if not is_sent:  # Slack may be down; the next check tells them
                await self._notices.remove_notice(*notice)
        elif source.syncing is None and await self._notices.remove_notice(*notice):
            _log.info("source works again", source=source.name)
            await send_messages(self._shared, people, lambda _, language: _describe_recovery(source, language))


async def _describe_failure(source: SourceStatus, language: Language) -> str:
    reason = format_failure_reason(source.error_code, source.error or "", language)
    return render_message(owners.SOURCE_FAILED, language, source=render.escape_mrkdwn(source.name), reason=reason)


async def _describe_recovery(source: SourceStatus, language: Language) -> str:
    return render_message(owners.SOURCE_WELL, language, source=render.escape_mrkdwn(source.name))


class SecurityReporter:
    """Audits the security, and tells administrators and owners the result."""

    def __init__(self, shared: SharedParts, security: SecurityAudit) -> None:
        self._shared = shared
        self._security = security
        self._notices = SentNotices(shared.database)

    async def send_report(self) -> None:
        """Audit unless another process has done so today; raises nothing."""
        team, access = self._shared.me.team, self._shared.access
        try:
            today = datetime.now(UTC).date().isoformat()
            if not await self._notices.add_notice(team, _AUDIT, today):
                return
            await self._notices.purge_notices(team, _AUDIT)
            report, path = await self._security.save_report()
        except (KnowledgeError, OSError) as error:
            _log.warning("security not audited", error=str(error))
            return
        _log.info("security audited", problems=len(report.select_findings(CheckVerdict.FOUND)), report=str(path))
        await send_messages(
            self._shared, access.admins | access.owners, lambda _, language: _describe_audit(report, path, language)
        )


async def _describe_audit(report: SecurityReport, path: Path, language: Language) -> str:
    """Return the problems, what changed and what was not checked, as mrkdwn."""
    problems, unchecked = report.select_findings(CheckVerdict.FOUND), report.select_findings(CheckVerdict.NOT_CHECKED)
    new = {change.partition(":")[0] for change in report.new} if report.earlier else set[str]()
    lines = [render_message(security.FOUND if problems else security.NOTHING_FOUND, language, count=len(problems))]
    for one in problems:
        mark = f" ({render_message(security.NEW, language)})" if one.check in new else ""
        lines.append(f"• *{one.check}*{mark}: {render.escape_mrkdwn(render_message(one.message, language))}")
    for message, names in ((security.GONE, report.gone), (security.NOT_CHECKED, [one.check for one in unchecked])):
        if names:
            lines.append(render.escape_mrkdwn(render_message(message, language, names=join_names(names, language))))
    lines.append(render_message(security.FILES, language, path=path))
    return "\n".join([render_message(security.REPORT, language), *lines])


async def send_messages(shared: SharedParts, people: Iterable[str], build: BuildText) -> bool:
    """Send each owner a direct message; return whether at least one was sent, or nobody needed one.

    Each message has the language of the owner's Slack. One that Slack refuses is logged.
    """
    sent = failed = 0
    for owner in sorted(people):
        text = await build(owner, await shared.directory.find_language(owner) or "en")
        if not text:
            continue
        try:
            start, blocks = text[:MAX_TEXT_CHARACTERS], build_sections(text)[:MAX_BLOCKS]
            await shared.api.call("chat.postMessage", channel=owner, text=start, blocks=blocks)
            sent += 1
        except SlackError as error:
            if not (isinstance(error, (SlackGone, SlackRefused)) and error.code in _UNKNOWN_PERSON):
                _log.warning("owner not reached", owner=owner, error=str(error))
                failed += 1
    return sent > 0 or not failed

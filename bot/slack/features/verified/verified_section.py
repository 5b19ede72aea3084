"""What owners see of verified answers: those that expire, have expired or need review."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from bot.answering.outgoing import release_text
from bot.messages.forms import owners
from bot.messages.message import render_message
from bot.slack.features.kit.owner_section import SourceOwner
from bot.slack.features.verified.management import VerifiedManagement
from bot.slack.features.verified.verified_command import build_entry, format_state
from bot.slack.posting.ephemeral import Block, build_section
from bot.slack.wire.text import render

_MAX_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class VerifiedSection:
    """Lists the person's verified answers that need the person."""

    management: VerifiedManagement

    async def build_blocks(self, owner: SourceOwner) -> list[Block]:
        """Return the answers, with their buttons."""
        due = await self.management.list_due(owner.user)
        if not due:
            return []
        entries = [build_entry(one, time.time(), owner.language) for one in due[:_MAX_SHOWN]]
        head = build_section(render_message(owners.VERIFIED_DUE, owner.language, count=len(due)))
        return [head, *(block for entry in entries for block in entry)]

    async def describe_week(self, owner: SourceOwner) -> str:
        """Return the answers and their states."""
        due, now, language = await self.management.list_due(owner.user), time.time(), owner.language
        if not due:
            return ""
        lines = [render_message(owners.VERIFIED_DUE, language, count=len(due))]
        lines += [
            f"• {render.escape_mrkdwn(release_text(one.question))} · {format_state(one, now, language)}"
            for one in due[:_MAX_SHOWN]
        ]
        more = len(due) - _MAX_SHOWN
        return "\n".join(
            [*lines, *([f"• {render_message(owners.AND_MORE, language, count=more)}"] if more > 0 else [])]
        )

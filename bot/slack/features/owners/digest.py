"""The digest: once a week, each owner learns what needs attention in the sources that the owner manages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from bot.config.configuration import Access
from bot.languages.registry import Language
from bot.messages.forms import owners
from bot.messages.message import render_message
from bot.slack.features.owners.owner_messages import OwnerMessages
from bot.slack.features.owners.owner_part import OwnerTasks
from bot.storage.sent_notices import SentNotices
from knowledge.errors import KnowledgeError

_log = structlog.get_logger("kvasir.owners")

_KIND: Final = "digest"


@dataclass(frozen=True, slots=True)
class WeeklyDigest:
    """Builds and sends the digest. An owner for whom there is nothing gets none."""

    tasks: OwnerTasks
    access: Access
    notices: SentNotices
    messages: OwnerMessages
    team: str

    async def send_digest(self) -> None:
        """Send today's digest unless another process has sent it; raises nothing."""
        try:
            today = datetime.now(UTC).date().isoformat()
            if not self.access.all_owners or not await self.notices.add_notice(self.team, _KIND, today):
                return
            await self.notices.purge_notices(self.team, _KIND)
            await self.messages.send_messages(self.access.all_owners, self.build_digest)
        except KnowledgeError as error:
            _log.warning("digest not sent", error=str(error))

    async def build_digest(self, user: str, language: Language) -> str:
        """Return the digest for an owner as mrkdwn, "" if there is nothing.

        Raises:
            KnowledgeError: something cannot be read.

        """
        owner = await self.tasks.find_owner(user, language)
        texts = [] if owner is None else [await section.describe_week(owner) for section in self.tasks.sections]
        found = [text for text in texts if text]
        return "\n\n".join([render_message(owners.DIGEST, language), *found]) if found else ""

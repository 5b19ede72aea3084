"""Builds what informs owners: a digest, alerts of failing sources, and a part of the Home tab."""

from __future__ import annotations

from dataclasses import dataclass

from bot.config.configuration import Access
from bot.slack.commands.library import KnowledgeLibrary
from bot.slack.home.owner import OwnerPart
from bot.slack.owners.digest import WeeklyDigest
from bot.slack.owners.owner_messages import OwnerMessages
from bot.slack.owners.source_alerts import SourceAlerts
from bot.slack.stored_questions import StoredQuestions
from bot.slack.verified.management import VerifiedManagement
from bot.storage.answers import Answers
from bot.storage.feedback import Feedback
from bot.storage.owner_notices import OwnerNotices


@dataclass(slots=True)
class OwnerParts:
    """The parts that inform the owners of one workspace."""

    library: KnowledgeLibrary
    access: Access
    answers: Answers
    feedback: Feedback
    questions: StoredQuestions
    verified: VerifiedManagement
    messages: OwnerMessages
    team: str

    def build_home_part(self) -> OwnerPart:
        """Return the part of the Home tab for owners."""
        return OwnerPart(
            self.library, self.answers, self.feedback, self.questions, self.access, self.team, self.verified
        )

    def build_alerts(self, every_s: float) -> SourceAlerts:
        """Return what tells owners of failing sources, and looks at them every ``every_s``."""
        notices = OwnerNotices(self.answers.database)
        return SourceAlerts(self.library, notices, self.messages, self.access, self.team, every_s=every_s)

    def build_digest(self) -> WeeklyDigest:
        """Return the digest to owners."""
        return WeeklyDigest(
            self.answers,
            self.feedback,
            self.questions,
            self.verified,
            self.library,
            self.access,
            OwnerNotices(self.answers.database),
            self.messages,
            self.team,
        )

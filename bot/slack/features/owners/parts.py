"""Builds what informs owners: a digest, alerts of failing sources, and a part of the Home tab."""

from __future__ import annotations

from bot.slack.features.home.owner import OwnerPart
from bot.slack.features.kit.shared_parts import SharedParts
from bot.slack.features.owners.digest import WeeklyDigest
from bot.slack.features.owners.owner_messages import OwnerMessages
from bot.slack.features.owners.source_alerts import SourceAlerts
from bot.slack.features.verified.management import VerifiedManagement
from bot.storage.sent_notices import SentNotices


class OwnerParts:
    """The parts that inform the owners of one workspace."""

    def __init__(self, shared: SharedParts, verified: VerifiedManagement) -> None:
        self._shared = shared
        self._verified = verified
        self._notices = SentNotices(shared.database)
        self._messages = OwnerMessages(shared.api, shared.directory)

    def build_home_part(self) -> OwnerPart:
        """Return the part of the Home tab for owners."""
        shared, needs = self._shared, self._shared.dependencies
        return OwnerPart(
            needs.library,
            shared.answers,
            shared.feedback,
            shared.questions,
            shared.access,
            shared.me.team,
            self._verified,
        )

    def build_alerts(self, every_s: float) -> SourceAlerts:
        """Return what checks the sources every ``every_s``, and tells owners of failing ones."""
        shared, library = self._shared, self._shared.dependencies.library
        return SourceAlerts(library, self._notices, self._messages, shared.access, shared.me.team, every_s=every_s)

    def build_digest(self) -> WeeklyDigest:
        """Return the digest to owners."""
        shared, needs = self._shared, self._shared.dependencies
        return WeeklyDigest(
            shared.answers,
            shared.feedback,
            shared.questions,
            self._verified,
            needs.library,
            shared.access,
            self._notices,
            self._messages,
            shared.me.team,
        )

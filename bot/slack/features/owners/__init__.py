"""What owners learn: their part of Home, the weekly digest, and alerts about failing sources."""

from __future__ import annotations

from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.owners.digest import WeeklyDigest
from bot.slack.features.owners.owner_messages import OwnerMessages
from bot.slack.features.owners.owner_part import OwnerPart, OwnerTasks
from bot.slack.features.owners.source_alerts import SourceAlerts
from bot.storage.sent_notices import SentNotices

_ALERT_HEARTBEATS = 6
"""After how many heartbeats the sources are checked again, to tell their owners of a failure."""


def build_feature(tools: FeatureTools) -> Feature:
    """Return the part of Home, the digest and the alerts."""
    shared, library, team = tools.shared, tools.shared.dependencies.library, tools.shared.me.team
    notices, messages = SentNotices(shared.database), OwnerMessages(shared.api, shared.directory)
    tasks = OwnerTasks(tools.features, library, shared.access)
    every_s = tools.settings.heartbeat_s * _ALERT_HEARTBEATS
    return Feature(
        home_parts=[OwnerPart(tasks)],
        tasks=[SourceAlerts(library, notices, messages, shared.access, team, every_s=every_s)],
        digests=[WeeklyDigest(tasks, shared.access, notices, messages, team).send_digest],
    )

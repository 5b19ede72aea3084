"""Builds the Home tab, the personal settings, and the record that administrators see of this process."""

from __future__ import annotations

from importlib.metadata import version

from bot.slack.features.home.knowledge import KnowledgePart
from bot.slack.features.home.operations import OperationsPart, ReplicaHeartbeat
from bot.slack.features.home.owner import OwnerPart
from bot.slack.features.home.part import HomePart
from bot.slack.features.home.personal import RecentQuestionsPart, SettingsPart
from bot.slack.features.home.tab import HomeTab
from bot.slack.features.kit.shared_parts import SharedParts
from bot.slack.features.settings.personal_settings import SettingsModal
from bot.storage.personal_data import PersonalData
from bot.storage.replicas import Replicas


class HomeParts:
    """The parts of Home in one workspace."""

    def __init__(self, shared: SharedParts, owner_part: OwnerPart) -> None:
        needs, preferences, team = shared.dependencies, shared.preferences, shared.me.team
        replicas = Replicas(shared.database, team, version("kvasir"))
        self.heartbeat = ReplicaHeartbeat(replicas)
        parts: list[HomePart] = [
            RecentQuestionsPart(shared.answers, shared.questions, preferences, team),
            SettingsPart(preferences, team),
            owner_part,
            KnowledgePart(shared.visible_sources, shared.access),
        ]
        if shared.is_home:  # administrators of other workspaces do not run Kvasir
            parts.append(OperationsPart(needs.library, replicas, needs.count_requests))
        self.tab = HomeTab(
            shared.api, shared.languages.find_language, shared.roles.find_roles, needs.engine_status, parts
        )
        self.settings_modal = SettingsModal(
            shared.api,
            preferences,
            PersonalData(shared.database),
            needs.control,
            team,
            publish_home=self.tab.publish_home,
        )

"""The command ``/kb``, its search and status, and the sources in Home."""

from __future__ import annotations

from bot.slack.features.kb.kb_command import KB, KbCommand, SearchRunner, StatusRunner
from bot.slack.features.kb.knowledge_part import KnowledgePart
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.subcommand import Subcommand


def build_feature(tools: FeatureTools) -> Feature:
    """Return the command, which runs the subcommands of all features."""
    shared = tools.shared
    status = StatusRunner(shared.visible_sources, shared.dependencies.engine_status)
    return Feature(
        commands={KB: KbCommand(tools.features, shared.messenger, shared.access).run},
        subcommands=[
            *status.subcommands,
            Subcommand(("search", "find", "搜索", "查找"), SearchRunner(shared).run),
        ],
        home_parts=[KnowledgePart(shared)],
    )

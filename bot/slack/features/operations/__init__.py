"""What administrators see of the machines."""

from __future__ import annotations

from importlib.metadata import version

from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.operations.operations_part import OperationsPart, ReplicaHeartbeat
from bot.storage.replicas import Replicas


def build_feature(tools: FeatureTools) -> Feature:
    """Return the part of Home, which only administrators of the first workspace see: they run Kvasir."""
    shared, needs = tools.shared, tools.shared.dependencies
    replicas = Replicas(shared.database, shared.me.team, version("kvasir"))
    part = OperationsPart(needs.library, replicas, needs.count_requests)
    return Feature(home_parts=[part] if shared.is_home else [], tasks=[ReplicaHeartbeat(replicas)])

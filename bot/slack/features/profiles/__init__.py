"""Applies the profiles of documents to the files of a message, by a shortcut."""

from __future__ import annotations

from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.profiles.apply_profile import PROFILE_SHORTCUT, ProfileModal


def build_feature(tools: FeatureTools) -> Feature:
    """Return the shortcut and its modal, where files are read."""
    shared, profiles = tools.shared, tools.shared.dependencies.document_profiles
    if profiles is None or shared.materials is None:
        return Feature()
    modal = ProfileModal(shared, profiles, shared.materials)
    return Feature(shortcuts={PROFILE_SHORTCUT: modal.open}, modals=[modal])

"""Web pages and files that become documents."""

from __future__ import annotations

from bot.slack.features.documents.add_page import AddPageAction
from bot.slack.features.documents.file_readers import FileReadersAction
from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.posting.buttons import AnswerButton


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons, where there is a source that takes pages or files."""
    shared, needs = tools.shared, tools.shared.dependencies
    buttons: list[AnswerButton] = []
    if needs.pages is not None:
        buttons.append(AddPageAction(shared, needs.pages))
    if needs.adding is not None and shared.intake is not None:
        buttons.append(
            FileReadersAction(needs.adding, shared.intake, shared.access, shared.directory, shared.messenger)
        )
    return Feature(answer_buttons=buttons)

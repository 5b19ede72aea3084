"""Verified answers in Slack: owners write and manage them, and people get them."""

from __future__ import annotations

from bot.slack.features.kit.feature import Feature, FeatureTools
from bot.slack.features.kit.subcommand import Subcommand, strip_quotes
from bot.slack.features.verified.management import VerifiedManagement
from bot.slack.features.verified.verified_buttons import (
    AnswerFromDocumentsAction,
    ShowVerifiedAction,
    VerifyAnswerAction,
)
from bot.slack.features.verified.verified_command import VerifiedCommand
from bot.slack.features.verified.verified_section import VerifiedSection
from bot.slack.features.verified.verify_modal import VerifyModal
from bot.slack.wire.interactions import SlashCommand


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons, the modal, the list and what owners see, where owners verify answers."""
    shared, verified = tools.shared, tools.shared.dependencies.verified
    if verified is None:
        return Feature()
    management = VerifiedManagement(shared, verified.stored, verified.finder)
    modal = VerifyModal(shared, management, write_phrasings=verified.write_phrasings)
    command = VerifiedCommand(shared, management, modal)

    async def show_answers(typed: SlashCommand, rest: str) -> None:
        await command.show_answers(typed, strip_quotes(rest))

    return Feature(
        answer_buttons=[
            ShowVerifiedAction(shared, verified),
            AnswerFromDocumentsAction(shared, tools.submit),
            VerifyAnswerAction(shared, modal, management),
        ],
        home_actions=command.actions,
        subcommands=[
            Subcommand(
                ("verified", "verify", "已核实", "核实"),
                show_answers,
                lambda user, _rest: shared.access.owns_anything(user),
            )
        ],
        modals=[modal],
        owner_sections=[VerifiedSection(management)],
    )

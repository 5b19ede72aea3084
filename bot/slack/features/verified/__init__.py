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
from bot.slack.features.verified.verified_command import DELETE, EDIT, RENEW, VerifiedCommand, VerifiedSection
from bot.slack.features.verified.verify_modal import VerifyModal


def build_feature(tools: FeatureTools) -> Feature:
    """Return the buttons, the modal, the list and what owners see, where owners verify answers."""
    shared, verified = tools.shared, tools.shared.dependencies.verified
    if verified is None:
        return Feature()
    management = VerifiedManagement(shared, verified.stored, verified.finder)
    modal = VerifyModal(shared, management, verified.write_phrasings)
    command = VerifiedCommand(shared, management)
    return Feature(
        answer_buttons=[
            ShowVerifiedAction(shared, verified),
            AnswerFromDocumentsAction(shared, tools.submit),
            VerifyAnswerAction(shared, modal),
        ],
        home_actions={EDIT: modal.open_for_edit, RENEW: command.renew_answer, DELETE: command.delete_answer},
        subcommands=[
            Subcommand(
                ("verified", "verify", "已核实", "核实"),
                lambda typed, rest: command.show_answers(typed, strip_quotes(rest)),
                lambda user, _rest: user in shared.access.all_owners,
            )
        ],
        modals=[modal],
        owner_sections=[VerifiedSection(management)],
    )

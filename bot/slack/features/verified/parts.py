"""Builds what Slack needs for verified answers: the answerer that shows them, their buttons, modal and command."""

from __future__ import annotations

from bot.answering.verified_answers.finder import OFFER_THRESHOLDS, VerifiedAnswerFinder
from bot.answering.verified_answers.verified_answerer import VerifiedAnswerer
from bot.slack.features.kit.channel_access import ChannelAccess
from bot.slack.features.kit.private_questions import Submit
from bot.slack.features.kit.shared_parts import SharedParts
from bot.slack.features.verified.management import VerifiedManagement
from bot.slack.features.verified.verified_buttons import (
    AnswerFromDocumentsAction,
    ShowVerifiedAction,
    VerifyAnswerAction,
)
from bot.slack.features.verified.verified_command import VerifiedCommand
from bot.slack.features.verified.verify_modal import VerifyModal
from bot.slack.posting.buttons import AnswerButton
from bot.storage.verified_answers import VerifiedAnswers


class VerifiedParts:
    """The parts of verified answers in one workspace."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        needs, messenger, tools = shared.dependencies, shared.messenger, shared.dependencies.verified_tools
        self._stored = VerifiedAnswers(shared.database, shared.me.team, shared.changes)
        self._finder = VerifiedAnswerFinder(
            self._stored,
            needs.library,
            embed=tools.embed,
            thresholds=OFFER_THRESHOLDS.get(tools.embedder),
            judge=tools.judge,
        )
        self.management = VerifiedManagement(
            self._stored, self._finder, shared.access, shared.find_person, shared.threads
        )
        self.modal = VerifyModal(
            shared.api, shared.answers, self.management, messenger, write_phrasings=tools.write_phrasings
        )
        self.command = VerifiedCommand(self.management, self.modal, messenger)

    def build_answerer(self) -> VerifiedAnswerer:
        """Return an answerer that shows verified answers before those of the bot's own one."""
        return VerifiedAnswerer(self._shared.dependencies.answerer, self._finder)

    def list_buttons(self, submit: Submit, access: ChannelAccess) -> list[AnswerButton]:
        """Return the kinds of buttons under an answer."""
        shared, team = self._shared, self._shared.me.team
        return [
            ShowVerifiedAction(self._stored, self._finder, access, shared.messenger),
            AnswerFromDocumentsAction(shared.threads, submit, team, access, shared.messenger),
            VerifyAnswerAction(team, self.modal, self.management, shared.messenger),
        ]

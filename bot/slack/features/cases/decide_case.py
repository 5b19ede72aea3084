"""The buttons under a case, and the modal in which an owner gives the reason of a decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from bot.answering.outgoing import release_text
from bot.audit.entries import Event
from bot.messages.forms import cases
from bot.messages.message import Message, render_message
from bot.slack.features.kit import kb_texts
from bot.slack.features.kit.modal import Modal, ModalRefused, build_modal, build_text_field
from bot.slack.features.kit.opening import open_view
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused, ModalSubmission
from bot.slack.wire.text import render
from bot.storage.cases import MAX_REASON_CHARACTERS, Cases, Outcome

YES_ACTION: Final = "kvasir:case-yes"
NO_ACTION: Final = "kvasir:case-no"
"""The value of each button is the id of the case."""
_REASON: Final = "reason"
_log = structlog.get_logger("kvasir.cases")


class DecisionModal(Modal):
    """Asks an owner for the reason, and stores the decision."""

    callback_id = "kvasir:case"

    def __init__(self, shared: SharedParts, stored: Cases) -> None:
        self._shared = shared
        self._stored = stored

    async def open_for_yes(self, press: ButtonPress) -> None:
        """Ask why a case is suspicious.

        Raises:
            InteractionRefused: the person is no owner.
            SlackError: Slack refuses the modal.

        """
        await self._open(press, Outcome.YES, cases.TITLE_YES)

    async def open_for_no(self, press: ButtonPress) -> None:
        """Ask why a case is not suspicious; it raises what ``open_for_yes`` does."""
        await self._open(press, Outcome.NO, cases.TITLE_NO)

    async def _open(self, press: ButtonPress, outcome: Outcome, title: Message) -> None:
        if not self._shared.access.is_owner(press.user):
            raise InteractionRefused(kb_texts.explain_owners_only(self._shared.access.owners))
        language = press.language
        field = build_text_field(
            _REASON,
            render_message(cases.REASON, language),
            hint=render_message(cases.REASON_HINT, language),
            multiline=True,
            most=MAX_REASON_CHARACTERS,
        )
        view = build_modal(
            self.callback_id,
            render_message(title, language),
            [field],
            submit=render_message(cases.SAVE, language),
            close=render_message(cases.CANCEL, language),
            metadata=f"{outcome} {press.value} {press.channel}",
        )
        await open_view(self._shared.api, press, view)

    def find_errors(self, submission: ModalSubmission) -> Mapping[str, Message]:
        """Refuse a decision without a reason."""
        return {} if submission.get_text(_REASON) else {_REASON: cases.REASON_MISSING}

    async def run(self, submission: ModalSubmission) -> None:
        """Store the decision, record it in the audit and confirm it.

        Raises:
            ModalRefused: the person is no owner, or the case is not open any more.
            DatabaseError: it cannot be stored.

        """
        word, id_, channel = submission.metadata.split(" ")
        outcome, reason, team = Outcome(word), submission.get_text(_REASON), self._shared.me.team
        if not self._shared.access.is_owner(submission.user):
            raise ModalRefused(kb_texts.explain_owners_only(self._shared.access.owners))
        case = await self._stored.find_case(id_)
        if case is None or not await self._stored.decide_case(id_, outcome, reason, team, submission.user):
            raise ModalRefused(cases.DECIDED_BEFORE)
        facts = {"action": outcome, "case": id_, "profile": case.profile, "rules": [hit.rule for hit in case.hits]}
        await self._shared.record_event(Event.CASE, submission.user, facts, {"text": reason})
        _log.info("case decided", case=id_, outcome=outcome, user=submission.user)
        saved = cases.SAVED_YES if outcome is Outcome.YES else cases.SAVED_NO
        text = render.escape_mrkdwn(render_message(saved, submission.language, account=release_text(case.account)))
        await self._shared.messenger.reach_person(channel, submission.user, text)

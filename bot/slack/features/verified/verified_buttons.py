"""The buttons for verified answers: "Verify…", "Show verified answer" and "Answer from the documents instead"."""

from __future__ import annotations

from typing import Any

from bot.answering.outgoing import release_passages, release_text
from bot.messages.forms import verified
from bot.messages.message import render_message
from bot.slack.features.kit import kb_texts
from bot.slack.features.kit.repeat_question import RepeatQuestionAction
from bot.slack.features.verified.verify_modal import VerifyModal
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.posting.ephemeral import Block
from bot.slack.turns.dependencies import VerifiedTools
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from bot.slack.wire.text import cutting, render
from bot.storage.turns.questions import QuestionKey


class VerifyAnswerAction:
    """Opens the modal in which an owner verifies an answer."""

    action_id = "kvasir:verify"

    def __init__(self, shared: SharedParts, modal: VerifyModal) -> None:
        self._shared = shared
        self._modal = modal

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return a button under an answer that cites documents alone, where an owner may see it."""
        done = answer.finished
        cites_documents = done.cited and all(one.chunks for one in done.cited)
        is_offered = done.route in {"engine", "passages"} and cites_documents and not answer.is_confidential
        if not is_offered or not answer.is_shown_to_any(self._shared.access.all_owners):
            return []
        return [build_button(self.action_id, render_message(verified.VERIFY, answer.language), answer.question_ts)]

    async def run(self, press: ButtonPress) -> None:
        """Open the modal for the answer of a button.

        Raises:
            InteractionRefused: the person owns nothing.
            ModalRefused: the answer cannot be verified, or the person may not read its sources.
            DatabaseError: the answer cannot be read.
            SlackError: Slack refuses the modal.

        """
        owners = self._shared.access.all_owners
        if press.user not in owners:
            raise InteractionRefused(kb_texts.explain_owners_only(owners))
        await self._modal.open_for_answer(press, QuestionKey(self._shared.me.team, press.channel, press.value))


class ShowVerifiedAction:
    """Shows the verified answer to a similar question to the person who presses."""

    action_id = "kvasir:show-verified"

    def __init__(self, shared: SharedParts, verified_tools: VerifiedTools) -> None:
        self._shared = shared
        self._tools = verified_tools

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button under an answer with an offer."""
        if not answer.offered_id:
            return []
        return [build_button(self.action_id, render_message(verified.SHOW, answer.language), answer.offered_id)]

    async def run(self, press: ButtonPress) -> None:
        """Show the answer of a button.

        Raises:
            InteractionRefused: there must be no answer for the person, or the person may not read it.
            DatabaseError: it cannot be read.

        """
        viewers = await self._shared.check_press(press)
        found = await self._tools.stored.find_answer(self._shared.me.team, press.value)
        if found is None or not await self._tools.finder.may_read(found, viewers):
            raise InteractionRefused(verified.GONE)
        head = render_message(verified.SHOWN, press.language, question=release_text(found.question))
        mark = render_message(
            verified.VERIFIED_BY, press.language, name=release_text(found.owner_name), date=found.verified_on
        )
        markdown = render.MarkdownRenderer({one.n: one.url for one in found.passages}).feed(
            f"{release_text(found.answer)}\n"
        )
        first_part, *rest = cutting.split_message(markdown, cutting.MAX_MARKDOWN_CHARACTERS)
        cut = [render.build_context_block(render_message(verified.CUT, press.language))] if rest else []
        blocks: list[Block] = [
            render.build_context_block(render.escape_mrkdwn(f"{head} {mark}")),
            {"type": "markdown", "text": first_part},
            *cut,
            render.build_context_block(render.format_source_list(release_passages(found.cited), (), press.language)),
        ]
        text = render.make_fallback_text(first_part)
        await self._shared.messenger.answer_interaction(press, text, blocks)


class AnswerFromDocumentsAction(RepeatQuestionAction):
    """Answers a question from the documents that has a verified answer."""

    action_id = "kvasir:from-documents"
    prefix = "docs: "
    already_asked = verified.ALREADY_FROM_DOCUMENTS

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button under a verified answer; its value is the question's ``ts``."""
        if answer.finished.route != "verified":
            return []
        label = render_message(verified.FROM_DOCUMENTS, answer.language)
        return [build_button(self.action_id, label, answer.question_ts)]

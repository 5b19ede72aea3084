"""Questions that are answered in the direct messages: by ``/ask``, by a shortcut, and about a message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.languages.registry import Language
from bot.messages import replies
from bot.messages.forms import asking
from bot.messages.message import Message, render_message
from bot.slack.features.kit.modal import Block, Modal, build_checkboxes, build_modal, build_text_field
from bot.slack.features.kit.opening import open_view
from bot.slack.features.kit.private_questions import PrivateQuestions
from bot.slack.materials.quoted_messages import QuotedMessages
from bot.slack.posting.ephemeral import build_section
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import InteractionRefused, ModalSubmission, ShortcutUse, SlashCommand
from bot.slack.wire.permalinks import find_permalink
from bot.slack.wire.text import render
from bot.storage.turns.questions import Subject

ASK = "/ask"
ASK_SHORTCUT = "ask_anything"
"""The callback id of the global shortcut."""
ASK_ABOUT_SHORTCUT = "ask_about_message"
"""The callback id of the message shortcut."""
_QUESTION, _SUMMARY = "question", "summary"
_QUOTED_CHARACTERS = 600
_CUT_SEQUENCE = re.compile(r"[<&][^<>&;]{0,600}\Z")


class AskCommand:
    """Runs ``/ask``: only the person who types it sees the answer."""

    def __init__(self, shared: SharedParts, questions: PrivateQuestions) -> None:
        self._shared = shared
        self._questions = questions

    async def run(self, typed: SlashCommand) -> None:
        """Ask the question and say where its answer is.

        Raises:
            DatabaseError: the ledger cannot store the question.
            InteractionRefused: the channel has a profile, so nothing of its questions is kept elsewhere.
            SlackError: Slack refuses the message.

        """
        if self._shared.rules.find_fixed(typed.channel).profile is not None:
            raise InteractionRefused(replies.CONFIDENTIAL)
        text = typed.text.strip()
        if not any(map(str.isalnum, text)):
            await self._shared.messenger.answer_interaction(typed, render_message(asking.ASK_USAGE, typed.language))
            return
        head = render_message(asking.YOU_ASKED, typed.language)
        asked_in = None if typed.is_direct_message else await self._shared.directory.find_channel(typed.channel)
        place = await self._questions.ask_question(typed.user, text, head, asked_in=asked_in)
        if not typed.is_direct_message:
            link = await _format_link(self._shared, place.channel, place.ts, asking.DIRECT_MESSAGES, typed.language)
            text = render_message(asking.ANSWERING_PRIVATELY, typed.language, place=link)
            await self._shared.messenger.answer_interaction(typed, text)


class AskModal(Modal):
    """Opens the modal of the shortcut "Ask Kvasir", and asks what is submitted."""

    callback_id = "kvasir:ask"
    shortcut = ASK_SHORTCUT

    def __init__(self, shared: SharedParts, questions: PrivateQuestions) -> None:
        self._shared = shared
        self._questions = questions

    async def open(self, used: ShortcutUse) -> None:
        """Open the modal for the person who used the shortcut.

        Raises:
            SlackError: Slack refuses it.

        """
        await open_view(self._shared.api, used, self._build_view(used.language))

    def _build_view(
        self, language: Language, about: Sequence[Block] = (), *, metadata: str = "", is_optional: bool = False
    ) -> dict[str, Any]:
        label, hint = render_message(asking.QUESTION, language), render_message(asking.QUESTION_HINT, language)
        field = build_text_field(_QUESTION, label, hint=hint, multiline=True, optional=is_optional)
        return build_modal(
            self.callback_id,
            render_message(asking.TITLE, language),
            [*about, field],
            submit=render_message(asking.ASK, language),
            close=render_message(asking.CANCEL, language),
            metadata=metadata,
        )

    def find_errors(self, submission: ModalSubmission) -> Mapping[str, Message]:
        """Return that there is neither a question with letters nor a wish for a summary."""
        has_text = any(map(str.isalnum, submission.get_text(_QUESTION)))
        return {} if has_text or submission.get_text(_SUMMARY) else {_QUESTION: asking.QUESTION_MISSING}

    async def run(self, submission: ModalSubmission) -> None:
        """Ask the question.

        Raises:
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack refuses the message.

        """
        head = render_message(asking.YOU_ASKED, submission.language)
        await self._questions.ask_question(submission.user, submission.get_text(_QUESTION), head)


class AskAboutModal(AskModal):
    """Does the same for the shortcut "Ask Kvasir about this", whose question is about a message."""

    callback_id = "kvasir:ask-about"
    shortcut = ASK_ABOUT_SHORTCUT

    def __init__(self, shared: SharedParts, questions: PrivateQuestions, quoted: QuotedMessages) -> None:
        super().__init__(shared, questions)
        self._quoted = quoted

    async def open(self, used: ShortcutUse) -> None:
        """Open the modal for the person who used the shortcut.

        Raises:
            SlackError: Slack refuses it.

        """
        ts, thread_ts = str(used.message.get("ts") or ""), str(used.message.get("thread_ts") or "")
        about: list[Block] = [dict(build_section(_quote_message(str(used.message.get("text") or ""), used.language)))]
        if thread_ts:
            option = {"yes": render_message(asking.SUMMARISE, used.language)}
            about.append(build_checkboxes(_SUMMARY, render_message(asking.THREAD, used.language), option))
        metadata = Subject(used.channel, thread_ts or ts, ts).encode()
        view = self._build_view(used.language, about, metadata=metadata, is_optional=bool(thread_ts))
        await open_view(self._shared.api, used, view)

    async def run(self, submission: ModalSubmission) -> None:
        """Ask the question, if the person can see the message.

        Raises:
            AudienceRefused: the person cannot.
            DatabaseError: the ledger cannot store the question.
            SlackError: Slack refuses the message.

        """
        subject = Subject.decode(submission.metadata)
        if subject is None:
            return
        await self._quoted.check_access(submission.user, subject.channel)
        language, question = submission.language, submission.get_text(_QUESTION)
        summary = render_message(asking.SUMMARISE_QUESTION, language) if submission.get_text(_SUMMARY) else ""
        place = await _format_link(self._shared, subject.channel, subject.ts, asking.THIS_MESSAGE, language)
        head = render_message(asking.YOU_ASKED_ABOUT, language, place=place)
        await self._questions.ask_question(submission.user, " ".join(filter(None, (summary, question))), head, subject)


async def _format_link(shared: SharedParts, channel: str, ts: str, name: Message, language: Language) -> str:
    """Return a message's name as mrkdwn, with a link to it if Slack gives one."""
    text, link = render_message(name, language), await find_permalink(shared.api, channel, ts)
    return f"<{render.encode_link_target(link)}|{text}>" if link else text


def _quote_message(text: str, language: Language) -> str:
    """Return a message as quoted mrkdwn. Slack's control sequences stay: a modal pings nobody."""
    cut = text if len(text) <= _QUOTED_CHARACTERS else f"{_CUT_SEQUENCE.sub('', text[:_QUOTED_CHARACTERS])}…"
    return "\n".join(f"> {line}" for line in (cut or render_message(asking.NO_TEXT, language)).splitlines())

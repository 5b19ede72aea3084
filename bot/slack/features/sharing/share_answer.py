"""The buttons "Share in #channel" and "Ask in #channel" of answers to private questions."""

from __future__ import annotations

from typing import Any, NamedTuple

from bot.answering.asker import Asker
from bot.answering.events import Question
from bot.answering.outgoing import release_event
from bot.languages.registry import Language
from bot.messages.forms import feedback, sharing
from bot.messages.message import Message, render_message
from bot.slack.features.kit.channel_questions import ChannelQuestions
from bot.slack.features.kit.own_turns import find_own_turn
from bot.slack.features.sharing.shared_answer import collect_chunks, find_reason_against, format_day, list_events
from bot.slack.posting.buttons import CompleteAnswer, build_button
from bot.slack.posting.ephemeral import build_section
from bot.slack.turns.generated_answers import GeneratedAnswer
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.interactions import ButtonPress, InteractionRefused
from bot.storage.answers import StoredAnswer
from bot.storage.turns.answer_shares import AnswerShare
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from knowledge.interfaces import Viewers

_WEB_MARK = "web"
"""A mark in the value of the button: the web was searched for the answer, and nobody knows who may read its pages."""
_GROUP_PREFIX = "mpdm-"
_MAX_NAME = 55
"""Slack's limit of a button's label is 75."""


class _Private(NamedTuple):
    """A private question that its asker wants to share."""

    share: AnswerShare
    message: QuestionMessage
    answer: StoredAnswer | None


class ShareAnswerAction:
    """Shares an answer if everybody in the channel may read all of its sources now."""

    action_id = "kvasir:share-answer"

    def __init__(self, shared: SharedParts, questions: ChannelQuestions) -> None:
        self._shared = shared
        self._questions = questions

    def build_blocks(self, answer: CompleteAnswer) -> list[dict[str, Any]]:
        """Return the button under the answer to a question that was asked privately from a channel."""
        if not (answer.share_name and answer.is_rated):
            return []
        label = name_button(sharing.SHARE, sharing.SHARE_IN_GROUP, answer.share_name, answer.language)
        marks = [] if answer.finished.web.look is None else [_WEB_MARK]
        return [build_button(self.action_id, label, " ".join([answer.question_ts, *marks]))]

    async def run(self, press: ButtonPress) -> None:
        """Share the answer, or offer to ask the question in the channel.

        Raises:
            InteractionRefused: the answer must not be shared, or is shared already.
            DatabaseError: the rights, or the share, are out of reach.
            SlackError: Slack refuses the message.

        """
        share, message, answer = await find_private_question(self._shared, self._questions, press)
        place = format_place(share)
        if answer is not None and (reason := find_reason_against(answer)) is not None:
            raise InteractionRefused(reason.fill(place=place))
        audience = await self._shared.viewers.find_channel_audience(share.target, press.user)
        if audience.refusal is not None:
            raise InteractionRefused(audience.refusal)
        if self._shared.rules.find_fixed(share.target).profile is not None:
            await self._offer_question(press, share, sharing.GUIDELINES_ALONE)
            return
        is_open = answer is not None and audience.is_complete and not press.value.endswith(_WEB_MARK)
        chunks = await self._find_readable_chunks(answer, message, audience.viewers) if answer and is_open else None
        if answer is None or chunks is None:
            await self._offer_question(press, share, sharing.NOT_STORED if answer is None else sharing.NOT_FOR_ALL)
            return
        question = Question(
            answer.question, asker=Asker(press.user, self._shared.me.team, audience.viewers, conversation=share.target)
        )
        events = tuple(map(release_event, list_events(answer, chunks, answer.language)))
        # A verified answer is looked up again, because its owner may have changed it.
        replay = None if answer.route == "verified" else GeneratedAnswer(question, 0, events)
        head = sharing.SHARES.fill(date=format_day(answer))
        await self._questions.move_question(share, message, head, replay)
        done = render_message(sharing.SHARED, press.language, place=place)
        await self._shared.messenger.answer_interaction(press, done)

    async def _find_readable_chunks(
        self, answer: StoredAnswer, message: QuestionMessage, viewers: Viewers
    ) -> frozenset[str] | None:
        """Return the chunks from which an answer was written, None if somebody may not read one of them now."""
        library = self._shared.dependencies.library
        chunks = collect_chunks(answer, await self._shared.threads.fetch_messages(message))
        return chunks if chunks and chunks <= await library.filter_current(chunks, viewers) else None

    async def _offer_question(self, press: ButtonPress, share: AnswerShare, reason: Message) -> None:
        text = render_message(reason, press.language, place=format_place(share))
        label = name_button(sharing.ASK_THERE, sharing.ASK_IN_GROUP, share.target_name, press.language)
        button = build_button(AskInChannelAction.action_id, label, share.key.ts)
        blocks = [build_section(text), {"type": "actions", "elements": [button]}]
        await self._shared.messenger.answer_interaction(press, text, blocks)


class AskInChannelAction:
    """Asks a private question again in the channel, where an ordinary turn answers it for everybody there."""

    action_id = "kvasir:ask-in-channel"

    def __init__(self, shared: SharedParts, questions: ChannelQuestions) -> None:
        self._shared = shared
        self._questions = questions

    async def run(self, press: ButtonPress) -> None:
        """Ask the question.

        Raises:
            InteractionRefused: the person is not in the channel, or the question is there already.
            DatabaseError: the share, or the question, is out of reach.
            SlackError: Slack refuses the message.

        """
        share, message, _ = await find_private_question(self._shared, self._questions, press)
        place = format_place(share)
        if press.user not in (await self._shared.directory.list_members(share.target) or ()):
            raise InteractionRefused(sharing.NOT_THERE.fill(place=place))
        await self._questions.move_question(share, message, sharing.ASKS, None)
        done = render_message(sharing.ASKED, press.language, place=place)
        await self._shared.messenger.answer_interaction(press, done)


async def find_private_question(shared: SharedParts, questions: ChannelQuestions, press: ButtonPress) -> _Private:
    """Return the private question of a pressed button.

    Raises:
        InteractionRefused: nothing can be done with it.
        DatabaseError: it cannot be read.
        SlackError: Slack does not say whether the channel still has it.

    """
    key = QuestionKey(shared.me.team, press.channel, press.value.partition(" ")[0])
    share = await shared.shares.find_share(key)
    if share is None:
        raise InteractionRefused(feedback.ANSWER_GONE)
    turn = await find_own_turn(shared, key, press.user)
    if await questions.is_shared(share):
        raise InteractionRefused(sharing.ALREADY_SHARED.fill(place=format_place(share)))
    return _Private(share, turn.message, await shared.answers.find_answer(key))


def format_place(share: AnswerShare) -> str:
    """Return the channel of a share as mrkdwn."""
    return f"<#{share.target}>"


def name_button(message: Message, for_group: Message, name: str, language: Language) -> str:
    """Return the label of a button that names a channel; a group message has no name that people know."""
    if name.startswith(_GROUP_PREFIX):
        return render_message(for_group, language)
    label = name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
    return render_message(message, language, channel=label)

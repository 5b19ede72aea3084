"""Builds the question that is answered from a Slack message: its text, its viewers, its thread, its channel's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bot.answering.asker import Asker, restrict_to_guidelines
from bot.answering.cache_salts import mix_salt
from bot.answering.events import Exchange, Passage, Question
from bot.answering.policy import narrow_policy
from bot.answering.retrieval.web_routing import strip_documents_prefix, strip_web_prefix
from bot.audit.audited_answerer import make_replay_entry
from bot.audit.entries import Event
from bot.languages.registry import choose_language
from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.conversations.thread_loader import Thread
from bot.slack.materials.question_materials import read_materials
from bot.slack.people.viewers import AudienceRefused, may_see_answer
from bot.slack.posting.reply import AnswerReply
from bot.slack.turns.generated_answers import GeneratedAnswer
from bot.slack.turns.shared_parts import SharedParts
from bot.slack.wire.errors import SlackError
from bot.storage.turns.questions import QuestionMessage
from knowledge.interfaces import Viewers

_log = structlog.get_logger("kvasir.turns")


class QuestionBuilder:
    """Builds questions."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared

    async def build_question(self, message: QuestionMessage, reply: AnswerReply) -> Question:
        """Return the question; if its viewers, thread or files cannot be read, the reply shows a notice.

        Raises:
            AudienceRefused: nobody may get an answer there, or people may read nothing of what the channel searches.
            DatabaseError: the approval of a shared channel, or what the people may read, cannot be found out.

        """
        key = message.key
        # The history is asked for at the same time: the calls for both take longer than anything else here.
        try:
            async with asyncio.TaskGroup() as group:
                finding = group.create_task(self._shared.viewers.find_channel_audience(key.channel, message.user))
                reading = group.create_task(self._read_thread(message, reply))
                question_task = group.create_task(self._shared.threads.read_question(message))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        audience, thread = finding.result(), reading.result()
        if audience.refusal is not None:
            raise AudienceRefused(audience.refusal)
        rule, within = (
            await self._shared.rules.find_rule(key.channel),
            await self._shared.rules.find_filters(key.channel, audience.viewers),
        )
        if within is None:
            raise AudienceRefused(replies.NOTHING_OPEN)
        if not audience.is_complete:
            reply.add_notice(render_message(replies.AUDIENCE_UNKNOWN, reply.language))
        text, wants_web = strip_web_prefix(question_task.result())
        text, wants_documents = strip_documents_prefix(text)
        history = await self._hide_unreadable_answers(thread.history, audience.viewers)
        if not text and history and not history[-1].answer:
            # A mention without text asks what the unanswered messages before it ask. The question has the asker's own
            # words, or fixed ones about what others wrote, whose words stay quoted.
            *earlier, last = history
            if last.question:
                text, history = last.question, (*earlier, *([replace(last, question="")] if last.quotes else []))
            else:
                text = render_message(replies.QUESTION_ABOVE, choose_language(last.messages))
        self._refuse_confidential(message, thread)
        read = await read_materials(self._shared.materials, message, text, thread.messages)
        for notice in read.notices:
            reply.add_notice(render_message(notice, reply.language))
        chosen = await self._shared.preferences.find_or_default(key.team, message.user)
        asker = Asker(
            message.user,
            key.team,
            audience.viewers,
            cache_salt=mix_salt(await self._shared.dependencies.find_salt(audience.viewers), read.materials),
            people=self._shared.threads.cached_names,
            names=self._shared.directory.names,
            conversation=message.conversation,
            within=within,
            policy=narrow_policy(rule.web, audience.viewers),
            depth=chosen.depth or rule.depth,
            length=chosen.length,
            language=rule.language,
            tone=rule.tone,
        )
        if rule.guidance is not None:
            asker = restrict_to_guidelines(asker, rule.guidance, datetime.now(UTC))
        return Question(
            text=text,
            history=history,
            asker=asker,
            id=f"{key.channel}-{key.ts}",
            wants_web=wants_web,
            wants_documents=wants_documents,
            approved_words=self._shared.approved_words.take_words(key),
            materials=read.materials,
            written=thread.written,
            unread=(*read.unread, *([render_message(replies.THREAD_MIDDLE, reply.language)] if thread.is_cut else ())),
        )

    def _refuse_confidential(self, message: QuestionMessage, thread: Thread) -> None:
        """Refuse a question about a message of another channel that has a profile: its files belong to its thread."""
        subject = message.subject or next((one.subject for one in thread.messages if one.subject), None)
        if subject is None or subject.channel == message.key.channel:
            return
        if self._shared.rules.is_confidential(subject.channel):
            raise AudienceRefused(replies.CONFIDENTIAL)

    async def record_replay(self, answer: GeneratedAnswer) -> None:
        """Record in the audit that a complete answer is shown, before it is.

        Raises:
            AuditFailed: the audit is strict and cannot be written.

        """
        await self._shared.dependencies.audit_log.record(
            make_replay_entry(answer.question, answer.events), required=True
        )

    async def record_refusal(self, message: QuestionMessage, refusal: AudienceRefused) -> None:
        """Record in the audit that nobody may see an answer to a question."""
        sealed = {"reason": str(refusal), "message": f"{message.key.channel}-{message.key.ts}"}
        await self._shared.record_event(Event.REFUSAL, message.user, {}, sealed)

    async def _hide_unreadable_answers(self, history: Sequence[Exchange], viewers: Viewers) -> tuple[Exchange, ...]:
        """Return a history without answers from passages that are unknown, or that the viewers may no longer read.

        Raises:
            DatabaseError: what the viewers may read cannot be found out.

        """
        chunks = frozenset(chunk for one in history for chunk in one.chunks or ())
        readable = await self._shared.dependencies.library.filter_current(chunks, viewers) if chunks else frozenset()
        return tuple(
            one if one.chunks is not None and one.chunks <= readable else replace(one, answer="", chunks=frozenset())
            for one in history
        )

    async def is_current(
        self, question: Question, message: QuestionMessage, passages: Sequence[Passage], *, is_due: bool
    ) -> bool:
        """Return whether all viewers may still see the answer: somebody may have joined, or have lost a right.

        New viewers may see it if they may read all ``passages``, and none of these is a page of the web. ``is_due``
        says that the rights to the passages are checked even if the viewers have not changed.

        Raises:
            DatabaseError: the approval of a shared channel, or what the people may read, cannot be found out.

        """
        audience = await self._shared.viewers.find_channel_audience(message.key.channel, message.user)
        if audience.refusal is not None:
            return False
        if may_see_answer(audience.viewers, question.asker.viewers):
            if not is_due:
                return True
        elif not passages or not all(passage.chunks for passage in passages):
            return False
        chunks = frozenset(chunk for passage in passages for chunk in passage.chunks)
        return chunks <= await self._shared.dependencies.library.filter_current(chunks, audience.viewers)

    async def _read_thread(self, message: QuestionMessage, reply: AnswerReply) -> Thread:
        try:
            return await self._shared.threads.read_thread(message)
        except SlackError as error:  # if the thread itself is gone, the answer's first call fails
            reply.add_notice(render_message(replies.THREAD_UNREADABLE, reply.language))
            _log.warning("thread not read", channel=message.key.channel, error=str(error))
            return Thread()

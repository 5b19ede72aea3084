"""Builds the question that is answered from a Slack message: its text, its thread's history and its channel's rules."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog

from bot.answering.events import Exchange, Question
from bot.answering.policy import Policies
from bot.answering.retrieval.web_routing import strip_web_prefix
from bot.answering.thinking import Depth
from bot.messages import replies
from bot.messages.message import render_message
from bot.slack.errors import SlackError
from bot.slack.posting.reply import AnswerReply
from bot.slack.turns.thread_reader import ThreadReader
from bot.storage.questions import QuestionMessage
from knowledge.language import choose_language

_log = structlog.get_logger("kvasir.turns")

FindDepth = Callable[[str, str, str], Awaitable[Depth]]
"""Returns how long to think before an answer, given team, user and channel."""


class QuestionBuilder:
    """Builds questions; ``filters`` narrow every search of a channel, by the channel's id."""

    def __init__(self, threads: ThreadReader, filters: Mapping[str, str], web: Policies, find_depth: FindDepth) -> None:
        self._threads = threads
        self._filters = filters
        self._web = web
        self._find_depth = find_depth

    async def build(self, message: QuestionMessage, reply: AnswerReply) -> Question:
        """Return the question; if its thread or files cannot be read, the reply shows a notice."""
        text, wants_web = strip_web_prefix(await self._threads.read_question(message))
        history = await self._read_history(message, reply)
        if not text and history and not history[-1].answer:
            # A mention without text asks what the unanswered messages before it ask: in the asker's own words, or in
            # fixed ones about what others wrote, whose words stay quoted.
            *earlier, last = history
            if last.question:
                text, history = last.question, (*earlier, *([replace(last, question="")] if last.quotes else []))
            else:
                text = render_message(replies.QUESTION_ABOVE, choose_language(last.messages))
        if message.files and text:
            reply.add_notice(render_message(replies.FILES_IGNORED, reply.language))
        key = message.key
        return Question(
            text=text,
            history=history,
            id=f"{key.channel}-{key.ts}",
            conversation="-".join(message.thread),
            within=self._filters.get(key.channel, ""),
            depth=await self._find_depth(key.team, message.user, key.channel),
            person=message.user,
            policy=self._web.of(key.channel),
            people=self._threads.cached_names,
            wants_web=wants_web,
        )

    async def _read_history(self, message: QuestionMessage, reply: AnswerReply) -> tuple[Exchange, ...]:
        try:
            return await self._threads.read_history(message)
        except SlackError as error:  # if the thread itself is gone, the answer's first call fails
            reply.add_notice(render_message(replies.THREAD_UNREADABLE, reply.language))
            _log.warning("thread not read", channel=message.key.channel, error=str(error))
            return ()

"""A message in Slack → the question that is answered: its text, what was said before, and what holds in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog

from bot.answering.events import Exchange, Question
from bot.answering.policy import Policies
from bot.answering.retrieval.web_routing import without_wish
from bot.answering.thinking import Depth
from bot.slack import texts
from bot.slack.errors import SlackError
from bot.slack.posting.reply import AnswerReply
from bot.slack.turns.thread_reader import ThreadReader
from bot.storage.questions import QuestionMessage

_log = structlog.get_logger("kvasir.turns")

FindDepth = Callable[[str, str, str], Awaitable[Depth]]


class QuestionBuilder:
    """Makes questions."""

    def __init__(self, threads: ThreadReader, channels: Mapping[str, str], web: Policies) -> None:
        self._threads = threads
        self._channels = channels
        self._web = web
        self.depth: FindDepth | None = None
        """How deep to think for a person in a channel of a team; as usual where nobody says."""

    async def question(self, message: QuestionMessage, reply: AnswerReply) -> Question:
        """Return the question; what could not be read of its thread is told in the reply."""
        text, wants_web = without_wish(await self._threads.question(message))
        history = await self._history(message, reply)
        if not text and history and not history[-1].answer:
            # "@Kvasir" alone under what people said: that is the question.
            text, history = history[-1].question, history[:-1]
        if message.files and text:
            reply.notice(texts.FILES_IGNORED.to(reply))
        key = message.key
        return Question(
            text=text,
            history=history,
            id=f"{key.channel}-{key.ts}",
            conversation="-".join(message.thread),
            within=self._channels.get(key.channel, ""),
            depth=await self.depth(key.team, message.user, key.channel) if self.depth is not None else "normal",
            person=message.user,
            policy=self._web.of(key.channel),
            people=self._threads.known,
            wants_web=wants_web,
        )

    async def _history(self, message: QuestionMessage, reply: AnswerReply) -> tuple[Exchange, ...]:
        if message.opens_thread:
            return ()
        try:
            return await self._threads.before(message)
        except SlackError as error:  # if the thread itself is gone, the answer's first call will tell
            reply.notice(texts.THREAD_UNREADABLE.to(reply))
            _log.warning("thread not read", channel=message.key.channel, error=str(error))
            return ()

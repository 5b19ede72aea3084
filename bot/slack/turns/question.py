"""A message in Slack → the question that is answered: its text, what was said before, and what holds in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import structlog

from bot.answering.events import Exchange, Question
from bot.answering.policy import Policies
from bot.answering.route import without_wish
from bot.answering.thinking import Depth
from bot.slack import words
from bot.slack.errors import SlackError
from bot.slack.posting.reply import Reply
from bot.slack.turns.thread import Threads
from bot.storage.questions import Asked

_log = structlog.get_logger("kvasir.turns")

DepthOf = Callable[[str, str, str], Awaitable[Depth]]


class Asking:
    """Makes questions."""

    def __init__(self, threads: Threads, channels: Mapping[str, str], web: Policies) -> None:
        self._threads = threads
        self._channels = channels
        self._web = web
        self.depth: DepthOf | None = None
        """How deep to think for a person in a channel of a team; as usual where nobody says."""

    async def question(self, asked: Asked, reply: Reply) -> Question:
        """Return the question; what could not be read of its thread is told in the reply."""
        text, wants_web = without_wish(await self._threads.question(asked))
        history = await self._history(asked, reply)
        if not text and history and not history[-1].answer:
            # "@Kvasir" alone under what people said: that is the question.
            text, history = history[-1].question, history[:-1]
        if asked.files and text:
            reply.notice(words.FILES.to(reply))
        key = asked.key
        return Question(
            text=text,
            history=history,
            id=f"{key.channel}-{key.ts}",
            conversation="-".join(asked.thread),
            within=self._channels.get(key.channel, ""),
            depth=await self.depth(key.team, asked.user, key.channel) if self.depth is not None else "normal",
            person=asked.user,
            policy=self._web.of(key.channel),
            people=self._threads.known,
            wants_web=wants_web,
        )

    async def _history(self, asked: Asked, reply: Reply) -> tuple[Exchange, ...]:
        if asked.opens_thread:
            return ()
        try:
            return await self._threads.before(asked)
        except SlackError as error:  # if the thread itself is gone, the answer's first call will tell
            reply.notice(words.NO_HISTORY.to(reply))
            _log.warning("thread not read", channel=asked.key.channel, error=str(error))
            return ()

"""A thread in Slack → what was said before, as an answer needs it; and which messages in it are ours."""

from __future__ import annotations

import html
import re
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.answering.events import Exchange
from bot.answering.history_window import find_window_start
from bot.answering.markdown.citations import strip_displayed
from bot.slack.errors import SlackError, SlackGone
from bot.slack.events import BotUser, find_mentioned_users, make_readable
from bot.slack.posting.render import JOINER, NOTICE_MARK
from bot.slack.transport.web_api import SlackWebApi
from bot.storage.questions import QuestionMessage

ANSWER_EVENT = "kvasir_answer"
"""The metadata's event type on the last message of an answer; its payload names the question's ``ts``."""

_PAGE_SIZE = 200
_MAX_PAGES = 10
_SINGLE_LIMIT = 5
"""One message is asked for, and its thread's root comes with it."""
_MAX_EXCHANGES = 20
_MAX_CHARACTERS = 24_000
_MAX_CACHED_NAMES = 2_000
_NOTICE_LINE = re.compile(rf"^_?{NOTICE_MARK}.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A message of a thread: who said it, and what."""

    ts: str
    user: str
    text: str
    ours: bool
    answers: str = ""
    """The ``ts`` of the question that this message completes the answer of, from its metadata."""


def read_message(message: Mapping[str, Any], me: BotUser) -> ThreadMessage:
    """Read one message of ``conversations.replies``."""
    ours = message.get("user") == me.user or (bool(me.bot) and message.get("bot_id") == me.bot)
    metadata = message.get("metadata") or {}
    answers = str((metadata.get("event_payload") or {}).get("question", ""))
    return ThreadMessage(
        ts=str(message.get("ts", "")),
        user=str(message.get("user") or ""),
        text=_get_markdown(message) if ours else str(message.get("text") or ""),
        ours=ours,
        answers=answers if metadata.get("event_type") == ANSWER_EVENT else "",
    )


def _get_markdown(message: Mapping[str, Any]) -> str:
    blocks = message.get("blocks") or ()
    written = [str(block.get("text", "")) for block in blocks if block.get("type") == "markdown"]
    return "\n".join(written) or str(message.get("text") or "")


def build_history(
    lines: Sequence[ThreadMessage],
    names: Mapping[str, str],
    me: BotUser,
    *,
    exchanges: int = _MAX_EXCHANGES,
    characters: int = _MAX_CHARACTERS,
) -> tuple[Exchange, ...]:
    """Return the exchanges of a thread, oldest first, the newest that fit the bounds (``answering.history_window``).

    What several people said in a row is one question; what nobody answered has an empty answer. Our notices, footers
    and citation numbers are left out: they belonged to passages that the next answer does not have.
    """
    found: list[Exchange] = []
    message: list[str] = []
    answered: list[str] = []
    for said in lines:
        text = _clean_answer(said.text) if said.ours else make_readable(said.text, names, me=me.user)
        if not said.ours and answered:
            found.append(Exchange("\n".join(message), "\n\n".join(answered)))
            message, answered = [], []
        if text:
            (answered if said.ours else message).append(text)
    if message or answered:
        found.append(Exchange("\n".join(message), "\n\n".join(answered)))
    return _select_newest(found, exchanges, characters)


def _clean_answer(text: str) -> str:
    return html.unescape(strip_displayed(_NOTICE_LINE.sub("", text))).replace(JOINER, "").strip()


def _select_newest(found: Sequence[Exchange], exchanges: int, characters: int) -> tuple[Exchange, ...]:
    costs = [len(exchange.question) + len(exchange.answer) for exchange in found]
    return tuple(found[find_window_start(costs, characters, exchanges) :])


def _without_tombstones(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a page's messages without the mark that a deleted root leaves."""
    return (message for message in page.get("messages") or () if message.get("subtype") != "tombstone")


class ThreadReader:
    """Reads threads, and the names of the people in them."""

    def __init__(self, api: SlackWebApi, me: BotUser) -> None:
        self._api = api
        self._me = me
        self._names: OrderedDict[str, str] = OrderedDict()

    async def before(self, message: QuestionMessage) -> tuple[Exchange, ...]:
        """Return what was said in the thread before this question.

        Raises:
            SlackError: the thread cannot be read.

        """
        if message.opens_thread:
            return ()
        lines = await self.lines(message)
        # A question that is asked again by a button under its answer stands where it stood first.
        first = next((said.answers for said in lines if said.ours and said.ts == message.key.ts), "")
        lines = [said for said in lines if float(said.ts or 0) < float(first or message.key.ts)]
        people: set[str] = set()
        for said in lines:
            people |= find_mentioned_users(said.text)
        return build_history(lines, await self.names(people), self._me)

    async def question(self, message: QuestionMessage) -> str:
        """Return the question as a person reads it, names in place of ids."""
        return make_readable(message.text, await self.names(find_mentioned_users(message.text)), me=self._me.user)

    async def lines(self, message: QuestionMessage) -> list[ThreadMessage]:
        """Return the thread's messages, oldest first; of a thread over 2,000 messages, the first 2,000.

        Raises:
            SlackError: the thread cannot be read.

        """
        lines: dict[str, ThreadMessage] = {}
        cursor = ""
        for _ in range(_MAX_PAGES):
            page = await self._api.call(
                "conversations.replies",
                channel=message.key.channel,
                ts=message.thread_ts,
                limit=_PAGE_SIZE,
                cursor=cursor or None,
                include_all_metadata="true",
            )
            for page_message in _without_tombstones(page):  # each page begins with the root
                said = read_message(page_message, self._me)
                lines.setdefault(said.ts, said)
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return list(lines.values())

    async def line(self, message: QuestionMessage, ts: str) -> ThreadMessage | None:
        """Return one message of the thread as it reads now; None if it is gone.

        Raises:
            SlackError: the thread cannot be read.

        """
        target: dict[str, Any] = {
            "channel": message.key.channel,
            "ts": message.thread_ts,
            "oldest": ts,
            "latest": ts,
            "inclusive": "true",
        }
        try:
            page = await self._api.call("conversations.replies", limit=_SINGLE_LIMIT, **target)
        except SlackGone:
            return None
        return next(
            (read_message(message, self._me) for message in _without_tombstones(page) if message.get("ts") == ts), None
        )

    async def names(self, users: Collection[str]) -> Mapping[str, str]:
        """Return names by user id; one that cannot be looked up is left out."""
        found: dict[str, str] = {}
        for user in set(users) - {self._me.user}:
            name = self._names.get(user)
            if name is None:
                name = await self._look_up(user)
            if name:
                found[user] = name
        return found

    @property
    def known(self) -> frozenset[str]:
        """Return the names that were looked up lately: all that a question and its thread mention are among them."""
        return frozenset(self._names.values())

    async def _look_up(self, user: str) -> str:
        try:
            answer = await self._api.call("users.info", user=user)
        except SlackError:
            return ""
        person = answer.get("user") or {}
        profile = person.get("profile") or {}
        name = str(profile.get("display_name") or person.get("real_name") or person.get("name") or "")
        self._names[user] = name
        if len(self._names) > _MAX_CACHED_NAMES:
            self._names.popitem(last=False)
        return name

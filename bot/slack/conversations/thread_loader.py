"""Reads threads in Slack, and the history of a question from them."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.answering.events import Exchange, Quote
from bot.answering.history_window import find_window_start
from bot.answering.markdown.citations import strip_displayed
from bot.answering.quoting import neutralise_name
from bot.slack.conversations.long_thread import ENOUGH, PAGE_SIZE, read_long_thread
from bot.slack.posting.reply import ANSWER_EVENT
from bot.slack.wire.errors import SlackError, SlackGone
from bot.slack.wire.events import METADATA_PREFIX, BotUser, find_mentioned_users, make_readable
from bot.slack.wire.text.render import JOINER, NOTICE_MARK, VERIFIED_MARK
from bot.slack.wire.text.tables import read_table_block
from bot.slack.wire.transport.web_api import SlackWebApi, make_window
from bot.storage.turns.questions import QuestionMessage, Subject
from knowledge.latest_entries import LatestEntries
from knowledge.masking import NameIndex

QUESTION_EVENT = f"{METADATA_PREFIX}question"
"""The metadata's event type on our message that repeats a person's question; its payload has the user and the text."""
_MAX_METADATA_CHARACTERS = 3_000
_SINGLE_LIMIT = 5
"""The limit for one message: Slack adds the thread's root."""
_MAX_EXCHANGES = 20
_MAX_CHARACTERS = 24_000
_MAX_CACHED_NAMES = 2_000
_NOTICE_LINE = re.compile(rf"^(?:_?{NOTICE_MARK}.*|_{VERIFIED_MARK}.*_)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A message of a thread."""

    ts: str
    user: str
    text: str
    is_ours: bool
    answers: str = ""
    """The ``ts`` of the question if this message completes its answer, from its metadata."""
    chunks: frozenset[str] | None = None
    """The chunks of the passages from which the answer was written, from the same metadata; None if it has none."""
    revision: int = 0
    """How often the question had been edited before that answer."""
    app: str = ""
    """The name under which another app posted it; ``user`` is empty then, also if it posts in a person's name."""
    files: tuple[Mapping[str, Any], ...] = ()
    subject: Subject | None = None
    """What it is about, if it is a question about another message."""
    is_of_other_kvasir: bool = False
    """Whether its metadata says that a Kvasir of another app wrote it."""


@dataclass(frozen=True, slots=True)
class Thread:
    """The messages of a thread before a question."""

    messages: tuple[ThreadMessage, ...] = ()
    history: tuple[Exchange, ...] = ()
    written: tuple[str, ...] = ()
    """What people and apps wrote, without the limits of ``history``."""
    is_cut: bool = False
    """Whether some of that may be missing, because the thread or a question in it is very long."""


def build_question_metadata(user: str, text: str, subject: Subject | None = None) -> dict[str, Any]:
    """Return the metadata of our message that stands for a person's question, so that follow-ups know whose it is."""
    payload = {"user": user, "text": text[:_MAX_METADATA_CHARACTERS]}
    return {
        "event_type": QUESTION_EVENT,
        "event_payload": payload if subject is None else {**payload, "subject": subject.encode()},
    }


def read_message(message: Mapping[str, Any], me: BotUser) -> ThreadMessage:
    """Read one message of ``conversations.replies``."""
    is_ours = me.is_author(message)
    is_app = not is_ours and bool(message.get("bot_id") or message.get("subtype") == "bot_message")
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    if is_ours and metadata.get("event_type") == QUESTION_EVENT:
        return ThreadMessage(
            str(message.get("ts", "")),
            str(payload["user"]),
            str(payload["text"]),
            is_ours=False,
            subject=Subject.decode(str(payload.get("subject", ""))),
        )
    answers = str(payload.get("question", ""))
    return ThreadMessage(
        ts=str(message.get("ts", "")),
        user="" if is_app else str(message.get("user") or ""),
        text=_get_markdown(message) if is_ours else str(message.get("text") or ""),
        is_ours=is_ours,
        answers=answers if metadata.get("event_type") == ANSWER_EVENT else "",
        chunks=_read_chunks(payload) if is_ours else None,
        revision=int(payload.get("revision", 0)),
        app=_get_app_name(message) if is_app else "",
        files=_get_files(message),
        is_of_other_kvasir=not is_ours and str(metadata.get("event_type", "")).startswith(METADATA_PREFIX),
    )


def _get_files(message: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    return tuple(file for file in message.get("files") or () if isinstance(file, dict))


def _read_chunks(payload: Mapping[str, Any]) -> frozenset[str] | None:
    chunks = payload.get("chunks")
    return frozenset(filter(None, chunks.split(","))) if isinstance(chunks, str) else None


def _get_app_name(message: Mapping[str, Any]) -> str:
    profile = message.get("bot_profile") or {}
    return neutralise_name(str(message.get("username") or profile.get("name") or "")) or "?"


def _get_markdown(message: Mapping[str, Any]) -> str:
    blocks = message.get("blocks") or ()
    texts = [
        read_table_block(block) if block["type"] == "table" else str(block.get("text", ""))
        for block in blocks
        if block.get("type") in {"markdown", "table"}
    ]
    return "\n\n".join(texts) or str(message.get("text") or "")


def build_history(
    messages: Sequence[ThreadMessage],
    names: Mapping[str, str],
    me: BotUser,
    asker: str,
    *,
    exchanges: int = _MAX_EXCHANGES,
    characters: int = _MAX_CHARACTERS,
) -> tuple[Exchange, ...]:
    """Return the newest exchanges of a thread within the bounds (``answering.history_window``), oldest first.

    Consecutive messages of the asker form one question; what others wrote before the same answer is quoted. A question
    without an answer has an empty one. The bot's answers lose their notices, footers and citation numbers, which refer
    to passages that the next answer does not have.
    """
    history: list[Exchange] = []
    for message in messages:
        text = _clean_answer(message.text) if message.is_ours else make_readable(message.text, names, me=me.user)
        if not history or (history[-1].answer and not message.is_ours):
            history.append(Exchange("", ""))
        if text:
            history[-1] = _add_message(history[-1], message, text, names, asker)
    history = [exchange for exchange in history if exchange.messages or exchange.answer]
    history = [_fit_quotes(exchange, characters) for exchange in history]
    costs = [len(exchange.messages) + len(exchange.answer) for exchange in history]
    return tuple(history[find_window_start(costs, characters, exchanges) :])


def _add_message(
    exchange: Exchange, message: ThreadMessage, text: str, names: Mapping[str, str], asker: str
) -> Exchange:
    if message.is_ours:
        return replace(
            exchange,
            answer=f"{exchange.answer}\n\n{text}".strip(),
            chunks=message.chunks if not exchange.answer else _join_chunks(exchange.chunks, message.chunks),
        )
    if message.user == asker and not message.app:
        return replace(exchange, question=f"{exchange.question}\n{text}".strip())
    quote = Quote(text, message.app or names.get(message.user, ""), is_app=bool(message.app))
    return replace(exchange, quotes=(*exchange.quotes, quote))


def _join_chunks(before: frozenset[str] | None, added: frozenset[str] | None) -> frozenset[str] | None:
    """Return the chunks of an answer of several messages, of which the last one has the metadata."""
    return added if before is None else before if added is None else before | added


def _fit_quotes(exchange: Exchange, characters: int) -> Exchange:
    """Return an exchange without quotes from its middle if it is too long; the first and the newest quotes stay."""
    room = characters - len(exchange.messages) - len(exchange.answer)
    if room >= 0 or not exchange.quotes:
        return exchange
    first, *others = exchange.quotes
    while others and room < 0:
        room += len(others.pop(0).text) + 1
    return replace(exchange, quotes=(first, *others) if room >= 0 else ())


def _clean_answer(text: str) -> str:
    return html.unescape(strip_displayed(_NOTICE_LINE.sub("", text))).replace(JOINER, "").strip()


def _without_tombstones(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a page's messages without the tombstone of a deleted root."""
    return (message for message in page.get("messages") or () if message.get("subtype") != "tombstone")


class ThreadLoader:
    """Reads threads, and the names of the people in them."""

    def __init__(self, api: SlackWebApi, me: BotUser, index: NameIndex | None = None) -> None:
        """``index`` gets the names that are looked up."""
        self._api = api
        self._me = me
        self._index = index or NameIndex()
        self._names: LatestEntries[str, str] = LatestEntries(_MAX_CACHED_NAMES)

    async def read_thread(self, question: QuestionMessage) -> Thread:
        """Return the messages of the thread before a question.

        Raises:
            SlackError: Slack does not return the thread.

        """
        if question.opens_thread:
            return Thread()
        messages = await self.fetch_messages(question)
        is_cut = len(messages) > ENOUGH // 2 or any(len(one.text) == _MAX_METADATA_CHARACTERS for one in messages)
        # A question that a button asks again has the ``ts`` of its answer; its history ends at the original question.
        original = next((one.answers for one in messages if one.is_ours and one.ts == question.key.ts), "")
        messages = [one for one in messages if float(one.ts or 0) < float(original or question.key.ts)]
        people = {message.user for message in messages if not message.is_ours} - {"", question.user}
        for message in messages:
            people |= find_mentioned_users(message.text)
        names = await self.find_names(people)
        history = build_history(messages, names, self._me, question.user)
        written = (make_readable(one.text, names, me=self._me.user) for one in messages if not one.is_ours)
        return Thread(tuple(messages), history, tuple(written), is_cut)

    async def read_question(self, question: QuestionMessage) -> str:
        """Return a question's text with names in place of user ids."""
        return make_readable(
            question.text, await self.find_names(find_mentioned_users(question.text)), me=self._me.user
        )

    async def fetch_messages(self, question: QuestionMessage) -> list[ThreadMessage]:
        """Return the messages of a question's thread, oldest first; of a very long one the first and the newest.

        Raises:
            SlackError: Slack does not return the thread.

        """

        async def fetch_page(low: str | None, high: str | None) -> tuple[list[Mapping[str, Any]], bool]:
            window: dict[str, Any] = {"oldest": low, "latest": high, "inclusive": "true" if low or high else None}
            page = await self._api.call(
                "conversations.replies",
                channel=question.key.channel,
                ts=question.thread_ts,
                limit=PAGE_SIZE,
                include_all_metadata="true",
                **window,
            )
            return list(_without_tombstones(page)), bool(page.get("has_more"))

        messages = [read_message(one, self._me) for one in await read_long_thread(fetch_page, float(question.key.ts))]
        return [one for one in messages if not (one.is_ours and one.files)]  # our files repeat parts of our answers

    async def fetch_message(self, channel: str, thread_ts: str, ts: str) -> ThreadMessage | None:
        """Return the current state of one message of a thread, None if it was deleted.

        Raises:
            SlackError: Slack does not return the thread.

        """
        place: dict[str, Any] = {"channel": channel, "ts": thread_ts, "include_all_metadata": "true"}
        try:
            page = await self._api.call("conversations.replies", limit=_SINGLE_LIMIT, **place, **make_window(ts))
        except SlackGone:
            return None
        payloads = (payload for payload in _without_tombstones(page) if payload.get("ts") == ts)
        return next((read_message(payload, self._me) for payload in payloads), None)

    async def find_question(self, channel: str, user: str, text: str, between: tuple[float, float]) -> str:
        """Return the ``ts`` of our message that repeats a person's question in a channel, "" if there is none.

        ``between`` are the times of the search, in seconds since the epoch.

        Raises:
            SlackError: Slack does not return the channel.

        """
        oldest, latest = (f"{at:.6f}" for at in between)
        page = await self._api.call(
            "conversations.history",
            channel=channel,
            oldest=oldest,
            latest=latest,
            limit=PAGE_SIZE,
            include_all_metadata="true",
        )
        metadata = build_question_metadata(user, text)
        ours = (one for one in page.get("messages") or () if self._me.is_author(one))
        return next((str(one["ts"]) for one in ours if one.get("metadata") == metadata), "")

    async def fetch_files(self, question: QuestionMessage) -> list[Mapping[str, Any]]:
        """Return the files of a question as Slack describes them; the ledger does not store them.

        Raises:
            SlackError: the message cannot be read.

        """
        place: dict[str, Any] = {"channel": question.key.channel, **make_window(question.key.ts)}
        if question.opens_thread:
            page = await self._api.call("conversations.history", limit=1, **place)
        else:
            page = await self._api.call("conversations.replies", ts=question.thread_ts, limit=_SINGLE_LIMIT, **place)
        payload: Mapping[str, Any] = next(
            (m for m in page.get("messages") or () if str(m.get("ts")) == question.key.ts), {}
        )
        return list(_get_files(payload))

    async def find_names(self, users: Collection[str]) -> Mapping[str, str]:
        """Return neutralised names by user id, without users whose name Slack does not return."""
        names: dict[str, str] = {}
        for user in set(users) - {self._me.user}:
            name = self._names.get(user)
            if name is None:
                name = await self._fetch_name(user)
            if name:
                names[user] = name
        return names

    @property
    def cached_names(self) -> frozenset[str]:
        """Return the names of the last lookups, which include those in the last question and its thread."""
        return frozenset(self._names.values())

    async def _fetch_name(self, user: str) -> str:
        try:
            answer = await self._api.call("users.info", user=user)
        except SlackError:
            return ""
        person = answer.get("user") or {}
        profile = person.get("profile") or {}
        choices = (profile.get("display_name"), person.get("real_name"), person.get("name"))
        name = next(filter(None, (neutralise_name(str(choice or "")) for choice in choices)), "")
        self._names[user] = name
        self._index.add_name(name, full_only=True)
        return name

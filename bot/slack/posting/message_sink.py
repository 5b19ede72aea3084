"""The Slack messages of an answer: streamed if Slack supports it, or else posted and updated."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bot.messages import answers
from bot.messages.message import render
from bot.slack.errors import SlackError, SlackLimited, SlackMissingScope, SlackRefused
from bot.slack.posting.render import make_fallback_text
from bot.slack.transport.web_api import SlackWebApi, TokenBucket

STREAM_CHARACTERS = 11_500
"""Characters of a streamed message; Slack's limit is 12,000, and it counts rare characters differently."""
POST_CHARACTERS = 3_500
"""Characters of a posted message; the limit of ``chat.update`` is 4,000."""
MAX_STREAM_AGE_S = 240.0
"""The age at which a stream is closed; Slack ends it about 300 s after its start."""

_STATUS_STOP_TIMEOUT_S = 3.0
"""How long the end of an answer waits for a status call in flight."""

_UNSUPPORTED_CODES = {
    "unknown_method",
    "missing_scope",
    "feature_not_enabled",
    "not_allowed",
    "method_deprecated",
    "team_not_found",
}
STREAM_ENDED_CODES = {
    "message_not_in_streaming_state",
    "message_not_streaming",
    "streaming_state_conflict",
    "stream_expired",
}

Block = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """The thread and the person of an answer."""

    team: str
    channel: str
    thread_ts: str
    question_ts: str
    user: str


@dataclass(slots=True)
class SlackCapabilities:
    """What this Slack supports, as calls have shown, and the calls that all replies together may make."""

    streams: bool = True
    has_sessions: bool = True
    """``agents.sessions.setStatus``."""
    has_statuses: bool = True
    """``assistant.threads.setStatus``."""
    can_show_passages: bool = False
    """Whether answers have buttons that show whole passages."""
    can_add_pages: bool = False
    """Whether answers have buttons that add web pages."""
    max_stream_age_s: float = MAX_STREAM_AGE_S
    status_every_s: float = 2.0
    """The shortest time between two changes of a status."""
    now: Callable[[], float] = time.monotonic
    append_bucket: TokenBucket = field(default_factory=lambda: TokenBucket(burst=30, per_s=100 / 60))
    """Tier 4: 100 a minute."""
    update_bucket: TokenBucket = field(default_factory=lambda: TokenBucket(burst=20, per_s=50 / 60))
    """Tier 3: 50 a minute."""

    def disable_status(self, method: str) -> None:
        """Stop using a method that shows a status, because this Slack does not have it."""
        if method == "agents.sessions.setStatus":
            self.has_sessions = False
        else:
            self.has_statuses = False


@dataclass(frozen=True, slots=True)
class AnswerEnding:
    """The end of an answer: the blocks under it, the metadata of a complete answer, and whether it ends the session."""

    blocks: tuple[Block, ...] = ()
    metadata: Block | None = None
    ends_session: bool = False


class AnswerMessage(Protocol):
    """An unfinished message: ``text`` is its text so far, ``limit`` the most characters that it can have."""

    text: str
    limit: int

    @property
    def ts(self) -> str | None:
        """Return the message's timestamp, None before it exists."""

    @property
    def remaining_s(self) -> float:
        """Return how long text can still be added, in seconds."""

    def reserve_call(self) -> float:
        """Reserve one call of the rate limit and return how long to wait before it, in seconds."""

    async def add(self, text: str) -> None:
        """Append Markdown; open the message if it does not exist yet."""

    async def end(self, text: str, ending: AnswerEnding) -> None:
        """Append the last Markdown and close the message."""


class StreamedMessage:
    """A message that Slack streams."""

    limit = STREAM_CHARACTERS

    def __init__(self, target: ReplyTarget, api: SlackWebApi, capabilities: SlackCapabilities) -> None:
        self.text = ""
        self._target = target
        self._api = api
        self._capabilities = capabilities
        self._ts: str | None = None
        self._opened_at = capabilities.now()

    @property
    def ts(self) -> str | None:
        """Return the message's timestamp, None before it exists."""
        return self._ts

    @property
    def remaining_s(self) -> float:
        """Return how long until the stream must be closed, in seconds."""
        return self._capabilities.max_stream_age_s - (self._capabilities.now() - self._opened_at)

    def reserve_call(self) -> float:
        """Reserve one append and return how long to wait before it, in seconds."""
        return self._capabilities.append_bucket.take() if self._ts else 0.0

    async def add(self, text: str) -> None:
        """Append to the stream, or start it; a rate limit of the start raises ``SlackLimited``."""
        if self._ts is None:
            await self._start(text)
        else:
            await self._api.call("chat.appendStream", channel=self._target.channel, ts=self._ts, markdown_text=text)
        self.text += text

    async def _start(self, text: str) -> None:
        target = self._target
        self._opened_at = self._capabilities.now()
        started = await self._api.call(
            "chat.startStream",
            wait=False,
            channel=target.channel,
            thread_ts=target.thread_ts,
            recipient_user_id=target.user,
            recipient_team_id=target.team,
            markdown_text=text,
        )
        self._ts = str(started.get("ts", ""))

    async def end(self, text: str, ending: AnswerEnding) -> None:
        """Stop the stream with its last text and the blocks under it."""
        await self._api.call(
            "chat.stopStream",
            channel=self._target.channel,
            ts=self._ts,
            markdown_text=text or None,
            blocks=list(ending.blocks) or None,
            metadata=ending.metadata,
            session_status="active" if ending.ends_session else None,
        )
        self.text += text


class PostedMessage:
    """A message that is posted with its first text and updated with more."""

    def __init__(
        self, target: ReplyTarget, api: SlackWebApi, capabilities: SlackCapabilities, *, ts: str | None = None
    ) -> None:
        self.text = ""
        self.limit = POST_CHARACTERS
        self._target = target
        self._api = api
        self._capabilities = capabilities
        self._ts = ts

    @classmethod
    def continue_from(
        cls, message: AnswerMessage, target: ReplyTarget, api: SlackWebApi, capabilities: SlackCapabilities
    ) -> PostedMessage:
        """Return a message that continues a stopped stream by updates."""
        posted = cls(target, api, capabilities, ts=message.ts)
        posted.text = message.text
        posted.limit = message.limit
        return posted

    @property
    def ts(self) -> str | None:
        """Return the message's timestamp, None before it exists."""
        return self._ts

    @property
    def remaining_s(self) -> float:
        """Return infinity, because a posted message can always be updated."""
        return float("inf")

    def reserve_call(self) -> float:
        """Reserve one update and return how long to wait before it, in seconds."""
        return self._capabilities.update_bucket.take() if self._ts else 0.0

    async def add(self, text: str) -> None:
        """Show the text so far and more text."""
        await self._write(self.text + text, AnswerEnding())

    async def end(self, text: str, ending: AnswerEnding) -> None:
        """Show the text so far, the last text, and the blocks under it."""
        await self._write(self.text + text, ending)

    async def _write(self, whole: str, ending: AnswerEnding) -> None:
        content: dict[str, Any] = {
            "channel": self._target.channel,
            "text": make_fallback_text(whole) or "…",
            "blocks": [*([{"type": "markdown", "text": whole}] if whole.strip() else []), *ending.blocks],
            "metadata": ending.metadata,
        }
        if self._ts is None:
            posted = await self._api.call(
                "chat.postMessage", thread_ts=self._target.thread_ts, unfurl_links=False, unfurl_media=False, **content
            )
            self._ts = str(posted.get("ts", ""))
        else:
            await self._api.call("chat.update", ts=self._ts, **content)
        self.text = whole


async def open_message(
    target: ReplyTarget, api: SlackWebApi, capabilities: SlackCapabilities, text: str
) -> AnswerMessage:
    """Open a message with its first text: a stream, or a post if Slack does not support or now limits streams."""
    if capabilities.streams:
        stream = StreamedMessage(target, api, capabilities)
        try:
            await stream.add(text)
        except SlackLimited:
            pass
        except SlackMissingScope:
            capabilities.streams = False
        except SlackRefused as error:
            capabilities.streams = error.code not in _UNSUPPORTED_CODES
        else:
            return stream
    post = PostedMessage(target, api, capabilities)
    await post.add(text)
    return post


class StatusLine:
    """Shows that the bot works: by a session, and by a status in words, if this Slack has them."""

    def __init__(
        self, target: ReplyTarget, api: SlackWebApi, capabilities: SlackCapabilities, *, chinese: bool
    ) -> None:
        self._thread = {"channel_id": target.channel, "thread_ts": target.thread_ts}
        self._user = target.user
        self._api = api
        self._capabilities = capabilities
        self._words, self._default_text = (
            render(one, "zh" if chinese else "en") for one in (answers.SEARCHING, answers.THINKING)
        )
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_call_in_flight = False
        self.has_session = False
        """Whether a session is processing, which the bot must end."""
        self._has_status = False
        """Whether Slack shows a status, which it clears with the next message."""

    def start(self, every_s: float = 60.0) -> None:
        """Show the status in a task of its own, and show it again before Slack clears it."""
        self._task = asyncio.create_task(self._refresh(every_s), name="slack status")

    async def _refresh(self, every_s: float) -> None:
        while True:
            self._is_call_in_flight = True
            self._changed.clear()
            has_status = await self._show()
            self._is_call_in_flight = False
            if not has_status:
                return
            await asyncio.sleep(self._capabilities.status_every_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._changed.wait()

    def set_words(self, words: str) -> bool:
        """Show other words with the next call, "" for the default; return False if Slack may not show them.

        Only the last words before a call are shown. Not every Slack shows them next to a session.
        """
        if not self._capabilities.has_statuses:
            return False
        self._words = words or self._default_text
        self._changed.set()
        return not self.has_session

    async def _show(self) -> bool:
        if self._capabilities.has_sessions and not self.has_session:
            session = {"status": "processing", "initiator_user_id": self._user}
            self.has_session = await self._set("agents.sessions.setStatus", session)
        if self._capabilities.has_statuses:
            is_set = await self._set("assistant.threads.setStatus", {"status": self._words})
            self._has_status = is_set or self._has_status
        return self._has_status

    async def _set(self, method: str, arguments: Mapping[str, Any]) -> bool:
        try:
            await self._api.call(method, wait=False, **self._thread, **arguments)
        except (SlackRefused, SlackMissingScope) as error:
            if isinstance(error, SlackMissingScope) or error.code in _UNSUPPORTED_CODES:
                self._capabilities.disable_status(method)
            return False
        except SlackError:
            return False
        return True

    async def stop(self, *, is_session_over: bool, is_answered: bool) -> None:
        """End the session and clear the status.

        ``is_session_over``: the answer's last call has already ended the session. ``is_answered``: a message has
        already cleared the status. A status call in flight is awaited, so that its status does not appear afterwards.
        """
        task, is_late = self._task, self._is_call_in_flight
        self._task = None
        if task is None:
            return
        if not is_late:
            task.cancel()
        await asyncio.wait([task], timeout=_STATUS_STOP_TIMEOUT_S)
        task.cancel()
        if self.has_session and (is_late or not is_session_over):
            await self._set("agents.sessions.setStatus", {"status": "active"})
        if self._has_status and (is_late or not is_answered):
            await self._set("assistant.threads.setStatus", {"status": ""})

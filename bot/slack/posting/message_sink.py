"""One Slack message that an answer is written on: streamed where Slack can, posted and updated where it cannot."""

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
"""Of Slack's 12,000 for a message's Markdown; what counts as one character differs for rare signs."""
POST_CHARACTERS = 3_500
"""Of the 4,000 that ``chat.update`` takes."""
MAX_STREAM_AGE_S = 240.0
"""A stream dies about 300 s after its start, however busy; it is closed well before."""

_STATUS_EVERY_S = 2.0
"""Between two changes of a status; while Slack limits the method, they are left out."""
_STATUS_STOP_TIMEOUT_S = 3.0
"""How long a status that is on its way is waited for at the end."""

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
    """Where an answer goes, and to whom."""

    team: str
    channel: str
    thread_ts: str
    question_ts: str
    user: str


@dataclass(slots=True)
class SlackCapabilities:
    """What this Slack turned out to be able to do, shared by all replies, and how much of it they may still use."""

    streams: bool = True
    has_sessions: bool = True
    """``agents.sessions.setStatus``."""
    has_statuses: bool = True
    """``assistant.threads.setStatus``."""
    can_show_passages: bool = False
    """Whether whole passages can be shown."""
    can_add_pages: bool = False
    """Whether owners may add pages of the web."""
    max_stream_age_s: float = MAX_STREAM_AGE_S
    now: Callable[[], float] = time.monotonic
    append_bucket: TokenBucket = field(default_factory=lambda: TokenBucket(burst=30, per_s=100 / 60))
    """Tier 4: 100 a minute."""
    update_bucket: TokenBucket = field(default_factory=lambda: TokenBucket(burst=20, per_s=50 / 60))
    """Tier 3: 50 a minute."""

    def forget(self, method: str) -> None:
        """Note that this Slack does not have a way to show a status."""
        if method == "agents.sessions.setStatus":
            self.has_sessions = False
        else:
            self.has_statuses = False


@dataclass(frozen=True, slots=True)
class AnswerEnding:
    """How an answer ends: the blocks under it, the mark that it is complete, whether a session is to be set at rest."""

    blocks: tuple[Block, ...] = ()
    metadata: Block | None = None
    ends_session: bool = False


class AnswerMessage(Protocol):
    """A message being written; ``text`` is what it shows so far, ``limit`` how many characters it takes."""

    text: str
    limit: int

    @property
    def ts(self) -> str | None:
        """Return the message's timestamp, None before it is there."""

    @property
    def remaining_s(self) -> float:
        """Return for how long it can still be written on."""

    def reserve_call(self) -> float:
        """Take one addition from the tier's allowance and return how long to wait before it."""

    async def add(self, text: str) -> None:
        """Append Markdown, opening the message if it is not there yet."""

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
        """Return the message's timestamp, None before it is there."""
        return self._ts

    @property
    def remaining_s(self) -> float:
        """Return how long until it must be closed."""
        return self._capabilities.max_stream_age_s - (self._capabilities.now() - self._opened_at)

    def reserve_call(self) -> float:
        """Take one append from the allowance."""
        return self._capabilities.append_bucket.take() if self._ts else 0.0

    async def add(self, text: str) -> None:
        """Append to the stream, starting it if need be; a rate limit on the start is raised, not waited for."""
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
    """A message that is posted once there is text, and updated as it grows."""

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
        """Go on by updates with a message that was streamed and is stopped now."""
        posted = cls(target, api, capabilities, ts=message.ts)
        posted.text = message.text
        posted.limit = message.limit
        return posted

    @property
    def ts(self) -> str | None:
        """Return the message's timestamp, None before it is there."""
        return self._ts

    @property
    def remaining_s(self) -> float:
        """Return infinity: a posted message can be updated as long as it is there."""
        return float("inf")

    def reserve_call(self) -> float:
        """Take one update from the allowance."""
        return self._capabilities.update_bucket.take() if self._ts else 0.0

    async def add(self, text: str) -> None:
        """Show the text so far and this."""
        await self._write(self.text + text, AnswerEnding())

    async def end(self, text: str, ending: AnswerEnding) -> None:
        """Show the text so far, this, and the blocks under it."""
        await self._write(self.text + text, ending)

    async def _write(self, whole: str, ending: AnswerEnding) -> None:
        shown: dict[str, Any] = {
            "channel": self._target.channel,
            "text": make_fallback_text(whole) or "…",
            "blocks": [*([{"type": "markdown", "text": whole}] if whole.strip() else []), *ending.blocks],
            "metadata": ending.metadata,
        }
        if self._ts is None:
            posted = await self._api.call(
                "chat.postMessage", thread_ts=self._target.thread_ts, unfurl_links=False, unfurl_media=False, **shown
            )
            self._ts = str(posted.get("ts", ""))
        else:
            await self._api.call("chat.update", ts=self._ts, **shown)
        self.text = whole


async def open_message(
    target: ReplyTarget, api: SlackWebApi, capabilities: SlackCapabilities, text: str
) -> AnswerMessage:
    """Open a message with its first text: a stream, or a post where this Slack, or this minute, has no streams."""
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
    """Shows that the bot is at work: a session, and in words a status, as far as this Slack has them."""

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
        self._is_setting = False
        self.session = False
        """Whether a session shows it, which somebody must set at rest."""
        self.status = False
        """Whether a status shows it, which Slack clears when a message follows."""

    def start(self, every_s: float = 60.0) -> None:
        """Show it, in a task of its own, and again before it would vanish."""
        self._task = asyncio.create_task(self._refresh(every_s), name="slack status")

    async def _refresh(self, every_s: float) -> None:
        while True:
            self._is_setting = True
            self._changed.clear()
            again = await self._show()
            self._is_setting = False
            if not again:
                return
            await asyncio.sleep(_STATUS_EVERY_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await self._changed.wait()

    def tell(self, words: str) -> bool:
        """Show other words as soon as Slack takes them, "" for the usual ones; False where they may not be seen.

        What comes faster than it may be shown is passed over: the last words count. Beside a session, not every Slack
        shows them.
        """
        if not self._capabilities.has_statuses:
            return False
        self._words = words or self._default_text
        self._changed.set()
        return not self.session

    async def _show(self) -> bool:
        if self._capabilities.has_sessions and not self.session:
            session = {"status": "processing", "initiator_user_id": self._user}
            self.session = await self._set("agents.sessions.setStatus", session)
        if self._capabilities.has_statuses:
            shown = await self._set("assistant.threads.setStatus", {"status": self._words})
            self.status = shown or self.status
        return self.status

    async def _set(self, method: str, arguments: Mapping[str, Any]) -> bool:
        try:
            await self._api.call(method, wait=False, **self._thread, **arguments)
        except (SlackRefused, SlackMissingScope) as error:
            if isinstance(error, SlackMissingScope) or error.code in _UNSUPPORTED_CODES:
                self._capabilities.forget(method)
            return False
        except SlackError:
            return False
        return True

    async def stop(self, *, at_rest: bool, answered: bool) -> None:
        """Show it no longer.

        ``at_rest`` tells that the answer's last call has ended the session already, ``answered`` that a message has
        taken the words away.

        A status that is on its way is waited for: it must not arrive after the end and stay.
        """
        task, late = self._task, self._is_setting
        self._task = None
        if task is None:
            return
        if not late:
            task.cancel()
        await asyncio.wait([task], timeout=_STATUS_STOP_TIMEOUT_S)
        task.cancel()
        if self.session and (late or not at_rest):
            await self._set("agents.sessions.setStatus", {"status": "active"})
        if self.status and (late or not answered):
            await self._set("assistant.threads.setStatus", {"status": ""})

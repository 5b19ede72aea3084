"""The Slack messages of an answer: streamed if Slack supports it, or else posted and updated."""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from bot.languages.registry import Language
from bot.messages import slack_errors
from bot.slack.posting.plan import AnswerPlan
from bot.slack.wire.errors import SlackError, SlackLimited, SlackRefused
from bot.slack.wire.rate_limits import MessagePace, RateLimits, RefusedMethods
from bot.slack.wire.text.render import make_fallback_text
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.turns.questions import is_app

STREAM_CHARACTERS = 11_500
"""Characters of a streamed message; Slack's limit is 12,000, and it counts rare characters differently."""
POST_CHARACTERS = 3_500
"""Characters of a posted message; the limit of ``chat.update`` is 4,000."""
_MAX_NOTIFICATION = 3_000
_MAX_TEXT = 40_000
"""Characters of a posted message without blocks."""
_MAX_STREAM_AGE_S = 240.0
"""The age at which a stream is closed; Slack ends it about 300 s after its start."""

ROOM_WAIT_S = 1.0
"""How long a call waits before it looks again whether the rate limit has room."""
_LAST_UPDATES = 0.5
"""The part of the updates that only complete answers may use."""

STREAM_ENDED_CODES = {
    "message_not_in_streaming_state",
    "message_not_streaming",
    "streaming_state_conflict",
    "stream_expired",
}

Block = Mapping[str, Any]


class AnswerForm(Enum):
    """How an answer is sent; each refusal of Slack leads to the next form."""

    COMPLETE = auto()
    WITHOUT_BLOCKS = auto()
    PLAIN = auto()
    """The rest is posted as plain text, once it is complete."""


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """The thread and the person of an answer, and what reaches them."""

    api: SlackWebApi
    capabilities: SlackCapabilities
    channel: str
    thread_ts: str
    question_ts: str
    user: str
    find_workspace: Callable[[str], Awaitable[str]]
    language: Language
    revision: int
    """How often the question was edited."""
    earlier: tuple[str, ...]
    """The timestamps of the answer to an earlier text of the question, which this answer replaces."""
    regenerates: bool
    """Whether this answer replaces them because the asker wants another one."""
    is_unasked: bool
    share_name: str
    """The name of the channel in which the answer may be shared, "" for none."""
    is_confidential: bool
    """Whether nothing of the answer may be kept outside its messages."""
    texts: dict[str, str] = field(default_factory=dict)
    """The Markdown of each complete message of this answer, by its timestamp."""


@dataclass(slots=True)
class SlackCapabilities:
    """What this Slack supports, as calls have shown, and the calls that all replies together may make."""

    refused_methods: RefusedMethods = field(default_factory=RefusedMethods)
    status_every_s: float = 2.0
    prompts_every_s: float = 10.0
    now: Callable[[], float] = time.monotonic
    plan_after_s: float = 1.0
    """How long an answer without text waits before its plan is shown."""
    limits: RateLimits = field(default_factory=RateLimits)

    def can_stream(self, target: ReplyTarget) -> bool:
        """Return whether an answer may be streamed to its person now; Slack streams nothing to an app."""
        may_stream = not is_app(target.user) and self.refused_methods.allows_method("chat.startStream", target.user)
        return may_stream and self.limits.streams.allows_begin()

    @property
    def can_update_often(self) -> bool:
        """Return whether messages may be updated before their answers are complete."""
        return self.limits.updates.has_room(_LAST_UPDATES)


@dataclass(frozen=True, slots=True)
class AnswerEnding:
    """The end of an answer: the blocks under it, the metadata of a complete answer, and whether it ends the session."""

    blocks: tuple[Block, ...] = ()
    metadata: Block | None = None
    ends_session: bool = False


class AnswerMessage(abc.ABC):
    """An unfinished message."""

    limit = POST_CHARACTERS

    def __init__(self, target: ReplyTarget, ts: str | None = None) -> None:
        self.text = ""
        self.ts = ts
        """The message's timestamp, None before it exists."""
        self._target = target
        self._pace = MessagePace(target.capabilities.now)

    @property
    def remaining_s(self) -> float:
        """Return how long text can still be added, in seconds."""
        return float("inf")

    @property
    def has_news(self) -> bool:
        """Return whether the plan above the text has changed."""
        return False

    def drop_plan(self) -> bool:
        """Stop showing the plan, because Slack has refused a call; return False if the call had none."""
        return False

    @abc.abstractmethod
    def get_pause_s(self, *, is_text: bool) -> float:
        """Return how long to wait before a call that is not the last, in seconds; ``is_text`` if it has text."""

    @abc.abstractmethod
    async def add_text(self, text: str) -> None:
        """Append Markdown; open the message if it does not exist yet."""

    @abc.abstractmethod
    async def end_message(self, text: str, ending: AnswerEnding) -> None:
        """Append the last Markdown and close the message."""


class StreamedMessage(AnswerMessage):
    """A message that Slack streams."""

    limit = STREAM_CHARACTERS

    def __init__(self, target: ReplyTarget, plan: AnswerPlan | None = None) -> None:
        """Take ``plan`` for a message that shows the progress above its text."""
        super().__init__(target)
        self.plan = plan
        self._opened_at = target.capabilities.now()

    @property
    def remaining_s(self) -> float:
        """Return how long until the stream must be closed, in seconds."""
        return _MAX_STREAM_AGE_S - (self._target.capabilities.now() - self._opened_at)

    @property
    def has_news(self) -> bool:
        """Return whether the plan above the text has changed."""
        return self.plan is not None and bool(self.plan.list_changes())

    def get_pause_s(self, *, is_text: bool) -> float:
        """Return how long to wait before the next append, in seconds."""
        has_room = self._target.capabilities.limits.appends.has_room()
        return self._pace.get_wait_s(is_text=is_text) if has_room else ROOM_WAIT_S

    def drop_plan(self) -> bool:
        """Stop showing the plan; return False if the last call had no chunks of it."""
        had_news, self.plan = self.has_news, None
        return had_news

    async def add_text(self, text: str) -> None:
        """Append to the stream, or start it; a rate limit of the start raises ``SlackLimited``."""
        if self.ts is None:
            await self._start_stream(text)
        else:
            await asyncio.sleep(self._target.capabilities.limits.appends.reserve_call())
            await self._call_stream("chat.appendStream", text, channel=self._target.channel, ts=self.ts)
        self._pace.note_call(is_text=bool(text))

    async def _start_stream(self, text: str) -> None:
        target = self._target
        if not self._target.capabilities.limits.streams.begin(self):
            raise SlackLimited(slack_errors.LIMITED.fill(seconds=0))
        self._opened_at = self._target.capabilities.now()
        try:
            started = await self._call_stream(
                "chat.startStream",
                text,
                wait=False,
                channel=target.channel,
                thread_ts=target.thread_ts,
                recipient_user_id=target.user,
                recipient_team_id=await target.find_workspace(target.user),
                task_display_mode=None if self.plan is None else "plan",
            )
        except SlackError:
            self._target.capabilities.limits.streams.end(self)
            raise
        self.ts = str(started.get("ts", ""))

    async def _call_stream(self, method: str, text: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Send text, and the changes of the plan before it."""
        chunks = [] if self.plan is None else self.plan.list_changes()
        if chunks:
            content: dict[str, Any] = {
                "chunks": [*chunks, *([{"type": "markdown_text", "text": text}] if text else [])]
            }
        else:
            content = {"markdown_text": text or None}
        answer = await self._target.api.call(method, **content, **arguments)
        if self.plan is not None:
            self.plan.note_shown(chunks)
        self.text += text
        return answer

    async def end_message(self, text: str, ending: AnswerEnding) -> None:
        """Stop the stream with its last text and the blocks under it."""
        try:
            await self._call_stream(
                "chat.stopStream",
                text,
                channel=self._target.channel,
                ts=self.ts,
                blocks=list(ending.blocks) or None,
                metadata=ending.metadata,
                session_status="active" if ending.ends_session else None,
            )
        finally:
            self._target.capabilities.limits.streams.end(self)
        self._target.texts[str(self.ts)] = self.text


class PostedMessage(AnswerMessage):
    """A message that is posted with its first text and updated with more. It shows no plan."""

    def __init__(self, target: ReplyTarget, ts: str | None = None, *, is_plain: bool = False) -> None:
        """Take ``is_plain`` for a message without blocks."""
        super().__init__(target, ts)
        self.continues_stream = False
        """Whether it was a stream, which may have more text in Slack than is known."""
        self._is_plain = is_plain

    @classmethod
    def continue_from(cls, message: AnswerMessage, target: ReplyTarget) -> PostedMessage:
        """Return a message that continues a stopped stream by updates."""
        posted = cls(target, message.ts)
        posted.text = message.text
        posted.limit = message.limit
        posted.continues_stream = True
        return posted

    def get_pause_s(self, *, is_text: bool) -> float:
        """Return how long to wait before the next update, in seconds: the last ones of all answers need room."""
        has_room = self._target.capabilities.can_update_often
        return self._pace.get_wait_s(is_text=is_text) if has_room else ROOM_WAIT_S

    async def show_line(self, line: str) -> PostedMessage:
        """Show a line that the first text will replace, and return the message."""
        await self._write_message(line, AnswerEnding())
        self.text = ""
        return self

    async def add_text(self, text: str) -> None:
        """Show the text so far and more text."""
        await self._write_message(self.text + text, AnswerEnding())
        self._pace.note_call(is_text=bool(text))

    async def end_message(self, text: str, ending: AnswerEnding) -> None:
        """Show the text so far, the last text, and the blocks under it."""
        await self._write_message(self.text + text, ending)
        if not self._is_plain:
            self._target.texts[str(self.ts)] = self.text

    async def _write_message(self, whole: str, ending: AnswerEnding) -> None:
        blocks = [*([{"type": "markdown", "text": whole}] if whole.strip() else []), *ending.blocks]
        content: dict[str, Any] = {
            "channel": self._target.channel,
            "text": make_fallback_text(whole, _MAX_TEXT if self._is_plain else _MAX_NOTIFICATION) or "…",
            "blocks": [] if self._is_plain else blocks,  # an update without this key keeps the blocks
            "metadata": ending.metadata,
        }
        limits = self._target.capabilities.limits
        is_new = self.ts is None
        await asyncio.sleep(limits.reserve_post(self._target.channel) if is_new else limits.updates.reserve_call())
        if is_new:
            posted = await self._target.api.call(
                "chat.postMessage", thread_ts=self._target.thread_ts, unfurl_links=False, unfurl_media=False, **content
            )
            self.ts = str(posted.get("ts", ""))
        else:
            await self._target.api.call("chat.update", ts=self.ts, **content)
        self.text = whole


async def open_stream(target: ReplyTarget, text: str, plan: AnswerPlan | None = None) -> StreamedMessage | None:
    """Open a stream with its first text or its plan; return None if Slack does not support or now limits streams."""
    stream = StreamedMessage(target, plan)
    if target.capabilities.can_stream(target):
        try:
            await stream.add_text(text)
        except SlackLimited:
            return None
        except SlackRefused as error:
            target.capabilities.refused_methods.note_refusal("chat.startStream", target.user, error)
        else:
            return stream
    return None


async def open_message(target: ReplyTarget, text: str) -> AnswerMessage:
    """Open a message with its first text: a stream, or else a post."""
    if (stream := await open_stream(target, text)) is not None:
        return stream
    post = PostedMessage(target)
    await post.add_text(text)
    return post

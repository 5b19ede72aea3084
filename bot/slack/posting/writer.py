"""Text that comes in pieces → Slack messages, one call at a time.

What arrives while a call is in flight waits and goes out together with the next. A message that grows full or old is
closed and the text goes on in another, code fences closed and reopened. Text leaves the buffer only once Slack has
taken it: nothing that was written is dropped, and what Slack may or may not have taken is settled by an update.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from bot.slack.errors import SlackError, SlackRefused, SlackStopped, SlackUnavailable
from bot.slack.posting import render
from bot.slack.posting.message_sink import (
    DEAD,
    POST_CHARACTERS,
    Abilities,
    Closing,
    Place,
    Posted,
    Sheet,
    Streamed,
    first_sheet,
)
from bot.slack.transport.calls import Calls

TIDY_S = 5.0
"""How long cleaning up after a cancelled reply may take."""
_LEAST_ROOM = 100
"""A message with less room than this counts as full."""

Note = Callable[[Sequence[str]], Awaitable[None]]


class Writer:
    """Writes one text into one thread."""

    def __init__(
        self, place: Place, calls: Calls, abilities: Abilities, note: Note, rendered: Callable[[str], str]
    ) -> None:
        self._place = place
        self._calls = calls
        self._abilities = abilities
        self._note = note
        self._rendered = rendered
        self._raw: list[str] = []
        """Markdown as the model wrote it, rendered when its call is due: all that has come by then, in one go."""
        self._pending = ""
        self._opening = ""
        """What the next message begins with: the reopened fence."""
        self._sheet: Sheet | None = None
        self._closing: Callable[[], Closing] | None = None
        self._offered = 0
        """How many of the pending characters are in the call under way."""
        self._in_doubt = False
        """Whether the last call may have been taken although we do not know."""
        self._dropped = False
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self.streams = True
        """Whether a new message may be streamed; one sentence of our own needs no stream."""
        self.closed = False
        self.closed_by_stream = False
        """Whether the last message was a stream, whose end also set the session at rest."""
        self.replies: list[str] = []
        """Timestamps of the messages written, in order."""
        self.first_call_s: float | None = None
        """From the first text to its call on its way, in seconds."""
        self._first_text_at = 0.0

    @property
    def has_written(self) -> bool:
        """Tell whether anything was written, or is about to be."""
        self._render()
        return bool(self._pending.strip()) or bool(self.replies)

    def write(self, text: str) -> None:
        """Append Markdown that is rendered already."""
        self._render()
        self._pending += text
        self._come(text)

    def write_raw(self, markdown: str) -> None:
        """Append Markdown as the model wrote it."""
        self._raw.append(markdown)
        self._come(markdown)

    def _come(self, text: str) -> None:
        if text and not self._first_text_at:
            self._first_text_at = time.perf_counter()
        self._wake.set()

    def _render(self) -> None:
        if self._raw:
            self._pending += self._rendered("".join(self._raw))
            self._raw.clear()

    def drop(self) -> None:
        """Forget what is not sent yet, and take it that the person may have stopped the stream."""
        self._raw.clear()
        self._pending = ""
        self._dropped = True

    def leave_code(self) -> None:
        """Close a code fence that is open at the end of the text so far."""
        self._render()
        shown = self._sheet.text if self._sheet is not None else self._opening
        fence = render.open_fence(shown + self._pending)
        if fence is not None:
            self.write(render.close_fence(fence, shown + self._pending) + "\n")

    def end(self, closing: Callable[[], Closing]) -> None:
        """Say that no more text comes; ``closing`` is asked once, when the last call is made."""
        self._closing = closing
        self._ended.set()
        self._wake.set()

    async def run(self) -> None:
        """Send until the text has ended and all of it is shown.

        Raises:
            SlackError: Slack did not take it; what was shown stays.

        """
        while not self.closed:
            await self._due()
            await self._step()

    async def halt(self) -> None:
        """Stop a stream where it is, within a few seconds, whatever happens."""
        with contextlib.suppress(SlackError, TimeoutError):
            async with asyncio.timeout(TIDY_S):
                if isinstance(self._sheet, Streamed) and not self.closed:
                    await self._sheet.end("", Closing())
        self.closed = True

    async def _due(self) -> None:
        """Wait until there is something to send and the tier allows it, or until the message has grown old."""
        sheet = self._sheet
        left_s = sheet.expires_in_s if sheet is not None else float("inf")
        while not (self._pending or self._raw or self._ended.is_set()):
            self._wake.clear()
            if not await _happens(self._wake, left_s):
                return
        pause_s = sheet.pause_s() if sheet is not None and not self._ended.is_set() else 0.0
        if pause_s > 0:
            await _happens(self._ended, min(pause_s, left_s))

    async def _step(self) -> None:
        """Make the one call that is due."""
        if self._in_doubt:
            await self._settle()
        self._render()
        sheet = self._sheet
        room = (sheet.limit - len(sheet.text) if sheet else POST_CHARACTERS - len(self._opening)) - render.CLOSING
        if sheet is not None and (sheet.expires_in_s <= 0 or (self._pending and room < _LEAST_ROOM)):
            await self._certainly(self._turn_over(sheet, ""))
            return
        piece, rest = render.cut(self._pending, room)
        if self._closing is not None and not rest and (sheet is not None or not self._streams_now()):
            call = self._finish(sheet, piece, self._closing())
        elif sheet is None:
            call = self._open(self._opening + piece)
        elif rest:
            call = self._turn_over(sheet, piece)
        else:
            call = sheet.add(piece)
        self._note_first_call(piece)
        self._offered = len(piece)
        if await self._certainly(call):
            self._take_off()

    def _streams_now(self) -> bool:
        return self.streams and self._abilities.streams and not self._calls.limited_for_s("chat.startStream")

    def _take_off(self) -> None:
        """Take what Slack has taken out of the buffer."""
        self._pending = self._pending[self._offered :]
        self._offered = 0

    async def _certainly(self, call: Coroutine[Any, Any, None]) -> bool:
        """Make a call; False if it was not taken and the text must go out another way."""
        sheet = self._sheet
        self._in_doubt = True
        try:
            await call
        except SlackRefused as error:
            self._in_doubt = False
            if sheet is None or error.code not in DEAD:
                raise
            # The stream died under us: what Slack took stays, the rest goes on in a new message.
            self._turned(render.open_fence(sheet.text))
            return False
        except SlackUnavailable as error:
            self._in_doubt = error.maybe_done
            if sheet is None or not error.maybe_done:
                raise
            await self._settle()
            return False
        except SlackStopped:
            self._in_doubt = False
            if not self._dropped or sheet is None:
                raise
            self._by_updates(sheet)
            return False
        except SlackError:
            self._in_doubt = False
            raise
        self._in_doubt = False
        return True

    async def _settle(self) -> None:
        """After a call that Slack may have taken: stop the stream, and go on by updates, which may be repeated."""
        self._in_doubt = False
        sheet = self._sheet
        if isinstance(sheet, Streamed):
            with contextlib.suppress(SlackRefused, SlackStopped):
                await sheet.end("", Closing())
            self._by_updates(sheet)

    def _by_updates(self, sheet: Sheet) -> None:
        self._sheet = Posted.instead_of(sheet, self._place, self._calls, self._abilities)

    async def _open(self, text: str) -> None:
        await self._known(first_sheet(self._place, self._calls, self._abilities, text))

    async def _finish(self, sheet: Sheet | None, piece: str, closing: Closing) -> None:
        if sheet is not None:
            await sheet.end(piece, closing)
            self.closed_by_stream = isinstance(sheet, Streamed)
        elif (self._opening + piece).strip() or closing.tail:
            await self._known(self._post(self._opening + piece, closing))
        self.closed = True

    async def _post(self, text: str, closing: Closing) -> Sheet:
        post = Posted(self._place, self._calls, self._abilities)
        await post.end(text, closing)
        return post

    async def _turn_over(self, sheet: Sheet, piece: str) -> None:
        whole = sheet.text + piece
        fence = render.open_fence(whole)
        await sheet.end(piece + (render.close_fence(fence, whole) if fence else ""), Closing())
        self._turned(fence)

    def _turned(self, fence: str | None) -> None:
        self._sheet = None
        self._opening = f"{fence}\n" if fence else ""

    async def _known(self, opening: Coroutine[Any, Any, Sheet]) -> None:
        """Open a message and record it; a cancelled opening is seen through, for what Slack has made must be known."""
        task = asyncio.ensure_future(opening)
        try:
            self._opened(await asyncio.shield(task))
        except asyncio.CancelledError:
            with contextlib.suppress(SlackError, TimeoutError):
                async with asyncio.timeout(TIDY_S):
                    self._opened(await task)
            raise
        await self._note(self.replies)

    def _opened(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._opening = ""
        self._in_doubt = False
        self._take_off()
        if sheet.ts:
            self.replies.append(sheet.ts)

    def _note_first_call(self, piece: str) -> None:
        if piece and self.first_call_s is None:
            self.first_call_s = time.perf_counter() - self._first_text_at


async def _happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event for at most so many seconds; tells whether it came.

    Not with ``asyncio.wait_for``, which loses a cancellation that comes together with the event (Python 3.11).
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None if within_s == float("inf") else max(within_s, 0.0)):
            await event.wait()
    return event.is_set()

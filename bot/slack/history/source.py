"""Slack's public channels as a source: each thread is a document.

The first listing walks through the channels. What happens afterwards is told by events, which the journal keeps, so a
listing is what is remembered and what was noted since; only what happened while nobody was there to be told is asked
for again. Private channels and direct messages are never listed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.slack.errors import SlackError, SlackMissingScope, SlackUnauthorized, SlackUnavailable
from bot.slack.events import Me
from bot.slack.history.channel_events import Standing, standing
from bot.slack.history.channel_state import VERSION, Remembered, Room, Thread, doubt, take_news, take_page
from bot.slack.history.channels import Channels, Pace
from bot.slack.history.transcript import Message, people_in, text_of, title_of, told
from bot.slack.transport.calls import Calls
from bot.storage.channel_event_log import KEPT_S, Journal, unwatched_from
from bot.storage.database import LedgerError
from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import Content, Listed, Memory, SourceContext, SourceKey
from knowledge.sources.memory import load_state, save_state
from knowledge.sources.registry import SourceKind

_BATCH = 2_000
_SAVED_EVERY = 10
"""Pages between two times that a walk is saved."""
_LATELY_S = 3 * 86_400.0
"""A thread that was active so shortly before events were missed is read again: its replies may have changed."""
_OVERLAP_S = 60.0
_WALK_EVERY_S = 7 * 86_400.0
"""All channels are walked through again this often: an event that was lost is made up for."""
_END = "9999999999.999999"
"""A walk begins below this ``ts``."""
_LOOK_S = 5.0
_QUIET_S = 10.0
"""Between news and telling of it: a conversation is one change."""
Connect = Callable[[], AbstractAsyncContextManager[Calls]]
"""Opens the Web API; raises ``SlackError``."""


@dataclass(frozen=True, slots=True)
class SlackOptions:
    """The keys of a ``[[source]]`` of kind ``slack``."""

    channels: tuple[str, ...] = ()
    """Ids of channels; without it, every public channel that the bot is in."""
    since: str = ""
    """Threads begun before this day (``2026-01-31``, UTC) are left out."""
    bots: bool = False
    """Whether what other apps say is taken too."""


class SlackSource:
    """Lists and reads the threads of public channels."""

    def __init__(
        self,
        key: SourceKey,
        options: SlackOptions,
        context: SourceContext,
        *,
        connect: Connect,
        journal: Journal,
        pace: Pace,
    ) -> None:
        self.key = key
        self._options = options
        self._since = _day(context.name, options.since)
        self._readers = context.readers
        self._memory: Memory = context.memory(key)
        self._now = context.now
        self._sleep = context.sleep
        self._connect = connect
        self._journal = journal
        self._pace = pace
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._channels: Channels | None = None
        self._remembered = Remembered()

    async def list(self) -> AsyncIterator[Sequence[Listed]]:
        """Yield the threads; while the channels are walked through, empty batches.

        Raises:
            SourceError: Slack cannot be asked or refuses us, or the journal cannot be read.

        """
        with _told(self.key.name):
            slack = await self._opened()
            remembered = await self._recalled(slack)
            async for _ in self._brought_up_to_date(slack, remembered):
                yield ()
            self._remembered = remembered
            for batch in _batches(self._listed(slack, remembered)):
                yield batch

    async def read(self, listed: Listed) -> Content:
        """Read one thread.

        Raises:
            SourceError: it was deleted, or Slack cannot be asked.

        """
        channel, _, root = listed.document.partition("/")
        with _told(self.key.name):
            room = self._remembered.rooms.get(channel)
            if room is not None and room.left:
                raise SourceError(f"{listed.document} is of a channel that Kvasir left. It is shown to nobody.")
            slack = await self._opened()
            messages = await self._messages(slack, channel, root)
            if not messages:
                raise SourceError(f"{listed.document} was deleted in Slack. Nothing needs to be done.")
            kept = told(messages, slack.me, bots=self._options.bots)
            names = await slack.names(people_in(kept))
        title = title_of(kept, names, room.name if room else channel)
        return Content(text_of(kept, names).encode(), "text/plain; charset=utf-8", listed.version, title)

    async def close(self) -> None:
        """Close the connection and forget what was kept for this sync; the source may be used again."""
        stack, self._stack, self._channels = self._stack, AsyncExitStack(), None
        await stack.aclose()

    async def changes(self) -> AsyncIterator[None]:
        """Yield after something was said in a public channel, once it is quiet for some seconds.

        Raises:
            SourceError: the journal cannot be read, or Slack does not say who we are.

        """
        with _told(self.key.name):
            async with self._connect() as calls:  # one of its own: a sync may be running, and closes what is the sync's
                team = str((await calls.call("auth.test")).get("team_id") or "")
            number = await self._journal.head(team)
            while True:
                await self._journal.wait(team, number, look_s=_LOOK_S)
                await self._sleep(_QUIET_S)
                number = await self._journal.head(team)
                yield None

    async def _opened(self) -> Channels:
        async with self._opening:
            if self._channels is None:
                calls = await self._stack.enter_async_context(self._connect())
                who = await calls.call("auth.test")
                me = Me(*(str(who.get(name) or "") for name in ("team_id", "user_id", "bot_id")))
                url = str(who.get("url") or "https://slack.com/")
                self._channels = Channels(calls, me, url, self._pace, self._sleep)
            return self._channels

    # ── Listing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _recalled(self, slack: Channels) -> Remembered:
        """Return what is remembered of this workspace; nothing, if news since then may have been forgotten."""
        team = slack.me.team
        remembered = Remembered.load(await load_state(self._memory, VERSION))
        if remembered.team == team and self._now() - remembered.watched <= KEPT_S:
            return remembered
        # What was told before is in the channels' pages.
        return Remembered(team=team, applied=await self._journal.head(team))

    async def _brought_up_to_date(self, slack: Channels, remembered: Remembered) -> AsyncIterator[None]:
        """Make what is remembered what is there; yields after each call that takes its time."""
        now = self._now()
        watches = await self._journal.watches(slack.me.team)
        watched, is_now = unwatched_from(watches, remembered.watched, now)
        again = now - remembered.walked > _WALK_EVERY_S
        self._follow(remembered, await slack.rooms(self._options.channels), again=again)
        if again:
            remembered.walked = now
        if remembered.watched and not is_now:
            async for _ in self._made_up_for(slack, remembered, watched):
                yield
        remembered.watched = watched if is_now else now
        async for _ in self._walked(slack, remembered):
            yield
        await self._take_news(slack, remembered)
        await save_state(self._memory, VERSION, remembered.dump())

    def _follow(self, remembered: Remembered, rooms: Mapping[str, str], *, again: bool) -> None:
        """Begin with new channels and leave those that the bot is not in any more; ``again`` walks through all.

        What a channel said that was left, archived or made private is listed once more, for nobody, and then no longer:
        a deletion may be held until somebody agrees, and until then it must not answer.
        """
        for channel in remembered.rooms.keys() - rooms.keys():
            if remembered.rooms[channel].left:
                del remembered.rooms[channel]
            else:
                remembered.rooms[channel].left = True
        for channel, name in rooms.items():
            room = remembered.rooms.get(channel)
            if room is None or room.left:
                remembered.rooms[channel] = Room(name, below=_END)
            else:
                room.name = name
                if again and room.below is None:
                    room.below = _END

    async def _made_up_for(self, slack: Channels, remembered: Remembered, since: float) -> AsyncIterator[None]:
        """Ask for what happened since nobody was there to be told."""
        doubt(remembered, since - _LATELY_S, f"{self._now():.6f}")
        low = f"{max(since - _OVERLAP_S, self._since):.6f}"
        for channel, room in remembered.rooms.items():
            if room.below is not None or room.left:
                continue  # it is walked through anyway, or never again
            high = None
            while True:
                high = await self._take(slack, channel, room, low=low, high=high)
                yield
                if high is None:
                    break

    async def _walked(self, slack: Channels, remembered: Remembered) -> AsyncIterator[None]:
        """Walk through channels from their newest thread to their oldest, and go on where a walk was left."""
        low, pages = f"{self._since:.6f}", 0
        for channel, room in remembered.rooms.items():
            while room.below is not None and not room.left:
                high = None if room.below == _END else room.below
                room.below = await self._take(slack, channel, room, low=low, high=high)
                pages += 1
                if pages % _SAVED_EVERY == 0:
                    await save_state(self._memory, VERSION, remembered.dump())
                yield

    async def _take(self, slack: Channels, channel: str, room: Room, *, low: str, high: str | None) -> str | None:
        """Take in one page of a channel; returns where the next one begins, None after the last."""
        messages, more = await slack.page(channel, low=low, high=high)
        last = min((str(m["ts"]) for m in messages), key=float, default=None) if more else None
        below = f"{float(last) - 0.000_001:.6f}" if last is not None else low
        take_page(room, messages, slack.me, low=below, high=high, bots=self._options.bots)
        return last

    async def _take_news(self, slack: Channels, remembered: Remembered) -> None:
        news = await self._journal.after(slack.me.team, remembered.applied)
        found = [one for _, one in news]
        unknown = dict.fromkeys(take_news(remembered, found, since=self._since, bots=self._options.bots))
        for channel, root in unknown:
            await self._look_up(slack, remembered.rooms[channel], channel, root)
        if news:
            remembered.applied = news[-1][0]

    async def _look_up(self, slack: Channels, room: Room, channel: str, root: str) -> None:
        """Find out about a thread that something happened in although its beginning was not told."""
        first = await slack.first(channel, root)
        if first is not None:
            kind = standing(first, slack.me, bots=self._options.bots)
            room.threads[root] = Thread("", f"{self._now():.6f}", float(root), kind)

    def _listed(self, slack: Channels, remembered: Remembered) -> Iterator[Listed]:
        for channel, room in sorted(remembered.rooms.items()):
            # The newest first: the page that brings one thread for reading brings those that are read next.
            for ts, thread in sorted(room.threads.items(), reverse=True):
                if thread.standing is Standing.LISTED:
                    yield Listed(
                        document=f"{channel}/{ts}",
                        version=thread.version,
                        modified_at=datetime.fromtimestamp(thread.at, UTC),
                        url=slack.link(channel, ts),
                        readers=frozenset() if room.left else self._readers,
                    )

    async def _messages(self, slack: Channels, channel: str, root: str) -> Sequence[Message]:
        room = self._remembered.rooms.get(channel)
        thread = room.threads.get(root) if room else None
        if thread is not None and thread.alone:
            return await slack.single(channel, root)
        return await slack.thread(channel, root)


def slack_kind(connect: Connect, journal: Journal, place: str, pace: Pace | None = None) -> SourceKind:
    """Return the kind ``slack``; ``place`` tells one Slack from another.

    Building raises ``SourceMisconfigured`` where ``since`` is no day.
    """

    def build(context: SourceContext, options: SlackOptions) -> SlackSource:
        key = SourceKey(context.name, "slack", place)
        return SlackSource(key, options, context, connect=connect, journal=journal, pace=pace or Pace())

    return SourceKind(SlackOptions, build)


def nowhere() -> AbstractAsyncContextManager[Calls]:
    """Stand for a Slack that there are no tokens for.

    Raises:
        SlackUnauthorized: always.

    """
    raise SlackUnauthorized(
        "There are no Slack tokens here, so Slack's channels cannot be read. Set SLACK_BOT_TOKEN, or sync from the "
        "Kvasir that runs."
    )


def _day(name: str, text: str) -> float:
    """Return a day's first moment in seconds since the epoch, 0.0 for none."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() if text else 0.0
    except ValueError:
        raise SourceMisconfigured(
            f'Source {name}: since should be a day such as "2026-01-31". Correct it in kvasir.toml.'
        ) from None


def _batches(listed: Iterator[Listed]) -> Iterator[Sequence[Listed]]:
    batch = []
    for one in listed:
        batch.append(one)
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    yield batch


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Say what Slack or the ledger refused as an error of sources."""
    try:
        yield
    except (SlackUnauthorized, SlackMissingScope) as error:
        raise SourceDenied(f"Source {name}: {error}") from error
    except (SlackUnavailable, LedgerError) as error:
        raise SourceUnavailable(f"Source {name}: {error}") from error
    except SlackError as error:
        raise SourceError(f"Source {name}: {error}") from error

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
from bot.slack.events import BotUser
from bot.slack.history.channel_events import ThreadEligibility, judge_thread
from bot.slack.history.channel_reader import ChannelReader, SyncRate
from bot.slack.history.channel_state import (
    VERSION,
    ChannelState,
    ThreadState,
    WorkspaceState,
    apply_events,
    apply_page,
    mark_recent_threads_changed,
)
from bot.slack.history.transcript import Message, find_people, format_text, format_title, select_content
from bot.slack.transport.web_api import SlackWebApi
from bot.storage.channel_event_log import RETENTION_S, ChannelEventLog, find_coverage_end
from bot.storage.database import LedgerError
from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import DocumentContent, ListedDocument, Memory, SourceContext, SourceKey
from knowledge.sources.memory import load_state, save_state
from knowledge.sources.registry import SourceKind

_BATCH_SIZE = 2_000
_SAVE_EVERY_PAGES = 10
"""Pages between two times that a walk is saved."""
_RECENT_S = 3 * 86_400.0
"""A thread that was active so shortly before events were missed is read again: its replies may have changed."""
_OVERLAP_S = 60.0
_FULL_LISTING_EVERY_S = 7 * 86_400.0
"""All channels are walked through again this often: an event that was lost is made up for."""
_NEWEST_TS = "9999999999.999999"
"""A walk begins below this ``ts``."""
_POLL_EVERY_S = 5.0
_DEBOUNCE_S = 10.0
"""Between news and telling of it: a conversation is one change."""
Connect = Callable[[], AbstractAsyncContextManager[SlackWebApi]]
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
        event_log: ChannelEventLog,
        rate: SyncRate,
    ) -> None:
        self.key = key
        self._options = options
        self._since = _parse_day(context.name, options.since)
        self._readers = context.readers
        self._memory: Memory = context.memory(key)
        self._now = context.now
        self._sleep = context.sleep
        self._connect = connect
        self._event_log = event_log
        self._rate = rate
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._reader: ChannelReader | None = None
        self._state = WorkspaceState()

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the threads; while the channels are walked through, empty batches.

        Raises:
            SourceError: Slack cannot be asked or refuses us, or the journal cannot be read.

        """
        with _mapping_errors(self.key.name):
            slack = await self._get_reader()
            state = await self._load_state(slack)
            async for _ in self._update_state(slack, state):
                yield ()
            self._state = state
            for batch in _split_into_batches(self._list_threads(slack, state)):
                yield batch

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one thread.

        Raises:
            SourceError: it was deleted, or Slack cannot be asked.

        """
        channel, _, root = listed.document.partition("/")
        with _mapping_errors(self.key.name):
            room = self._state.channels.get(channel)
            if room is not None and room.is_left:
                raise SourceError(f"{listed.document} is of a channel that Kvasir left. It is shown to nobody.")
            slack = await self._get_reader()
            messages = await self._read_messages(slack, channel, root)
            if not messages:
                raise SourceError(f"{listed.document} was deleted in Slack. Nothing needs to be done.")
            content = select_content(messages, slack.me, bots=self._options.bots)
            names = await slack.find_names(find_people(content))
        title = format_title(content, names, room.name if room else channel)
        return DocumentContent(format_text(content, names).encode(), "text/plain; charset=utf-8", listed.version, title)

    async def close(self) -> None:
        """Close the connection and forget what was kept for this sync; the source may be used again."""
        stack, self._stack, self._reader = self._stack, AsyncExitStack(), None
        await stack.aclose()

    async def changes(self) -> AsyncIterator[None]:
        """Yield after something was said in a public channel, once it is quiet for some seconds.

        Raises:
            SourceError: the journal cannot be read, or Slack does not say who we are.

        """
        with _mapping_errors(self.key.name):
            async with self._connect() as api:  # one of its own: a sync may be running, and closes what is the sync's
                team = str((await api.call("auth.test")).get("team_id") or "")
            number = await self._event_log.find_last_number(team)
            while True:
                await self._event_log.wait_for_events(team, number, look_s=_POLL_EVERY_S)
                await self._sleep(_DEBOUNCE_S)
                number = await self._event_log.find_last_number(team)
                yield None

    async def _get_reader(self) -> ChannelReader:
        async with self._opening:
            if self._reader is None:
                api = await self._stack.enter_async_context(self._connect())
                who = await api.call("auth.test")
                me = BotUser(*(str(who.get(name) or "") for name in ("team_id", "user_id", "bot_id")))
                url = str(who.get("url") or "https://slack.com/")
                self._reader = ChannelReader(api, me, url, self._rate, self._sleep)
            return self._reader

    # ── Listing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _load_state(self, slack: ChannelReader) -> WorkspaceState:
        """Return what is remembered of this workspace; nothing, if news since then may have been forgotten."""
        team = slack.me.team
        state = WorkspaceState.load(await load_state(self._memory, VERSION))
        if state.team == team and self._now() - state.complete_until <= RETENTION_S:
            return state
        # What was told before is in the channels' pages.
        return WorkspaceState(team=team, last_event_id=await self._event_log.find_last_number(team))

    async def _update_state(self, slack: ChannelReader, state: WorkspaceState) -> AsyncIterator[None]:
        """Make what is remembered what is there; yields after each call that takes its time."""
        now = self._now()
        watches = await self._event_log.list_periods(slack.me.team)
        watched, is_now = find_coverage_end(watches, state.complete_until, now)
        again = now - state.listed_version > _FULL_LISTING_EVERY_S
        self._update_channels(state, await slack.channels(self._options.channels), again=again)
        if again:
            state.listed_version = now
        if state.complete_until and not is_now:
            async for _ in self._recover_missed(slack, state, watched):
                yield
        state.complete_until = watched if is_now else now
        async for _ in self._list_channels(slack, state):
            yield
        await self._apply_events(slack, state)
        await save_state(self._memory, VERSION, state.dump())

    def _update_channels(self, state: WorkspaceState, rooms: Mapping[str, str], *, again: bool) -> None:
        """Begin with new channels and leave those that the bot is not in any more; ``again`` walks through all.

        What a channel said that was left, archived or made private is listed once more, for nobody, and then no longer:
        a deletion may be held until somebody agrees, and until then it must not answer.
        """
        for channel in state.channels.keys() - rooms.keys():
            if state.channels[channel].is_left:
                del state.channels[channel]
            else:
                state.channels[channel].is_left = True
        for channel, name in rooms.items():
            room = state.channels.get(channel)
            if room is None or room.is_left:
                state.channels[channel] = ChannelState(name, resume_below=_NEWEST_TS)
            else:
                room.name = name
                if again and room.resume_below is None:
                    room.resume_below = _NEWEST_TS

    async def _recover_missed(self, slack: ChannelReader, state: WorkspaceState, since: float) -> AsyncIterator[None]:
        """Ask for what happened since nobody was there to be told."""
        mark_recent_threads_changed(state, since - _RECENT_S, f"{self._now():.6f}")
        low = f"{max(since - _OVERLAP_S, self._since):.6f}"
        for channel, room in state.channels.items():
            if room.resume_below is not None or room.is_left:
                continue  # it is walked through anyway, or never again
            high = None
            while True:
                high = await self._read_page(slack, channel, room, low=low, high=high)
                yield
                if high is None:
                    break

    async def _list_channels(self, slack: ChannelReader, state: WorkspaceState) -> AsyncIterator[None]:
        """Walk through channels from their newest thread to their oldest, and go on where a walk was left."""
        low, pages = f"{self._since:.6f}", 0
        for channel, room in state.channels.items():
            while room.resume_below is not None and not room.is_left:
                high = None if room.resume_below == _NEWEST_TS else room.resume_below
                room.resume_below = await self._read_page(slack, channel, room, low=low, high=high)
                pages += 1
                if pages % _SAVE_EVERY_PAGES == 0:
                    await save_state(self._memory, VERSION, state.dump())
                yield

    async def _read_page(
        self, slack: ChannelReader, channel: str, room: ChannelState, *, low: str, high: str | None
    ) -> str | None:
        """Take in one page of a channel; returns where the next one begins, None after the last."""
        messages, more = await slack.fetch_page(channel, low=low, high=high)
        last = min((str(m["ts"]) for m in messages), key=float, default=None) if more else None
        below = f"{float(last) - 0.000_001:.6f}" if last is not None else low
        apply_page(room, messages, slack.me, low=below, high=high, bots=self._options.bots)
        return last

    async def _apply_events(self, slack: ChannelReader, state: WorkspaceState) -> None:
        events = await self._event_log.list_events_after(slack.me.team, state.last_event_id)
        found = [one for _, one in events]
        unknown = dict.fromkeys(apply_events(state, found, since=self._since, bots=self._options.bots))
        for channel, root in unknown:
            await self._add_thread(slack, state.channels[channel], channel, root)
        if events:
            state.last_event_id = events[-1][0]

    async def _add_thread(self, slack: ChannelReader, room: ChannelState, channel: str, root: str) -> None:
        """Find out about a thread that something happened in although its beginning was not told."""
        first = await slack.fetch_first(channel, root)
        if first is not None:
            kind = judge_thread(first, slack.me, bots=self._options.bots)
            room.threads[root] = ThreadState("", f"{self._now():.6f}", float(root), kind)

    def _list_threads(self, slack: ChannelReader, state: WorkspaceState) -> Iterator[ListedDocument]:
        for channel, room in sorted(state.channels.items()):
            # The newest first: the page that brings one thread for reading brings those that are read next.
            for ts, thread in sorted(room.threads.items(), reverse=True):
                if thread.eligibility is ThreadEligibility.LISTED:
                    yield ListedDocument(
                        document=f"{channel}/{ts}",
                        version=thread.version,
                        modified_at=datetime.fromtimestamp(thread.active_at, UTC),
                        url=slack.build_link(channel, ts),
                        readers=frozenset() if room.is_left else self._readers,
                    )

    async def _read_messages(self, slack: ChannelReader, channel: str, root: str) -> Sequence[Message]:
        room = self._state.channels.get(channel)
        thread = room.threads.get(root) if room else None
        if thread is not None and thread.has_no_replies:
            return await slack.fetch_single(channel, root)
        return await slack.fetch_thread(channel, root)


def make_slack_kind(
    connect: Connect, event_log: ChannelEventLog, target: str, rate: SyncRate | None = None
) -> SourceKind:
    """Return the kind ``slack``; ``target`` tells one Slack from another.

    Building raises ``SourceMisconfigured`` where ``since`` is no day.
    """

    def build(context: SourceContext, options: SlackOptions) -> SlackSource:
        key = SourceKey(context.name, "slack", target)
        return SlackSource(key, options, context, connect=connect, event_log=event_log, rate=rate or SyncRate())

    return SourceKind(SlackOptions, build)


def refuse_without_tokens() -> AbstractAsyncContextManager[SlackWebApi]:
    """Stand for a Slack that there are no tokens for.

    Raises:
        SlackUnauthorized: always.

    """
    raise SlackUnauthorized(
        "There are no Slack tokens here, so Slack's channels cannot be read. Set SLACK_BOT_TOKEN, or sync from the "
        "Kvasir that runs."
    )


def _parse_day(name: str, text: str) -> float:
    """Return a day's first moment in seconds since the epoch, 0.0 for none."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() if text else 0.0
    except ValueError:
        raise SourceMisconfigured(
            f'Source {name}: since should be a day such as "2026-01-31". Correct it in kvasir.toml.'
        ) from None


def _split_into_batches(listed: Iterator[ListedDocument]) -> Iterator[Sequence[ListedDocument]]:
    batch = []
    for one in listed:
        batch.append(one)
        if len(batch) >= _BATCH_SIZE:
            yield batch
            batch = []
    yield batch


@contextlib.contextmanager
def _mapping_errors(name: str) -> Iterator[None]:
    """Say what Slack or the ledger refused as an error of sources."""
    try:
        yield
    except (SlackUnauthorized, SlackMissingScope) as error:
        raise SourceDenied(f"Source {name}: {error}") from error
    except (SlackUnavailable, LedgerError) as error:
        raise SourceUnavailable(f"Source {name}: {error}") from error
    except SlackError as error:
        raise SourceError(f"Source {name}: {error}") from error

"""Brings the state of channels up to date: reads their pages once, then applies Slack's events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping

from bot.slack.conversations.history.channel_events import judge_thread
from bot.slack.conversations.history.channel_loader import ChannelLoader
from bot.slack.conversations.history.channel_state import (
    VERSION,
    ChannelState,
    ThreadState,
    WorkspaceState,
    apply_events,
    apply_moves,
    apply_page,
    mark_recent_threads_changed,
)
from bot.storage.channels.channel_event_log import RETENTION_S, ChannelEventLog, find_coverage_end
from knowledge.interfaces import Memory
from knowledge.sources.memory import load_state, save_state

_SAVE_EVERY_PAGES = 10
_RECENT_S = 3 * 86_400.0
"""Threads that were active so recently before a gap in the events are read again: their replies may have changed."""
_OVERLAP_S = 60.0
_FULL_LISTING_EVERY_S = 7 * 86_400.0
"""All pages of all channels are read this often, because an event may have been lost."""
_NEWEST_TS = "9999999999.999999"
"""A full listing begins below this ``ts``."""


class ChannelUpdater:
    """Updates the state of the channels for one listing. Every method raises ``SlackError`` or ``DatabaseError``."""

    def __init__(
        self,
        reader: ChannelLoader,
        event_log: ChannelEventLog,
        memory: Memory,
        now: Callable[[], float],
        *,
        since: float,
        bots: bool,
        confidential: Collection[str] = (),
    ) -> None:
        """``confidential`` are ids of channels that are never listed."""
        self._reader = reader
        self._team = reader.me.team
        self._event_log = event_log
        self._memory = memory
        self._now = now
        self._since = since
        self._bots = bots
        self._confidential = confidential

    async def load_state(self) -> WorkspaceState:
        """Return the saved state of this workspace; an empty one if events since then may have been purged."""
        state = WorkspaceState.load_state(await load_state(self._memory, VERSION))
        if state.team == self._team and self._now() - state.complete_until <= RETENTION_S:
            return state
        # The channels' pages include what earlier events reported.
        return WorkspaceState(team=self._team, last_event_id=await self._event_log.find_last_number(self._team))

    async def update_state(self, state: WorkspaceState, chosen: Collection[str]) -> AsyncIterator[None]:
        """Bring the state up to date with the chosen channels, or all if none is chosen; yield after each page."""
        now = self._now()
        numbered = await self._event_log.list_events_after(self._team, state.last_event_id)
        apply_moves(state, [event for _, event in numbered])
        found = await self._reader.list_channels({state.new_ids.get(channel, channel) for channel in chosen})
        hidden = {state.new_ids.get(channel, channel) for channel in self._confidential}.union(self._confidential)
        channels = {id_: name for id_, name in found.items() if id_ not in hidden}
        periods = await self._event_log.list_periods(self._team)
        covered_until, is_now = find_coverage_end(periods, state.complete_until, now)
        is_full = now - state.listed_at > _FULL_LISTING_EVERY_S
        self._update_channels(state, channels, is_full=is_full)
        if is_full:
            state.listed_at = now
        if state.complete_until and not is_now:
            async for _ in self._recover_missed(state, covered_until):
                yield
        state.complete_until = covered_until if is_now else now
        async for _ in self._list_channels(state):
            yield
        await self._apply_events(state)
        await save_state(self._memory, VERSION, state.dump_state())

    def _update_channels(self, state: WorkspaceState, channels: Mapping[str, str], *, is_full: bool) -> None:
        """Add new channels and mark those that the bot has left; a full listing reads all pages again.

        The threads of a channel that was left, archived or made private are listed once more, without readers. Their
        deletion may wait for approval, and until then no answer may use them. Later listings do not have them.
        """
        for channel in state.channels.keys() - channels.keys():
            if state.channels[channel].is_left:
                del state.channels[channel]
            else:
                state.channels[channel].is_left = True
        for channel, name in channels.items():
            channel_state = state.channels.get(channel)
            if channel_state is None or channel_state.is_left:
                state.channels[channel] = ChannelState(name, resume_below=_NEWEST_TS)
            else:
                channel_state.name = name
                if is_full and channel_state.resume_below is None:
                    channel_state.resume_below = _NEWEST_TS

    async def _recover_missed(self, state: WorkspaceState, since: float) -> AsyncIterator[None]:
        """Read the pages of the time in which no process received events."""
        mark_recent_threads_changed(state, since - _RECENT_S, f"{self._now():.6f}")
        low = f"{max(since - _OVERLAP_S, self._since):.6f}"
        for channel, channel_state in state.channels.items():
            if channel_state.resume_below is not None or channel_state.is_left:
                continue  # the listing reads it anyway, or never again
            high = None
            while True:
                high = await self._read_page(channel, channel_state, low=low, high=high)
                yield
                if high is None:
                    break

    async def _list_channels(self, state: WorkspaceState) -> AsyncIterator[None]:
        """Read channels from their newest thread to their oldest, and resume interrupted listings."""
        low, pages = f"{self._since:.6f}", 0
        for channel, channel_state in state.channels.items():
            while channel_state.resume_below is not None and not channel_state.is_left:
                high = None if channel_state.resume_below == _NEWEST_TS else channel_state.resume_below
                channel_state.resume_below = await self._read_page(channel, channel_state, low=low, high=high)
                pages += 1
                if pages % _SAVE_EVERY_PAGES == 0:
                    await save_state(self._memory, VERSION, state.dump_state())
                yield

    async def _read_page(self, channel: str, channel_state: ChannelState, *, low: str, high: str | None) -> str | None:
        """Apply one page of a channel; return where the next one begins, None after the last."""
        messages, has_more = await self._reader.fetch_page(channel, low=low, high=high)
        oldest = min((str(m["ts"]) for m in messages), key=float, default=None) if has_more else None
        below = f"{float(oldest) - 0.000_001:.6f}" if oldest is not None else low
        apply_page(channel_state, messages, self._reader.me, low=below, high=high, bots=self._bots)
        return oldest

    async def _apply_events(self, state: WorkspaceState) -> None:
        numbered = await self._event_log.list_events_after(self._team, state.last_event_id)
        events = [event for _, event in numbered]
        unknown = dict.fromkeys(apply_events(state, events, since=self._since, bots=self._bots))
        for channel, root in unknown:
            await self._add_thread(state.channels[channel], channel, root)
        if numbered:
            state.last_event_id = numbered[-1][0]

    async def _add_thread(self, channel_state: ChannelState, channel: str, root: str) -> None:
        """Add a thread that an event names although no page or event has shown its first message."""
        first = await self._reader.fetch_first(channel, root)
        if first is not None:
            eligibility = judge_thread(first, self._reader.me, bots=self._bots)
            channel_state.threads[root] = ThreadState("", f"{self._now():.6f}", float(root), eligibility)

"""Slack's public channels as a source: each thread is a document.

The first listing reads all pages of the channels. Later listings apply the events that the event log has stored since
then. They read pages again only for the time in which no process received events. Private channels and direct messages
are never listed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.slack.conversations.history.channel_events import ThreadEligibility
from bot.slack.conversations.history.channel_loader import ChannelLoader, SyncRate, list_public_channels
from bot.slack.conversations.history.channel_state import WorkspaceState
from bot.slack.conversations.history.listing import ChannelUpdater
from bot.slack.conversations.history.transcript import (
    FORMAT_VERSION,
    find_people,
    format_text,
    format_title,
    select_content,
)
from bot.slack.wire.errors import SlackError, SlackMissingScope, SlackUnauthorized, SlackUnavailable
from bot.slack.wire.events import BotUser
from bot.slack.wire.installation import read_bot_user
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.storage.channels.channel_event_log import ChannelEventLog
from knowledge.errors import DatabaseError, SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import (
    EVERYONE,
    DocumentContent,
    ListedDocument,
    Memory,
    SourceContext,
    SourceKey,
    intersect_readers,
)
from knowledge.sources.registry import SourceKind

_BATCH_SIZE = 2_000
_POLL_EVERY_S = 5.0
_DEBOUNCE_S = 10.0
"""The time between an event and the report of a change, so that a conversation is one change."""

Connect = Callable[[], AbstractAsyncContextManager[SlackWebApi]]
"""Opens the Web API; raises ``SlackError``."""


@dataclass(frozen=True, slots=True)
class SlackOptions:
    """The keys of a ``[[source]]`` of kind ``slack``."""

    channels: tuple[str, ...] = ()
    """Ids of channels; empty for every public channel that the bot is in."""
    since: str = ""
    """Threads that began before this day (``2026-01-31``, UTC) are not listed."""
    bots: bool = False


class SlackSource:
    """Lists and reads the threads of public channels."""

    lists_rights = True

    def __init__(
        self,
        key: SourceKey,
        options: SlackOptions,
        context: SourceContext,
        *,
        connect: Connect,
        event_log: ChannelEventLog,
        rate: SyncRate,
        confidential: Collection[str] = (),
    ) -> None:
        self.key = key
        self._options = options
        self._since = _parse_day(context.name, options.since)
        self._readers = context.readers
        self._memory: Memory = context.memory(key)
        self._sleep = context.sleep
        self._connect = connect
        self._event_log = event_log
        self._rate = rate
        self._confidential = confidential
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._reader: ChannelLoader | None = None
        self._me: BotUser | None = None
        self._state = WorkspaceState()

    async def list(self) -> AsyncIterator[Sequence[ListedDocument]]:
        """Yield the threads in batches, and an empty batch after each page of a channel.

        Raises:
            SourceError: Slack fails or refuses, or the event log cannot be read.

        """
        with _map_errors(self.key.name):
            reader = await self._get_reader()
            updater = ChannelUpdater(
                reader,
                self._event_log,
                self._memory,
                self._event_log.now,
                since=self._since,
                bots=self._options.bots,
                confidential=self._confidential,
            )
            state = await updater.load_state()
            async for _ in updater.update_state(state, self._options.channels):
                yield ()
            self._state = state
            for batch in _split_into_batches(self._list_threads(reader, state)):
                yield batch

    async def read(self, listed: ListedDocument) -> DocumentContent:
        """Read one thread.

        Raises:
            SourceError: it was deleted, or Slack fails or refuses.

        """
        channel, _, root = listed.document.partition("/")
        with _map_errors(self.key.name):
            channel_state = self._state.channels.get(channel)
            if channel_state is not None and channel_state.is_left:
                raise SourceError(f"{listed.document} is of a channel that Kvasir left. It is shown to nobody.")
            reader = await self._get_reader()
            thread = channel_state.threads.get(root) if channel_state is not None else None
            fetch = reader.fetch_single if thread is not None and thread.has_no_replies else reader.fetch_thread
            messages = await fetch(channel, root)
            if not messages:
                raise SourceError(f"{listed.document} was deleted in Slack. Nothing needs to be done.")
            content = select_content(messages, reader.me, bots=self._options.bots)
            names = await reader.threads.find_names(find_people(content))
        title = format_title(content, names, channel_state.name if channel_state else channel)
        return DocumentContent(format_text(content, names).encode(), "text/plain; charset=utf-8", listed.version, title)

    async def close(self) -> None:
        """Close the connection and empty the cache of this sync; the source can be used again."""
        stack, self._stack, self._reader = self._stack, AsyncExitStack(), None
        await stack.aclose()

    async def read_rights(self, documents: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the readers of threads whose channels are public now and have Kvasir in them.

        Raises:
            SourceError: Slack fails or refuses.

        """
        with _map_errors(self.key.name):
            async with self._connect() as api:  # its own connection, because a sync closes the shared one
                channels = await list_public_channels(api.call, await self._find_bot_user(api))
        of_channels = {document: document.partition("/")[0] for document in documents}
        return {document: self._find_readers(one) for document, one in of_channels.items() if one in channels}

    async def changes(self) -> AsyncIterator[None]:
        """Yield some seconds after new events of public channels.

        Raises:
            SourceError: the event log cannot be read, or Slack does not identify the bot.

        """
        with _map_errors(self.key.name):
            async with self._connect() as api:  # its own connection, because a sync closes the shared one
                team = (await self._find_bot_user(api)).team
            number = await self._event_log.find_last_number(team)
            while True:
                await self._event_log.wait_for_events(team, number, look_s=_POLL_EVERY_S)
                await self._sleep(_DEBOUNCE_S)
                number = await self._event_log.find_last_number(team)
                yield None

    async def _get_reader(self) -> ChannelLoader:
        async with self._opening:
            if self._reader is None:
                api = await self._stack.enter_async_context(self._connect())
                who = await api.call("auth.test")
                url = str(who.get("url") or "https://slack.com/")
                self._me = await read_bot_user(api, who)
                self._reader = ChannelLoader(api, self._me, url, self._rate, self._sleep)
            return self._reader

    async def _find_bot_user(self, api: SlackWebApi) -> BotUser:
        """Return the bot's identity, which Slack is asked for once."""
        if self._me is None:
            self._me = await read_bot_user(api, await api.call("auth.test"))
        return self._me

    def _list_threads(self, reader: ChannelLoader, state: WorkspaceState) -> Iterator[ListedDocument]:
        for channel, channel_state in sorted(state.channels.items()):
            # The newest comes first, because a page that is read for one thread includes the older ones before it.
            for ts, thread in sorted(channel_state.threads.items(), reverse=True):
                if thread.eligibility is ThreadEligibility.LISTED:
                    yield ListedDocument(
                        document=f"{channel}/{ts}",
                        version=f"{FORMAT_VERSION}|{thread.version}",
                        modified_at=datetime.fromtimestamp(thread.active_at, UTC),
                        url=reader.build_link(channel, ts),
                        readers=frozenset() if channel_state.is_left else self._find_readers(channel),
                    )

    def _find_readers(self, channel: str) -> frozenset[str]:
        """Return the readers of a public channel: full members, who may join it, and the guests who are in it."""
        return intersect_readers(self._readers, EVERYONE | {channel})


def make_slack_kind(
    connect: Connect,
    event_log: ChannelEventLog,
    target: str,
    rate: SyncRate | None = None,
    *,
    confidential: Collection[str] = (),
) -> SourceKind:
    """Return the kind ``slack``; ``target`` identifies the Slack that it reads. Confidential channels are never read.

    Its builder raises ``SourceMisconfigured`` if ``since`` is not a day.
    """

    def build_source(context: SourceContext, options: SlackOptions) -> SlackSource:
        key = SourceKey(context.name, "slack", target)
        return SlackSource(
            key,
            options,
            context,
            connect=connect,
            event_log=event_log,
            rate=rate or SyncRate(),
            confidential=confidential,
        )

    return SourceKind(SlackOptions, build_source, lambda *_: ())  # ``SlackSettings`` names Slack's


def refuse_without_tokens() -> AbstractAsyncContextManager[SlackWebApi]:
    """Refuse to connect, for a process without Slack's tokens.

    Raises:
        SlackUnauthorized: always.

    """
    raise SlackUnauthorized(
        "There are no Slack tokens here, so Slack's channels cannot be read. Set SLACK_BOT_TOKEN, or sync from the "
        "Kvasir that runs."
    )


def _parse_day(name: str, text: str) -> float:
    """Return the start of a day in seconds since the epoch, 0.0 for an empty text."""
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
def _map_errors(name: str) -> Iterator[None]:
    """Raise errors of Slack and the ledger as errors of sources."""
    try:
        yield
    except (SlackUnauthorized, SlackMissingScope) as error:
        raise SourceDenied(f"Source {name}: {error}") from error
    except (SlackUnavailable, DatabaseError) as error:
        raise SourceUnavailable(f"Source {name}: {error}") from error
    except SlackError as error:
        raise SourceError(f"Source {name}: {error}") from error

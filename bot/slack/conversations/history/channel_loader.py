"""Reads public channels, their pages and threads from Slack, slowly enough for answers to have calls left."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.slack.conversations.history.transcript import Message
from bot.slack.conversations.thread_loader import ThreadLoader
from bot.slack.wire.errors import SlackGone
from bot.slack.wire.events import BotUser
from bot.slack.wire.rate_limits import CallWindow
from bot.slack.wire.transport.web_api import SlackWebApi, fetch_pages
from knowledge.latest_entries import LatestEntries

PAGE_SIZE = 500
"""Messages of one call; Slack returns up to 1,000, and fewer when it is busy."""
_MAX_CACHED_MESSAGES = 5_000
"""Messages of pages that are cached, so that a thread of one message needs no call of its own."""


@dataclass(frozen=True, slots=True)
class SyncRate:
    """The calls of each method that a sync makes in a minute; tier 3 allows 50, and answers need some of them."""

    calls: int = 40
    page_size: int = PAGE_SIZE


class ChannelLoader:
    """Reads channels through the Web API. Every method raises ``SlackError``."""

    def __init__(
        self,
        api: SlackWebApi,
        me: BotUser,
        url: str,
        rate: SyncRate,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.me = me
        self._api = api
        self._url = url.rstrip("/")
        self.threads = ThreadLoader(api, me)
        self._rate = rate
        self._sleep = sleep
        self._windows: dict[str, CallWindow] = {}
        self._page_lock = asyncio.Lock()
        self._cache: LatestEntries[tuple[str, str], Message] = LatestEntries(_MAX_CACHED_MESSAGES)

    def build_link(self, channel: str, ts: str) -> str:
        """Return the address of a message."""
        return f"{self._url}/archives/{channel}/p{ts.replace('.', '')}"

    async def list_channels(self, chosen: Collection[str]) -> dict[str, str]:
        """Return the names of the bot's public channels by id: of the chosen ones, or of all if none is chosen."""
        found = await list_public_channels(self._call_method, self.me, self._rate.page_size)
        return {channel: name for channel, name in found.items() if not chosen or channel in chosen}

    async def fetch_page(
        self, channel: str, *, low: str | None = None, high: str | None = None, inclusive: bool = False
    ) -> tuple[list[Message], bool]:
        """Return messages between two ``ts``, newest first, and whether there are more between them."""
        page = await self._call_method(
            "conversations.history",
            channel=channel,
            limit=self._rate.page_size,
            oldest=low,
            latest=high,
            inclusive="true" if inclusive else None,
        )
        messages: list[Message] = list(page.get("messages") or ())
        self._cache_messages(channel, messages)
        return messages, bool(page.get("has_more"))

    async def fetch_single(self, channel: str, ts: str) -> list[Message]:
        """Return a message without replies; its page is cached, so that the messages before it need no calls."""
        async with self._page_lock:
            if (channel, ts) not in self._cache:
                await self.fetch_page(channel, high=ts, inclusive=True)
        message = self._cache.get((channel, ts))
        if message is None or int(message.get("reply_count") or 0):
            return await self.fetch_thread(channel, ts)
        return [message]

    async def fetch_first(self, channel: str, ts: str) -> Message | None:
        """Return the first message of a thread, None if it was deleted."""
        messages = await self._fetch_replies(channel, ts, limit=1, max_pages=1)
        return next((message for message in messages if str(message.get("ts")) == ts), None)

    async def fetch_thread(self, channel: str, ts: str) -> list[Message]:
        """Return all messages of a thread; none if it was deleted."""
        messages = await self._fetch_replies(channel, ts, limit=self._rate.page_size)
        return list(
            {str(message.get("ts")): message for message in messages}.values()
        )  # each page begins with the root

    async def _fetch_replies(
        self, channel: str, ts: str, *, limit: int, max_pages: int | None = None
    ) -> Sequence[Message]:
        method = "conversations.replies"
        try:
            pages = await fetch_pages(
                self._call_method, method, max_pages=max_pages, channel=channel, ts=ts, limit=limit
            )
        except SlackGone as error:
            if error.code != "thread_not_found":
                raise
            return ()
        return [message for page in pages for message in page.get("messages") or ()]

    async def _call_method(self, method: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401
        window = self._windows.setdefault(method, CallWindow(self._rate.calls))
        if (wait_s := window.reserve_call()) > 0:
            await self._sleep(wait_s)
        return await self._api.call(method, **arguments)

    def _cache_messages(self, channel: str, messages: Sequence[Message]) -> None:
        for message in messages:
            self._cache[channel, str(message.get("ts"))] = message


async def list_public_channels(
    call: Callable[..., Awaitable[Mapping[str, Any]]], me: BotUser, page_size: int = PAGE_SIZE
) -> dict[str, str]:
    """Return the names of all public channels that the bot is in, by id; ``call`` is ``SlackWebApi.call``."""
    arguments: dict[str, Any] = {"types": "public_channel", "exclude_archived": "true", "limit": page_size}
    teams = me.workspaces or (None,)
    lists = [await fetch_pages(call, "users.conversations", team_id=team, **arguments) for team in teams]
    return {
        str(channel["id"]): str(channel.get("name") or channel["id"])
        for pages in lists
        for page in pages
        for channel in page.get("channels") or ()
        if _is_public(channel)
    }


def _is_public(channel: Mapping[str, Any]) -> bool:
    hidden = ("is_private", "is_im", "is_mpim", "is_group", "is_archived")
    return bool(channel.get("id")) and not any(channel.get(name) for name in hidden)

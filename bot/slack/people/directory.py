"""Slack's people, channels and user groups, as the Web API returns them and events change them.

Everything is cached for less than a minute, because an event may be lost. ``DirectoryChanges`` lets all processes know
what events change. A failed call means unknown, never a default.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final, TypeVar

import structlog

from bot.languages.registry import Language
from bot.slack.people.accounts import Account, Channel, ChannelKind, Company, Status, parse_account, parse_channel
from bot.slack.people.fresh_cache import FreshCache
from bot.slack.wire.errors import SlackError, SlackRefused
from bot.slack.wire.events import get_channel_id, get_object
from bot.slack.wire.transport.web_api import SlackWebApi, fetch_pages
from knowledge.masking import NameIndex

_log = structlog.get_logger(__name__)

TTL_S: Final = 50.0
"""How long anything is cached. With what is computed from it, a change without an event counts within a minute."""
_PAGE_SIZE = 1_000
_MAX_PAGES = 30
"""The most pages of people or members; a larger workspace or channel counts as unknown."""
_MAX_PEOPLE = 60_000
_MAX_CHANNELS = 2_000
_MAX_SINGLE_PEOPLE = 200
_ATTEMPTS = 3
"""How often accounts are found that an event or a new connection removes from the cache meanwhile."""
_CONCURRENT = 8
_CONVERSIONS = {"channel_convert_to_private", "channel_convert_to_public"}
"""Subtypes of the messages that Slack posts when a channel becomes private or public."""
_UNKNOWN_PAGES = 20
"""The assumed cost of a list of all people before the first one, in calls."""

_T = TypeVar("_T")


class DirectoryPart(StrEnum):
    """What is cached: accounts and joined channels by person, channels and members by channel, groups under ""."""

    PERSON = "person"
    CHANNEL = "channel"
    MEMBERS = "members"
    JOINED = "joined"
    GROUPS = "groups"


class SlackDirectory:
    """Finds people, channels and user groups. No method raises ``SlackError``."""

    def __init__(self, api: SlackWebApi, company: Company, *, now: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._company = company
        self._people: FreshCache[str, Account] = FreshCache(TTL_S, _MAX_PEOPLE, now)
        self._people_lists: FreshCache[str, int] = FreshCache(TTL_S, 1, now)
        self._channels: FreshCache[str, Channel] = FreshCache(TTL_S, _MAX_CHANNELS, now)
        self._members: FreshCache[str, frozenset[str]] = FreshCache(TTL_S, _MAX_CHANNELS, now)
        self._joined: FreshCache[str, frozenset[str]] = FreshCache(TTL_S, _MAX_CHANNELS, now)
        self._groups: FreshCache[str, Mapping[str, frozenset[str]]] = FreshCache(TTL_S, 1, now)
        self._caches: Mapping[DirectoryPart, FreshCache[str, Any]] = {
            DirectoryPart.PERSON: self._people,
            DirectoryPart.CHANNEL: self._channels,
            DirectoryPart.MEMBERS: self._members,
            DirectoryPart.JOINED: self._joined,
            DirectoryPart.GROUPS: self._groups,
        }
        self._list_pages = _UNKNOWN_PAGES
        self.names = NameIndex()
        """What people are called in Slack who were looked up; masks need it, and no right depends on it."""
        self.version = 0
        """Counts the events that changed who may read something."""
        self.on_change: Callable[[DirectoryPart, str], None] = lambda _part, _key: None
        """Is called with what an event changes, if that is cached here or may take a right away."""
        self._slots = asyncio.Semaphore(_CONCURRENT)

    # ── Questions ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def find_accounts(self, users: Collection[str]) -> Mapping[str, Account]:
        """Return the account of each user; the status of those that Slack does not return is unknown.

        All people are listed at once if that takes fewer calls.
        """
        accounts: dict[str, Account] = {}
        for _ in range(_ATTEMPTS):
            if len(self._list_missing(users)) > self._list_pages:
                await self._people_lists.fetch("", lambda: self._await_call("users.list", self._list_people()))
            missing = self._list_missing(users)
            single = missing[:_MAX_SINGLE_PEOPLE]
            fetched = await asyncio.gather(*(self._people.fetch(user, self._fetch_person(user)) for user in single))
            accounts = {user: account for user in users if (account := self._people.get(user)) is not None}
            accounts |= {user: account for user, account in zip(single, fetched, strict=True) if account is not None}
            if accounts.keys() >= set(users) - set(missing):
                break
        return {user: accounts.get(user, Account(user)) for user in users}

    async def find_language(self, user: str) -> Language | None:
        """Return the language of a person's Slack; None if it is unknown, or one that Kvasir does not speak."""
        return (await self.find_accounts([user]))[user].language

    async def find_channel(self, channel: str) -> Channel | None:
        """Return a conversation, None if it is unknown."""

        async def fetch_channel() -> Channel:
            answer = await self._api.call("conversations.info", channel=channel)
            return parse_channel(get_object(answer, "channel"))

        return await self._channels.fetch(channel, lambda: self._await_call("conversations.info", fetch_channel()))

    async def list_members(self, channel: str) -> frozenset[str] | None:
        """Return the ids of all members of a conversation, None if they are unknown or too many."""

        async def fetch_members() -> frozenset[str] | None:
            pages = await self._fetch_pages("conversations.members", channel=channel)
            lists = [page.get("members") for page in pages or ()]
            if not lists or not all(isinstance(one, list) for one in lists):
                return None
            return frozenset(str(user) for one in lists for user in one or ())

        return await self._members.fetch(channel, lambda: self._await_call("conversations.members", fetch_members()))

    async def list_groups(self) -> Mapping[str, frozenset[str]]:
        """Return the user groups of each user; none if they are unknown."""

        async def fetch_groups() -> Mapping[str, frozenset[str]]:
            answers = [
                await self._api.call("usergroups.list", wait=False, include_users="true", team_id=team)
                for team in self._teams
            ]
            groups = [group for answer in answers for group in answer.get("usergroups") or ()]
            return _invert_groups({str(group["id"]): group.get("users") or () for group in groups})

        groups = await self._groups.fetch("", lambda: self._await_call("usergroups.list", fetch_groups(), default={}))
        return groups or {}

    async def list_joined_channels(self, user: str) -> frozenset[str]:
        """Return the channels of a person that the app may see; none if they are unknown."""

        async def fetch_joined() -> frozenset[str]:
            types = "public_channel,private_channel"
            lists = [
                await self._fetch_pages("users.conversations", user=user, types=types, wait=False, team_id=team)
                for team in self._teams
            ]
            return frozenset(
                str(channel["id"]) for pages in lists for page in pages or () for channel in page.get("channels") or ()
            )

        empty: frozenset[str] = frozenset()
        call = self._await_call
        joined = await self._joined.fetch(user, lambda: call("users.conversations", fetch_joined(), default=empty))
        return joined or empty

    async def find_workspace(self, user: str) -> str:
        """Return the workspace of a person; that of the installation if it is unknown."""
        return (await self.find_accounts([user]))[user].team or self._company.workspace

    @property
    def _teams(self) -> Sequence[str | None]:
        """Return what calls for lists name as the workspace."""
        return self._company.listed_workspaces or (None,)

    def _list_missing(self, users: Collection[str]) -> list[str]:
        return [user for user in users if self._people.get(user) is None]

    def _fetch_person(self, user: str) -> Callable[[], Awaitable[Account | None]]:
        async def fetch_account() -> Account | None:
            async with self._slots:
                answer = await self._api.call("users.info", user=user, include_locale="true")
            return self._parse_account(get_object(answer, "user"))

        return lambda: self._await_call("users.info", fetch_account())

    def _parse_account(self, user: Mapping[str, Any]) -> Account:
        """Return an account, and note what the person is called."""
        profile = get_object(user, "profile")
        for name in (profile.get("real_name"), profile.get("display_name"), user.get("real_name")):
            self.names.add_name(str(name or ""), full_only=True)
        return parse_account(user, self._company)

    async def _list_people(self) -> int:
        """Store all people, page by page; return how many calls that took."""
        started = self._people.start_fetch()

        async def fetch_page(method: str, **arguments: Any) -> Mapping[str, Any]:  # noqa: ANN401
            page = await self._api.call(method, **arguments)
            for user in page.get("members") or ():
                account = self._parse_account(user)
                self._people.store_value(account.id, account, started)
            return page

        try:
            pages = [
                await fetch_pages(
                    fetch_page,
                    "users.list",
                    max_pages=_MAX_PAGES,
                    limit=_PAGE_SIZE,
                    team_id=team,
                    include_locale="true",
                )
                for team in self._teams
            ]
        finally:
            self._people.end_fetch()
        self._list_pages = sum(map(len, pages))
        return self._list_pages

    async def _fetch_pages(self, method: str, **arguments: Any) -> list[Mapping[str, Any]] | None:  # noqa: ANN401
        """Return all pages of a method, None if there are more than a few."""
        pages = await fetch_pages(self._api.call, method, max_pages=_MAX_PAGES, limit=_PAGE_SIZE, **arguments)
        return None if get_object(pages[-1], "response_metadata").get("next_cursor") else pages

    async def _await_call(self, method: str, call: Awaitable[_T], *, default: _T | None = None) -> _T | None:
        """Return the result of a call, the default if Slack always refuses it, None if it fails this time."""
        try:
            return await call
        except SlackError as error:
            _log.warning("audience not read", method=method, error=str(error))
            return default if isinstance(error, SlackRefused) else None

    # ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def apply_event(self, body: Mapping[str, Any]) -> None:
        """Change what is cached, before anything else handles the event."""
        event = get_object(body, "event")
        kind, channel, user = str(event.get("type") or ""), get_channel_id(event), str(event.get("user") or "")
        match kind:
            case "member_joined_channel":
                self._members.change(channel, lambda members: members | {user})
                self._note_change(DirectoryPart.MEMBERS, channel)
                self._forget_everywhere(DirectoryPart.JOINED, user)
            case "member_left_channel":
                self.forget_members(channel, user)
            case "user_change" | "team_join":
                self.change_person(get_object(event, "user"))
            case "message" if event.get("subtype") in _CONVERSIONS:
                self._forget_channel(channel)
            case "channel_id_changed":
                for name in ("old_channel_id", "new_channel_id"):
                    self._forget_channel(str(event.get(name) or ""))
                self._joined.clear()
            case _ if kind.startswith("subteam_"):
                self._forget_everywhere(DirectoryPart.GROUPS, "")
            case _ if kind.startswith(("channel_", "group_")):
                self._forget_channel(channel)

    def change_person(self, user: Mapping[str, Any]) -> None:
        """Replace an account by a newer one; forget it if it is unknown which is newer."""
        account = self._parse_account(user)
        if self._people.get(account.id) is None and account.status is not Status.MEMBER:
            self._note_change(DirectoryPart.PERSON, account.id)

        def choose_newer(before: Account) -> Account | None:
            if account.updated < before.updated:
                return before
            newer = replace(account, language=account.language or before.language)  # an event may lack the locale
            # Most events are about a person's name or status line, which change no rights.
            is_same = newer == replace(before, updated=newer.updated, language=newer.language)
            if not is_same:
                self._note_change(DirectoryPart.PERSON, account.id)
            return newer if is_same or newer.updated > before.updated else None

        self._people.change(account.id, choose_newer)

    def forget_members(self, channel: str, user: str) -> None:
        """Forget the members of a channel that a person left: the event may be a late repetition."""
        self._forget_everywhere(DirectoryPart.MEMBERS, channel)
        self._forget_everywhere(DirectoryPart.JOINED, user)

    def _forget_channel(self, channel: str) -> None:
        """Forget what a channel is and who is in it."""
        self._forget_everywhere(DirectoryPart.CHANNEL, channel)
        self._forget_everywhere(DirectoryPart.MEMBERS, channel)

    def expect_shared(self, channel: str) -> None:
        """Forget a channel that is not known as shared with another company, because an event says that it is."""

        def choose_channel(entry: Channel) -> Channel | None:
            if entry.kind is ChannelKind.SHARED:
                return entry
            self.on_change(DirectoryPart.CHANNEL, channel)
            return None

        self._channels.change(channel, choose_channel)

    def forget_entry(self, part: DirectoryPart, key: str) -> None:
        """Forget what another process knows to have changed."""
        self.version += 1
        self._caches[part].change(key)

    def _forget_everywhere(self, part: DirectoryPart, key: str) -> None:
        """Forget what an event changes, here and in other processes."""
        self.forget_entry(part, key)
        self.on_change(part, key)

    def _note_change(self, part: DirectoryPart, key: str) -> None:
        self.version += 1
        self.on_change(part, key)

    def forget_all(self) -> None:
        """Forget everything, because events may be missing."""
        self.version += 1
        for cache in (self._people_lists, *self._caches.values()):
            cache.clear()


def _invert_groups(groups: Mapping[str, Collection[str]]) -> Mapping[str, frozenset[str]]:
    inverted_groups: dict[str, set[str]] = {}
    for group, users in groups.items():
        for user in users:
            inverted_groups.setdefault(str(user), set()).add(group)
    return {user: frozenset(ids) for user, ids in inverted_groups.items()}

"""Finds the viewers of an answer: Slack's people, expanded by the identity map."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from bot.messages import replies
from bot.messages.message import Message
from bot.slack.people.accounts import Account, ChannelKind, Company
from bot.slack.people.directory import SlackDirectory
from bot.slack.people.fresh_cache import FreshCache
from bot.slack.people.viewers import Readership, decide_members, decide_person, list_principals
from bot.storage.channels.channel_settings import ApprovedChannels
from bot.storage.turns.questions import is_app
from knowledge.errors import KnowledgeError
from knowledge.identity.identity_map import IdentityMap
from knowledge.interfaces import Viewers
from knowledge.interfaces.people import Person

_log = structlog.get_logger(__name__)

_DEADLINE_S = 12.0
"""The deadline of all calls of one audience. After it, the audience counts as unknown."""
_MAX_PEOPLE_WITH_CHANNELS = 8
"""All channels are read of at most so many people, at one call each."""
_MAX_NAMED_CHANNELS = 40
"""The members are read of at most so many channels that documents name as readers."""
_CHANNEL_ID = re.compile(r"[CG][A-Z0-9]{5,}")

_COMPUTED_S = 4.0
"""How long an audience counts that was computed from the directory and the identity map, unless an event changes it."""
_MAX_COMPUTED = 64

WORLD_ONLY: Final = Viewers.of(())
"""A viewer of whom nothing is known: sees what is open to the world."""


ListNamed = Callable[[], Awaitable[frozenset[str]]]
"""Returns the principals that open documents which not every full member may read. Raises ``KnowledgeError``."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who will see an answer."""

    viewers: Viewers
    is_complete: bool = True
    """Whether all viewers are known; if not, only what is open to the world may be shown."""
    refusal: Message | None = None
    """Why there must be no answer at all, and the next step."""


UNKNOWN_AUDIENCE: Final = Audience(WORLD_ONLY, is_complete=False)


class ViewerFinder:
    """Finds viewers. No method raises ``SlackError``."""

    def __init__(
        self,
        directory: SlackDirectory,
        company: Company,
        identities: IdentityMap,
        approved_channels: ApprovedChannels,
        list_named: ListNamed | None = None,
    ) -> None:
        self._directory = directory
        self._company = company
        self._identities = identities
        self._approved = approved_channels
        self._list_named = list_named
        self._computed: FreshCache[tuple[str, int], Audience] = FreshCache(_COMPUTED_S, _MAX_COMPUTED, time.monotonic)

    async def find_channel_audience(self, channel: str, asker: str) -> Audience:
        """Return who will see an answer in a conversation, where a person or an app asks.

        Raises:
            DatabaseError: the approval of a shared channel cannot be read.

        """
        if channel.startswith("D"):
            return await self.find_person_audience(asker)
        return await _within_deadline(self._find_channel_audience(channel, asker))

    async def find_person_audience(self, user: str) -> Audience:
        """Return the audience of what one person alone sees: a direct message, Home, an ephemeral message."""
        return await _within_deadline(self._find_person_audience(user))

    async def find_press_audience(self, channel: str, user: str) -> Audience:
        """Return the audience of what one person alone sees in a conversation, by the conversation's own rules.

        Raises:
            DatabaseError: the approval of a shared channel cannot be read.

        """
        return await _within_deadline(self._find_press_audience(channel, user))

    async def is_approved(self, channel: str) -> bool:
        """Return whether an owner has approved a channel that an event describes as shared.

        Raises:
            DatabaseError: the approval cannot be read.

        """
        self._directory.expect_shared(channel)
        return await self._is_approved(channel)

    async def withdraw_approval(self, channel: str) -> None:
        """Withdraw the approval of a channel that is no longer shared: another company needs another approval.

        Raises:
            DatabaseError: the approval cannot be changed.

        """
        await self._approved.set_approved(self._company.workspace, channel, "", approved=False)

    # ── Readers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _find_person_audience(self, user: str) -> Audience:
        # The groups are needed next, and one wait for Slack is shorter than two.
        accounts, _ = await asyncio.gather(self._directory.find_accounts([user]), self._directory.list_groups())
        readers = decide_person(accounts[user])
        if not readers.people:
            return Audience(WORLD_ONLY, readers.is_complete, readers.refusal)
        return Audience(await self._add_principals(readers, ""))

    async def _find_shared_audience(self, channel: str) -> Audience:
        """Return the audience of a channel that is shared with another company."""
        return Audience(WORLD_ONLY, refusal=None if await self._is_approved(channel) else replies.SHARED_CHANNEL)

    async def _find_press_audience(self, channel: str, user: str) -> Audience:
        if not channel.startswith("D"):
            found = await self._directory.find_channel(channel)
            if found is not None and found.kind is ChannelKind.SHARED:
                shared = await self._find_shared_audience(channel)
                if shared.refusal is not None:
                    return shared
                return replace(await self._find_person_audience(user), refusal=None)
        return await self._find_person_audience(user)

    async def _find_channel_audience(self, channel: str, asker: str) -> Audience:
        found = await self._directory.find_channel(channel)
        if found is None:
            return UNKNOWN_AUDIENCE
        if found.kind is ChannelKind.SHARED:
            return await self._find_shared_audience(channel)
        if found.kind is ChannelKind.DIRECT:
            return await self._find_person_audience(asker)
        members = await self._list_members(channel, asker)
        if members is None:
            return UNKNOWN_AUDIENCE

        async def find_audience() -> Audience | None:
            accounts = await self._directory.find_accounts(members)
            readers = decide_members(found, accounts.values(), self._company)
            return Audience(await self._add_principals(readers, channel)) if readers.is_complete else None

        return await self._computed.fetch((channel, self._directory.version), find_audience) or UNKNOWN_AUDIENCE

    async def _list_members(self, channel: str, asker: str) -> frozenset[str] | None:
        """Return the members of a channel; None if they are unknown. A list without a person who asks must be wrong."""
        members = await self._directory.list_members(channel)
        if is_app(asker):
            return members
        if members is not None and asker not in members:
            self._directory.forget_members(channel, asker)
            members = await self._directory.list_members(channel)
        return members if members is not None and asker in members else None

    async def _is_approved(self, channel: str) -> bool:
        return await self._approved.is_approved(self._company.workspace, channel)

    # ── Principals ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _add_principals(self, readers: Readership, channel: str) -> Viewers:
        """Return the viewers with all principals that they hold; ``channel`` is where all of them are, "" for none."""
        people = await self._list_people(readers.people, channel)
        viewers = frozenset(await self._identities.expand_people(people))
        return Viewers(viewers | {readers.anybody} if readers.anybody else viewers)

    async def _list_people(self, accounts: Sequence[Account], channel: str) -> list[Person]:
        if not accounts:
            return []
        here = frozenset({channel} - {""})
        groups, joined = await asyncio.gather(self._directory.list_groups(), self._list_joined_channels(accounts))
        return [
            Person(
                account.id,
                account.email,
                list_principals(account, self._company, groups, here.union(joined.get(account.id, ()))),
            )
            for account in accounts
        ]

    async def _list_joined_channels(self, accounts: Sequence[Account]) -> Mapping[str, set[str]]:
        """Return those channels of each person that matter as readers.

        The members of the channels that documents name are read, because they are the same for every question. All
        channels of a person are read only for a few people: for guests, and if documents name many channels.
        """
        channels_of: dict[str, set[str]] = {}
        named = await self._list_named_channels()
        people = [account.id for account in accounts if named is None or account.status.is_guest]
        if len(people) <= _MAX_PEOPLE_WITH_CHANNELS:
            found = await asyncio.gather(*map(self._directory.list_joined_channels, people))
            channels_of |= {person: set(channels) for person, channels in zip(people, found, strict=True)}
        members = await asyncio.gather(*map(self._directory.list_members, named or ()))
        for channel, of_channel in zip(named or (), members, strict=True):
            for member in of_channel or ():
                channels_of.setdefault(member, set()).add(channel)
        return channels_of

    async def _list_named_channels(self) -> list[str] | None:
        """Return the channels that documents name as readers; None if they are unknown or too many."""
        if self._list_named is None:
            return None
        try:
            named = [one for one in sorted(await self._list_named()) if _CHANNEL_ID.fullmatch(one)]
        except KnowledgeError as error:
            _log.warning("named channels not read", error=str(error))
            return None
        return named if len(named) <= _MAX_NAMED_CHANNELS else None


async def _within_deadline(finding: Coroutine[Any, Any, Audience]) -> Audience:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            return await finding
    except TimeoutError:
        return UNKNOWN_AUDIENCE

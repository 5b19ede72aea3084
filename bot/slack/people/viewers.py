"""Decides who will see a message in a conversation. Pure.

A direct message is for the person who writes to Kvasir. Anybody of the workspace may join a public channel. So its
viewers are a full member of whom nothing else is known, and the guests who are in it. A private channel or a group
message is for its members. A channel that is shared with another company is for everybody, once an owner has approved
it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bot.errors import BotError
from bot.messages import replies
from bot.messages.message import Message
from bot.slack.people.accounts import Account, Channel, ChannelKind, Company, Status
from knowledge.interfaces import EVERYONE, GUESTS, WORLD, Viewers
from knowledge.interfaces.people import WORKSPACE

_OF_GUESTS: Final = frozenset({GUESTS, WORLD})
_OF_ANYBODY: Final = frozenset({WORLD})
_MAX_COMPARISONS = 50_000


class AudienceRefused(BotError):
    """Nobody may get an answer here; the text says why."""


@dataclass(frozen=True, slots=True)
class Readership:
    """The people who will see a message; without any, only what is open to the world may be shown."""

    people: tuple[Account, ...] = ()
    anybody: frozenset[str] = frozenset()
    """The principals of a full member of whom nothing else is known, if any of them may see it."""
    is_complete: bool = True
    refusal: Message | None = None


UNKNOWN_READERSHIP: Final = Readership(is_complete=False)


def decide_person(account: Account) -> Readership:
    """Return the readers of what only one person sees."""
    match account.status:
        case Status.FOREIGN:
            return Readership(refusal=replies.FOREIGN_PERSON)
        case Status.UNKNOWN:
            return UNKNOWN_READERSHIP
        case Status.BOT | Status.DEACTIVATED:
            return Readership()
    return Readership((account,))


def decide_members(channel: Channel, members: Collection[Account], company: Company) -> Readership:
    """Return the readers of a public or private channel or a group message; ``members`` include the asker."""
    statuses = {account.status for account in members}
    if Status.UNKNOWN in statuses or Status.FOREIGN in statuses:
        return UNKNOWN_READERSHIP  # with a foreign person the channel is shared, even if Slack said otherwise before
    if channel.kind is ChannelKind.PUBLIC:
        guests = tuple(account for account in members if account.status.is_guest)
        return Readership(guests, list_member_principals(channel, company))
    viewers = tuple(account for account in members if account.status is Status.MEMBER or account.status.is_guest)
    return Readership(viewers)


def list_member_principals(channel: Channel, company: Company) -> frozenset[str]:
    """Return the principals of a full member in a public channel, of whom nothing else is known."""
    workspaces = frozenset({channel.workspace, company.organization} - {""})
    return _list_shared_principals(workspaces, company.is_home) | {channel.id}


def list_principals(
    account: Account, company: Company, groups: Mapping[str, frozenset[str]], channels: frozenset[str]
) -> frozenset[str]:
    """Return the principals that Slack gives a full member or a guest."""
    is_home = company.is_home
    of_guests = _OF_GUESTS if is_home else _OF_ANYBODY
    shared = _list_shared_principals(account.workspaces, is_home) if account.status is Status.MEMBER else of_guests
    return shared.union((account.id,), channels, groups.get(account.id, ()))


def may_see_answer(now: Viewers, planned: Viewers) -> bool:
    """Return whether viewers may see what the planned ones may: each holds what one of those holds."""
    others = now.people - planned.people
    if len(others) * len(planned.people) > _MAX_COMPARISONS:
        return False
    return bool(now.people) and all(any(one <= principals for one in planned.people) for principals in others)


@lru_cache
def _list_shared_principals(workspaces: frozenset[str], is_home: bool) -> frozenset[str]:  # noqa: FBT001 - for the cache
    """Return the principals of every full member in some workspaces."""
    everyone = EVERYONE if is_home else frozenset()
    return everyone | {WORLD} | {f"{WORKSPACE}{id_}" for id_ in workspaces}

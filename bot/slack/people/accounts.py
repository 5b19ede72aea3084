"""Parses Slack's users and channels as far as reading rights depend on them. Pure.

``enterprise_user``, ``is_stranger`` and the fields of shared channels are those of Slack's reference. They were not
tested on a real Enterprise Grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bot.languages.registry import LANGUAGES, Language
from bot.slack.wire.events import get_object
from knowledge.interfaces.people import normalize_email

_SYSTEM_USER = "USLACKBOT"


class Status(StrEnum):
    """What a person is to the company that Kvasir answers for."""

    MEMBER = "member"
    GUEST = "guest"
    """A multi-channel guest."""
    SINGLE_CHANNEL_GUEST = "single_channel_guest"
    FOREIGN = "foreign"
    DEACTIVATED = "deactivated"
    BOT = "bot"
    UNKNOWN = "unknown"

    @property
    def is_guest(self) -> bool:
        """Return whether this is a guest of either kind."""
        return self in {Status.GUEST, Status.SINGLE_CHANNEL_GUEST}


@dataclass(frozen=True, slots=True)
class Company:
    """The workspace where the app is installed, and its Enterprise Grid organization, "" without one."""

    workspace: str
    organization: str = ""
    listed_workspaces: tuple[str, ...] = ()
    """The workspaces that calls for lists have to name, as an installation for a whole organization needs it."""
    is_home: bool = True
    """Whether its members may read what is for everybody, and its guests what is for guests. Only those of the first
    installed workspace may, and of its organization."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account."""

    id: str
    status: Status = Status.UNKNOWN
    email: str = ""
    """The address in lower case; "" if Slack does not return it or has not confirmed it."""
    workspaces: frozenset[str] = frozenset()
    """The ids of the company's workspaces that the person belongs to, and of its organization."""
    updated: int = 0
    """When the account changed, in seconds since the epoch."""
    team: str = ""
    """The id of the person's own workspace, "" if it is unknown."""
    language: Language | None = None
    """The language of the person's Slack; None if it is unknown, or one that Kvasir does not speak."""
    is_admin: bool = False
    """Whether this is a full member who administers or owns the workspace, or the organization."""


class ChannelKind(StrEnum):
    """Who can read a conversation."""

    DIRECT = "direct"
    PUBLIC = "public"
    PRIVATE = "private"
    SHARED = "shared"
    """Shared with another company (Slack Connect)."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A conversation."""

    id: str
    kind: ChannelKind
    workspace: str = ""
    """The one workspace whose members may join a public channel; "" if it is open to several."""
    creator: str = ""
    """The id of the person who made it, "" if that is unknown."""
    name: str = ""


def parse_account(user: Mapping[str, Any], company: Company) -> Account:
    """Return the account of a user object; what is missing makes its status unknown."""
    id_, profile = str(user.get("id") or ""), get_object(user, "profile")
    status = _read_status(user, company)
    confirmed = user.get("is_email_confirmed") is not False
    is_colleague = status is Status.MEMBER or status.is_guest
    return Account(
        id_,
        status,
        normalize_email(str(profile.get("email") or "")) if confirmed and is_colleague else "",
        _read_workspaces(user, company) if status is Status.MEMBER else frozenset(),
        int(user.get("updated") or 0),
        _find_own_workspace(user),
        next(filter(str(user.get("locale") or "").startswith, LANGUAGES), None),
        status is Status.MEMBER and _is_admin(user, company),
    )


def _read_status(user: Mapping[str, Any], company: Company) -> Status:
    if user.get("deleted"):
        return Status.DEACTIVATED
    if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == _SYSTEM_USER:
        return Status.BOT
    if not user.get("id") or not user.get("team_id"):
        return Status.UNKNOWN
    return _read_role(user) if _is_colleague(user, company) else Status.FOREIGN


def _read_role(user: Mapping[str, Any]) -> Status:
    if user.get("is_ultra_restricted"):
        return Status.SINGLE_CHANNEL_GUEST
    restricted = user.get("is_restricted")
    if not isinstance(restricted, bool):
        return Status.UNKNOWN
    return Status.GUEST if restricted else Status.MEMBER


def _is_admin(user: Mapping[str, Any], company: Company) -> bool:
    """Return whether a colleague administers the workspace or the organization, not only a sibling workspace."""
    of_workspace = user if user.get("team_id") == company.workspace else {}
    of_organization = get_object(user, "enterprise_user")
    return any(one.get(flag) is True for one in (of_workspace, of_organization) for flag in ("is_admin", "is_owner"))


def _is_colleague(user: Mapping[str, Any], company: Company) -> bool:
    """Return whether a user belongs to the workspace, or to a sibling workspace of the organization."""
    organization = str(get_object(user, "enterprise_user").get("enterprise_id") or "")
    if company.organization and company.organization in {organization, user.get("team_id")}:
        return True
    return user.get("team_id") == company.workspace and not user.get("is_stranger")


def _find_own_workspace(user: Mapping[str, Any]) -> str:
    """Return a user's workspace; on Enterprise Grid, ``team_id`` may be the organization."""
    team, teams = str(user.get("team_id") or ""), get_object(user, "enterprise_user").get("teams")
    return str(teams[0]) if team.startswith("E") and isinstance(teams, list) and teams else team


def _read_workspaces(user: Mapping[str, Any], company: Company) -> frozenset[str]:
    teams = get_object(user, "enterprise_user").get("teams")
    listed = {str(team) for team in teams} if isinstance(teams, list) else set()
    return frozenset(listed | {str(user.get("team_id")), company.organization}) - {""}


def parse_channel(channel: Mapping[str, Any]) -> Channel:
    """Return the conversation of a channel object; one that is not clearly public is private."""
    id_, kind = str(channel.get("id") or ""), _read_channel_kind(channel)
    is_wide = channel.get("is_org_shared") or channel.get("is_global_shared") or channel.get("is_org_default")
    workspace = "" if is_wide or kind is not ChannelKind.PUBLIC else str(channel.get("context_team_id") or "")
    return Channel(id_, kind, workspace, str(channel.get("creator") or ""), str(channel.get("name") or ""))


def _read_channel_kind(channel: Mapping[str, Any]) -> ChannelKind:
    if channel.get("is_ext_shared") or (channel.get("is_shared") and not channel.get("is_org_shared")):
        return ChannelKind.SHARED
    if channel.get("is_im"):
        return ChannelKind.DIRECT
    is_group = channel.get("is_group") or channel.get("is_mpim")
    is_private = is_group or not channel.get("is_channel") or channel.get("is_private") is not False
    return ChannelKind.PRIVATE if is_private else ChannelKind.PUBLIC

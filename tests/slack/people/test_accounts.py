"""Status of people and kind of channels, from the shapes that Slack's reference and its SDK's tests have."""

from __future__ import annotations

from typing import Any

import pytest

from bot.slack.people.accounts import ChannelKind, Company, Status, parse_account, parse_channel

HOME = Company("T012AB3C4")
GRID = Company("T012AB3C4", "E0123456")
USER: dict[str, Any] = {
    "id": "W012A3CDE", "team_id": "T012AB3C4", "name": "spengler", "deleted": False, "color": "9f69e7",
    "real_name": "Egon Spengler", "tz": "America/Los_Angeles", "tz_label": "Pacific Daylight Time", "tz_offset": -25200,
    "profile": {"avatar_hash": "ge3b51ca72de", "real_name": "Egon Spengler", "team": "T012AB3C4",
                "email": "Spengler@ghostbusters.example.com"},
    "is_admin": True, "is_owner": False, "is_primary_owner": False, "is_restricted": False,
    "is_ultra_restricted": False, "is_bot": False, "updated": 1502138686, "is_app_user": False, "has_2fa": False,
}  # fmt: skip
"""The example of ``users.info`` in Slack's reference."""
SIBLING = USER | {
    "team_id": "T0SIBLING", "is_stranger": True,
    "enterprise_user": {"id": "W012A3CDE", "enterprise_id": "E0123456", "enterprise_name": "Ghostbusters",
                        "is_admin": False, "is_owner": False, "teams": ["T0SIBLING", "T0THIRD"]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("user", "company", "status"),
    [
        (USER, HOME, Status.MEMBER),
        (USER, GRID, Status.MEMBER),
        (USER | {"is_restricted": True}, HOME, Status.GUEST),
        (USER | {"is_restricted": True, "is_ultra_restricted": True}, HOME, Status.SINGLE_CHANNEL_GUEST),
        (USER | {"deleted": True}, HOME, Status.DEACTIVATED),
        (USER | {"is_bot": True}, HOME, Status.BOT),
        (USER | {"id": "USLACKBOT"}, HOME, Status.BOT),
        (USER | {"is_workflow_bot": True}, HOME, Status.BOT),
        (USER | {"is_stranger": True}, HOME, Status.FOREIGN),
        (USER | {"team_id": "T0OTHER"}, HOME, Status.FOREIGN),
        (USER | {"team_id": "T0OTHER", "is_stranger": False}, GRID, Status.FOREIGN),
        (SIBLING, HOME, Status.FOREIGN),
        (SIBLING, GRID, Status.MEMBER),
        (SIBLING | {"is_restricted": True}, GRID, Status.GUEST),
        (SIBLING, Company("T012AB3C4", "E0OTHER"), Status.FOREIGN),
        (USER | {"team_id": "E0123456"}, GRID, Status.MEMBER),
        ({"id": "U1", "team_id": "T012AB3C4"}, HOME, Status.UNKNOWN),
        (USER | {"team_id": ""}, HOME, Status.UNKNOWN),
        ({}, HOME, Status.UNKNOWN),
    ],
)
def test_status(user: dict[str, Any], company: Company, status: Status) -> None:
    assert parse_account(user, company).status is status


def test_email_is_that_of_colleagues_and_confirmed() -> None:
    assert parse_account(USER, HOME).email == "spengler@ghostbusters.example.com"
    assert not parse_account(USER | {"is_email_confirmed": False}, HOME).email
    assert not parse_account(USER | {"team_id": "T0OTHER"}, HOME).email
    assert not parse_account(USER | {"profile": {"email": "*"}}, HOME).email
    # The Kelvin sign's lower case is "k".
    assert not parse_account(USER | {"profile": {"email": "\N{KELVIN SIGN}im@ghostbusters.example.com"}}, HOME).email


def test_workspaces_of_a_sibling_are_those_of_the_organization() -> None:
    assert parse_account(SIBLING, GRID).workspaces == {"T0SIBLING", "T0THIRD", "E0123456"}
    assert parse_account(USER, HOME).workspaces == {"T012AB3C4"}


CHANNEL: dict[str, Any] = {
    "id": "C012AB3CD", "name": "general", "is_channel": True, "is_group": False, "is_im": False, "is_mpim": False,
    "is_private": False, "is_archived": False, "is_general": True, "is_shared": False, "is_ext_shared": False,
    "is_org_shared": False, "pending_shared": [], "is_pending_ext_shared": False, "context_team_id": "T012AB3C4",
}  # fmt: skip
"""The example of ``conversations.info`` in Slack's reference."""


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, ChannelKind.PUBLIC),
        ({"is_private": True}, ChannelKind.PRIVATE),
        ({"is_private": None}, ChannelKind.PRIVATE),
        ({"is_group": True}, ChannelKind.PRIVATE),
        ({"is_mpim": True}, ChannelKind.PRIVATE),
        ({"is_channel": False}, ChannelKind.PRIVATE),
        ({"is_channel": False, "is_im": True}, ChannelKind.DIRECT),
        ({"is_ext_shared": True, "is_shared": True}, ChannelKind.SHARED),
        ({"is_ext_shared": True, "is_org_shared": True, "is_shared": True}, ChannelKind.SHARED),
        ({"is_shared": True}, ChannelKind.SHARED),
        ({"is_shared": True, "is_org_shared": True}, ChannelKind.PUBLIC),
        ({"is_mpim": True, "is_ext_shared": True}, ChannelKind.SHARED),
    ],
)
def test_kind_of_channel(changes: dict[str, Any], kind: ChannelKind) -> None:
    assert parse_channel(CHANNEL | changes).kind is kind


def test_channel_of_several_workspaces_belongs_to_none() -> None:
    assert parse_channel(CHANNEL).workspace == "T012AB3C4"
    assert not parse_channel(CHANNEL | {"is_shared": True, "is_org_shared": True}).workspace

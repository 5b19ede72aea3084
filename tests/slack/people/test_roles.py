"""What a person is to Kvasir, from Slack's account and from ``kvasir.toml``."""

from __future__ import annotations

from typing import Any

import pytest

from bot.config.configuration import Access
from bot.slack.people.accounts import Company, parse_account
from bot.slack.people.roles import Role, decide_roles

ACCESS = Access(frozenset({"U0OWNER"}), {"board": frozenset({"U0BOARD"})}, frozenset({"U0NAMED"}))
USER = {"team_id": "T1", "is_restricted": False, "is_ultra_restricted": False}
SIBLING = {"team_id": "T2", "enterprise_user": {"enterprise_id": "E1", "teams": ["T2"], "is_admin": False}}


@pytest.mark.parametrize(
    ("user", "roles"),
    [
        ({"id": "U1"}, {Role.MEMBER}),
        ({"id": "U1", "is_admin": True}, {Role.MEMBER, Role.ADMIN}),
        ({"id": "U1", "is_owner": True}, {Role.MEMBER, Role.ADMIN}),
        ({"id": "U0NAMED"}, {Role.MEMBER, Role.ADMIN}),
        ({"id": "U0OWNER"}, {Role.MEMBER, Role.OWNER}),
        ({"id": "U0OWNER", "is_admin": True}, {Role.MEMBER, Role.OWNER, Role.ADMIN}),
        ({"id": "U0BOARD"}, {Role.MEMBER}),
        ({"id": "U1", "is_restricted": True}, {Role.GUEST}),
        ({"id": "U1", "is_restricted": True, "is_ultra_restricted": True, "is_admin": True}, {Role.GUEST}),
        ({"id": "U1", "team_id": "T9", "is_admin": True}, set()),
        ({"id": "U0OWNER", "deleted": True, "is_admin": True}, set()),
        ({"id": "U0NAMED", "is_bot": True}, set()),
        ({"id": "U1", "is_restricted": None, "is_admin": True}, set()),
        ({"id": "U1", **SIBLING, "is_admin": True}, {Role.MEMBER}),
        ({"id": "U1", **SIBLING, "enterprise_user": SIBLING["enterprise_user"] | {"is_owner": True}},
         {Role.MEMBER, Role.ADMIN}),
    ],
)  # fmt: skip
def test_roles_of_an_account(user: dict[str, Any], roles: set[Role]) -> None:
    assert decide_roles(parse_account({**USER, **user}, Company("T1", "E1")), ACCESS) == roles

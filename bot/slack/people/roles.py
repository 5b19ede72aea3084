"""What a person is to Kvasir: an administrator, an owner of the knowledge, a member or a guest."""

from __future__ import annotations

from enum import StrEnum

from bot.config.configuration import Access
from bot.slack.people.accounts import Account, Status
from bot.slack.people.directory import SlackDirectory


class Role(StrEnum):
    """One thing that a person is; somebody can be several."""

    ADMIN = "admin"
    """An administrator or owner of the Slack workspace, or one of ``[slack] admins``."""
    OWNER = "owner"
    """One of ``[access] owners``. Who owns a single source has ``Access.is_owner``."""
    MEMBER = "member"
    GUEST = "guest"


class RoleFinder:
    """Finds roles. It raises no ``SlackError``: what Slack does not say counts as no role."""

    def __init__(self, access: Access, directory: SlackDirectory) -> None:
        self._access = access
        self._directory = directory

    async def find_roles(self, user: str) -> frozenset[Role]:
        """Return the roles of a person; none of a person of another company, unless ``kvasir.toml`` names one."""
        return decide_roles((await self._directory.find_accounts([user]))[user], self._access)


def decide_roles(account: Account, access: Access) -> frozenset[Role]:
    """Return the roles of an account."""
    if account.status in {Status.DEACTIVATED, Status.BOT}:
        return frozenset()
    holds = {
        Role.ADMIN: account.is_admin or account.id in access.admins,
        Role.OWNER: access.is_owner(account.id),
        Role.MEMBER: account.status is Status.MEMBER,
        Role.GUEST: account.status.is_guest,
    }
    return frozenset(role for role, is_held in holds.items() if is_held)

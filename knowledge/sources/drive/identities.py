"""Google's groups of people, for questions: Admin SDK, Directory API.

Only groups of which a person is a direct member are read. So a member of a group inside a group holds fewer principals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from knowledge.interfaces.people import Person, normalize_email
from knowledge.sources.drive.api import build_next_call
from knowledge.sources.drive.google_account import ServiceAccount
from knowledge.sources.hosted.http_api import HttpApi, fetch_or_none, run_concurrently
from knowledge.sources.hosted.http_call import ApiCall
from knowledge.sources.hosted.json_form import get_objects, get_text

SCOPE: Final = "https://www.googleapis.com/auth/admin.directory.group.readonly"
_GROUP = "drive:group:"
_NO_ACCOUNT = frozenset({400, 404})
"""The statuses for an address that is no account of the company."""
_CONCURRENT = 8


class GoogleIdentities:
    """Finds the groups of people by their e-mail addresses, in the name of an administrator."""

    answers_in_bulk = False
    namespace = ""

    def __init__(self, administrator: str, api: HttpApi, account: ServiceAccount) -> None:
        self.identity_name = f"Google groups as {administrator.rpartition('@')[2]}"
        self._administrator = administrator
        self._api = api
        self._account = account

    async def find_principals(self, people: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        """Return the groups of people.

        Raises:
            SourceError: Google is not available, or refuses to name groups.

        """
        emails = sorted(frozenset[str]().union(*(person.emails for person in people)))
        calls = [partial(fetch_or_none, partial(self._fetch_groups, email), _NO_ACCOUNT) for email in emails]
        groups = dict(zip(emails, await run_concurrently(calls, _CONCURRENT), strict=True))
        return {
            person.id: frozenset[str]().union(*(groups[email] or () for email in person.emails)) for person in people
        }

    async def find_holdable(self, principals: frozenset[str], /) -> frozenset[str]:
        """Return Google's groups."""
        return frozenset(one for one in principals if one.startswith(_GROUP))

    async def check_identities(self) -> str:
        """Return that groups can be read.

        Raises:
            SourceError: the scope, the delegation or the administrator's right is missing.

        """
        return f"{len(await self._fetch_groups(self._administrator))} groups of the administrator can be read"

    async def close(self) -> None:
        """Close the connections."""
        try:
            await self._api.close()
        finally:
            await self._account.close()

    async def _fetch_groups(self, email: str) -> frozenset[str]:
        groups = set[str]()
        async for page in self._api.fetch_pages(
            ApiCall.get("admin/directory/v1/groups", userKey=email, maxResults=200), build_next_call
        ):
            emails = (normalize_email(get_text(one, "email") or "") for one in get_objects(page, "groups"))
            groups |= {_GROUP + email for email in emails if email}
        return frozenset(groups)

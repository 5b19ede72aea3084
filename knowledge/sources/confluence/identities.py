"""Confluence's accounts and groups of people, for questions.

Groups are read for each account when somebody asks, so a lost group counts at once. Cloud's accounts are found by the
e-mail addresses that they show, Data Center's by their names. A file of people may name accounts in either edition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from knowledge.errors import IdentityError
from knowledge.interfaces.people import Person, normalize_email
from knowledge.sources.confluence.model import GROUP, USER, next_page_by_start
from knowledge.sources.hosted.http_api import HttpApi, fetch_or_none, run_concurrently
from knowledge.sources.hosted.http_call import ApiCall
from knowledge.sources.hosted.json_form import get_object, get_text, require_objects

INDEX_S: Final = 3_600.0
"""How long the index of Cloud's e-mail addresses is used. Each hit in it is checked again."""
_RETRY_S = 60.0
_LIMIT = 200
_CONCURRENT = 8
_NOTHING: frozenset[str] = frozenset()


class DataCenterIdentities:
    """Finds people by user name: that of the file, or with ``email_domain`` the first part of the e-mail address."""

    answers_in_bulk = False
    namespace = "confluence"

    def __init__(self, name: str, api: HttpApi, email_domain: str | None) -> None:
        self.identity_name = name
        self._api = api
        self._domain = f"@{email_domain.lower()}" if email_domain else None

    async def find_principals(self, people: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        """Return the accounts and groups of people.

        Raises:
            SourceError: Confluence is not available.

        """
        accounts = {person.id: _list_named(person) | self._list_by_address(person) for person in people}
        return await _collect_principals(accounts, self._find_principals)

    async def find_holdable(self, principals: frozenset[str], /) -> frozenset[str]:
        """Return Confluence's groups, and its people if they are found by address."""
        return frozenset(one for one in _select_own(principals) if self._domain or one.startswith(GROUP))

    async def check_identities(self) -> str:
        """Return how people are found.

        Raises:
            SourceError: Confluence is not available, or does not say which groups an account is in.

        """
        me = await self._api.fetch_json(ApiCall.get("rest/api/user/current"))
        await _fetch_groups(self._api, "name", username=get_text(me, "username") or "")
        how = (
            f"the user name of ada{self._domain} is ada" if self._domain else "user names come from the file of people"
        )
        return f"groups can be read; {how}"

    def _list_by_address(self, person: Person) -> frozenset[str]:
        domain = self._domain
        return frozenset(email.removesuffix(domain) for email in person.emails if domain and email.endswith(domain))

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    async def _find_principals(self, name: str) -> frozenset[str]:
        """Return the account with its groups; nothing if it does not exist or is deactivated."""
        account = await self._api.fetch_json(ApiCall.get("rest/api/user", username=name))
        if get_text(account, "username") != name or get_text(account, "status") not in {None, "current"}:
            return _NOTHING
        return frozenset({USER + name}) | await _fetch_groups(self._api, "name", username=name)


class CloudIdentities:
    """Finds people by the e-mail addresses that their accounts show, and by the accounts that the file names."""

    answers_in_bulk = False
    namespace = ""

    def __init__(self, name: str, api: HttpApi, now: Callable[[], float]) -> None:
        self.identity_name = name
        self._api = api
        self._now = now
        self._index: Mapping[str, str] | None = None
        self._index_due_at = float("-inf")
        self._indexing: asyncio.Task[None] | None = None

    async def find_principals(self, people: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        """Return the accounts and groups of people.

        Raises:
            SourceError: Confluence is not available.

        """
        index = await self._load_index()
        accounts = {
            person.id: _list_named(person) | {index[email] for email in person.emails if email in index}
            for person in people
        }
        ids = sorted(frozenset[str]().union(*accounts.values()))
        addresses = await self._fetch_active(ids)
        checked = {
            person.id: frozenset(
                one for one in accounts[person.id] & addresses.keys()
                if one in _list_named(person) or addresses[one] in person.emails
            )
            for person in people
        }  # fmt: skip
        return await _collect_principals(checked, self._find_principals)

    async def find_holdable(self, principals: frozenset[str], /) -> frozenset[str]:
        """Return Confluence's people and groups."""
        return _select_own(principals)

    async def check_identities(self) -> str:
        """Return how many accounts show their e-mail addresses.

        Raises:
            SourceError: Confluence is not available.
            IdentityError: no account shows its address.

        """
        me = await self._api.fetch_json(ApiCall.get("rest/api/user/current"))
        await _fetch_groups(self._api, "id", accountId=get_text(me, "accountId") or "")
        index = await self._load_index()
        if not index:
            raise IdentityError(
                f"{self.identity_name} shows no e-mail address to Kvasir's account, so nobody is found by it. Let "
                "managed accounts show theirs, or name the accounts in the file of people: confluence:user:ID."
            )
        return f"groups can be read; {len(index)} accounts show their e-mail addresses"

    async def close(self) -> None:
        """Stop indexing, and close the connections."""
        if self._indexing is not None:
            self._indexing.cancel()
            await asyncio.gather(self._indexing, return_exceptions=True)
            self._index_due_at = float("-inf") if self._index is None else self._index_due_at
        await self._api.close()

    async def _load_index(self) -> Mapping[str, str]:
        """Return account ids by e-mail address; an old index is used until the next one is complete."""
        if self._now() > self._index_due_at and (self._indexing is None or self._indexing.done()):
            self._index_due_at = self._now() + _RETRY_S
            self._indexing = asyncio.create_task(self._build_index(), name="index Confluence accounts")
            self._indexing.add_done_callback(lambda task: task.cancelled() or task.exception())
        if self._index is None and self._indexing is not None:
            await asyncio.wait([self._indexing])
            if self._indexing.cancelled():
                raise IdentityError(f"{self.identity_name} was closed while its accounts were listed. Ask again.")
            self._indexing.result()
        return self._index or {}

    async def _build_index(self) -> None:
        started, index, twice = self._now(), dict[str, str](), set[str]()
        call = ApiCall.get(
            "rest/api/search/user", cql="type=user", sitePermissionTypeFilter="all", start=0, limit=_LIMIT
        )
        async for one in self._api.fetch_objects(call, next_page_by_start):
            user = get_object(one, "user")
            email, account = normalize_email(get_text(user, "email") or ""), get_text(user, "accountId")
            if account and email:
                twice |= {email} if index.get(email, account) != account else set()
                index[email] = account
        self._index = {email: account for email, account in index.items() if email not in twice}
        self._index_due_at = started + INDEX_S

    async def _fetch_active(self, ids: Collection[str]) -> Mapping[str, str]:
        """Return the e-mail addresses of those accounts that are active, "" if they are hidden."""
        if not ids:
            return {}
        answer = await self._api.fetch_json(ApiCall.post("api/v2/users-bulk", {"accountIds": list(ids)}))
        return {
            get_text(one, "accountId") or "": normalize_email(get_text(one, "email") or "")
            for one in require_objects(answer, "results")
            if get_text(one, "accountStatus") == "active"
        }

    async def _find_principals(self, account: str) -> frozenset[str]:
        return frozenset({USER + account}) | await _fetch_groups(self._api, "id", accountId=account)


def _select_own(principals: frozenset[str]) -> frozenset[str]:
    return frozenset(one for one in principals if one.startswith((USER, GROUP)))


def _list_named(person: Person) -> frozenset[str]:
    """Return the accounts that the file of people names."""
    return frozenset(one.removeprefix(USER) for one in person.principals if one.startswith(USER))


async def _collect_principals(
    accounts: Mapping[str, frozenset[str]], find_principals: Callable[[str], Awaitable[frozenset[str]]]
) -> Mapping[str, frozenset[str]]:
    """Return the principals of all accounts of each person; an account that does not exist has none."""
    names = sorted(frozenset[str]().union(*accounts.values()))
    calls = [partial(fetch_or_none, partial(find_principals, name), {404}) for name in names]
    found = dict(zip(names, await run_concurrently(calls, _CONCURRENT), strict=True))
    return {
        person: frozenset[str]().union(*(found[one] or _NOTHING for one in owned))
        for person, owned in accounts.items()
        if owned
    }


async def _fetch_groups(api: HttpApi, key: str, **account: str) -> frozenset[str]:
    """Return the groups of an account; ``key`` is the member of a group by which readers name it."""
    groups = api.fetch_objects(
        ApiCall.get("rest/api/user/memberof", start=0, limit=_LIMIT, **account), next_page_by_start
    )
    return frozenset({GROUP + name async for one in groups if (name := get_text(one, key))})

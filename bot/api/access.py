"""Decides who asks by the API: the key, the person whom it stands for, and the limits of both.

A person's key stands for that person. An application's key stands for nobody: each request names its person, by a
header, or by OpenAI's field ``user`` if the key says so. Whatever else names a person counts for nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from multidict import CIMultiDictProxy

from bot.api.errors import ApiError
from bot.slack.people.known_person import KnownPerson, PersonNotFound
from bot.storage.api_keys import ApiKey, ApiKeys, KeyScope
from bot.storage.turns.question_counts import LimitReached, QuestionCounts
from knowledge.errors import DatabaseError

_log = structlog.get_logger("kvasir.api")

PERSON_HEADERS: Final = ("X-Kvasir-User", "X-OpenWebUI-User-Email")

_FIND_S: Final = 20.0  # how long Slack has to say who a person is: calls wait for its rate limits

FindPerson = Callable[[str], Awaitable[KnownPerson]]
"""Returns a person by Slack id or e-mail address; raises ``PersonNotFound`` or another ``BotError``."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a person, by a key."""

    key: ApiKey
    person: KnownPerson


class ApiAccess:
    """Checks keys and people.

    Every method raises ``ApiError`` for a refusal, ``DatabaseError``, and ``TimeoutError`` if Slack does not answer.
    """

    def __init__(self, keys: ApiKeys, find_person: FindPerson, counts: QuestionCounts, person_limit: int) -> None:
        """``person_limit`` is how many questions a person may ask in a minute, in Slack and here; 0 for no limit."""
        self._keys = keys
        self._find_person = find_person
        self._counts = counts
        self._person_limit = person_limit
        self._running: Counter[str] = Counter()
        """Requests that run in this process, by the id of their key."""

    async def find_key(self, headers: CIMultiDictProxy[str], scope: KeyScope | None = None) -> ApiKey:
        """Return the key of a request, which must have a scope."""
        kind, _, secret = headers.get("Authorization", "").partition(" ")
        key = await self._keys.find_key(secret.strip()) if kind.lower() == "bearer" else None
        if key is None:
            raise ApiError(
                HTTPStatus.UNAUTHORIZED,
                "The key is missing, unknown, revoked or has expired. Send “Authorization: Bearer kvasir_…”; "
                "`kvasir keys create` makes a key.",
                "invalid_api_key",
            )
        require_scope(key, scope)
        await self._keys.note_use(key)
        return key

    async def admit_request(
        self, key: ApiKey, headers: CIMultiDictProxy[str], named: str | None = None, *, is_question: bool
    ) -> Caller:
        """Count a request of a key, and return who asks; a question counts for the person, too.

        ``named`` is the person whom the body of the request names.
        """
        await self._count_request(key.team, f"key:{key.id}", key.per_minute, "This key")
        person = await self._find_known(_read_person(key, headers, named or ""))
        if is_question:
            await self._count_request(person.team, person.id, self._person_limit, "This person")
        return Caller(key, person)

    async def confirm_caller(self, caller: Caller) -> KnownPerson:
        """Return the person as of now; refuse if the key was revoked or the person is gone since."""
        if not await self._keys.is_active(caller.key.id):
            raise ApiError(HTTPStatus.UNAUTHORIZED, "The key was revoked or has expired.", "invalid_api_key")
        return await self._find_known(caller.person.id)

    async def _count_request(self, team: str, subject: str, limit: int, whose: str) -> None:
        try:
            if limit:
                await self._counts.count_question(team, {subject: limit})
        except LimitReached as reached:
            wait_s = max(1, math.ceil(reached.wait_s))
            raise ApiError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{whose} may ask {limit} times in a minute. Ask again in {wait_s} s.",
                "rate_limit_exceeded",
                retry_after_s=wait_s,
            ) from None
        except DatabaseError as error:  # an answer too many is better than none
            _log.warning("request not counted", error=str(error))

    @contextlib.contextmanager
    def hold_place(self, key: ApiKey) -> Iterator[None]:
        """Take one of the places of a key during a block; refuse if all are taken."""
        if key.parallel and self._running[key.id] >= key.parallel:
            text = f"{key.parallel} requests of this key run already. Wait until one has ended."
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, text, "too_many_requests", retry_after_s=1)
        self._running[key.id] += 1
        try:
            yield
        finally:
            self._running[key.id] -= 1
            if not self._running[key.id]:
                del self._running[key.id]

    async def _find_known(self, user: str) -> KnownPerson:
        try:
            async with asyncio.timeout(_FIND_S):
                return await self._find_person(user)
        except PersonNotFound as error:
            raise ApiError(HTTPStatus.FORBIDDEN, str(error), "person_not_found") from None


def require_scope(key: ApiKey, scope: KeyScope | None) -> None:
    """Refuse a key without a scope.

    Raises:
        ApiError: it has not.

    """
    if scope is not None and scope not in key.scopes:
        text = f"This key lacks the scope “{scope}”. Create one with --scope {scope}."
        raise ApiError(HTTPStatus.FORBIDDEN, text, "missing_scope")


def _read_person(key: ApiKey, headers: CIMultiDictProxy[str], named: str) -> str:
    """Return for whom a request asks. An application's names the person in one way alone, which its key says.

    Raises:
        ApiError: it names nobody, or several.

    """
    if key.kind == "person":
        return key.user
    if key.named_by == "body":
        found, how = {named.strip()}, "the field “user” (for MCP, create a key with --named-by header)"
    else:
        found, how = (
            {value.strip() for name in PERSON_HEADERS for value in headers.getall(name, ())},
            f"the header {PERSON_HEADERS[0]}",
        )
    if len(found) > 1:
        raise ApiError(HTTPStatus.BAD_REQUEST, "The headers name several people. Send one.", "person_ambiguous")
    user = "".join(found)
    if not user:
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            f"This key is an application's, so each request names its person by {how}, with an e-mail address or a "
            "Slack id.",
            "person_required",
            param="user" if key.named_by == "body" else None,
        )
    return user

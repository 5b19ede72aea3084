"""Finds a person by a Slack id or an e-mail address, with the rights of a direct message."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Final

from bot.errors import BotError
from bot.slack.people.directory import TTL_S
from bot.slack.people.finder import ViewerFinder
from bot.slack.people.fresh_cache import FreshCache
from bot.slack.wire.errors import SlackMissingScope, SlackRefused, SlackUnavailable
from bot.slack.wire.events import get_object
from bot.slack.wire.transport.web_api import SlackWebApi
from knowledge.interfaces import Viewers
from knowledge.interfaces.people import normalize_email
from knowledge.masking import NameIndex

_USER_ID: Final = re.compile(r"[UW][A-Z0-9]{2,30}")
_MOST_ADDRESSES: Final = 10_000


class PersonNotFound(BotError):
    """Slack does not say who a person is, so the person may read nothing."""


@dataclass(frozen=True, slots=True)
class KnownPerson:
    """A person whom Slack knows."""

    id: str
    team: str
    viewers: Viewers
    names: NameIndex
    """Full names of people whom Slack has named; they leave for no search engine."""


class PersonFinder:
    """Finds people of one workspace."""

    def __init__(self, api: SlackWebApi, viewers: ViewerFinder, team: str, names: NameIndex) -> None:
        self._api = api
        self._viewers = viewers
        self._team = team
        self._names = names
        self._ids: FreshCache[str, str] = FreshCache(TTL_S, _MOST_ADDRESSES, time.monotonic)
        """Slack ids by e-mail address."""

    async def find_person(self, user: str) -> KnownPerson:
        """Return a person by Slack id or e-mail address.

        Raises:
            PersonNotFound: Slack does not know the person, or the person gets no answers.
            SlackError: Slack does not answer or say who it is, or lacks a scope.

        """
        if "@" in user:
            id_ = await self._ids.fetch(normalize_email(user), lambda: self._find_id(normalize_email(user)))
            if not id_:
                raise PersonNotFound(f"Slack knows nobody with the address {user}. Use the Slack id.")
        else:
            id_ = user
        if _USER_ID.fullmatch(id_) is None:
            raise PersonNotFound(f"{user} is no Slack id and no e-mail address. A Slack profile shows the id.")
        audience = await self._viewers.find_person_audience(id_)
        if id_ not in next(iter(audience.viewers.people), ()):
            why = "the account is deactivated or an app, or it belongs to another company"
            if not audience.is_complete:
                if await self._knows(id_):
                    text = f"Slack does not say who {user} is. Try again; `kvasir doctor` checks Slack."
                    raise SlackUnavailable(text, maybe_done=False)
                why = "Slack knows nobody with this id"
            raise PersonNotFound(f"{user} gets no answers: {why}. Use the id of a full member or a guest.")
        return KnownPerson(id_, self._team, audience.viewers, self._names)

    async def _knows(self, id_: str) -> bool:
        """Return whether Slack has a person with an id."""
        try:
            await self._api.call("users.info", user=id_)
        except SlackRefused as error:
            return error.code != "user_not_found"
        return True

    async def _find_id(self, address: str) -> str | None:
        """Return the Slack id of an address, None if there is none."""
        if not address:
            return None
        try:
            found = await self._api.call("users.lookupByEmail", email=address)
        except SlackMissingScope:
            raise
        except SlackRefused:
            return None
        return str(get_object(found, "user").get("id") or "") or None

"""Stores what people chose for themselves: language, thinking, length, and whether their answers are kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy as sa
import structlog

from bot.answering.thinking import DEPTHS, LENGTHS, Depth, Length
from bot.languages.registry import LANGUAGES, Language
from bot.storage.columns import match_columns
from bot.storage.shared_changes import ChangeKind, SharedCache, SharedChanges, add_change
from bot.storage.tables import insert_into, preferences
from knowledge.database.database import Database, transaction
from knowledge.errors import DatabaseError

_log = structlog.get_logger(__name__)

# Built once, because building a statement takes longer than running it.
_IS_PERSON = match_columns(preferences.c.team, preferences.c.user)
_FIND = sa.select(preferences).where(_IS_PERSON)
_DELETE = sa.delete(preferences).where(_IS_PERSON)

_Value = TypeVar("_Value", bound=str)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What a person chose."""

    depth: Depth | None = None
    """How long to think; None for the channel's default."""
    language: Language | None = None
    """The language of what Kvasir shows to the person alone; None for that of the person's Slack."""
    length: Length = "normal"
    keeps_answers: bool = True


NO_PREFERENCES: Final = Preferences()


class PersonalPreferences:
    """What people chose. ``find_preferences`` and ``change_preferences`` raise ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, shared: SharedChanges | None = None) -> None:
        self.database = database
        self._chosen: SharedCache[Preferences] = SharedCache(shared or SharedChanges(database), ChangeKind.PREFERENCE)

    async def find_preferences(self, team: str, user: str) -> Preferences:
        """Return what a person chose. Other processes may know it seconds later."""
        return await self._chosen.fetch_value(lambda: self._load_preferences(team, user), team, user)

    async def find_or_default(self, team: str, user: str) -> Preferences:
        """Return what a person chose, nothing if the database fails: an answer without it is better than none."""
        try:
            return await self.find_preferences(team, user)
        except DatabaseError as error:
            _log.warning("preference not read", error=str(error))
            return NO_PREFERENCES

    async def change_preferences(self, team: str, user: str, change: Callable[[Preferences], Preferences]) -> None:
        """Change what a person chose."""
        await self._store_change(team, user, change)
        self._chosen.forget_value(f"{team} {user}")

    async def _load_preferences(self, team: str, user: str) -> Preferences:
        rows = await self.database.fetch_rows(_FIND, {"of_team": team, "of_user": user})
        return next(map(_read_preferences, rows), NO_PREFERENCES)

    @transaction
    def _store_change(
        self, connection: sa.Connection, team: str, user: str, change: Callable[[Preferences], Preferences]
    ) -> None:
        place = {"of_team": team, "of_user": user}
        row = connection.execute(_FIND.with_for_update(), place).first()
        chosen = change(NO_PREFERENCES if row is None else _read_preferences(row))
        connection.execute(_DELETE, place)
        if chosen != NO_PREFERENCES:
            values = {
                "team": team,
                "user": user,
                "think": chosen.depth or "",
                "language": chosen.language or "",
                "length": chosen.length,
                "keeps_answers": chosen.keeps_answers,
                "updated_at": time.time(),
            }
            connection.execute(insert_into(preferences, connection.dialect.name).on_conflict_do_nothing(), values)
        add_change(connection, ChangeKind.PREFERENCE, team, user)


def refuses_storage(connection: sa.Connection, team: str, user: str) -> bool:
    """Return whether a person chose that answers are not kept, within a transaction."""
    row = connection.execute(_FIND, {"of_team": team, "of_user": user}).first()
    return row is not None and not row.keeps_answers


def _read_preferences(row: sa.Row[Any]) -> Preferences:
    """Return the preferences of a row; a value of a later version counts as none."""
    return Preferences(
        find_value(DEPTHS, row.think),
        find_value(tuple(LANGUAGES), row.language),
        find_value(LENGTHS, row.length) or "normal",
        bool(row.keeps_answers),
    )


def find_value(values: tuple[_Value, ...], stored: str) -> _Value | None:
    """Return the value that was stored or submitted; None if it is none of these."""
    return next((value for value in values if value == stored), None)

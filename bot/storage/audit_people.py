"""Stores the pseudonyms of people in the audit, and the keys that open what is sealed about them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken

from bot.storage.columns import match_columns
from bot.storage.shared_changes import ChangeKind, SharedChanges, add_change
from bot.storage.tables import audit_people, insert_into
from knowledge.database.database import Database, transaction

_FIND = sa.select(audit_people).where(match_columns(audit_people.c.person))
_LIST = sa.select(audit_people)
_PSEUDONYM_BYTES: Final = 8
_MAX_CACHED: Final = 10_000


@dataclass(frozen=True, slots=True)
class AuditPerson:
    """A person in the audit."""

    name: str
    """Its name, as ``bot.audit.entries.name_person`` returns it."""
    pseudonym: str
    key: str = field(repr=False)
    """Opens what is sealed about the person (Fernet)."""

    def seal(self, values: Mapping[str, object]) -> str:
        """Return values as a text that nobody can read once the key is deleted."""
        return Fernet(self.key).encrypt(json.dumps(values, default=str).encode()).decode()

    def unseal(self, sealed: str) -> Mapping[str, Any] | None:
        """Return what ``seal`` sealed; None if the text was changed."""
        try:
            return dict(json.loads(Fernet(self.key).decrypt(sealed)))
        except InvalidToken:
            return None


class AuditPeople:
    """The people of the audit. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database, changes: SharedChanges) -> None:
        self.database = database
        self._cached: dict[str, AuditPerson] = {}
        self._adding = asyncio.Lock()
        changes.subscribe(ChangeKind.AUDIT, lambda _: self._cached.clear())

    async def find_people(self, names: Collection[str]) -> Mapping[str, AuditPerson]:
        """Return people by their names; those who are new get a pseudonym and a key."""
        found = self._find_cached(names)
        if found.keys() >= set(names):
            return found
        async with self._adding:  # many questions of the same people at once need one transaction
            found = self._find_cached(names)
            if unknown := sorted(set(names) - found.keys()):
                added = {one.name: one for one in await self._add_people(unknown)}
                if len(self._cached) > _MAX_CACHED:
                    self._cached.clear()
                self._cached.update(added)
                found.update(added)
        return found

    def _find_cached(self, names: Collection[str]) -> dict[str, AuditPerson]:
        return {name: self._cached[name] for name in names if name in self._cached}

    async def list_people(self) -> Sequence[AuditPerson]:
        """Return everybody who was not forgotten."""
        return [_read_person(row) for row in await self.database.fetch_rows(_LIST)]

    async def find_names(self, user: str) -> list[str]:
        """Return the names of a person in all workspaces."""
        return [one.name for one in await self.list_people() if user in {one.name, one.name.rpartition("/")[2]}]

    @transaction
    def _add_people(self, connection: sa.Connection, names: Sequence[str]) -> list[AuditPerson]:
        insert = insert_into(audit_people, connection.dialect.name).on_conflict_do_nothing()
        rows = [
            {"person": name, "pseudonym": secrets.token_hex(_PSEUDONYM_BYTES), "key": Fernet.generate_key().decode()}
            for name in names
        ]
        connection.execute(insert, rows)
        return [_read_person(connection.execute(_FIND, {"of_person": name}).one()) for name in names]

    @transaction
    def forget_person(self, connection: sa.Connection, name: str) -> bool:
        """Delete the key of a person, so that nobody can read what is sealed; return False if there is none."""
        deleted = connection.execute(sa.delete(audit_people).where(audit_people.c.person == name)).rowcount
        add_change(connection, ChangeKind.AUDIT)
        return bool(deleted)


def _read_person(row: sa.Row[tuple[str, str, str]]) -> AuditPerson:
    return AuditPerson(row.person, row.pseudonym, row.key)

"""Stores the keys of the HTTP API: their hashes, whom they are for, and what they may do.

A key is ``kvasir_<id>_<256 random bits>``. The id is no secret: lists show it, and it names the key that is revoked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, get_args

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import api_keys
from knowledge.database.database import Database, transaction

KeyScope = Literal["answer", "search"]
SCOPES: Final[tuple[KeyScope, ...]] = get_args(KeyScope)
_USED_EVERY_S: Final = 60.0
_MOST_CHARACTERS: Final = 200  # of a key that is looked up; longer ones are none of ours

_IS_ID = match_columns(api_keys.c.id)
_LIST = sa.select(api_keys).order_by(api_keys.c.created_at)
_FIND = sa.select(api_keys).where(match_columns(api_keys.c.hash))
_FIND_BY_ID = sa.select(api_keys).where(_IS_ID)
_NOTE_USE = (
    sa.update(api_keys)
    .where(_IS_ID, api_keys.c.last_used_at <= sa.bindparam("before"))
    .values(last_used_at=sa.bindparam("now"))
)
_DELETE = sa.delete(api_keys).where(_IS_ID)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    name: str
    kind: Literal["person", "application"]
    """An application names the person of each request. A person's key is that person's alone."""
    team: str = ""
    user: str = ""
    """The Slack id of the person, "" for an application."""
    scopes: tuple[KeyScope, ...] = SCOPES
    sources: tuple[str, ...] = ()
    per_minute: int = 0
    """Questions and searches in a minute; 0 for no limit of its own."""
    parallel: int = 0
    expires_at: float = 0.0
    """In seconds since the epoch; 0 for never."""
    created_at: float = field(default_factory=time.time)
    last_used_at: float = 0.0
    named_by: Literal["header", "body"] = "header"
    """Where an application's requests name their person; the other place counts for nothing."""
    id: str = ""


class ApiKeys:
    """The keys. Every method raises ``DatabaseError`` or a subclass. ``now`` returns seconds since the epoch."""

    def __init__(self, database: Database, now: Callable[[], float] | None = None) -> None:
        self.database = database
        self._now = now or database.now

    async def create_key(self, key: ApiKey) -> tuple[ApiKey, str]:
        """Store a new key; return it with its id, and the secret, which is stored nowhere."""
        key = replace(key, id=secrets.token_hex(4))
        secret = f"kvasir_{key.id}_{secrets.token_urlsafe(32)}"
        await self._add_row(_make_row(key) | {"hash": _hash_secret(secret)})
        return key, secret

    @transaction
    def _add_row(self, connection: sa.Connection, row: dict[str, Any]) -> None:
        connection.execute(sa.insert(api_keys), row)

    async def list_keys(self) -> Sequence[ApiKey]:
        """Return all keys, the oldest first."""
        return [_read_key(row) for row in await self.database.fetch_rows(_LIST)]

    async def find_key(self, secret: str) -> ApiKey | None:
        """Return the key of a secret; None if it is unknown, revoked or has expired."""
        if len(secret) > _MOST_CHARACTERS:
            return None
        hashed = _hash_secret(secret)
        for row in await self.database.fetch_rows(_FIND, {"of_hash": hashed}):
            if hmac.compare_digest(row.hash, hashed) and self._is_active(key := _read_key(row)):
                return key
        return None

    async def is_active(self, id_: str) -> bool:
        """Return whether a key is neither revoked nor has expired."""
        rows = await self.database.fetch_rows(_FIND_BY_ID, {"of_id": id_})
        return any(self._is_active(_read_key(row)) for row in rows)

    async def note_use(self, key: ApiKey) -> None:
        """Store that a key is used now, at most once a minute."""
        if self._now() - key.last_used_at >= _USED_EVERY_S:
            await self._note_use(key.id)

    @transaction
    def _note_use(self, connection: sa.Connection, id_: str) -> None:
        now = self._now()
        connection.execute(_NOTE_USE, {"of_id": id_, "now": now, "before": now - _USED_EVERY_S})

    @transaction
    def delete_key(self, connection: sa.Connection, id_: str) -> ApiKey | None:
        """Revoke a key and return it; None if there is none with this id."""
        row = connection.execute(_FIND_BY_ID, {"of_id": id_}).first()
        connection.execute(_DELETE, {"of_id": id_})
        return None if row is None else _read_key(row)

    def _is_active(self, key: ApiKey) -> bool:
        return not key.expires_at or key.expires_at > self._now()


def _hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _make_row(key: ApiKey) -> dict[str, Any]:
    return asdict(key) | {"scopes": " ".join(key.scopes), "sources": json.dumps(key.sources, ensure_ascii=False)}


def _read_key(row: sa.Row[Any]) -> ApiKey:
    fields = row._asdict()
    del fields["hash"]
    stored, sources = str(fields.pop("scopes")).split(), json.loads(fields.pop("sources"))
    return ApiKey(scopes=tuple(one for one in SCOPES if one in stored), sources=tuple(sources), **fields)

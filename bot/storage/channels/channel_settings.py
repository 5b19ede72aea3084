"""Stores what people chose for a channel, and which shared channels an owner has approved."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.shared_changes import ChangeKind, SharedCache, SharedChanges, add_change
from bot.storage.tables import approved_channels, channel_settings, insert_into, threads
from bot.storage.turns.questions import QuestionMessage
from knowledge.database.database import Database, transaction

_HOUR_S: Final = 3_600.0

_IS_CHANNEL = match_columns(channel_settings.c.team, channel_settings.c.channel)
_FIND = sa.select(channel_settings).where(_IS_CHANNEL)
_LOCK = sa.select(channel_settings.c.unasked_at).where(_IS_CHANNEL).with_for_update()
_SET_UNASKED = sa.update(channel_settings).where(_IS_CHANNEL)
_IS_APPROVED = match_columns(approved_channels.c.team, approved_channels.c.channel)
_FIND_APPROVED = sa.select(approved_channels.c.channel).where(_IS_APPROVED)
_DELETE_APPROVED = sa.delete(approved_channels).where(_IS_APPROVED)


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What was chosen in a channel; "" and False are the defaults of ``kvasir.toml``."""

    sources: tuple[str, ...] = ()
    """The sources that are searched; none for all."""
    web: str = ""
    language: str = ""
    """The language of answers, "" for the asker's."""
    think: str = ""
    tone: str = ""
    mention_only: bool = False
    unasked_per_hour: int = 0
    """How many questions Kvasir may answer in an hour without a mention; 0 for none."""


class ChannelSettingsStore:
    """The settings of all channels of one workspace. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(
        self, database: Database, team: str, shared: SharedChanges, now: Callable[[], float] | None = None
    ) -> None:
        self.database = database
        self._team = team
        self._now = now or database.now
        self._cache: SharedCache[ChannelSettings] = SharedCache(shared, ChangeKind.CHANNEL)

    async def find_settings(self, channel: str) -> ChannelSettings:
        """Return the settings of a channel. Another process may know a change a second later."""
        return await self._cache.fetch_value(lambda: self._load_settings(channel), self._team, channel)

    async def _load_settings(self, channel: str) -> ChannelSettings:
        rows = await self.database.fetch_rows(_FIND, self._name_parameters(channel))
        return next(map(_read_settings, rows), ChannelSettings())

    async def save_settings(self, channel: str, settings: ChannelSettings, user: str) -> None:
        """Store what a person chose."""
        await self._store_settings(channel, settings, user)
        self._cache.forget_value(f"{self._team} {channel}")

    @transaction
    def _store_settings(self, connection: sa.Connection, channel: str, settings: ChannelSettings, user: str) -> None:
        row = self._make_row(channel, settings, user)
        insert = insert_into(channel_settings, connection.dialect.name).values(row)
        keys = channel_settings.primary_key.columns.keys()
        changes = {name: value for name, value in row.items() if name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes))
        add_change(connection, ChangeKind.CHANNEL, self._team, channel)

    def _make_row(self, channel: str, settings: ChannelSettings, user: str) -> dict[str, object]:
        row = asdict(settings) | {"sources": json.dumps(settings.sources, ensure_ascii=False)}
        return row | {"team": self._team, "channel": channel, "changed_by": user, "changed_at": self._now()}

    # ── Answers without a mention ────────────────────────────────────────────────────────────────────────────────────

    async def count_unasked(self, message: QuestionMessage) -> int:
        """Return how many other questions of the channel were answered without a mention within the last hour."""
        rows = await self.database.fetch_rows(_FIND, self._name_parameters(message.key.channel))
        return sum(ts != message.key.ts for row in rows for ts in self._list_recent(row.unasked_at))

    @transaction
    def reserve_unasked(self, connection: sa.Connection, message: QuestionMessage, most: int) -> bool:
        """Count an answer without a mention, and enter its thread; return False if the last hour has ``most``.

        All processes count together, and a question counts once however often its answer is begun.
        """
        names = self._name_parameters(message.key.channel)
        default = self._make_row(message.key.channel, ChannelSettings(), "")
        connection.execute(insert_into(channel_settings, connection.dialect.name).on_conflict_do_nothing(), default)
        recent = self._list_recent(connection.execute(_LOCK, names).scalar_one())
        if len(recent) >= most and message.key.ts not in recent:
            return False
        counted = json.dumps({message.key.ts: self._now(), **recent})
        connection.execute(_SET_UNASKED, {**names, "unasked_at": counted})
        team, channel, thread_ts = message.thread
        thread = {"team": team, "channel": channel, "thread_ts": thread_ts, "last_at": self._now()}
        connection.execute(insert_into(threads, connection.dialect.name).on_conflict_do_nothing(), thread)
        return True

    def _list_recent(self, counted: str) -> Mapping[str, float]:
        began = self._now() - _HOUR_S
        return {ts: at for ts, at in json.loads(counted).items() if at > began}

    def _name_parameters(self, channel: str) -> dict[str, object]:
        return {"of_team": self._team, "of_channel": channel}


def _read_settings(row: sa.Row[Any]) -> ChannelSettings:
    return ChannelSettings(
        tuple(json.loads(row.sources)),
        row.web,
        row.language,
        row.think,
        row.tone,
        bool(row.mention_only),
        row.unasked_per_hour,
    )


class ApprovedChannels:
    """The shared channels that an owner has approved. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def is_approved(self, team: str, channel: str) -> bool:
        """Return whether an owner has approved a channel."""
        return bool(await self.database.fetch_rows(_FIND_APPROVED, {"of_team": team, "of_channel": channel}))

    @transaction
    def set_approved(self, connection: sa.Connection, team: str, channel: str, owner: str, *, approved: bool) -> None:
        """Store that an owner approves a channel, or withdraws the approval."""
        connection.execute(_DELETE_APPROVED, {"of_team": team, "of_channel": channel})
        if approved:
            row = {"team": team, "channel": channel, "owner": owner, "approved_at": time.time()}
            connection.execute(insert_into(approved_channels, connection.dialect.name).on_conflict_do_nothing(), row)

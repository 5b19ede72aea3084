"""The effects of an operation on the workspace: rows to store, events for the app, updates for open pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.sandbox.state.model import Json, Record, SlackChannel, name_kind


@dataclass(frozen=True, slots=True)
class PageUpdate:
    """An update for open pages. A later one with the same key replaces one that was not sent yet."""

    key: str
    body: Json
    audience: frozenset[str] | None = None
    """The people whose pages get it; None for all."""


@dataclass(slots=True)
class Changes:
    """The effects that an operation collects; the hub takes them and does the I/O."""

    records: dict[tuple[str, str], Record | None] = field(default_factory=dict)
    """By (kind, key): the new record, None if it was deleted."""
    events: list[tuple[Json, SlackChannel | None]] = field(default_factory=list)
    """Events for the app, each with its conversation if it has one."""
    updates: list[PageUpdate] = field(default_factory=list)

    def save_record(self, record: Record) -> None:
        """Add a record that is new or changed."""
        self.records[name_kind(record), record.key] = record

    def delete_record(self, record: Record) -> None:
        """Add the deletion of a record."""
        self.records[name_kind(record), record.key] = None

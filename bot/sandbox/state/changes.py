"""What an operation on the workspace leaves to be done: rows to keep, events for the app, news for open pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.sandbox.state.model import Json, Record, name_kind


@dataclass(frozen=True, slots=True)
class PageUpdate:
    """Something that open pages show. A later one with the same key replaces an earlier one that was not sent yet."""

    key: str
    body: Json
    audience: frozenset[str] | None = None
    """Whose pages; None for everybody's."""


@dataclass(slots=True)
class Changes:
    """Collected while an operation runs, taken by whoever does the I/O."""

    records: dict[tuple[str, str], Record | None] = field(default_factory=dict)
    """By (kind, key): the record as it is now, None if it is gone."""
    events: list[tuple[Json, bool]] = field(default_factory=list)
    """Events for the app, each with whether its channel is shared with another company."""
    updates: list[PageUpdate] = field(default_factory=list)

    def save_record(self, record: Record) -> None:
        """Note a record that is new or changed."""
        self.records[name_kind(record), record.key] = record

    def delete_record(self, record: Record) -> None:
        """Note a record that is gone."""
        self.records[name_kind(record), record.key] = None

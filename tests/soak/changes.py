"""Random changes of a world, and what each one does to its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from tests.soak.model import Change, Document, Grant, World

SILENT: Final = ("role", "deactivate", "slack group", "membership")
"""Changes of Slack's records: with events, or late without any."""
SYNCED: Final = ("restrict", "grant", "edit", "delete")
"""Changes of documents that a sync follows."""
UNSYNCED: Final = ("wiki group", "drive group", "name", "restrict", "grant")
"""Changes that count after a minute without a sync."""
_KINDS: Final = {
    "restrict": {"wiki"}, "grant": {"drive"}, "edit": {"folder", "wiki", "drive"}, "delete": {"folder"},
}  # fmt: skip


class Picker(Protocol):
    """Chooses at random; the generator of the world is one."""

    world: World

    def pick(self, choices: Sequence[Any]) -> Any: ...
    def pick_some(self, people: Sequence[str], low: int, high: int) -> set[str]: ...
    def list_people(self) -> list[str]: ...
    def list_wiki_groups(self) -> list[str]: ...
    def pick_wiki_readers(self) -> list[Grant]: ...
    def pick_drive_readers(self) -> list[Grant]: ...
    def make_word(self, prefix: str) -> str: ...


class ChangeMaker:
    """Makes changes of the world of a picker."""

    def __init__(self, picker: Picker) -> None:
        self._picker = picker
        self._makers: Mapping[str, Callable[[], tuple[str, tuple[Any, ...]] | None]] = {
            "role": self._change_role,
            "deactivate": self._deactivate,
            "membership": self._join_or_leave,
            "slack group": self._change_slack_group,
            "wiki group": self._change_wiki_group,
            "drive group": self._change_drive_group,
            "name": lambda: ("name", (self._pick_person(), self._picker.pick(["board", "lawyers"]))),
            "restrict": lambda: ("restrict", (self._pick_document("restrict"), *picker.pick_wiki_readers())),
            "grant": lambda: ("grant", (self._pick_document("grant"), *picker.pick_drive_readers())),
            "edit": lambda: ("edit", (self._pick_document("edit"), picker.make_word("tev"))),
            "delete": lambda: ("delete", (self._pick_document("delete"),)),
        }

    def make(self, *, late: bool) -> Change | None:
        """Return a change; None if the one that was chosen changes nothing."""
        made = self._makers[self._picker.pick([*SILENT, *(UNSYNCED if late else SYNCED)])]()
        return None if made is None else Change(*made, late)

    def _pick_person(self) -> str:
        humans = self._picker.world.humans
        return str(self._picker.pick([one for one in self._picker.list_people() if humans[one].active]))

    def _pick_document(self, verb: str) -> int:
        world = self._picker.world
        documents = [
            one for one in world.documents.values() if one.live and world.places[one.place].kind in _KINDS[verb]
        ]
        chosen: Document = self._picker.pick(documents)
        return chosen.number

    def _change_role(self) -> tuple[str, tuple[Any, ...]] | None:
        person, kind = self._pick_person(), self._picker.pick(["member", "guest", "single_channel_guest"])
        return None if self._picker.world.humans[person].kind in {"sibling", kind} else ("role", (person, kind))

    def _deactivate(self) -> tuple[str, tuple[Any, ...]] | None:
        active = [one for one in self._picker.list_people() if self._picker.world.humans[one].active]
        return ("deactivate", (self._pick_person(),)) if len(active) > 8 else None

    def _join_or_leave(self) -> tuple[str, tuple[Any, ...]]:
        rooms = self._picker.world.rooms
        room = self._picker.pick([one for one, it in sorted(rooms.items()) if it.kind in {"public", "private"}])
        person = self._pick_person()
        return "leave" if person in rooms[room].members else "join", (person, room)

    def _change_slack_group(self) -> tuple[str, tuple[Any, ...]]:
        group = self._picker.pick(sorted(self._picker.world.slack_groups))
        return "slack group", (group, *sorted(self._picker.pick_some(self._picker.list_people(), 1, 5)))

    def _change_wiki_group(self) -> tuple[str, tuple[Any, ...]]:
        humans = self._picker.world.humans
        with_wiki = [one for one in self._picker.list_people() if humans[one].wiki]
        group = self._picker.pick(self._picker.list_wiki_groups())
        return "wiki group", (group, *sorted(self._picker.pick_some(with_wiki, 1, 4)))

    def _change_drive_group(self) -> tuple[str, tuple[Any, ...]]:
        group = self._picker.pick(sorted(self._picker.world.drive_groups))
        return "drive group", (group, *sorted(self._picker.pick_some(self._picker.list_people(), 1, 4)))


def apply_change(world: World, change: Change) -> None:
    """Change the records of a world."""
    first, *rest = change.args
    _EFFECTS[change.verb](world, first, rest)


def _edit(world: World, number: int, rest: Sequence[Any]) -> None:
    document = world.documents[number]
    document.old.append(document.text)
    document.text = rest[0]


def _toggle_name(world: World, person: str, rest: Sequence[Any]) -> None:
    world.humans[person].names ^= {rest[0]}


_EFFECTS: Mapping[str, Callable[[World, Any, Sequence[Any]], None]] = {
    "role": lambda world, person, rest: setattr(world.humans[person], "kind", rest[0]),
    "deactivate": lambda world, person, _: setattr(world.humans[person], "active", False),
    "join": lambda world, person, rest: world.rooms[rest[0]].members.add(person),
    "leave": lambda world, person, rest: world.rooms[rest[0]].members.discard(person),
    "slack group": lambda world, group, rest: world.slack_groups.update({group: set(rest)}),
    "wiki group": lambda world, group, rest: world.wiki_groups.update({group: set(rest)}),
    "drive group": lambda world, group, rest: world.drive_groups.update({group: set(rest)}),
    "name": _toggle_name,
    "restrict": lambda world, number, rest: setattr(world.documents[number], "own", list(rest)),
    "grant": lambda world, number, rest: setattr(world.documents[number], "own", list(rest)),
    "edit": _edit,
    "delete": lambda world, number, _: setattr(world.documents[number], "live", False),
}

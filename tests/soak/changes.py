"""Random changes of a world, and what each one does to its records."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, Protocol

from tests.soak.model import Change, Document, Grant, PlaceKind, World

SILENT: Final = ("role", "deactivate", "slack group", "membership")
"""Changes of Slack's records: with events, or late without any."""
SYNCED: Final = ("restrict", "grant", "row", "edit", "delete")
"""Changes of documents that a sync follows."""
UNSYNCED: Final = ("wiki group", "drive group", "name", "restrict", "grant", "row", "delete", "close")
"""Changes that count after a minute without a sync."""
BUTTONS: Final = ("send", "choose")
"""What owners do with files in direct messages; it counts at once."""
_KINDS: Final[Mapping[str, Collection[PlaceKind]]] = {
    "restrict": {"wiki"}, "grant": {"drive"}, "row": {"sql"},
    "edit": {"folder", "wiki", "drive", "sql", "notion", "slack", "files"},
    "delete": {"folder", "sql", "notion", "slack"}, "send": {"files"}, "choose": {"files"},
}  # fmt: skip


class Picker(Protocol):
    """Chooses at random; the generator of the world is one."""

    world: World

    def pick(self, choices: Sequence[Any]) -> Any: ...
    def pick_some(self, people: Sequence[str], low: int, high: int) -> set[str]: ...
    def list_people(self) -> list[str]: ...
    def list_wiki_groups(self) -> list[str]: ...
    def pick_readers(self) -> list[Grant]: ...
    def pick_wiki_readers(self) -> list[Grant]: ...
    def pick_drive_readers(self) -> list[Grant]: ...
    def pick_row_readers(self) -> list[Grant]: ...
    def pick_file_readers(self, sender: str) -> list[Grant]: ...
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
            "restrict": lambda: self._change_document("restrict", lambda _: picker.pick_wiki_readers()),
            "grant": lambda: self._change_document("grant", lambda _: picker.pick_drive_readers()),
            "row": lambda: self._change_document("row", lambda _: picker.pick_row_readers()),
            "edit": lambda: self._change_document("edit", lambda _: [picker.make_word("tev")]),
            "delete": lambda: self._change_document("delete", lambda _: []),
            "send": lambda: self._change_document("send", lambda _: [], live=False),
            "choose": lambda: self._change_document("choose", lambda one: picker.pick_file_readers(one.part)),
            "close": self._close_channel,
        }

    def make(self, *, late: bool) -> Change | None:
        """Return a change; None if the one that was chosen changes nothing."""
        made = self._makers[self._picker.pick([*SILENT, *BUTTONS, *(UNSYNCED if late else SYNCED)])]()
        return None if made is None else Change(*made, late and made[0] not in BUTTONS)

    def make_sent(self) -> list[Change]:
        """Return the changes that send most files, some with a choice of readers."""
        files = [one for one in self._picker.world.documents.values() if not one.live]
        sent = [Change("send", (one.number,)) for one in files[1:]]
        return [
            *sent,
            *(Change("choose", (one.number, *self._picker.pick_file_readers(one.part))) for one in files[2:]),
        ]

    def make_other_readers(self) -> list[Change]:
        """Return changes of readers in ``kvasir.toml``, for which Kvasir is restarted."""
        picker = self._picker
        names = sorted(name for name, place in picker.world.places.items() if place.kind != "files")
        wide: list[list[Grant]] = [[], [("members", "")], [("members", ""), ("guests", "")]]
        chosen = picker.pick_some(names, 3, 4)
        return [
            Change("readers", (name, *picker.pick([*wide, picker.pick_readers(), picker.pick_readers()])))
            for name in sorted(chosen)
        ]

    def _pick_person(self) -> str:
        world = self._picker.world
        people = [one for one in self._picker.list_people() if world.humans[one].active and one not in world.owners]
        return str(self._picker.pick(people))

    def _change_document(
        self, verb: str, make_args: Callable[[Document], Sequence[Any]], *, live: bool = True
    ) -> tuple[str, tuple[Any, ...]] | None:
        world = self._picker.world
        documents = [
            one
            for one in world.documents.values()
            if one.live is live and world.places[one.place].kind in _KINDS[verb] and _can_change(world, one)
        ]
        if not documents:
            return None
        document: Document = self._picker.pick(documents)
        return verb, (document.number, *make_args(document))

    def _close_channel(self) -> tuple[str, tuple[Any, ...]] | None:
        """Make a public channel with threads private."""
        world = self._picker.world
        channels = {one.part for one in world.documents.values() if world.places[one.place].kind == "slack"}
        public = sorted(one for one in channels if world.rooms[one].kind == "public")
        return ("close", (self._picker.pick(public),)) if public else None

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


def _can_change(world: World, document: Document) -> bool:
    """Return whether a document is not a thread of a channel that became private."""
    return world.places[document.place].kind != "slack" or world.rooms[document.part].kind == "public"


def _edit(world: World, number: int, rest: Sequence[Any]) -> None:
    """Change a text; a file that is sent again is for its sender alone."""
    document = world.documents[number]
    if world.places[document.place].kind == "files":
        document.own = [("person", document.part)]
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
    "row": lambda world, number, rest: setattr(world.documents[number], "own", list(rest)),
    "choose": lambda world, number, rest: setattr(world.documents[number], "own", list(rest)),
    "send": lambda world, number, _: setattr(world.documents[number], "live", True),
    "close": lambda world, room, _: setattr(world.rooms[room], "kind", "private"),
    "readers": lambda world, place, rest: setattr(world.places[place], "readers", list(rest) or None),
    "edit": _edit,
    "delete": lambda world, number, _: setattr(world.documents[number], "live", False),
}

"""Makes a random world and a random history from a seed."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import TypeVar, get_args

from tests.soak.changes import ChangeMaker, apply_change
from tests.soak.model import Ask, Change, Feature, Human, Kind, Look, Press, Room, Step, World
from tests.soak.oracle import COMPANY_DOMAIN, Oracle
from tests.soak.places import PlaceMaker

OWNER = "U0OWNER001"
"""Refreshes and approves; asks nothing."""
T = TypeVar("T", Change, Change | None)
FEATURES: Collection[Feature] = get_args(Feature)


class Generator:
    """Makes one world; equal seeds make equal worlds. Each feature has an even chance unless they are named."""

    def __init__(self, seed: int, features: Collection[Feature] | None = None) -> None:
        self._random = random.Random(seed)
        chosen = [one for one in FEATURES if self._random.random() < 0.5] if features is None else features
        self.world = World(seed, frozenset(chosen))
        self._maker = PlaceMaker(self.world, self._random)
        self._changes = ChangeMaker(self._maker)

    def make_world(self) -> World:
        """Return a new world."""
        self._add_people()
        self._add_groups()
        self._add_rooms()
        self._maker.add_places()
        return self.world

    # ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_people(self) -> None:
        kinds: list[Kind] = ["member", "member", "member", "member", "member", "member", "guest", "guest"]
        kinds += ["single_channel_guest", "sibling", "sibling", "foreign"]
        self.world.owners = {OWNER, "U000MEMBE"}
        self.world.humans[OWNER] = Human(OWNER, "member", f"owner@{COMPANY_DOMAIN}", "")
        for number, kind in enumerate(kinds):
            is_outside = kind in {"guest", "single_channel_guest", "foreign"}
            domain = self._random.choice(["partner.example", "studio.example"]) if is_outside else COMPANY_DOMAIN
            self._add_human(f"U0{number:02}{kind.upper().replace('_', '')[:5]:X<5}", kind, f"p{number}@{domain}")

    def _add_human(self, id_: str, kind: Kind, email: str) -> Human:
        has_wiki = kind != "foreign" and self._random.random() < 0.8
        names = {one for one in ("board", "lawyers") if kind != "foreign" and self._random.random() < 0.3}
        human = Human(id_, kind, email, f"acc{id_.lower()}" if has_wiki else "", names)
        self.world.humans[id_] = human
        return human

    def _add_groups(self) -> None:
        people, world = self._maker.list_people(), self.world
        with_wiki = [one for one in people if world.humans[one].wiki]
        world.slack_groups = {f"S0GROUP00{n}": self._maker.pick_some(people, 1, 5) for n in range(3)}
        world.wiki_groups = {f"wikigroup{n}": self._maker.pick_some(with_wiki, 1, 4) for n in range(3)}
        world.wiki_groups["staff"] = {one for one in with_wiki if "guest" not in world.humans[one].kind}
        world.drive_groups = {f"drivegroup{n}@{COMPANY_DOMAIN}": self._maker.pick_some(people, 1, 4) for n in range(2)}

    def _add_rooms(self) -> None:
        people, rooms = self._maker.list_people(), self.world.rooms
        guests = [one for one in people if "guest" in self.world.humans[one].kind]
        members = [one for one in people if one not in guests]
        foreign = [one for one in self._maker.list_people(company=False) if one not in people]
        for n in range(3):
            joined = set(members if n == 0 else self._maker.pick_some(members, 2, 6))
            joined |= set() if n == 0 else self._maker.pick_some(guests, 0, 2)
            rooms[f"C0PUBLIC0{n}"] = Room(f"C0PUBLIC0{n}", "public", joined)
        for n in range(3):
            joined = self._maker.pick_some(people, 2, 6)
            rooms[f"C0PRIVAT0{n}"] = Room(f"C0PRIVAT0{n}", "private", joined)
        rooms["C0GROUPDM0"] = Room("C0GROUPDM0", "mpim", self._maker.pick_some(people, 2, 4))
        for n in range(2):
            joined = self._maker.pick_some(members, 2, 4) | set(foreign)
            rooms[f"C0SHARED0{n}"] = Room(f"C0SHARED0{n}", "shared", joined, approved=n == 0)
        for one in (*people, *foreign):
            rooms[f"D0{one[2:]}"] = Room(f"D0{one[2:]}", "im", {one})

    # ── History ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def make_epoch(self, asks: int, presses: int, *, changes: int, late: bool) -> list[Step]:
        """Return changes of the world, and then questions, looks and presses; the world changes with them."""
        made = [change for _ in range(changes) if (change := self._apply(self._changes.make(late=late)))]
        return [*made, *self._make_acts(asks, presses)]

    def make_first_epoch(self, asks: int, presses: int) -> list[Step]:
        """Return what people do in the world as it was made; owners send files."""
        return [*map(self._apply, self._changes.make_sent()), *self._make_acts(asks, presses)]

    def make_restart_epoch(self, asks: int, presses: int) -> list[Step]:
        """Return changes of ``kvasir.toml``, and what people do after the restart."""
        return [*map(self._apply, self._changes.make_other_readers()), *self._make_acts(asks, presses)]

    def _apply(self, change: T) -> T:
        if change is not None:
            apply_change(self.world, change)
        return change

    def _make_acts(self, asks: int, presses: int) -> list[Step]:
        acts: list[Step] = [self._make_ask() for _ in range(asks)]
        acts += [self._make_look() for _ in range(asks // 8)]
        acts += [self._make_press() for _ in range(presses)]
        self._random.shuffle(acts)
        return acts

    def _make_ask(self) -> Ask:
        world, oracle = self.world, Oracle(self.world)
        rooms = [room for _, room in sorted(world.rooms.items()) if self._list_askers(room)]
        room = self._maker.pick(rooms)
        documents = [one for one in world.documents.values() if one.live]
        allowed = [one for one in documents if oracle.may_show(one, room)]
        document = self._maker.pick(allowed if allowed and self._random.random() < 0.5 else documents)
        follow_up, engine, way = self._random.random() < 0.3, self._random.random() < 0.8, self._random.random()
        person = self._maker.pick(self._list_askers(room))
        is_search = way < 0.15 and world.humans[person].kind != "foreign"
        return Ask(person, room.id, document.number, follow_up, engine, "search" if is_search else "question")

    def _make_press(self) -> Press:
        people = [one for one in self._maker.list_people() if self.world.humans[one].active]
        return Press(self._maker.pick(people), self._random.randrange(1000))

    def _make_look(self) -> Look:
        room = self._maker.pick([room for _, room in sorted(self.world.rooms.items()) if self._list_company(room)])
        what = self._maker.pick(["sources", "status", "home", "suggestion", "feedback"])
        return Look(self._maker.pick(self._list_company(room)), room.id, what)

    def _list_askers(self, room: Room) -> list[str]:
        return [one for one in sorted(room.members) if self.world.humans[one].active]

    def _list_company(self, room: Room) -> list[str]:
        return [one for one in self._list_askers(room) if self.world.humans[one].kind != "foreign"]

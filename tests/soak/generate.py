"""Makes a random world and a random history from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tests.soak.changes import ChangeMaker, apply_change
from tests.soak.model import Ask, Document, Grant, Human, Kind, Look, Place, Press, Room, Step, World
from tests.soak.oracle import COMPANY_DOMAIN, Oracle

OWNER = "U0OWNER001"
"""Refreshes and approves; asks nothing."""
_LETTERS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


class Generator:
    """Makes one world; equal seeds make equal worlds."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words: set[str] = set()
        self.world = World(seed)
        self._changes = ChangeMaker(self)

    def make_world(self) -> World:
        """Return a new world."""
        self._add_people()
        self._add_groups()
        self._add_rooms()
        self._add_places()
        return self.world

    # ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_people(self) -> None:
        kinds: list[Kind] = ["member", "member", "member", "member", "member", "member", "guest", "guest"]
        kinds += ["single_channel_guest", "sibling", "sibling", "foreign"]
        self.world.humans[OWNER] = Human(OWNER, "member", f"owner@{COMPANY_DOMAIN}", "")
        for number, kind in enumerate(kinds):
            is_outside = kind in {"guest", "single_channel_guest", "foreign"}
            domain = self._random.choice(["partner.example", "studio.example"]) if is_outside else COMPANY_DOMAIN
            self.add_human(f"U0{number:02}{kind.upper().replace('_', '')[:5]:X<5}", kind, f"p{number}@{domain}")

    def add_human(self, id_: str, kind: Kind, email: str) -> Human:
        has_wiki = kind != "foreign" and self._random.random() < 0.8
        names = {one for one in ("board", "lawyers") if kind != "foreign" and self._random.random() < 0.3}
        human = Human(id_, kind, email, f"acc{id_.lower()}" if has_wiki else "", names)
        self.world.humans[id_] = human
        return human

    def list_people(self, *, company: bool = True) -> list[str]:
        """Return people who ask, without the owner."""
        return [
            one.id for one in self.world.humans.values() if one.id != OWNER and not (company and one.kind == "foreign")
        ]

    def pick_some(self, people: Sequence[str], low: int, high: int) -> set[str]:
        return set(self._random.sample(list(people), min(len(people), self._random.randint(low, high))))

    def _add_groups(self) -> None:
        people, world = self.list_people(), self.world
        with_wiki = [one for one in people if world.humans[one].wiki]
        world.slack_groups = {f"S0GROUP00{n}": self.pick_some(people, 1, 5) for n in range(3)}
        world.wiki_groups = {f"wikigroup{n}": self.pick_some(with_wiki, 1, 4) for n in range(3)}
        world.wiki_groups["staff"] = {one for one in with_wiki if "guest" not in world.humans[one].kind}
        world.drive_groups = {f"drivegroup{n}@{COMPANY_DOMAIN}": self.pick_some(people, 1, 4) for n in range(2)}

    def _add_rooms(self) -> None:
        people, rooms = self.list_people(), self.world.rooms
        guests = [one for one in people if "guest" in self.world.humans[one].kind]
        members = [one for one in people if one not in guests]
        foreign = [one for one in self.list_people(company=False) if one not in people]
        for n in range(3):
            joined = set(members if n == 0 else self.pick_some(members, 2, 6))
            joined |= set() if n == 0 else self.pick_some(guests, 0, 2)
            rooms[f"C0PUBLIC0{n}"] = Room(f"C0PUBLIC0{n}", "public", joined)
        for n in range(3):
            joined = self.pick_some(people, 2, 6)
            rooms[f"C0PRIVAT0{n}"] = Room(f"C0PRIVAT0{n}", "private", joined)
        rooms["C0GROUPDM0"] = Room("C0GROUPDM0", "mpim", self.pick_some(people, 2, 4))
        for n in range(2):
            joined = self.pick_some(members, 2, 4) | set(foreign)
            rooms[f"C0SHARED0{n}"] = Room(f"C0SHARED0{n}", "shared", joined, approved=n == 0)
        for one in (*people, *foreign):
            rooms[f"D0{one[2:]}"] = Room(f"D0{one[2:]}", "im", {one})

    # ── Documents ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_places(self) -> None:
        world = self.world
        self._add_folder(None, 3)
        self._add_folder([("members", ""), ("guests", "")], 3)
        self._add_folder([("world", "")], 2)
        for _ in range(4):
            self._add_folder(self._pick_readers(), 2)
        self._add_folder([("members", ""), ("guests", "")], 3)
        world.documents[len(world.documents)].own = self._pick_readers()
        wiki = Place(self.make_word("sov"), "wiki", self._pick_wide_readers())
        wiki.parts = {
            "ENG": [("members", "")],
            "HR": [("wiki group", self.pick(self.list_wiki_groups())), ("wiki user", self._pick_wiki_user())],
        }
        world.places[wiki.name] = wiki
        for n in range(7):
            page = self._add_document(wiki.name, part="ENG" if n < 4 else "HR")
            if n in {1, 2, 5}:
                page.own = self.pick_wiki_readers()
            if n in {2, 6}:
                page.parent = page.number - 1
        drive = Place(self.make_word("sov"), "drive", self._pick_wide_readers())
        world.places[drive.name] = drive
        for _ in range(6):
            self._add_document(drive.name).own = self.pick_drive_readers()

    def _add_folder(self, readers: list[Grant] | None, documents: int) -> None:
        place = Place(self.make_word("sov"), "folder", readers)
        self.world.places[place.name] = place
        for _ in range(documents):
            self._add_document(place.name)

    def _add_document(self, place: str, part: str = "") -> Document:
        number = len(self.world.documents) + 1
        keyword, text, title, file, rest = (self.make_word(prefix) for prefix in ("kev", "tev", "tiv", "fiv", "tev"))
        document = Document(number, place, keyword, text, title, file, rest, part=part)
        self.world.documents[number] = document
        return document

    def _pick_readers(self) -> list[Grant]:
        world = self.world
        people = self.list_people()
        choices: list[Grant] = [
            ("person", self.pick(people)), ("person", self.pick(people)),
            ("email", world.humans[self.pick(people)].email),
            ("slack group", self.pick(sorted(world.slack_groups))),
            ("channel", self.pick([one for one, room in sorted(world.rooms.items()) if room.kind == "private"])),
            ("channel", self.pick([one for one, room in sorted(world.rooms.items()) if room.kind == "public"])),
            ("guests", ""), ("name", self.pick(["board", "lawyers"])),
        ]  # fmt: skip
        return list(dict.fromkeys(self._random.sample(choices, self._random.randint(1, 3))))

    def _pick_wide_readers(self) -> list[Grant] | None:
        """Return readers of a source with rights of its own."""
        return [None, [("members", "")], [("members", ""), ("guests", "")]][self._random.randrange(3)]

    def list_wiki_groups(self) -> list[str]:
        return [one for one in sorted(self.world.wiki_groups) if one != "staff"]

    def _pick_wiki_user(self) -> str:
        return str(self.pick([one.wiki for one in self.world.humans.values() if one.wiki]))

    def pick_wiki_readers(self) -> list[Grant]:
        users: list[Grant] = [("wiki user", self._pick_wiki_user()) for _ in range(self._random.randint(0, 2))]
        groups: list[Grant] = [("wiki group", one) for one in self.list_wiki_groups()]
        return list(dict.fromkeys([*users, self.pick(groups)]))

    def pick_drive_readers(self) -> list[Grant]:
        emails = [self.world.humans[one].email for one in self.list_people()]
        choices: list[Grant] = [
            ("drive user", self.pick(emails)), ("drive user", self.pick(emails)),
            ("drive group", self.pick(sorted(self.world.drive_groups))), ("drive domain", COMPANY_DOMAIN),
        ]  # fmt: skip
        return list(dict.fromkeys(self._random.sample(choices, self._random.randint(1, 2))))

    def make_word(self, prefix: str) -> str:
        while True:
            tail = "".join(self._random.choice(_LETTERS) + self._random.choice(_VOWELS) for _ in range(4))
            if tail not in self._words:
                self._words.add(tail)
                return f"{prefix}{tail}"

    def pick(self, choices: Sequence[Any]) -> Any:
        return self._random.choice(list(choices))

    # ── History ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def make_epoch(self, asks: int, presses: int, *, changes: int, late: bool) -> list[Step]:
        """Return changes of the world, and then questions, looks and presses; the world changes with them."""
        steps: list[Step] = []
        for _ in range(changes):
            if (change := self._changes.make(late=late)) is not None:
                apply_change(self.world, change)
                steps.append(change)
        acts: list[Step] = [self._make_ask() for _ in range(asks)]
        acts += [self._make_look() for _ in range(asks // 8)]
        acts += [self._make_press() for _ in range(presses)]
        self._random.shuffle(acts)
        return steps + acts

    def _make_ask(self) -> Ask:
        world, oracle = self.world, Oracle(self.world)
        rooms = [room for _, room in sorted(world.rooms.items()) if self._list_askers(room)]
        room = self.pick(rooms)
        documents = [one for one in world.documents.values() if one.live]
        allowed = [one for one in documents if oracle.may_show(one, room)]
        document = self.pick(allowed if allowed and self._random.random() < 0.5 else documents)
        follow_up, engine, way = self._random.random() < 0.3, self._random.random() < 0.8, self._random.random()
        person = self.pick(self._list_askers(room))
        is_search = way < 0.15 and world.humans[person].kind != "foreign"
        return Ask(person, room.id, document.number, follow_up, engine, "search" if is_search else "question")

    def _make_press(self) -> Press:
        people = [one for one in self.list_people() if self.world.humans[one].active]
        return Press(self.pick(people), self._random.randrange(1000))

    def _make_look(self) -> Look:
        room = self.pick([room for _, room in sorted(self.world.rooms.items()) if self._list_company(room)])
        what = self.pick(["sources", "status", "home", "suggestion"])
        return Look(self.pick(self._list_company(room)), room.id, what)

    def _list_askers(self, room: Room) -> list[str]:
        return [one for one in sorted(room.members) if self.world.humans[one].active]

    def _list_company(self, room: Room) -> list[str]:
        return [one for one in self._list_askers(room) if self.world.humans[one].kind != "foreign"]

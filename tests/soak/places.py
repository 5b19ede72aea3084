"""Makes the sources of a random world, their documents, and who may read them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tests.soak.model import Document, Grant, Place, PlaceKind, World
from tests.soak.oracle import COMPANY_DOMAIN, HOME_WORKSPACE, ORGANIZATION, SIBLING_WORKSPACE

_LETTERS = "bdfgklmnprstvz"
_VOWELS = "aeiou"


class PlaceMaker:
    """Adds sources to a world."""

    def __init__(self, world: World, source: random.Random) -> None:
        self.world = world
        self._random = source
        self._words: set[str] = set()

    def add_places(self) -> None:
        """Add the sources that every world has, and those of its features."""
        world, features = self.world, self.world.features
        self._add_place("folder", None, 3)
        self._add_place("folder", [("members", ""), ("guests", "")], 3)
        self._add_place("folder", [("world", "")], 2)
        for _ in range(4):
            self._add_place("folder", self.pick_readers(), 2)
        self._add_place("folder", [("members", ""), ("guests", "")], 3)
        world.documents[len(world.documents)].own = self.pick_readers()
        self._add_wiki()
        for document in self._add_place("drive", self.pick_wide_readers(), 6):
            document.own = self.pick_drive_readers()
        if "files" in features:
            self._add_files()
        if "slack" in features:
            for document in self._add_place("slack", self.pick_wide_readers(), 5):
                document.part = self.pick(self._list_rooms("public"))
        if "sql" in features:
            for document in self._add_place("sql", self.pick_wide_readers(), 5):
                document.own = self.pick_row_readers()
        if "notion" in features:
            self._add_place("notion", self.pick([None, self.pick_readers()]), 3)
        if "workspaces" in features:
            self._name_workspaces()

    def _add_wiki(self) -> None:
        place = Place(self.make_word("sov"), "wiki", self.pick_wide_readers())
        self.world.places[place.name] = place
        place.parts = {
            "ENG": [("members", "")],
            "HR": [("wiki group", self.pick(self.list_wiki_groups())), ("wiki user", self._pick_wiki_user())],
        }
        for n in range(7):
            page = self._add_document(place.name, part="ENG" if n < 4 else "HR")
            if n in {1, 2, 5}:
                page.own = self.pick_wiki_readers()
            if n in {2, 6}:
                page.parent = page.number - 1

    def _add_files(self) -> None:
        """Add files that owners have not sent yet."""
        readers: list[list[Grant] | None] = [None, [("members", "")], [("members", ""), ("guests", "")]]
        for document in self._add_place("files", self.pick(readers), 4):
            document.part = self.pick(sorted(self.world.owners))
            document.own, document.live = [("person", document.part)], False

    def _name_workspaces(self) -> None:
        """Let ``*`` stand for the members of some workspaces in three sources."""
        chosen = self._random.sample([one for one in self.world.places.values() if one.kind != "files"], 3)
        for place in chosen:
            place.workspaces = self.pick([[HOME_WORKSPACE], [SIBLING_WORKSPACE], [ORGANIZATION]])

    def _add_place(self, kind: PlaceKind, readers: Sequence[Grant] | None, documents: int) -> list[Document]:
        place = Place(self.make_word("sov"), kind, readers)
        self.world.places[place.name] = place
        return [self._add_document(place.name) for _ in range(documents)]

    def _add_document(self, place: str, part: str = "") -> Document:
        number = len(self.world.documents) + 1
        keyword, text, title, file, rest = (self.make_word(prefix) for prefix in ("kev", "tev", "tiv", "fiv", "tev"))
        document = Document(number, place, keyword, text, title, file, rest, part=part)
        self.world.documents[number] = document
        return document

    # ── Readers ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def pick_readers(self) -> list[Grant]:
        """Return some readers of ``kvasir.toml``."""
        world, people = self.world, self.list_people()
        choices: list[Grant] = [
            ("person", self.pick(people)), ("person", self.pick(people)),
            ("email", world.humans[self.pick(people)].email),
            ("slack group", self.pick(sorted(world.slack_groups))),
            ("channel", self.pick(self._list_rooms("private"))),
            ("channel", self.pick(self._list_rooms("public"))),
            ("guests", ""), ("name", self.pick(["board", "lawyers"])),
        ]  # fmt: skip
        return list(dict.fromkeys(self._random.sample(choices, self._random.randint(1, 3))))

    def pick_wide_readers(self) -> list[Grant] | None:
        """Return readers of a source with rights of its own."""
        return [None, [("members", "")], [("members", ""), ("guests", "")], self.pick_readers()][
            self._random.randrange(4)
        ]

    def pick_row_readers(self) -> list[Grant]:
        """Return readers in a column of a database; none is NULL."""
        choices: list[list[Grant]] = [[], [("readers", "")], self.pick_readers(), self.pick_readers()]
        return choices[self._random.randrange(len(choices))]

    def pick_file_readers(self, sender: str) -> list[Grant]:
        """Return what a sender of a file may choose."""
        rooms = [one for one in self._list_rooms("public", "private") if sender in self.world.rooms[one].members]
        choices: list[list[Grant]] = [[], [("readers", "")], *([("channel", one)] for one in rooms)]
        return [("person", sender), *self.pick(choices)]

    def pick_wiki_readers(self) -> list[Grant]:
        """Return people and groups to whom a page is restricted."""
        users: list[Grant] = [("wiki user", self._pick_wiki_user()) for _ in range(self._random.randint(0, 2))]
        groups: list[Grant] = [("wiki group", one) for one in self.list_wiki_groups()]
        return list(dict.fromkeys([*users, self.pick(groups)]))

    def pick_drive_readers(self) -> list[Grant]:
        """Return permissions of a file in Drive."""
        emails = [self.world.humans[one].email for one in self.list_people()]
        choices: list[Grant] = [
            ("drive user", self.pick(emails)), ("drive user", self.pick(emails)),
            ("drive group", self.pick(sorted(self.world.drive_groups))), ("drive domain", COMPANY_DOMAIN),
        ]  # fmt: skip
        return list(dict.fromkeys(self._random.sample(choices, self._random.randint(1, 2))))

    def list_wiki_groups(self) -> list[str]:
        """Return groups of Confluence without that of all employees."""
        return [one for one in sorted(self.world.wiki_groups) if one != "staff"]

    def _pick_wiki_user(self) -> str:
        return str(self.pick([one.wiki for one in self.world.humans.values() if one.wiki]))

    def _list_rooms(self, *kinds: str) -> list[str]:
        return [one for one, room in sorted(self.world.rooms.items()) if room.kind in kinds]

    # ── Choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def list_people(self, *, company: bool = True) -> list[str]:
        """Return people who ask, without the owner who only looks after Kvasir."""
        is_asking = [one for one in self.world.humans.values() if not one.id.startswith("U0OWNER")]
        return [one.id for one in is_asking if not (company and one.kind == "foreign")]

    def pick(self, choices: Sequence[Any]) -> Any:
        return self._random.choice(list(choices))

    def pick_some(self, people: Sequence[str], low: int, high: int) -> set[str]:
        return set(self._random.sample(list(people), min(len(people), self._random.randint(low, high))))

    def make_word(self, prefix: str) -> str:
        """Return a word that is nowhere else in the world."""
        while True:
            tail = "".join(self._random.choice(_LETTERS) + self._random.choice(_VOWELS) for _ in range(4))
            if tail not in self._words:
                self._words.add(tail)
                return f"{prefix}{tail}"

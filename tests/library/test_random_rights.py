"""Random changes of rights and texts, with syncs, restarts and outages: nobody sees what was closed a minute ago."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from knowledge.errors import SourceUnavailable
from knowledge.interfaces import Hit, Viewers
from knowledge.library import Library
from tests.library.library_bench import Bench
from tests.library.rights_source import Now, RightsDict

PRINCIPALS = ("*", "board", "nurse", "guests")
STEPS = 60


@dataclass(frozen=True)
class Period:
    """A time in which a document had a text and readers."""

    start: float
    text: str
    readers: frozenset[str]


class History:
    """What the source had, and when; the oracle."""

    def __init__(self) -> None:
        self.periods: dict[str, list[Period]] = {}

    def record(self, document: str, at: float, text: str, readers: frozenset[str]) -> None:
        self.periods.setdefault(document, []).append(Period(at, text, readers))

    def was_open(self, hit: Hit, people: list[frozenset[str]], now: float) -> bool:
        """Return whether all of these people could read the document in the last minute."""
        return any(end >= now - 60 and _admits(one, people) for one, end in self._with_ends(hit.document, now))

    def was_meant(self, hit: Hit, people: list[frozenset[str]]) -> bool:
        """Return whether this very text was open to all of these people at any time."""
        return any(one.text in hit.text and _admits(one, people) for one in self.periods[hit.document])

    def _with_ends(self, document: str, now: float) -> Iterator[tuple[Period, float]]:
        periods = self.periods[document]
        return zip(periods, [*(one.start for one in periods[1:]), now], strict=True)


def _admits(period: Period, people: list[frozenset[str]]) -> bool:
    return all(period.readers & {*person, "world"} for person in people)


class Installation:
    """A source with its history, and what may happen to it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = Now()
        self.source = RightsDict()
        self.history = History()
        self.versions = 0
        for n in range(8):
            self.write(f"{n}.md")

    def choose_readers(self) -> frozenset[str]:
        return frozenset(self.random.sample(PRINCIPALS, self.random.randint(0, 2)))

    def write(self, document: str) -> None:
        """Write a new text, with other readers."""
        self.versions += 1
        text = f"Version {self.versions}, of the minutes"
        self.source.put(document, text)
        self.source.rights[document] = readers = self.choose_readers()
        self.history.record(document, self.now(), text, readers)

    def change_rights(self, document: str) -> None:
        self.source.rights[document] = readers = self.choose_readers()
        self.history.record(document, self.now(), self.source.texts[document], readers)

    def delete(self, document: str) -> None:
        self.source.rights.pop(document, None)
        self.history.record(document, self.now(), self.source.texts[document], frozenset())

    async def live(self, library: Library) -> None:
        """Do something at random, and let some time pass."""
        document = self.random.choice(list(self.source.texts))
        match self.random.choices(("rights", "write", "delete", "sync", "outage", "back"), (8, 3, 2, 2, 1, 2))[0]:
            case "rights":
                self.change_rights(document)
            case "write":
                self.write(document)
            case "delete":
                self.delete(document)
            case "sync":
                self.source.plans.clear()
                await library.refresh()
            case "outage":
                for _ in range(200):
                    self.source.plan("rights", SourceUnavailable("The wiki is down."))
            case _:
                self.source.plans.clear()
        self.now.s += self.random.choice((0, 1, 5, 20, 40, 61, 200))

    async def ask(self, library: Library) -> int:
        """Ask as some people, in every way, and compare all that is shown with the history. Return its number."""
        people = [frozenset(self.random.sample(PRINCIPALS, self.random.randint(0, 3))) for _ in range(2)]
        people = people[: self.random.randint(1, 2)]
        viewers = Viewers.of(*people)
        hits = list((await library.search("minutes", viewers=viewers, limit=self.random.choice((2, 8)))).hits)
        everything = await library.search("minutes", viewers=Viewers.of(PRINCIPALS), limit=8)
        for hit in everything.hits:
            passage = await library.read_passage(hit.chunks, viewers)
            current = await library.filter_current(hit.chunks, viewers)
            assert bool(current) is (passage is not None)
            hits += [passage] if passage is not None else []
        for hit in hits:
            assert self.history.was_open(hit, people, self.now()), (hit.document, people)
            assert self.history.was_meant(hit, people), (hit.document, hit.text, people)
        return len(hits)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_shown_that_was_closed_a_minute_ago(bench: Bench, seed: int) -> None:
    world, count = Installation(seed), 0
    bench.now = world.now
    for _ in range(3):  # restarts
        async with bench.library(world.source) as library:
            await library.refresh()
            for _ in range(STEPS // 3):
                await world.live(library)
                count += await world.ask(library)
            world.source.plans.clear()
            await library.refresh()
            world.now.s += 61
            found = {hit.document for hit in (await library.search("minutes", viewers=Viewers.of({"*"}), limit=8)).hits}
            assert found == {one for one, readers in world.source.rights.items() if "*" in readers}
    assert count > STEPS, "there was something to see"

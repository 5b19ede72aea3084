"""Reads entries for exports and reports, with the names of people who were not forgotten."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bot.audit.chain import list_chains, parse_line
from bot.audit.entries import Event
from bot.audit.file_log import mask_sealed
from bot.audit.settings import AuditSettings
from bot.storage.audit_people import AuditPerson

_OWN_KEYS: Final = ("event", "at", "person", "sealed", "mac", "place")
_OF_THE_CHAIN: Final = ("begin", "new-key")  # events that say nothing about people
_PARTS: Final = ("viewers", "about")  # what names other people than the one who did it
_LEAST_DOCUMENTS: Final = 30
_TIMES_MEDIAN: Final = 3.0


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry as it is shown."""

    at: str
    event: str
    person: str
    """The person's name, the pseudonym of somebody who was forgotten, or ""."""
    facts: Mapping[str, Any]
    sealed: Mapping[str, Any] | None
    """None if nobody can read it any more."""
    place: str
    """The file and the number of the entry in it."""


class EntryReader:
    """Reads the entries of a folder."""

    def __init__(self, settings: AuditSettings, people: Iterable[AuditPerson]) -> None:
        self._folder = settings.folder
        self._masking = settings.masking
        self._people = {one.pseudonym: one for one in people}

    def read_entries(self, *, since: str = "", user: str = "") -> Iterator[ReadEntry]:
        """Yield the entries by day, in the order of their times; ``user`` limits them to a person of any workspace."""
        first_day = since[:10].replace("-", "")
        paths = [path for path in list_chains(self._folder) if path.name[:8] >= first_day]
        wanted = {one.pseudonym for one in self._people.values() if user in {one.name, one.name.rpartition("/")[2]}}
        for _, of_day in itertools.groupby(paths, key=lambda path: path.name[:8]):
            for entry in heapq.merge(*map(self._read_file, of_day), key=lambda one: str(one["at"])):
                if entry["at"] >= since and (not user or not wanted.isdisjoint(_list_pseudonyms(entry))):
                    yield self._open_entry(entry)

    def _read_file(self, path: Path) -> Iterator[dict[str, Any]]:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                values = parse_line(line)
                if values.keys() >= {"at", "event"} and values["event"] not in _OF_THE_CHAIN:
                    yield {**values, "place": f"{path.name}:{number}"}

    def _open_entry(self, entry: Mapping[str, Any]) -> ReadEntry:
        person = self._people.get(entry.get("person", ""))
        opened = person.unseal(entry["sealed"]) if person is not None and "sealed" in entry else None
        sealed = {} if "sealed" not in entry else opened and mask_sealed("exports", opened, self._masking)
        facts = {name: value for name, value in entry.items() if name not in _OWN_KEYS}
        facts |= {part: [self._name_person(one) for one in facts[part]] for part in _PARTS if part in facts}
        name = self._name_person(entry.get("person", ""))
        return ReadEntry(entry["at"], entry["event"], name, facts, sealed, entry["place"])

    def _name_person(self, pseudonym: str) -> str:
        return self._people[pseudonym].name if pseudonym in self._people else pseudonym


def _list_pseudonyms(entry: Mapping[str, Any]) -> set[str]:
    return {entry.get("person", "")}.union(*(entry.get(part, ()) for part in _PARTS))


@dataclass(frozen=True, slots=True)
class AuditSummary:
    """What happened, in numbers."""

    events: Mapping[str, int]
    people: Mapping[str, int]
    """Questions and looks at passages of each person."""
    sources: Mapping[str, int]
    """How often passages of each source were found for somebody."""
    refusals: Mapping[str, int]
    unusual: Mapping[str, int]
    """How many documents each person read who read far more than most."""
    usual: float


def summarise_entries(entries: Iterable[ReadEntry]) -> AuditSummary:
    """Count entries.

    Reading is unusual from ``_LEAST_DOCUMENTS`` different documents on, if it is more than ``_TIMES_MEDIAN`` times
    what the median person read.
    """
    events, people, sources, refusals = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    documents: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for entry in entries:
        events[entry.event] += 1
        if entry.event == Event.REFUSAL:
            refusals[entry.person] += 1
        if entry.event not in {Event.QUESTION, Event.READ}:
            continue
        people[entry.person] += 1
        passages: Sequence[Mapping[str, Any]] = entry.facts.get("passages", ())
        sources.update({str(one["source"]) for one in passages})
        if entry.person:
            documents[entry.person].update((one["source"], one["document"]) for one in passages)
    counts = {person: len(found) for person, found in documents.items()}
    usual = median(counts.values()) if counts else 0.0
    most = max(_LEAST_DOCUMENTS - 1, _TIMES_MEDIAN * usual)
    unusual = {person: count for person, count in counts.items() if count > most}
    return AuditSummary(dict(events), dict(people), dict(sources), dict(refusals), unusual, usual)

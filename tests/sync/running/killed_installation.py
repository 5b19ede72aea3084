"""Kill the syncs of an installation, and check store and manifest afterwards, for ``test_killed.py`` and the soak."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from knowledge.library import Library
from knowledge.sync.manifest.records import decode_readers
from knowledge.sync.running.repair import repair_index
from tests.forks import run_fork
from tests.sync.running.killed_sync import World, opened, run_killed_sync

SEAMS = {
    "edit": ("note", "write", "flip", "delete", "settle", "remove", "touch", "finish", "maintain", "memory"),
    "empty": ("hold",),
    "approve": ("remove", "delete", "settle"),
    "narrow": ("restrict", "write", "flip"),
    "purge": ("purge", "delete", "settle"),
    "rechunk": ("index", "write", "flip", "finish", "activate", "drop", "forget"),
    "lose": ("lose", "repaired", "write"),
}
"""Changes of documents or configuration before a sync, and where that sync can be killed."""

Answers = dict[str, list[str]]
"""``source/document`` -> its passages in order."""


@dataclass
class Outcome:
    """The problems around one killed sync."""

    killed: bool
    gaps: list[str] = field(default_factory=list)
    """Documents that were there before and after, and of which nothing answered."""
    mixed: list[str] = field(default_factory=list)
    """Documents that showed neither the old nor the new version, but something else."""
    drift: int = 0
    """Chunks that differ, row by row, after one whole sync."""
    left: list[str] = field(default_factory=list)
    """Other problems that one whole sync did not repair."""

    @property
    def well(self) -> bool:
        return not (self.gaps or self.mixed or self.drift or self.left)


async def shown(library: Library) -> Answers:
    """Return the passages that a search could show now."""
    index = await library._documents.follow_active_index()
    stored = [id_ async for ids in index.store.list_ids() for id_ in ids]
    rows = await index.manifest.find_current(stored, library._rules)
    texts = {row.chunk.id: row.chunk.text for row in await index.store.read_rows([row.id for row in rows])}
    found: Answers = {}
    for row in sorted(rows, key=lambda row: (row.source, row.document, row.place)):
        found.setdefault(f"{row.source.partition(chr(31))[0]}/{row.document}", []).append(texts[row.id])
    return found


class Installation:
    """One installation in a directory, on a store with these variables."""

    def __init__(
        self,
        directory: Path,
        store: str = "lancedb",
        variables: Mapping[str, str] | None = None,
        database_url: str | None = None,
    ) -> None:
        self.home = directory / "home"
        roots = {name: directory / name for name in ("docs", "wiki")}
        for folder in (self.home, *roots.values()):
            folder.mkdir(parents=True)
        self.roots = roots
        url = database_url or f"sqlite:///{self.home / 'kvasir.db'}"
        sources = {name: str(root) for name, root in roots.items()}
        namespace = f"n{random.getrandbits(32):08x}"
        self.world = World(
            str(self.home), url, sources, store=store, store_variables=dict(variables or {}), namespace=namespace
        )
        self.generation = 0
        self.wanted: Answers = {}

    async def begin(self) -> None:
        """Fill the folders and sync them for the first time."""
        self._fill()
        await self.sync()

    async def round(self, change: str, step: str, count: int = 1) -> Outcome:
        """Change something, sync until the kill, look; sync again whole, look again."""
        old = dict(self.wanted)
        approve = await self._change(change)
        outcome = Outcome(await self._killed(step, count, approve=approve))
        async with opened(self.world) as library:
            if change != "lose":
                self._look(outcome, old, await shown(library))
            report = await library.refresh(approve=(await library.status()).approval_marks() if approve else None)
            assert report.ok, report
            await self._compare(outcome, library)
        await self._put_back()
        return outcome

    def _look(self, outcome: Outcome, old: Answers, now: Answers) -> None:
        versions = (old, self.wanted)
        outcome.mixed = [name for name, texts in now.items() if texts not in [one.get(name) for one in versions]]
        outcome.gaps = [name for name in old.keys() & self.wanted.keys() if name not in now]

    async def _compare(self, outcome: Outcome, library: Library) -> None:
        """Record how many chunks differ, and other problems."""
        now = await shown(library)
        left = [f"{name} answers {now[name]}" for name in now if now[name] != self.wanted.get(name)]
        left += [f"{name} does not answer" for name in self.wanted if name not in now]
        index = library._indexes.written
        left += [f"pending {id_}" for id_ in await index.manifest.list_pending_chunks(9)]
        rows = await index.manifest.find_current(sorted(await index.manifest.list_chunk_ids()), library._rules)
        readers = frozenset(self.world.readers)
        left += [f"{row.document} is for {row.readers}" for row in rows if decode_readers(row.readers) != readers]
        if not library._indexes.is_settled:
            left.append("an index is growing still")
        if len(held := await index.store.list_indexes()) != 1:
            left.append(f"the store holds {held}")
        outcome.drift = (await repair_index(index.store, index.manifest, thorough=True)).differences
        outcome.left = left

    async def sync(self, *, approve: bool = False) -> None:
        async with opened(self.world) as library:
            report = await library.refresh(approve=(await library.status()).approval_marks() if approve else None)
        assert report.ok, report

    async def _killed(self, step: str, count: int, *, approve: bool) -> bool:
        """Sync in a process of its own that dies at a step; returns whether it did, or came to its end without it."""
        status = await run_fork(run_killed_sync, self.world, step, count, approve, timeout_s=120)
        assert status in (0, -signal.SIGKILL), f"the process ended by itself with {status}"
        return status != 0

    # ── What happens before a sync ───────────────────────────────────────────────────────────────────────────────────

    def _fill(self) -> None:
        """Write the next generation: some documents are new, changed, deleted, renamed or touched."""
        self.wanted = {}
        self.generation += 1
        for source in self.world.sources:
            root = self.roots[source]
            for path in root.glob("*.md"):
                path.unlink()
            for n in range(24 if source == "docs" else 3):
                if n % 12 == self.generation % 12:
                    continue
                changed = self.generation if n % 3 else 0
                name = f"{n}.md" if n != 21 else f"{n}-{self.generation}.md"
                texts = [f"document {n} part {part} of {changed if part else 0}" for part in range(1 + n % 4)]
                (root / name).write_text("\n\n".join(texts))
                self.wanted[f"{source}/{name}"] = texts

    async def _change(self, change: str) -> bool:
        """Change documents or configuration; returns whether the sync is an approved one."""
        if change in {"empty", "approve"}:
            for path in self.roots["docs"].glob("*.md"):
                path.unlink()
        if change == "approve":
            await self.sync()
            self.wanted = {name: texts for name, texts in self.wanted.items() if not name.startswith("docs/")}
        elif change == "purge":
            self.world = replace(self.world, sources={"docs": self.world.sources["docs"]})
            self.wanted = {name: texts for name, texts in self.wanted.items() if name.startswith("docs/")}
        elif change == "lose":
            await self._lose()
        elif change != "empty":
            self._fill()
        if change == "narrow":
            self.world = replace(self.world, readers=(f"U{self.generation}",))
        if change == "rechunk":
            self.world = replace(self.world, chunker=f"{self.generation}")
        return change in {"approve", "purge"}

    async def _lose(self) -> None:
        """Delete some rows from the store."""
        async with opened(self.world) as library:
            index = library._indexes.written
            await index.store.delete(sorted(await index.manifest.list_chunk_ids())[::5])

    async def _put_back(self) -> None:
        """Give both sources their documents again."""
        sources = {name: str(root) for name, root in self.roots.items()}
        if self.world.sources != sources or not any(name.startswith("docs/") for name in self.wanted):
            self.world = replace(self.world, sources=sources)
            self._fill()
            await self.sync()
        elif not any(self.roots["docs"].iterdir()):
            self._fill()
            await self.sync()


@dataclass
class Replaced:
    """The results of searches for a document while it was replaced."""

    searches: int = 0
    empty: int = 0
    """Searches that showed nothing of the document, or, with room for all of it, not all of some version."""
    mixed: int = 0
    """Searches that showed passages of two versions."""
    versions: int = 0
    """How many versions any search showed."""


async def replaced(installation: Installation, count: int) -> Replaced:
    """Replace a document of three passages ``count`` times, while two search for it as quickly as they can.

    One asks as an answer does: passages of other documents may take places, so some of the version is enough.
    The other has room for every passage of the installation, and must see a version whole.
    """
    parts = ("one", "two", "three")
    document = installation.roots["docs"] / "changing.md"
    result, seen, over = Replaced(), set[str](), asyncio.Event()
    await installation.begin()

    def write(version: int) -> None:
        # One passage is in all versions. Its joined neighbours must be of the version in which it was found.
        texts = ["alpha is what all versions share", *(f"alpha part {part} of version {version}" for part in parts)]
        document.write_text("\n\n".join(texts))

    async def search(library: Library, limit: int, least: int) -> None:
        while not over.is_set():
            hits = (await library.search("alpha part one of version", limit=limit)).hits
            texts = {text for hit in hits for text in (hit.context or hit.text).split("\n\n") if "alpha part" in text}
            versions = {text.rpartition(" ")[2] for text in texts}
            result.searches += 1
            result.mixed += len(versions) > 1
            result.empty += len(texts) < least
            seen.update(versions)

    async def replace_it(library: Library) -> None:
        try:
            for version in range(1, count + 1):
                write(version)
                report = await library.refresh("docs")
                assert report.ok, report
        finally:
            over.set()

    write(0)
    async with opened(installation.world) as library:
        await library.refresh()
        async with asyncio.TaskGroup() as group:
            group.create_task(replace_it(library))
            for limit, least in ((8, 1), (200, len(parts))):
                group.create_task(search(library, limit, least))
    result.versions = len(seen)
    return result

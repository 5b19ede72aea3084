"""The counters of documents equal a full count after any writes, also those of an older Kvasir and of a restore."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Connection, Text, cast, delete, func, insert, select, update

from knowledge.database.dump import dump_tables, load_tables
from knowledge.interfaces import EVERYONE, Chunk, ListedDocument, SourceKey
from knowledge.sync.manifest import tables
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.manifest import Manifest, open_manifest
from knowledge.sync.manifest.records import (
    UNSETTLED,
    AudienceList,
    AudienceRow,
    FailedDocument,
    IndexedDocument,
    IndexIdentity,
    IndexRebuild,
    UnchangedDocument,
    encode_readers,
)

AUDIENCES = [
    EVERYONE,
    frozenset[str](),
    frozenset({"C1"}),
    frozenset({"C1", "ada@x.com"}),
    frozenset(f"group:{number:05}" for number in range(400)),  # longer than a row of PostgreSQL's trees
]
KEYS = [SourceKey(name, "dict", f"/{name}") for name in ("handbook", "wiki", "drive")]
NAMES = [f"{number}.md" for number in range(12)]


class Sabotage(Exception):
    """Rolls a transaction back."""


class Operations:
    """Random writes, each as some part of Kvasir makes them."""

    def __init__(self, manifest: Manifest, seed: int, folder: Path) -> None:
        self.manifest = manifest
        self.folder = folder
        self.random = random.Random(seed)
        self.serial = 0

    async def pick_index(self) -> IndexManifest:
        rows = await self.manifest.list_indexes()
        return self.manifest.open_index(self.random.choice(rows))

    async def pick_rows(self, index: IndexManifest) -> list[int]:
        rows = [one.row for key in KEYS for one in await index.list_documents(key)]
        return self.random.sample(rows, min(len(rows), self.random.randint(1, 4)))

    def pick_names(self) -> list[str]:
        return self.random.sample(NAMES, self.random.randint(1, 5))

    def list_entry(self, name: str) -> ListedDocument:
        return ListedDocument(name, "1", url=f"https://x/{name}", readers=self.random.choice(AUDIENCES))

    def index_document(self, name: str) -> IndexedDocument:
        self.serial += 1
        ids = (f"{self.serial}-{number}" for number in range(self.random.randint(0, 3)))
        chunks = tuple(Chunk(id_, "s", name, "T", "H", f"text {id_}", None) for id_ in ids)
        return IndexedDocument(self.list_entry(name), "1", f"{self.serial}", "T", 100.0 + self.serial, chunks)

    async def run_one(self) -> str:
        index, key = await self.pick_index(), self.random.choice(KEYS)
        name = self.random.choice([one for one in dir(self) if one.startswith("do_")])
        await getattr(self, name)(index, key)
        return name

    async def do_switch(self, index: IndexManifest, key: SourceKey) -> None:
        await index.switch_documents(key, [self.index_document(name) for name in self.pick_names()])

    do_switch_more = do_switch_again = do_switch

    async def do_fail(self, index: IndexManifest, key: SourceKey) -> None:
        failed = [FailedDocument(self.list_entry(name), "broken", 1, 0.0) for name in self.pick_names()]
        await index.record_failures(key, failed)

    async def do_confirm(self, index: IndexManifest, _: SourceKey) -> None:
        await index.record_unchanged(UnchangedDocument(row, "2", 900.0) for row in await self.pick_rows(index))

    async def do_restrict(self, index: IndexManifest, _: SourceKey) -> None:
        readers = {row: encode_readers(self.random.choice(AUDIENCES)) for row in await self.pick_rows(index)}
        await index.restrict_readers(readers, {row: encode_readers(EVERYONE) for row in readers})

    async def do_check_rights(self, index: IndexManifest, _: SourceKey) -> None:
        self.serial += 1
        named = {row: self.random.choice(AUDIENCES) for row in await self.pick_rows(index)}
        await index.record_rights(named, float(self.serial), 1e9)

    async def do_hold(self, index: IndexManifest, _: SourceKey) -> None:
        await index.mark_pending_deletions(await self.pick_rows(index), self.random.choice([None, 5.0]))

    async def do_delete(self, index: IndexManifest, _: SourceKey) -> None:
        await index.remove_documents(await self.pick_rows(index))

    async def do_lose(self, index: IndexManifest, _: SourceKey) -> None:
        ids = await index.list_chunk_ids()
        await index.mark_lost_chunks(self.random.sample(ids, min(len(ids), 3)))

    async def do_end_sync(self, index: IndexManifest, key: SourceKey) -> None:
        await index.record_sync_end(key, listed_at=5000.0, error=None, lists_rights=True)

    async def do_drop_source(self, index: IndexManifest, key: SourceKey) -> None:
        if self.random.random() < 0.3:
            await index.drop_sources([key.id])

    async def do_switch_index(self, *_: object) -> None:
        rows = await self.manifest.list_indexes()
        if len(rows) > 1:
            await self.manifest.activate_index(rows[1])
            await self.manifest.forget_index(rows[0])
        else:
            self.serial += 1
            await self.manifest.add_index(IndexIdentity("memory", f"e{self.serial}", "c", "t"))

    async def do_restore(self, *_: object) -> None:
        """Make a backup, lose some documents, and restore the backup."""
        folder = self.folder / str(self.serial)
        folder.mkdir(exist_ok=True)
        await self.manifest.database.read(lambda connection: dump_tables(connection, folder, ()))
        await self.manifest.database.write(lambda connection: connection.execute(delete(tables.documents)))
        await self.manifest.database.write(lambda connection: load_tables(connection, folder))

    async def do_write_by_hand(self, *_: object) -> None:
        """Write as an older Kvasir, or a person: many rows at once, and rows that move to another source."""
        documents, chosen = tables.documents, self.random.random()

        def work(connection: Connection) -> None:
            if chosen < 0.4:
                values = {"readers": encode_readers(self.random.choice(AUDIENCES)), "url": f"{UNSETTLED}0011"}
                connection.execute(update(documents).where(documents.c.id % 2 == 0).values(**values))
            elif chosen < 0.6:
                connection.execute(update(documents).values(rights_at=1.0))
            else:
                there = select(func.min(tables.sources.c.id)).scalar_subquery()
                # A row's chunks stay in its index, so it moves within that.
                index = select(tables.sources.c.index_id).where(tables.sources.c.id == there).scalar_subquery()
                names = documents.c.document.concat(" ").concat(cast(documents.c.id, Text))
                ours = select(tables.sources.c.id).where(tables.sources.c.index_id == index)
                some = update(documents).where(documents.c.id % 5 == 0, documents.c.source_id.in_(ours))
                connection.execute(some.values(source_id=there, document=names))
            if chosen > 0.9:
                raise Sabotage

        self.serial += 1
        with contextlib.suppress(Sabotage):
            await self.manifest.database.write(work)


async def check_counters(manifest: Manifest, known: dict[int, AudienceList]) -> None:
    """Compare everything that the counters say with the rows themselves."""
    assert not [row for row in await manifest.database.fetch_rows(select(tables.audiences)) if row.documents <= 0]
    for row in await manifest.list_indexes():
        index, audiences, lost, total = manifest.open_index(row), set[AudienceRow](), 0, 0
        others: list[tuple[str, int, int]] = []
        for key in KEYS:
            mine = (
                select(tables.documents)
                .join(tables.sources)
                .where(tables.sources.c.index_id == row.id, tables.sources.c.key == key.id)
            )
            documents = [one._mapping for one in await manifest.database.fetch_rows(mine)]
            counts, read = await index.count_source(key), [one for one in documents if one["read_at"] > 0]
            assert (counts.documents, counts.chunks) == (len(read), sum(one["chunks"] for one in documents))
            assert counts.failed == sum(one["reason"] is not None for one in documents)
            assert counts.pending_deletions == sum(one["held"] for one in documents)
            answering = [one for one in documents if one["chunks"] > 0]
            assert await index.count_audiences(key) == dict(Counter(one["readers"] for one in answering))
            for one in answering:
                url = one["url"] or ""
                audiences.add(AudienceRow(key.id, one["readers"], url if url.startswith(UNSETTLED) else ""))
            lost += sum(not one["sha256"] and not one["version"] and not one["held"] for one in read)
            total += len(read)
            others += [(key.id, len(documents), counts.chunks)] if documents else []
        assert (await index.read_audiences()).rows == audiences
        known[row.id] = await index.read_audiences(known.get(row.id))
        assert known[row.id].rows == audiences
        assert await index.measure_rebuild() == (IndexRebuild(total - lost, total) if lost else None)
        assert await index.count_other_sources([]) == sorted(others)
        mine_count = select(func.count()).select_from(tables.chunks).where(tables.chunks.c.index_id == row.id)
        assert [(await index.count_chunks(),)] == list(await manifest.database.fetch_rows(mine_count))
        assert not await index.repair_counters()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def manifest(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Manifest]:
    url = database_url if request.param == "sqlite" else request.getfixturevalue("postgres")
    opened = await open_manifest(url)
    await opened.add_index(IndexIdentity("memory", "e", "c", "t"))
    yield opened
    await opened.close()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
async def test_counters_equal_a_full_count_after_each_write(manifest: Manifest, seed: int, tmp_path: Path) -> None:
    """100 writes for each slow seed; a longer round is ``--hypothesis-profile long``."""
    operations, known, done = Operations(manifest, seed, tmp_path), dict[int, AudienceList](), list[str]()
    for _ in range(20 if seed == 1 else min(1000, settings().max_examples)):
        done.append(await operations.run_one())
        try:
            await check_counters(manifest, known)
        except AssertionError as error:
            raise AssertionError(f"after {done}") from error


async def test_counters_are_right_after_concurrent_writers(manifest: Manifest, tmp_path: Path) -> None:
    """Two processes write at once, as a leader whose lease ended and the next one do."""
    url = manifest.database._url.render_as_string(hide_password=False)
    other = await open_manifest(url.replace("postgresql+asyncpg", "postgresql"))
    both = [Operations(one, seed, tmp_path) for seed, one in enumerate((manifest, other))]
    for one in both:
        one.serial += 1_000_000 * both.index(one)

    async def run_some(one: Operations) -> None:
        index = await one.pick_index()
        for number in range(25):
            key = KEYS[number % 2]
            await one.do_switch(index, key)
            await one.do_restrict(index, key)
            await one.do_delete(index, key)

    await asyncio.gather(*map(run_some, both))
    await other.close()
    await check_counters(manifest, {})


async def test_wrong_counters_are_counted_again(manifest: Manifest, tmp_path: Path) -> None:
    operations = Operations(manifest, 4, tmp_path)
    index = await operations.pick_index()
    await operations.do_switch(index, KEYS[0])
    known = await index.read_audiences()
    assert await index.has_audiences(len(known.rows))
    assert not await index.has_audiences(len(known.rows) + 1)

    def sabotage(connection: Connection) -> None:
        source = connection.execute(select(func.max(tables.sources.c.id))).scalar_one()
        connection.execute(update(tables.source_counts).values(chunks=99))
        connection.execute(delete(tables.audiences))
        values = {"source_id": source, "readers": encode_readers(frozenset({"gone"})), "mark": "", "documents": 1}
        connection.execute(insert(tables.audiences).values(values))

    await manifest.database.write(sabotage)
    rows = await manifest.list_indexes()
    assert [await manifest.open_index(row).repair_counters() for row in rows].count(True) >= 1
    assert (await index.read_audiences(known)).rows == (await index.read_audiences()).rows
    await check_counters(manifest, {})


@pytest.mark.parametrize("newest", [False, True])
async def test_titles_are_the_first_of_all_audiences(manifest: Manifest, *, newest: bool) -> None:
    index = manifest.open_index((await manifest.list_indexes())[0])
    key = replace(KEYS[0], name=f"titles {newest}")  # the other tests share a database of PostgreSQL
    dice, documents = random.Random(5), dict[str, tuple[frozenset[str], float]]()
    for number in range(60):
        name, readers, dated = f"{dice.random()}.md", dice.choice(AUDIENCES), number % 3 > 0
        modified_at, read_at = datetime.fromtimestamp(1000 + dice.random(), UTC), 1000 + dice.random()
        entry = ListedDocument(name, "1", modified_at=modified_at if dated else None, readers=readers)
        chunks = (Chunk(f"{newest} {number}", "s", name, "T", "H", "text", None),)
        await index.switch_documents(key, [IndexedDocument(entry, "1", f"{number}", "T", read_at, chunks)])
        documents[name] = readers, modified_at.timestamp() if dated else read_at
    for some in ([EVERYONE], AUDIENCES[2:], AUDIENCES):
        theirs = {name: changed_at for name, (readers, changed_at) in documents.items() if readers in some}
        order = sorted(theirs, key=lambda name: (-theirs[name], name)) if newest else sorted(theirs)
        for limit in (1, 7, 100):
            found = await index.list_titles(key, list(map(encode_readers, some)), limit, newest=newest)
            assert [one.document for one in found] == order[:limit]
            assert {one.document: one.changed_at for one in found} == pytest.approx(
                {n: theirs[n] for n in order[:limit]}
            )

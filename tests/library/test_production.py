"""Knowledge in production, only from settings: real servers of Weaviate and PostgreSQL, several processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.wheels import WheelCache
from knowledge.errors import IndexLost
from knowledge.library import Library
from knowledge.opening import open_library
from tests.forks import Fork, end_fork, start_fork
from tests.library.sync_process import run_sync, settings_of
from tests.postgres import create_database
from tests.services import WeaviateServer
from tests.store_servers import share_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ANIMALS = ("zebra", "walrus", "ocelot", "tapir", "lemur", "heron")
FILLER = "Whoever looks after the animals writes down what they ate, how they slept and who came to see them. "
"""Long enough that no passage is merged with the next."""


@pytest.fixture(scope="module")
def weaviate() -> WeaviateServer:
    return share_server("weaviate")  # type: ignore[no-any-return]


@dataclass
class ProductionLibrary:
    """Settings of one installation, opened here or synced in a process of its own."""

    settings: dict[str, Any]
    roots: dict[str, str]

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Library]:
        settings = settings_of(self.settings, self.roots)
        async with open_library(settings, WheelCache(settings.cache / "wheels").unpack_wheel) as library:
            yield library

    async def begin_sync(self, **options: object) -> Fork:
        """Sync in a process of its own."""
        return await start_fork(run_sync, {**options, "settings": self.settings, "roots": self.roots}, stdout=PIPE)

    async def empty(self) -> None:
        """Remove everything, so that the next test starts empty."""
        async with self.opened() as library:
            for row in await library._indexes.manifest.list_indexes():
                await library._indexes.written.store.drop_index(row.name)
                await library._indexes.manifest.forget_index(row)


@pytest.fixture(params=["postgresql", "one_server"])
async def production(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ProductionLibrary]:
    """Give an installation as deploy/compose.yaml has it, and one with one server."""
    if request.param == "one_server":
        url = create_database(request.getfixturevalue("vector_postgres"))
        store: dict[str, Any] = {"store": "postgresql", "store_variables": {"POSTGRESQL_URL": url}}
    else:
        url = request.getfixturevalue("postgres")
        store = {"store": "weaviate", "store_variables": request.getfixturevalue("weaviate").variables}
    settings = {
        "home": str(tmp_path / "home"),
        "cache": os.environ.get("KVASIR_CACHE") or str(Path.home() / ".cache" / "kvasir"),
        "database_url": url,
        **store,
    }
    production = ProductionLibrary(settings, {"docs": str(tmp_path / "docs")})
    for name in ("docs", "wiki"):
        (tmp_path / name).mkdir()
    yield production
    await production.empty()


async def read_lines(process: Fork) -> AsyncIterator[str]:
    """Yield the lines of a process; kill one that takes too long."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(300):
            while line := await process.stdout.readline():
                yield line.decode().rstrip()
            await process.wait()
    finally:
        await end_fork(process)


async def agree(library: Library) -> bool:
    """Return whether store and manifest have the same ids, each once and none pending."""
    written = library._indexes.written
    stored = [id_ async for ids in written.store.list_ids() for id_ in ids]
    listed = await written.manifest.list_chunk_ids()
    return (
        sorted(stored) == sorted(listed)
        and await written.store.count() == len(listed)
        and not (await written.manifest.list_pending_chunks(1))
    )


async def documents(library: Library, query: str) -> list[str]:
    return [hit.document for hit in (await library.search(query)).hits]


def write(root: Path, count: int, word: str) -> None:
    """Write documents of two passages each, both of which end with the word."""
    for n in range(count):
        animal = ANIMALS[n % len(ANIMALS)]
        parts = "".join(
            f"## Part {part}\n\n{FILLER} Room {n} of the {animal}, shelf {part}, is {word}.\n\n"
            for part in ("one", "two")
        )
        (root / f"{animal}-{n}.md").write_text(f"# The {animal} number {n}\n\n{parts}")


async def test_changed_documents_are_found_and_deleted_ones_are_not(
    production: ProductionLibrary, tmp_path: Path
) -> None:
    write(docs := tmp_path / "docs", 12, "green")
    (tmp_path / "wiki" / "w.md").write_text("# Wiki\n\nThe wiki knows the zebra too.\n")
    production.roots["wiki"] = str(tmp_path / "wiki")
    async with production.opened() as library:
        assert await documents(library, "zebra") == []
        first = await library.refresh()
        assert first.ok
        assert (first.sources["docs"].added, first.sources["wiki"].added, first.repaired) == (12, 1, 0)
        assert await agree(library)
        assert (await documents(library, "which shelf for the walrus number 7?"))[0] == "walrus-7.md"

        (docs / "zebra-0.md").write_text("# The zebra number 0\n\nThe zebra lives in Nairobi now.\n")
        (docs / "lemur-4.md").unlink()
        (docs / "报销.md").write_text("# 报销指南\n\n出差回来以后，请在一个月内提交报销单。\n")
        second = (await library.refresh()).sources["docs"]
        assert (second.added, second.updated, second.deleted, second.unchanged) == (1, 1, 1, 10)
        assert (second.error, second.failed) == (None, 0)
        assert await agree(library)
        hits = (await library.search("where does the zebra live?")).hits
        assert hits[0].text.startswith("The zebra lives in Nairobi")
        assert (await documents(library, "怎么提交报销单？"))[0] == "报销.md"
        assert "lemur-4.md" not in await documents(library, "The lemur number 4")

        third = await library.refresh()
        assert (third.repaired, third.sources["docs"].chunks_written, third.sources["docs"].unchanged) == (0, 0, 12)


async def test_the_next_sync_repairs_a_killed_one(production: ProductionLibrary, tmp_path: Path) -> None:
    write(tmp_path / "docs", 36, "green")
    async with production.opened() as library:
        assert (await library.refresh()).ok
        write(tmp_path / "docs", 48, "blue")
        process = await production.begin_sync(killed_at=12)
        assert [line async for line in read_lines(process)]
        assert process.returncode == -signal.SIGKILL
        for n in range(0, 36, 5):
            hits = (await library.search(f"Room {n} of the {ANIMALS[n % 6]}", limit=100)).hits
            numbers = [hit.text.split(" is ")[-1] for hit in hits if hit.document.endswith(f"-{n}.md")]
            assert (len(numbers), len(set(numbers))) == (2, 1), (
                f"document {n} is not shown whole, or as a mix: {numbers}"
            )
        report = await library.refresh()
        assert report.ok
        assert await agree(library)
        status = (await library.status()).sources[0]
        assert (status.documents, status.chunks) == (48, 96)
        assert (await documents(library, "Room 47 of the heron, shelf one"))[0] == "heron-47.md"
        assert (await library.refresh()).sources["docs"].chunks_written == 0


async def test_another_process_s_sync_is_found_while_it_runs_and_at_once_when_it_has_ended(
    production: ProductionLibrary, tmp_path: Path
) -> None:
    write(tmp_path / "docs", 36, "green")
    async with production.opened() as library:
        assert await documents(library, "zebra") == []
        process = await production.begin_sync()
        hit_count = 0
        async for line in read_lines(process):
            found = await documents(library, "Which shelf for the zebra?")
            if line.startswith("end"):
                assert json.loads(line.partition(" ")[2])["docs"]["added"] == 36
            elif 18 <= int(line.split()[1]) < 36:
                hit_count += bool(found)
        assert process.returncode == 0
        assert hit_count
        result = await library.search("Which shelf has the heron number 35, room 35?")
        assert result.hits[0].document == "heron-35.md"
        async with production.opened() as fresh:
            again = await fresh.search("Which shelf has the heron number 35, room 35?")
        assert [hit.confidence for hit in result.hits] == pytest.approx(
            [hit.confidence for hit in again.hits], abs=0.01
        )


async def test_a_collection_that_somebody_deletes_is_built_again(production: ProductionLibrary) -> None:
    write(Path(production.roots["docs"]), 6, "blue")
    async with production.opened() as library, production.opened() as other:
        await library.refresh()
        before = await documents(other, "blue walrus")
        assert before
        await library._indexes.written.store.drop_index(library._indexes.written.row.name)
        for one in (library, other):
            with pytest.raises(IndexLost):
                await one.search("blue walrus")
            assert (await one.index_watch.check_index()).loss is not None
        assert (await library.refresh()).ok
        assert await agree(library)
        for one in (library, other):
            assert (await one.index_watch.check_index()).find_trouble() is None
            assert await documents(one, "blue walrus") == before

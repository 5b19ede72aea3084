"""Several hosts share a database of PostgreSQL: each of them has what was added at another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from knowledge.errors import SourceError, SourceUnavailable
from knowledge.interfaces import Source
from knowledge.library import Library
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from knowledge.sources.pages.page_list import PageList, open_page_list
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadResult, UploadStore
from knowledge.sync.manifest.manifest import open_manifest
from tests.library.library_bench import Bench, texts
from tests.library.rights_source import Now

pytestmark = pytest.mark.slow

ADDED = SourceSpec("added", "push", {}, Path("/"))
PAGES = SourceSpec("pages", "pages", {}, Path("/"))


@dataclass
class Host:
    """A host with a home of its own."""

    home: Path
    source: Source
    uploads: UploadStore
    pages: PageList
    library: Library

    async def add(self, name: str, text: str, **more: Any) -> UploadResult:
        return await asyncio.to_thread(self.uploads.store_document, name, text.encode(), by="ada", **more)

    async def list_names(self) -> list[str]:
        return [one.name for one in await asyncio.to_thread(self.uploads.list_records)]


@contextlib.asynccontextmanager
async def open_host(bench: Bench, home: Path, namespace: str = "") -> AsyncIterator[Host]:
    """Open a host; the bench has the store that all hosts share."""
    bench.namespace = namespace
    manifest = await open_manifest(bench.url, namespace)
    try:
        content = manifest.content
        source = registry.build_source(ADDED, home / "sources", manifest.get_source_memory, content=content)
        uploads, pages = open_upload_store(ADDED, home, content), open_page_list(PAGES, home, content)
        async with bench.library(source) as library:
            yield Host(home, source, uploads, pages, library)
    finally:
        await manifest.close()


@pytest.fixture
def shared(bench: Bench, empty_postgres: str) -> Bench:
    bench.url = empty_postgres
    return bench


async def test_hosts_find_what_was_added_at_either(shared: Bench, tmp_path: Path, now: Now) -> None:
    async with open_host(shared, tmp_path / "a") as one, open_host(shared, tmp_path / "b") as two:
        for n in range(8):
            assert await one.add(f"{n}.md", f"The lighthouse {n}") is UploadResult.ADDED
        assert await two.add("8.md", "The lighthouse 8") is UploadResult.ADDED
        for _ in range(3):
            for host in (one, two):
                report = (await host.library.refresh()).sources["added"]
                assert (report.error, report.deleted, report.pending_deletions) == (None, 0, 0)
        for _ in range(20):
            now.s += 60
            for host in (one, two):
                found = await texts(host.library, "lighthouse", limit=20)
                assert sorted(found) == [f"The lighthouse {n}" for n in range(9)]
        assert two.library.configurations.ours.list_differences(one.library.configurations.ours) == []


async def test_an_added_document_is_replaced_opened_and_removed_at_another_host(shared: Bench, tmp_path: Path) -> None:
    async with open_host(shared, tmp_path / "a") as one, open_host(shared, tmp_path / "b") as two:
        message = {"origin": "D1:1.0", "readers": ["ada"]}
        assert await one.add("a.md", "text", **message) is UploadResult.ADDED
        assert await two.add("a.md", "text", **message) is UploadResult.UNCHANGED
        mark = await asyncio.to_thread(two.uploads.get_change_mark)
        assert await asyncio.to_thread(one.uploads.change_readers, "D1:1.0", "ada", ["ada", "bo"]) == ["a.md"]
        assert await asyncio.to_thread(two.uploads.get_change_mark) != mark
        [card] = await asyncio.to_thread(two.uploads.find_records, ["a.md"])
        assert card.readers == ("ada", "bo")
        assert await asyncio.to_thread(two.uploads.read_data, card) == b"text"
        assert await two.add("a.md", "newer", **message) is UploadResult.REPLACED
        with pytest.raises(SourceError, match="was removed or replaced"):
            await asyncio.to_thread(one.uploads.read_data, card)
        with pytest.raises(SourceError, match="more than its source's limit"):
            await two.add("big.md", "x" * 60_000_000)
        removed = await asyncio.to_thread(two.uploads.remove_documents, lambda record: record.added_by == "ada")
        assert (removed, await one.list_names()) == (["a.md"], [])
        with pytest.raises(SourceError, match="was removed or replaced"):
            await asyncio.to_thread(one.uploads.read_data, card)


async def test_pages_are_on_the_list_of_all_hosts(shared: Bench, tmp_path: Path) -> None:
    old = PageList(tmp_path / "b" / "sources" / "pages" / "pages")
    old.add_page("https://example.com/old", "bo")
    async with open_host(shared, tmp_path / "a") as one, open_host(shared, tmp_path / "b") as two:
        add, list_pages = one.pages.add_page, one.pages.list_pages
        assert await asyncio.to_thread(add, "https://example.com/new", "ada") is not None
        assert await asyncio.to_thread(two.pages.add_page, "https://example.com/new", "bo") is None
        pages = await asyncio.to_thread(list_pages)
        assert {page.url: page.added_by for page in pages} == {
            "https://example.com/new": "ada",
            "https://example.com/old": "bo",
        }
        assert old.list_pages() == []
        assert await asyncio.to_thread(one.pages.forget_person, "bo") == 1
        assert await asyncio.to_thread(two.pages.remove_page, "https://example.com/new")
        assert not await asyncio.to_thread(one.pages.remove_page, "https://example.com/new")
        [page] = await asyncio.to_thread(list_pages)
        assert (page.url, page.added_by) == ("https://example.com/old", "")


async def test_an_old_home_is_imported_once(shared: Bench, tmp_path: Path) -> None:
    """It keeps the source's root, so nothing is embedded again. An interrupted import continues."""
    olds = [open_upload_store(ADDED, tmp_path / name) for name in "ab"]
    for n in range(4):
        olds[0].store_document(f"{n}.md", f"The lighthouse {n}".encode(), by="ada", readers=["ada"])
    olds[1].store_document("3.md", b"The lighthouse of another host", by="bo")
    before = registry.build_source(ADDED, tmp_path / "a" / "sources", lambda _: None)  # type: ignore[arg-type, return-value]
    async with shared.library(before) as library:
        assert (await library.refresh()).sources["added"].added == 4
    embedded = len(shared.embedder.texts)
    torn = olds[0].folder / "cards" / "zz.json"
    torn.write_text("{")
    async with open_host(shared, tmp_path / "a") as one, open_host(shared, tmp_path / "b") as two:
        assert one.source.key == before.key == two.source.key
        with pytest.raises(SourceError, match="Restore the folder from a backup"):
            await one.list_names()
        assert [path.name for path in (olds[0].folder / "cards").iterdir()] == ["zz.json"], "the others are imported"
        torn.unlink()
        assert await one.list_names() == [f"{n}.md" for n in range(4)]
        assert not (olds[0].folder / "blobs").exists()
        names = await two.list_names()
        assert (len(names), names[:4]) == (5, [f"{n}.md" for n in range(4)]), "two documents of one name both stay"
        report = (await two.library.refresh()).sources["added"]
        assert (report.added, report.unchanged, report.deleted) == (1, 4, 0)
        assert len(shared.embedder.texts) == embedded + 1
        [card] = await asyncio.to_thread(two.uploads.find_records, ["3.md"])
        assert card.readers == ("ada",)
        assert await asyncio.to_thread(one.uploads.remove_documents, lambda record: record.added_by == "ada")
        assert len(await two.list_names()) == 1, "it is not imported again"


async def test_an_import_leaves_no_bytes_of_documents_on_the_host(shared: Bench, tmp_path: Path) -> None:
    """Nothing would erase them there: not after an earlier crash, next to a document without bytes, or of a draft."""
    crashed, damaged = (open_upload_store(ADDED, tmp_path / name) for name in "ab")
    for old in (crashed, damaged):
        for n in range(3):
            old.store_document(f"{n}.md", f"The lighthouse {n} of {old.folder}".encode(), by="ada")
    for path in (crashed.folder / "cards").iterdir():
        path.unlink()  # the import died when it had moved all
    [first] = damaged.find_records(["0.md"])
    (damaged.folder / "blobs" / first.sha256).unlink()
    (damaged.folder / "cards" / ".1234.json.77").write_text("{")
    async with open_host(shared, tmp_path / "a") as one, open_host(shared, tmp_path / "b") as two:
        assert await one.list_names() == []
        assert await two.list_names() == ["1.md", "2.md"]
        assert await two.list_names() == ["1.md", "2.md"]
    left = [path for old in (crashed, damaged) for path in old.folder.rglob("*") if path.is_file()]
    assert sorted({path.parent.name for path in left}) == ["added", "cards"], "locks, and the record without bytes"


async def test_two_namespaces_do_not_touch_each_other(shared: Bench, tmp_path: Path, now: Now) -> None:
    shared.home = tmp_path / "one"
    shared.home.mkdir()
    async with open_host(shared, tmp_path / "a", "acme") as one:
        await one.add("a.md", "The lighthouse of acme")
        assert (await one.library.refresh()).ok
        shared.home = tmp_path / "two"
        shared.home.mkdir()
        for namespace in ("globex", ""):
            async with open_host(shared, tmp_path / "b", namespace) as two:
                await two.add("b.md", "The lighthouse of others")
                assert await two.list_names() == ["b.md"]
                assert (await two.library.refresh()).ok
                now.s += 60
                assert await texts(two.library, "lighthouse") == ["The lighthouse of others"]
                assert (await two.library.status()).removed == ()
        assert await texts(one.library, "lighthouse") == ["The lighthouse of acme"]
        assert await one.list_names() == ["a.md"]
        assert (await one.library.syncs.repair_index()).differences == 0


async def test_reads_leave_threads_for_the_name_of_the_database(
    bench: Bench, pooled_postgres: str, tmp_path: Path
) -> None:
    """Its name is resolved in the event loop's own threads. Reads that fill these would wait for each other."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    bench.url = pooled_postgres.replace("127.0.0.1", "localhost")
    async with open_host(bench, tmp_path / "a") as one:
        for n in range(4):
            await one.add(f"{n}.md", f"The lighthouse {n}")
        listed = [document async for batch in one.source.list() for document in batch]
        contents = await asyncio.gather(*(one.source.read(document) for document in listed))
        assert [content.data for content in contents] == [f"The lighthouse {n}".encode() for n in range(4)]


async def test_a_lost_database_makes_the_documents_unknown(shared: Bench, tmp_path: Path) -> None:
    async with open_host(shared, tmp_path / "a") as one:
        await one.add("a.md", "text")
        one.uploads._place._content.shared.database.read = _fail  # type: ignore[union-attr, method-assign, assignment]
        with pytest.raises(SourceUnavailable):
            await one.list_names()


async def _fail(_: Any) -> Any:
    from knowledge.errors import DatabaseError  # noqa: PLC0415 - of one test

    raise DatabaseError("The database does not answer.")

"""Unusual names, sizes and copies, through a real folder into the embedded store."""

from __future__ import annotations

import os
import tracemalloc
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from tests.library.library_bench import Bench, texts
from tests.sources.building import build

NAMES = [
    "line\nbreak.md",
    "🦊/🐻‍❄️ den.md",
    unicodedata.normalize("NFD", "Café Müller.md"),
    "100% ?#&;:.md",
    'it\'s "quoted" \\ and {braced}.md',
    "报销/指南.md",
    f"{'long' * 50}.md",
]


@pytest.fixture
def bench(tmp_path: Path, dict_passages: Any) -> Bench:
    (tmp_path / "home").mkdir()
    return Bench(tmp_path / "home", dict_passages)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    return tmp_path / "docs"


async def test_a_document_of_any_name_is_added_found_changed_and_deleted(bench: Bench, root: Path) -> None:
    for n, name in enumerate(NAMES):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(f"zebra number{n}")
    (root / "other.md").write_text("walrus")
    async with bench.library(build("folder", root, path=str(root))) as library:
        assert (await library.refresh()).ok
        found = {hit.document: hit.text for hit in (await library.search("zebra", limit=20)).hits}
        for n, name in enumerate(NAMES):
            assert found[unicodedata.normalize("NFC", name)] == f"zebra number{n}"
            (root / name).write_text(f"zebra letter{n}")
        report = (await library.refresh()).sources["bench"]
        assert (report.updated, report.failed, report.deleted) == (len(NAMES), 0, 0)
        assert {f"zebra letter{n}" for n in range(len(NAMES))} <= set(await texts(library, "zebra", limit=20))
        for name in NAMES:
            (root / name).unlink()
        assert (await library.refresh()).sources["bench"].deleted == len(NAMES)
        assert await texts(library, "zebra", limit=20) == ["walrus"]


async def test_a_document_that_grows_after_it_was_listed_is_refused_unread(bench: Bench, root: Path) -> None:
    """It has half a kilobyte when it is listed, and 500 MB when it is read."""
    (root / "small.md").write_text("zebra")
    (root / "grows.md").write_text("walrus" * 80)
    source = build("folder", root, path=str(root))
    listed = source.list

    async def grown() -> Any:
        async for batch in listed():
            yield batch
        os.truncate(root / "grows.md", 500_000_000)

    source.list = grown  # type: ignore[method-assign]
    async with bench.library(source) as library:
        tracemalloc.start()
        report = (await library.refresh()).sources["bench"]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (report.added, report.failed) == (1, 1)
        assert "500 MB, more than its source's limit of 50 MB" in report.failures[0].reason
        assert peak < 50_000_000
        assert await texts(library, "zebra") == ["zebra"]


async def test_of_equal_documents_in_two_sources_one_is_shown(bench: Bench, new_source: Any) -> None:
    one, other = new_source("one", "/one"), new_source("other", "/other")
    for source in (one, other):
        source.put("same.md", "The zebra lives in Nairobi.")
        source.put(f"{source.key.name}.md", f"The walrus of {source.key.name}.")
    async with bench.library(one, other) as library:
        for source in (one, other):
            assert (await library.refresh(source.key.name)).ok
        hits = [hit for hit in (await library.search("zebra Nairobi")).hits if "zebra" in hit.text]
        assert len(hits) == 1
        first, left = (one, other) if hits[0].source == "one" else (other, one)
        del first.texts["same.md"]
        assert (await library.refresh(first.key.name)).sources[first.key.name].deleted == 1
        hits = [hit for hit in (await library.search("zebra Nairobi")).hits if "zebra" in hit.text]
        assert [hit.source for hit in hits] == [left.key.name]
        assert len(bench.embedder.texts) == len(set(bench.embedder.texts)), "a copy is embedded once"

"""The library as the product opens it: real embedder, parser, store and files, only from settings."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.wheels import WheelCache
from knowledge.errors import KnowledgeError, SourceMisconfigured
from knowledge.library import Library
from knowledge.opening import open_library
from knowledge.settings import KnowledgeSettings, SourceSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DOCUMENTS = {
    "sources.md": """
# Sources

## Add a source

To add a source, write a table named source into the file kvasir.toml, give it a name and a kind, and name the folder
that holds the documents. The next sync reads everything in it, and from then on whatever changes.

## Remove a source

Delete its table from the file. What the source held stops answering at once, without anybody having to agree, and the
next sync removes it from the store.
""",
    "报销.md": """
# 报销指南

## 如何提交报销

出差回来以后，请在一个月内把所有收据交给财务部门，并在内部系统里填写报销单。没有收据的费用不能报销，外币按当天的汇率换算。

## 审批流程

部门经理在三个工作日内审批报销单。超过五千元的费用还需要财务总监签字，审批结果会通过邮件通知申请人。
""",
    "table.csv": "city,office\nBerlin,Friedrichstrasse 1\nShanghai,Nanjing Road 2\n",
    "broken.pdf": "%PDF-1.7 this is no PDF",
}


@contextlib.asynccontextmanager
async def opened(home: Path, root: Path) -> AsyncIterator[Library]:
    cache = Path(os.environ.get("KVASIR_CACHE") or Path.home() / ".cache" / "kvasir")
    settings = KnowledgeSettings(
        home, cache, f"sqlite:///{home}/kvasir.db", (SourceSpec("docs", "folder", {"path": "."}, root),)
    )
    async with open_library(settings, WheelCache(cache / "wheels").unpack_wheel) as library:
        yield library


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (root := tmp_path / "root").mkdir()
    for name, text in DOCUMENTS.items():
        (root / name).write_text(text, encoding="utf-8")
    return root


async def test_documents_are_synced_found_and_suggested_in_both_languages(tmp_path: Path, root: Path) -> None:
    async with opened(tmp_path / "home", root) as library:
        report = (await library.refresh()).sources["docs"]
        assert (report.listed, report.added, report.failed, report.error) == (4, 3, 1, None)
        assert [failure.document for failure in report.failures] == ["broken.pdf"]
        for question, document in {
            "how do I add a source?": "sources.md",
            "怎么报销？": "报销.md",
            "部门经理多久审批？": "报销.md",
            "Where is the office in Berlin?": "table.csv",
        }.items():
            hit = (await library.search(question)).hits[0]
            assert (hit.document, hit.source) == (document, "docs"), question
            assert hit.url is not None
        assert set(await library.suggest_questions(3)) >= {"How do I add a source?", "如何提交报销？"}
        second = (await library.refresh()).sources["docs"]
        assert (second.chunks_written, second.chunks_kept, second.failed) == (0, report.chunks_written, 1)
        assert (await library.embedder.embed_symmetric(["one", "two"])).shape == (2, 384)
    async with opened(tmp_path / "home", root) as library:  # another process
        assert (await library.search("add a source")).hits[0].heading == "Add a source"
        assert (await library.refresh()).sources["docs"].chunks_written == 0


async def test_a_wrong_source_is_reported_before_anything_opens(tmp_path: Path) -> None:
    url, wrong = f"sqlite:///{tmp_path}/kvasir.db", (SourceSpec("docs", "foldr", {}, tmp_path),)
    settings = KnowledgeSettings(tmp_path, tmp_path, url, wrong)
    with pytest.raises(SourceMisconfigured, match="folder"):
        async with open_library(settings, WheelCache(tmp_path).unpack_wheel):
            pass
    assert {path.name for path in tmp_path.iterdir()} <= {"kvasir.db", "kvasir.db-wal", "kvasir.db-shm"}


async def test_a_home_is_private_to_its_owner(tmp_path: Path) -> None:
    """It has every document's text. Any command may create it, not only ``run``."""
    home, wrong = tmp_path / "new" / "home", (SourceSpec("docs", "foldr", {}, tmp_path),)
    with pytest.raises(SourceMisconfigured):
        async with open_library(
            KnowledgeSettings(home, tmp_path, f"sqlite:///{home}/kvasir.db", wrong), WheelCache(tmp_path).unpack_wheel
        ):
            pass
    assert home.stat().st_mode & 0o077 == 0


async def test_a_home_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = KnowledgeSettings(tmp_path / "file" / "home", tmp_path, f"sqlite:///{tmp_path}/kvasir.db")
    with pytest.raises(KnowledgeError, match="KVASIR_HOME"):
        async with open_library(settings, WheelCache(tmp_path).unpack_wheel):
            pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of 3 MB."""
    (folder := tmp_path / "disk").mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(argv, check=False).returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


async def test_a_full_disk_stops_the_sync_and_the_next_continues(root: Path, small_disk: Path) -> None:
    (root / "broken.pdf").unlink()
    # A running Kvasir leads when the disk becomes full. A command that cannot take the lease fails with the same text.
    async with opened(small_disk / "home", root) as library, library.syncs.leader.hold_lease():
        await library.refresh()
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        for n in range(12):
            (root / f"new{n}.md").write_text(f"# New {n}\n\nThe answer number {n} is about zebra{n}.\n")
        report = (await library.refresh()).sources["docs"]
        assert report.error is not None
        assert "full" in report.error
        assert (await library.search("add a source")).hits[0].heading == "Add a source"
        ballast.unlink()
        report = (await library.refresh()).sources["docs"]
        assert (report.error, report.failed) == (None, 0)
        assert (await library.search("zebra7")).hits[0].document == "new7.md"

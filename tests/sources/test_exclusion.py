"""``exclude`` leaves documents out of every kind of source."""

from __future__ import annotations

from pathlib import Path

from knowledge.interfaces import WatchableSource
from tests.sources.building import build


async def listed(kind: str, base: Path, **options: object) -> set[str]:
    source = build(kind, base, **options)
    found = {one.document async for batch in source.list() for one in batch}
    await source.close()
    return found


async def test_a_folder_without_some_documents(tmp_path: Path) -> None:
    for name in ("a.md", "old/b.md", "old/keep/c.md", "images/d.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\nText.")
    everything = {"a.md", "old/b.md", "old/keep/c.md", "images/d.md"}
    assert await listed("folder", tmp_path, path=".") == everything
    assert await listed("folder", tmp_path, path=".", exclude=[]) == everything
    excluded = ["old", "!old/keep", "**/images"]
    assert await listed("folder", tmp_path, path=".", exclude=excluded) == {"a.md", "old/keep/c.md"}


async def test_exclude_works_for_added_files(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "a.md").write_text("Text.")
    assert await listed("push", tmp_path, path="inbox", exclude=["*.md"]) == set()


async def test_an_excluding_source_is_still_read_and_watched(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Text.")
    plain, source = build("folder", tmp_path, path="."), build("folder", tmp_path, path=".", exclude=["b.md"])
    assert source.key == plain.key
    assert isinstance(source, WatchableSource)
    assert not isinstance(build("git", tmp_path, repository=".", exclude=["b.md"]), WatchableSource)
    [batch] = [batch async for batch in source.list()]
    assert (await source.read(batch[0])).data == b"Text."

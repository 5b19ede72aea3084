"""``exclude`` and ``[[source.rights]]`` narrow every kind of source."""

from __future__ import annotations

from pathlib import Path

from knowledge.interfaces import EVERYONE, Source, Viewers, WatchableSource, may_read, narrow_readers
from knowledge.settings import PathRights
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


async def read_readers(source: Source) -> dict[str, frozenset[str]]:
    return {one.document: one.readers async for batch in source.list() for one in batch}


async def test_documents_have_readers_by_their_path(tmp_path: Path) -> None:
    for name in ("a.md", "hr/b.md", "hr/open/c.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\nText.")
    rights = (PathRights("hr", frozenset({"S012"})), PathRights("hr/open", EVERYONE))
    everybody = build("folder", tmp_path, path=".", path_rights=rights)
    both = narrow_readers(EVERYONE, frozenset({"S012"}))
    assert await read_readers(everybody) == {"a.md": EVERYONE, "hr/b.md": both, "hr/open/c.md": EVERYONE}
    some = build("folder", tmp_path, path=".", readers=frozenset({"C1", "C2"}), path_rights=rights)
    found = await read_readers(some)
    assert (found["a.md"], found["hr/open/c.md"]) == ({"C1", "C2"}, {"C1", "C2"})
    for principals, may in (({"C1"}, False), ({"S012"}, False), ({"C1", "S012"}, True), ({"C2", "S012", "*"}, True)):
        assert may_read(Viewers.of(principals), found["hr/b.md"]) is may

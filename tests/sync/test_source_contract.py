"""What every kind of source must do; a new kind joins by adding its workbench to ``WORKBENCHES``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

from knowledge.errors import SourceError
from knowledge.interfaces import Listed, Source
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from tests.sources_bench import memories


class Workbench(Protocol):
    """A place where documents can be put, and the source that looks at it."""

    def source(self, name: str = "bench", *, readers: frozenset[str] = ...) -> Source: ...

    def put(self, document: str, data: bytes) -> None: ...

    def remove(self, document: str) -> None: ...

    def break_down(self) -> None: ...


class FolderBench:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir()

    def source(self, name: str = "bench", *, readers: frozenset[str] = frozenset({"*"})) -> Source:
        return registry.build(
            SourceSpec(name, "folder", {"path": "root", "max_mb": 0.1}, self.root.parent, readers=readers),
            Path("/nowhere"),
            memories(),
        )

    def put(self, document: str, data: bytes) -> None:
        path = self.root / document
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def remove(self, document: str) -> None:
        (self.root / document).unlink()

    def break_down(self) -> None:
        self.root.rename(self.root.with_name("gone"))


WORKBENCHES: Mapping[str, Callable[[Path], Workbench]] = {"folder": FolderBench}


@pytest.fixture(params=sorted(WORKBENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Workbench:
    return WORKBENCHES[request.param](tmp_path)


async def listing(source: Source) -> dict[str, Listed]:
    return {listed.document: listed async for batch in source.list() for listed in batch}


async def test_everything_is_listed_once_and_read_as_it_is(bench: Workbench) -> None:
    documents = {"a.md": b"# A", "deep/er/b.md": "二".encode(), "c d.txt": b"\xff\xfe"}
    for document, data in documents.items():
        bench.put(document, data)
    source = bench.source()
    listed = [one.document async for batch in source.list() for one in batch]
    assert sorted(listed) == sorted(documents)
    for one in (await listing(source)).values():
        content = await source.read(one)
        assert (content.data, content.version) == (documents[one.document], one.version)


async def test_nothing_there_is_an_empty_listing(bench: Workbench) -> None:
    assert await listing(bench.source()) == {}


async def test_a_version_stays_until_the_document_changes(bench: Workbench) -> None:
    bench.put("a.md", b"one")
    bench.put("b.md", b"one")
    first = await listing(bench.source())
    assert {d: one.version for d, one in (await listing(bench.source())).items()} == {
        d: one.version for d, one in first.items()
    }
    bench.put("a.md", b"another")
    second = await listing(bench.source())
    assert second["a.md"].version != first["a.md"].version
    assert second["b.md"].version == first["b.md"].version


async def test_what_was_removed_is_not_listed_and_cannot_be_read(bench: Workbench) -> None:
    bench.put("a.md", b"one")
    bench.put("b.md", b"two")
    source = bench.source()
    before = await listing(source)
    bench.remove("a.md")
    assert set(await listing(source)) == {"b.md"}
    with pytest.raises(SourceError, match=r"a\.md"):
        await source.read(before["a.md"])


async def test_a_source_that_is_away_is_an_error_and_no_empty_listing(bench: Workbench) -> None:
    bench.put("a.md", b"one")
    source = bench.source()
    bench.break_down()
    with pytest.raises(SourceError) as caught:
        await listing(source)
    assert str(caught.value).endswith(".")


async def test_a_document_over_the_limit_is_listed_and_refused(bench: Workbench) -> None:
    bench.put("big.md", b"x" * 200_000)
    source = bench.source()
    with pytest.raises(SourceError, match="MB"):
        await source.read((await listing(source))["big.md"])


async def test_identity_is_name_kind_and_root(bench: Workbench) -> None:
    assert bench.source().key == bench.source().key
    assert bench.source("other").key != bench.source().key


async def test_readers_are_those_that_were_configured(bench: Workbench) -> None:
    bench.put("a.md", b"one")
    listed = (await listing(bench.source(readers=frozenset({"U1"}))))["a.md"]
    assert listed.readers == frozenset({"U1"})

"""Folders: names, links, permissions, and files that change."""

from __future__ import annotations

import os
import threading
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from knowledge.errors import SourceError
from knowledge.interfaces import ListedDocument, Source
from knowledge.settings import SourceSpec
from knowledge.sources import registry
from tests.sources.building import memories


def folder(root: Path, **options: Any) -> Source:
    return registry.build_source(
        SourceSpec("docs", "folder", {"path": root.name, **options}, root.parent), Path("/nowhere"), memories()
    )


async def listing(source: Source) -> dict[str, ListedDocument]:
    return {listed.document: listed async for batch in source.list() for listed in batch}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "docs"
    root.mkdir()
    return root


async def test_hidden_files_other_kinds_and_tool_folders_are_left_out(root: Path) -> None:
    for name in (
        "a.md", "B.PDF", "sub/c.html", ".hidden.md", ".git/d.md", "node_modules/e.md", "f.png", "g", "~$h.docx",
    ):  # fmt: skip
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    assert set(await listing(folder(root))) == {"a.md", "B.PDF", "sub/c.html"}


async def test_suffixes_can_be_chosen(root: Path) -> None:
    (root / "a.md").write_text("x")
    (root / "b.log").write_text("x")
    assert set(await listing(folder(root, suffixes=[".log"]))) == {"b.log"}


@pytest.mark.parametrize("name", ["new\nline.md", "🐦.md", "a'b\"c.md", "空 格.md", "percent%20.md", "-dash.md"])
async def test_odd_names_are_listed_read_and_linked(root: Path, name: str) -> None:
    (root / name).write_text("x")
    source = folder(root)
    listed = (await listing(source))[name]
    assert (await source.read(listed)).data == b"x"
    assert listed.url == (root / name).as_uri()


async def test_an_id_is_always_in_nfc(root: Path) -> None:
    name = unicodedata.normalize("NFD", "café/résumé.md")
    (root / name).parent.mkdir()
    (root / name).write_text("x")
    source = folder(root)
    [listed] = (await listing(source)).values()
    assert listed.document == unicodedata.normalize("NFC", name)
    assert (await source.read(listed)).data == b"x"


async def test_two_spellings_of_one_name_stay_two_documents(root: Path) -> None:
    for form in ("NFC", "NFD"):
        (root / unicodedata.normalize(form, "é.md")).write_text(form)
    source = folder(root)
    texts = {document: (await source.read(one)).data for document, one in (await listing(source)).items()}
    assert texts == {unicodedata.normalize(form, "é.md"): form.encode() for form in ("NFC", "NFD")}


async def test_a_name_outside_utf8_is_escaped_and_read(root: Path) -> None:
    (root / os.fsdecode(b"caf\xe9.md")).write_text("x")
    source = folder(root)
    [listed] = (await listing(source)).values()
    assert listed.document == r"caf\xe9.md"
    assert (await source.read(listed)).data == b"x"


async def test_links_inside_are_followed_once_and_links_outside_never(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    (root / "..data-1").mkdir()
    (root / "..data-1" / "mounted.md").write_text("mounted")
    (root / "real.md").write_text("real")
    (root / "mounted.md").symlink_to("..data-1/mounted.md")
    (root / "again.md").symlink_to("real.md")
    (root / "loop").symlink_to(".")
    (root / "out.md").symlink_to(outside / "secret.md")
    (root / "out").symlink_to(outside)
    (root / "nowhere.md").symlink_to("missing.md")
    source = folder(root)
    assert set(await listing(source)) == {"real.md", "mounted.md"}
    with pytest.raises(SourceError, match="place outside the folder"):
        await source.read(ListedDocument("out.md", "v"))
    with pytest.raises(SourceError, match="place outside the folder"):
        await source.read(ListedDocument("../outside/secret.md", "v"))


async def test_a_root_that_is_a_link_is_followed_and_keeps_its_name(root: Path) -> None:
    (root / "a.md").write_text("x")
    (root.parent / "current").symlink_to(root)
    source = folder(root.parent / "current")
    assert source.key.root == str(root.parent / "current")
    [listed] = (await listing(source)).values()
    assert (await source.read(listed)).data == b"x"


async def test_a_pipe_is_not_a_document_and_does_not_block(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    source = folder(root)
    assert await listing(source) == {}
    with pytest.raises(SourceError, match="not a regular file"):
        await source.read(ListedDocument("pipe.md", "v"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_folder_without_rights_fails_after_the_rest_was_listed(root: Path) -> None:
    (root / "closed").mkdir(mode=0o000)
    (root / "a.md").write_text("x")
    batches = aiter(folder(root).list())
    assert [one.document for one in await anext(batches)] == ["a.md"]
    with pytest.raises(SourceError, match="closed"):
        await anext(batches)


async def test_a_folder_that_cannot_be_read_fails_after_the_rest_was_listed(root: Path) -> None:
    descriptor = os.open(root, os.O_RDONLY)
    for _ in range(25):
        # A path over the system's length can only be made step by step, and not be opened whole: not even by root.
        os.mkdir("d" * 200, dir_fd=descriptor)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    (root / "a.md").write_text("x")
    batches = aiter(folder(root).list())
    assert [one.document for one in await anext(batches)] == ["a.md"]
    with pytest.raises(SourceError, match="cannot be read"):
        await anext(batches)


async def read_again_and_again(source: Source, listed: ListedDocument) -> None:
    """On a busy machine who writes may rest during a whole read, which is whole then."""
    for _ in range(50):
        assert len((await source.read(listed)).data) == listed.size_bytes


async def test_a_file_that_keeps_changing_is_an_error(root: Path) -> None:
    path = root / "a.md"
    path.write_bytes(b"0" * 40_000_000)
    source = folder(root)
    listed = (await listing(source))["a.md"]
    stop = threading.Event()

    def change() -> None:
        with path.open("r+b") as file:
            while not stop.is_set():
                os.pwrite(file.fileno(), os.urandom(8), 0)

    writer = threading.Thread(target=change)
    writer.start()
    try:
        with pytest.raises(SourceError, match="keeps changing"):
            await read_again_and_again(source, listed)
    finally:
        stop.set()
        writer.join()
    assert len((await source.read(listed)).data) == 40_000_000


async def test_a_huge_file_is_refused_unread(root: Path) -> None:
    with (root / "huge.pdf").open("wb") as file:
        file.truncate(200_000_000)
    source = folder(root)
    listed = (await listing(source))["huge.pdf"]
    with pytest.raises(SourceError, match="200 MB, more than its source's limit of 50 MB"):
        await source.read(listed)


async def test_links_are_made_from_the_template(root: Path) -> None:
    (root / "sub dir").mkdir()
    (root / "sub dir" / "a.md").write_text("x")
    by_path = folder(root, url="https://docs.test/{path}?v=1")
    assert (await listing(by_path))["sub dir/a.md"].url == "https://docs.test/sub%20dir/a.md?v=1"
    by_stem = folder(root, url="https://docs.test/{stem}/")
    assert (await listing(by_stem))["sub dir/a.md"].url == "https://docs.test/sub%20dir/a/"


async def test_a_replacement_with_the_same_size_and_time_has_another_version(root: Path) -> None:
    (root / "a.md").write_text("one")
    before = (await listing(folder(root)))["a.md"]
    status = (root / "a.md").stat()
    (root / "new").write_text("two")
    os.utime(root / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (root / "new").rename(root / "a.md")
    after = (await listing(folder(root)))["a.md"]
    assert (after.size_bytes, after.modified_at) == (before.size_bytes, before.modified_at)
    assert after.version != before.version

"""Added documents: how they are stored, replaced and removed, and who may see them."""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
from pathlib import Path

import pytest

from knowledge.errors import SourceError, UnsupportedFormat
from knowledge.interfaces import EVERYONE, DocumentContent, ListedDocument, Viewers, may_read
from knowledge.settings import SourceSpec
from knowledge.sources.uploads.source import PushSource, open_upload_store
from knowledge.sources.uploads.upload_store import UploadResult, UploadStore, parse_document_name
from tests.sources.building import build
from tests.sources.contract import listing
from tests.waiting import WAIT_S


@pytest.fixture
def tray(tmp_path: Path) -> UploadStore:
    return UploadStore(tmp_path / "state" / "bench", max_bytes=1000)


def source(tmp_path: Path, **more: frozenset[str]) -> PushSource:
    built = build("push", tmp_path, **more)  # type: ignore[arg-type]
    assert isinstance(built, PushSource)
    return built


async def only(tmp_path: Path, **more: frozenset[str]) -> tuple[ListedDocument, DocumentContent]:
    uploads = source(tmp_path, **more)
    (listed,) = (await listing(uploads)).values()
    return listed, await uploads.read(listed)


async def test_added_documents_are_listed_with_person_and_time(tray: UploadStore, tmp_path: Path) -> None:
    assert tray.store_document("leave.md", b"# Leave", by="ada", title="Leave of absence") is UploadResult.ADDED
    listed, content = await only(tmp_path)
    assert (content.data, content.title, content.version) == (b"# Leave", "Leave of absence", listed.version)
    (card,) = tray.list_records()
    assert (card.name, card.added_by) == ("leave.md", "ada")
    assert listed.modified_at is not None
    assert listed.modified_at.timestamp() == pytest.approx(card.added_at)


async def test_a_newer_upload_replaces_one_of_the_same_name(tray: UploadStore, tmp_path: Path) -> None:
    tray.store_document("leave.md", b"old", by="ada")
    before, _ = await only(tmp_path)
    assert tray.store_document("leave.md", b"new", by="bo") is UploadResult.REPLACED
    after, content = await only(tmp_path)
    assert content.data == b"new"
    assert after.version != before.version
    assert [path.read_bytes() for path in (tray.folder / "blobs").iterdir()] == [b"new"], "the old bytes are gone"


def test_the_same_again_is_no_change(tray: UploadStore) -> None:
    tray.store_document("leave.md", b"same", by="ada")
    (before,) = tray.list_records()
    assert tray.store_document("leave.md", b"same", by="bo") is UploadResult.UNCHANGED
    assert tray.list_records() == [before]
    assert tray.store_document("leave.md", b"same", by="bo", title="Another title") is UploadResult.REPLACED


def test_shared_bytes_stay_until_both_documents_are_removed(tray: UploadStore) -> None:
    tray.store_document("one.md", b"same", by="ada")
    tray.store_document("two.md", b"same", by="ada")
    assert tray.remove_documents(lambda one: one.name == "one.md")
    (card,) = tray.list_records()
    assert tray.read_data(card) == b"same"
    assert tray.remove_documents(lambda one: one.name == "two.md")
    assert not list((tray.folder / "blobs").iterdir())
    assert not tray.remove_documents(lambda one: one.name == "two.md")


def test_what_a_crash_left_is_deleted_and_documents_stay(tray: UploadStore) -> None:
    assert not tray.remove_documents(lambda _: True)
    assert not tray.folder.exists(), "it may be on a disk that is not mounted"
    tray.store_document("one.md", b"kept", by="ada")
    for name in ("blobs/0a1b", "blobs/.0a1b.77", "cards/.one.json.77"):
        (tray.folder / name).write_bytes(b"left")
    assert not tray.remove_documents(lambda one: one.added_by == "bo")
    (card,) = tray.list_records()
    assert tray.read_data(card) == b"kept"
    assert not [path for path in tray.folder.rglob("*") if path.is_file() and b"left" in path.read_bytes()]


async def test_readers_of_a_document_are_narrowed_by_those_of_the_source(tray: UploadStore, tmp_path: Path) -> None:
    tray.store_document("a.md", b"a", by="ada", readers=["U1", "U2"])
    listed, _ = await only(tmp_path)
    assert listed.readers == frozenset({"U1", "U2"})
    listed, _ = await only(tmp_path, readers=frozenset({"U2", "U3"}))
    assert [one for one in ("U1", "U2", "U3") if may_read(Viewers.of({one}), listed.readers)] == ["U2"]


async def test_a_message_s_file_keeps_its_readers_and_its_sender_changes_them(
    tray: UploadStore, tmp_path: Path
) -> None:
    tray.store_document("a.md", b"a", by="U1", readers=["U1"], origin="D1:1.0")
    assert tray.change_readers("D1:1.0", "U2", None) == []
    assert tray.change_readers("D1:1.0", "U1", ["U1", "C1"]) == ["a.md"]
    assert tray.store_document("a.md", b"a", by="U1", readers=["U1"], origin="D1:2.0") is UploadResult.UNCHANGED
    listed, _ = await only(tmp_path)
    assert listed.readers == frozenset({"U1", "C1"})
    assert tray.change_readers("D1:1.0", "U1", None) == [], "the newer message has it"
    assert tray.change_readers("D1:2.0", "U1", None) == ["a.md"]
    assert await source(tmp_path).read_rights(["a.md", "gone.md"]) == {"a.md": EVERYONE}
    assert tray.store_document("a.md", b"new", by="U1", readers=["U1"], origin="D1:3.0") is UploadResult.REPLACED
    assert await source(tmp_path).read_rights(["a.md"]) == {"a.md": frozenset({"U1"})}


async def test_new_content_for_few_people_is_not_read_with_the_readers_of_the_old(
    tray: UploadStore, tmp_path: Path
) -> None:
    tray.store_document("a.md", b"open", by="U1")
    opened = source(tmp_path)
    listed = (await listing(opened))["a.md"]
    tray.store_document("a.md", b"secret", by="U1", readers=["U1"], origin="D1:1.0")
    with pytest.raises(SourceError, match="was replaced"):
        await opened.read(listed)


def test_nobody_replaces_or_notices_a_document_that_he_may_not_read(tray: UploadStore) -> None:
    before = tray.find_document_id("plan.md", "U2")
    tray.store_document("plan.md", b"one", by="U1", readers=["U1"], origin="D1:1.0")
    assert tray.find_document_id("plan.md", "U1") == "plan.md"
    assert tray.find_document_id("plan.md", "U2") == before
    assert tray.store_document("plan.md", b"two", by="U2", readers=["U2"], document=before) is UploadResult.ADDED
    assert tray.find_document_id("plan.md", "U2") == before
    assert tray.find_document_id("plan.md", "U3") not in {"plan.md", before}
    assert {card.plain_name for card in tray.list_records()} == {"plan.md"}


def test_a_file_replaces_the_document_of_its_name_that_its_sender_may_read(tray: UploadStore) -> None:
    tray.store_document("plan.md", b"one", by="operator")
    assert tray.find_document_id("plan.md", "U2") == "plan.md"


async def test_an_error_calls_a_file_by_its_plain_name(tray: UploadStore, tmp_path: Path) -> None:
    document = tray.find_document_id("plan.md", "U2")
    tray.store_document("plan.md", b"two", by="U2", readers=["U2"], document=document)
    listed, content = await only(tmp_path)
    assert (listed.document, content.name) == (document, "plan.md")
    tray.remove_documents(lambda one: one.name == document)
    with pytest.raises(SourceError, match=r"^plan\.md was removed"):
        await source(tmp_path).read(listed)


@pytest.mark.parametrize(
    ("filename", "name"),
    [("/srv/docs/leave.md", "leave.md"), ("C:\\docs\\leave.md", "leave.md"), ("re\u0301sume\u0301.md", "résumé.md"),
     (" 请假\n.md ", "请假.md"), ("\u202ea.md", "a.md")],
)  # fmt: skip
def test_a_file_s_name_becomes_a_document_s(filename: str, name: str) -> None:
    assert parse_document_name(filename) == name


@pytest.mark.parametrize("filename", ["", "..", "/", ".hidden.md", "x" * 300 + ".md", "\udcff.md"])
def test_an_invalid_name_is_refused(filename: str) -> None:
    with pytest.raises(SourceError, match="Rename the file"):
        parse_document_name(filename)


def test_an_unsupported_file_is_refused_before_it_is_stored(tray: UploadStore) -> None:
    with pytest.raises(UnsupportedFormat, match=r"does not read films\.zip\. It reads: .* pdf"):
        tray.store_document("films.zip", b"PK", by="ada")
    with pytest.raises(SourceError, match="MB"):
        tray.store_document("big.md", b"x" * 1001, by="ada")
    assert tray.list_records() == []


async def test_a_damaged_record_deletes_nothing(tray: UploadStore, tmp_path: Path) -> None:
    tray.store_document("a.md", b"a", by="ada")
    tray.store_document("b.md", b"b", by="ada")
    next((tray.folder / "cards").glob("*.json")).write_bytes(b"{")
    with pytest.raises(SourceError, match="deletes nothing of it"):
        await listing(source(tmp_path))


async def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="mounted"):
        await source(tmp_path / "elsewhere").read_rights(["a.md"])
    with pytest.raises(SourceError, match="mounted"):
        await listing(build("push", tmp_path, path="elsewhere"))
    open_upload_store(SourceSpec("bench", "push", {"path": "elsewhere"}, tmp_path), tmp_path).store_document(
        "a.md", b"a", by="ada"
    )
    assert set(await listing(build("push", tmp_path, path="elsewhere"))) == {"a.md"}


async def test_a_full_disk_keeps_the_old_document(tray: UploadStore) -> None:
    tray.store_document("a.md", b"old", by="ada")
    shutil.rmtree(tray.folder / "blobs")
    (tray.folder / "blobs").write_text("in the way")
    with pytest.raises(SourceError, match="cannot be written"):
        tray.store_document("a.md", b"new", by="ada")
    assert [card.size_bytes for card in tray.list_records()] == [3]


async def test_a_change_is_noticed(tray: UploadStore, tmp_path: Path) -> None:
    ticks = asyncio.Semaphore(0)

    async def sleep(_seconds: float) -> None:
        await ticks.acquire()

    uploads = PushSource(source(tmp_path).key, tray, readers=EVERYONE, must_exist=False, sleep=sleep)
    changes = uploads.changes()
    noticed = asyncio.ensure_future(anext(changes))
    ticks.release()
    await asyncio.sleep(0.05)
    assert not noticed.done()
    tray.store_document("a.md", b"a", by="ada")
    ticks.release()
    async with asyncio.timeout(WAIT_S):
        await noticed
    await changes.aclose()  # type: ignore[attr-defined]


def _add_many(folder: Path, who: int) -> None:
    tray = UploadStore(folder, max_bytes=1000)
    for number in range(20):
        tray.store_document(f"{number % 5}.md", f"{number % 3}".encode(), by=f"{who}")
        gone = f"{(number + who) % 5}.md"
        tray.remove_documents(lambda one, gone=gone: one.name == gone)  # type: ignore[misc]


@pytest.mark.slow
def test_processes_that_add_and_remove_at_once_lose_no_bytes(tray: UploadStore) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_many, args=(tray.folder, who)) for who in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    cards = tray.list_records()
    for card in cards:
        assert tray.read_data(card) == card_bytes(tray, card.sha256)
    assert {path.name for path in (tray.folder / "blobs").iterdir()} == {card.sha256 for card in cards}


def card_bytes(tray: UploadStore, sha256: str) -> bytes:
    return (tray.folder / "blobs" / sha256).read_bytes()

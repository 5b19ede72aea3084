"""Google Drive against a fake that was written from its documentation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowledge.errors import SourceDenied, SourceError, SourceMisconfigured, SourceUnavailable
from knowledge.interfaces import EVERYONE, Source
from knowledge.sources.drive import source as drive
from tests.sources.drive.fake_drive import NATIVE, FakeDrive
from tests.sources.hosted.fake_service import Fault
from tests.sources.hosted.world import World, listing, seal_malformed_states

DOC, SHEET, SLIDES = f"{NATIVE}document", f"{NATIVE}spreadsheet", f"{NATIVE}presentation"


@pytest.fixture
async def fake() -> AsyncIterator[FakeDrive]:
    async with FakeDrive() as fake:
        yield fake


@pytest.fixture
def world() -> World:
    return World()


def build(fake: FakeDrive, world: World, **options: Any) -> Source:
    settings = {"credentials_env": "KEY", "url": fake.url, **options}
    return world.build(drive.KIND, {"credentials": fake.credentials()}, **settings)


async def readers(fake: FakeDrive, **options: Any) -> dict[str, frozenset[str]]:
    source = build(fake, World(), **options)
    found = {
        fake.files[one.partition(".")[0]]["name"]: document.readers for one, document in (await listing(source)).items()
    }
    await source.close()
    return found


# ── Listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_supported_files_below_a_folder_are_listed(fake: FakeDrive, world: World) -> None:
    root = fake.folder("root")
    below = fake.folder("below", root)
    doc = fake.file("Plan", b"# Plan", below, kind=DOC)
    pdf = fake.file("a.pdf", b"%PDF-1", root, kind="application/pdf")
    fake.file("photo.jpg", b"x", root, kind="image/jpeg")
    fake.file("form", b"", root, kind=f"{NATIVE}form")
    fake.file("elsewhere.md")
    fake.trash(fake.file("old.md", b"x", root))
    source = build(fake, world, folders=[root], rights="ignore")
    found = await listing(source)
    assert set(found) == {doc, f"{pdf}.pdf"}
    assert found[doc].url == f"https://drive.google.com/file/d/{doc}/view"
    assert found[doc].modified_at is not None
    await source.close()


async def test_folders_and_files_on_several_pages_are_listed(fake: FakeDrive, world: World) -> None:
    fake.most = 7
    root = fake.folder("root")
    parents = [fake.folder(f"f{number}", root) for number in range(30)]
    files = [fake.file(f"{number}.md", b"x", parent) for number, parent in enumerate(parents)]
    source = build(fake, world, folders=[root], rights="ignore")
    assert set(await listing(source)) == {f"{one}.md" for one in files}
    await source.close()


async def test_shortcuts_lead_to_their_targets(fake: FakeDrive, world: World) -> None:
    root, target = fake.folder("root"), fake.file("real.md", b"real")
    details = {"targetId": target, "targetMimeType": "text/markdown"}
    shortcut = fake.file("short", b"", root, kind=f"{NATIVE}shortcut", shortcutDetails=details)
    fake.file("dead", b"", root, kind=f"{NATIVE}shortcut", shortcutDetails={**details, "targetId": "nowhere"})
    source = build(fake, world, folders=[root])
    found = await listing(source)
    assert set(found) == {f"{target}.md"}
    assert (await source.read(found[f"{target}.md"])).data == b"real"
    fake.grant(target, type="user", emailAddress="ada@x.com")
    assert (await listing(source))[f"{target}.md"].readers == {"drive:user:ada@x.com"}
    fake.trash(shortcut)
    assert await listing(source) == {}
    await source.close()


async def test_an_incomplete_search_is_an_error(fake: FakeDrive, world: World) -> None:
    fake.incomplete = True
    source = build(fake, world)
    with pytest.raises(SourceError, match="did not search all files"):
        await listing(source)
    await source.close()


async def test_a_missing_folder_or_drive_is_an_error(fake: FakeDrive, world: World) -> None:
    root = fake.folder("root")
    fake.file("a.md", b"x", root)
    source = build(fake, world, folders=[root], rights="ignore")
    assert len(await listing(source)) == 1
    fake.trash(root)
    with pytest.raises(SourceError, match=root):
        await listing(source)
    other = build(fake, world, drives=["nowhere"])
    with pytest.raises(SourceError):
        await listing(other)
    await source.close()
    await other.close()


# ── Changes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_changes_save_the_listing(fake: FakeDrive, world: World) -> None:
    root = fake.folder("root")
    one, two = fake.file("one.md", b"1", root), fake.file("two.md", b"2", root)
    source = build(fake, world, folders=[root], rights="ignore")
    first = await listing(source)
    fake.calls.clear()
    fake.write(one, b"new")
    new = fake.file("new.md", b"n", root)
    fake.delete(two)
    second = await listing(source)
    assert set(second) == {f"{one}.md", f"{new}.md"}
    assert second[f"{one}.md"].version != first[f"{one}.md"].version
    assert fake.asked("/files") == 0
    await source.close()


async def test_a_change_of_rights_is_a_change(fake: FakeDrive, world: World) -> None:
    root = fake.folder("root")
    one = fake.file("one.md", b"1", root)
    source = build(fake, world, folders=[root])
    assert (await listing(source))[f"{one}.md"].readers == frozenset()
    fake.grant(one, type="group", emailAddress="Staff@X.com")
    assert (await listing(source))[f"{one}.md"].readers == {"drive:group:staff@x.com"}
    fake.grant(root, type="user", emailAddress="ada@x.com")  # of which only the folder is reported
    assert (await listing(source))[f"{one}.md"].readers == {"drive:group:staff@x.com", "drive:user:ada@x.com"}
    await source.close()


async def test_new_members_of_a_shared_drive_count_at_once(fake: FakeDrive, world: World) -> None:
    place = fake.shared_drive("0drive")
    one = fake.file("one.md", b"1", drive=place)
    source = build(fake, world, drives=[place])
    await listing(source)
    fake.grant(place, type="group", emailAddress="staff@x.com")
    assert (await listing(source))[f"{one}.md"].readers == {"drive:group:staff@x.com"}
    await source.close()


async def test_a_permission_expires(fake: FakeDrive, world: World) -> None:
    root = fake.folder("root")
    one = fake.file("one.md", b"1", root)
    fake.grant(one, type="user", emailAddress="ada@x.com", expirationTime="2027-01-15T09:00:00Z")
    source = build(fake, world, folders=[root])
    assert (await listing(source))[f"{one}.md"].readers == {"drive:user:ada@x.com"}
    world.now += 12 * 3600
    assert (await listing(source))[f"{one}.md"].readers == frozenset()
    await source.close()


async def test_a_moved_folder_moves_its_files(fake: FakeDrive, world: World) -> None:
    root, elsewhere = fake.folder("root"), fake.folder("elsewhere")
    folder = fake.folder("folder", root)
    one = fake.file("one.md", b"1", folder)
    source = build(fake, world, folders=[root], rights="ignore")
    assert len(await listing(source)) == 1
    fake.edited(folder, parents=[elsewhere])
    assert await listing(source) == {}
    fake.edited(folder, parents=[root])
    assert set(await listing(source)) == {f"{one}.md"}
    await source.close()


async def test_an_expired_token_and_a_new_day_list_everything(fake: FakeDrive, world: World) -> None:
    root = fake.folder("root")
    one = fake.file("one.md", b"1", root)
    source = build(fake, world, folders=[root], rights="ignore")
    first = await listing(source)
    fake.knows_tokens = False
    assert await listing(source) == first
    fake.knows_tokens = True
    fake.data[one] = b"unnoticed"
    fake.files[one]["md5Checksum"] = "other"  # without a reported change
    assert await listing(source) == first
    world.now += 24 * 3600
    assert await listing(source) != first
    await source.close()


@pytest.mark.slow
@settings(
    max_examples=min(12, settings().max_examples),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)
@given(st.booleans(), st.lists(st.lists(
    st.tuples(st.sampled_from(["file", "folder", "write", "trash", "delete", "move", "grant", "rename", "member"]),
              st.integers(0, 20), st.integers(0, 20)), max_size=4), min_size=1, max_size=5))  # fmt: skip
def test_changes_give_the_same_result_as_a_whole_listing(
    shared: bool,  # noqa: FBT001
    rounds: list[list[tuple[str, int, int]]],
) -> None:
    asyncio.run(_follow(rounds, shared=shared))


async def _follow(rounds: list[list[tuple[str, int, int]]], *, shared: bool) -> None:
    async with FakeDrive() as fake:
        place = fake.shared_drive("0drive")
        where = place if shared else None
        root = fake.folder("root", drive=where)
        fake.folder("outside", drive=where)
        scope = {"drives": [place]} if shared else {"folders": [root]}
        world = World()
        for edits in rounds:
            for edit in edits:
                _edit(fake, root, where, *edit)
            remembering, afresh = build(fake, world, **scope), build(fake, World(), **scope)
            assert await listing(remembering) == await listing(afresh)
            await remembering.close()
            await afresh.close()


def _edit(fake: FakeDrive, root: str, where: str | None, edit: str, number: int, other: int) -> None:
    folders = [one for one, file in fake.files.items() if file["mimeType"] == f"{NATIVE}folder"]
    files = list(fake.files)
    one, folder = files[number % len(files)], folders[other % len(folders)]
    if edit == "file":
        fake.file("file.md", b"x", folder, drive=where)
    elif edit == "folder":
        fake.folder("folder", folder, drive=where)
    elif edit == "member" and where:
        fake.grant(where, type="user", emailAddress=f"m{number}@x.com")
    elif edit == "grant":
        fake.grant(one, type="user", emailAddress=f"u{number}@x.com")
    elif edit == "rename":
        fake.edited(one, name=f"renamed{number}.md")
    elif one != root and one not in folders:
        _edit_file(fake, one, folder, edit)


def _edit_file(fake: FakeDrive, one: str, folder: str, edit: str) -> None:
    if edit == "write":
        fake.write(one, b"new")
    elif edit == "trash":
        fake.trash(one)
    elif edit == "delete":
        fake.delete(one)
    elif edit == "move":
        fake.edited(one, parents=[folder])


# ── Readers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_readers_follow_the_permissions(fake: FakeDrive) -> None:
    grants: dict[str, dict[str, Any]] = {
        "user.md": {"type": "user", "emailAddress": "Ada@X.com"},
        "found by all.md": {"type": "anyone", "allowFileDiscovery": True},
        "by link.md": {"type": "anyone", "allowFileDiscovery": False},
        "company.md": {"type": "domain", "domain": "X.com", "allowFileDiscovery": True},
        "company link.md": {"type": "domain", "domain": "x.com"},
        "deleted.md": {"type": "user", "emailAddress": "gone@x.com", "deleted": True},
        "data about it.md": {"type": "user", "emailAddress": "ada@x.com", "view": "metadata"},
        "odd.md": {"type": "robot", "emailAddress": "r@x.com"},
    }
    for name, grant in grants.items():
        fake.grant(fake.file(name), **grant)
    assert await readers(fake) == {
        "user.md": {"drive:user:ada@x.com"}, "found by all.md": EVERYONE, "by link.md": {"drive:anyone-with-link"},
        "company.md": {"drive:domain:x.com"}, "company link.md": {"drive:domain-with-link:x.com"},
        "deleted.md": frozenset(), "data about it.md": frozenset(), "odd.md": frozenset(),
    }  # fmt: skip
    opened = await readers(fake, everyone=["drive:domain:x.com", "drive:domain-with-link:x.com"])
    assert (opened["company.md"], opened["company link.md"]) == (EVERYONE, EVERYONE)


async def test_unknown_rights_admit_nobody(fake: FakeDrive) -> None:
    fake.grant(fake.file("a.md"), type="anyone", allowFileDiscovery=True)
    fake.may_share = False
    assert await readers(fake) == {"a.md": frozenset()}


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_googles_own_documents_are_exported(fake: FakeDrive, world: World) -> None:
    pictured = b"# Plan\n\n![The calendar][image1]\n\n[image1]: <data:image/png;base64,AAAA>\n"
    doc, sheet, slides = (fake.file(k, d, kind=k) for k, d in ((DOC, pictured), (SHEET, b"PK-x"), (SLIDES, b"PK-p")))
    source = build(fake, world, rights="ignore")
    found = await listing(source)
    content = await source.read(found[doc])
    assert (content.media_type, content.title, content.version) == ("text/markdown", DOC, found[doc].version)
    assert b"The calendar" in content.data
    assert b"base64" not in content.data
    for one, ending in ((sheet, "spreadsheetml.sheet"), (slides, "presentationml.presentation")):
        media_type = (await source.read(found[one])).media_type
        assert media_type is not None
        assert media_type.endswith(ending)
    await source.close()


async def test_an_unreadable_file_is_reported(fake: FakeDrive, world: World) -> None:
    large = fake.file("large", b"x" * 10_000_001, kind=DOC)
    locked, gone = fake.file("locked.md"), fake.file("gone.md")
    source = build(fake, world, rights="ignore")
    found = await listing(source)
    with pytest.raises(SourceError, match="10 MB that Google exports"):
        await source.read(found[large])
    refused = '{"error": {"errors": [{"reason": "cannotDownloadFile"}]}}'
    fake.faults = [Fault("alt=media", status=403, body=refused)]
    with pytest.raises(SourceError, match="cannotDownloadFile"):
        await source.read(found[f"{locked}.md"])
    fake.trash(gone)
    with pytest.raises(SourceError, match=f"{gone}.md is gone"):
        await source.read(found[f"{gone}.md"])
    await source.close()


async def test_a_rename_is_another_version(fake: FakeDrive, world: World) -> None:
    one = fake.file("old.md", b"x")
    source = build(fake, world, rights="ignore")
    before = (await listing(source))[f"{one}.md"]
    fake.edited(one, name="new.md")
    after = (await listing(source))[f"{one}.md"]
    assert before.version != after.version
    assert (await source.read(after)).title == "new.md"
    await source.close()


# ── The account, and what the wire can do ────────────────────────────────────────────────────────────────────────────


async def test_a_token_is_fetched_once_and_again_when_it_ends(fake: FakeDrive, world: World) -> None:
    fake.file("a.md")
    source = build(fake, world, rights="ignore", subject="ada@x.com")
    await listing(source)
    await listing(source)
    assert fake.subjects == ["ada@x.com"]
    world.now += 3600
    await listing(source)
    fake.tokens.clear()  # withdrawn before its time
    await listing(source)
    assert len(fake.subjects) == 3
    await source.close()


async def test_a_key_withdrawn_during_a_listing_stops_it(fake: FakeDrive, world: World) -> None:
    fake.file("a.md")
    source = build(fake, world, rights="ignore")
    (one,) = (await listing(source)).values()
    fake.key_works = False
    fake.tokens.clear()
    with pytest.raises(SourceDenied) as caught:
        await source.read(one)
    assert "PRIVATE KEY" not in str(caught.value)
    await source.close()


async def test_throttling_circles_and_invalid_json_end(fake: FakeDrive, world: World) -> None:
    fake.file("a.md")
    source = build(fake, world, rights="ignore")
    slower = '{"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}'
    fake.faults = [Fault("/files", status=403, body=slower, times=2)]
    assert len(await listing(source)) == 1
    assert len(world.slept) == 2
    for path, page in (
        ("/drive/v3/changes", '{"changes": [], "nextPageToken": "again"}'),
        ("/drive/v3/changes", "<html>"),
    ):
        fake.faults = [Fault(path, status=200, body=page)]
        with pytest.raises(SourceError):
            await listing(source)
    fake.faults = [Fault("/drive/v3", status=403, body=slower)]
    with pytest.raises(SourceUnavailable):
        await listing(source)
    await source.close()


async def test_a_memory_in_another_form_is_not_used(fake: FakeDrive, world: World) -> None:
    root = fake.folder("root")
    fake.file("one.md", b"1", root)
    source = build(fake, world, folders=[root], rights="ignore")
    first = await listing(source)
    ((key, saved),) = world.kept.items()
    for malformed in seal_malformed_states(saved):
        world.kept[key] = malformed
        assert await listing(source) == first, malformed
    await source.close()


async def test_a_listing_that_fails_on_page_7_keeps_what_was_remembered(fake: FakeDrive, world: World) -> None:
    fake.most = 2
    for number in range(20):
        fake.file(f"{number}.md")
    source = build(fake, world, rights="ignore", full_every_h=0.0)
    await listing(source)
    remembered = dict(world.kept)
    fake.faults = [Fault("/files?", status=404, after=6)]
    with pytest.raises(SourceError):
        await listing(source)
    assert world.kept == remembered
    await source.close()


def test_invalid_options_are_refused(tmp_path: Path) -> None:
    world = World()
    (tmp_path / "key.json").write_text('{"type": "service_account", "client_email": "x", "private_key": "nonsense"}')
    for wrong in (
        {}, {"credentials_env": "A", "credentials_file": "b"}, {"credentials_file": "nowhere.json"},
        {"credentials_file": "key.json"}, {"credentials_env": "A"}, {"credentials_env": "A", "rights": "some"},
    ):  # fmt: skip
        with pytest.raises(SourceMisconfigured) as caught:
            world.build(drive.KIND, {"credentials": "{}"}, folder=tmp_path, **wrong)
        assert "nonsense" not in str(caught.value)

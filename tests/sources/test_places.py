"""The place of a folder: which disks it is on, and who else may see the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.sources import places
from knowledge.sources.places import describe_place, is_below
from tests.sources.building import build

LINES = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / {0} rw - nfs4 server:/export rw
31 30 0:41 /a {0}/local rw - ext4 /dev/vdb rw
32 30 0:42 /b {0}/with\\040blank rw master:2 - ext4 /dev/vdc rw
33 22 0:43 / {0}-other rw - tmpfs none rw
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "docs"
    (folder / "local").mkdir(parents=True)
    (tmp_path / "mounts").write_text(LINES.format(folder))
    monkeypatch.setattr(places, "_MOUNTS", tmp_path / "mounts")
    return folder


def test_a_folder_has_its_disk_and_those_below_it(folder: Path) -> None:
    network, *below = describe_place(str(folder)).splitlines()
    assert network == "server:/export /", "the same on all hosts"
    assert [line.rsplit(" ", 2)[1:] for line in below] == [["/dev/vdb", "/a"], ["/dev/vdc", "/b"]]
    assert [line.startswith(name) for line, name in zip(below, ("local ", "with blank "), strict=True)] == [True, True]
    assert describe_place(str(folder / "local")) == below[0].removeprefix("local ")


def test_a_folder_that_replaces_another_one_has_the_same_place(folder: Path) -> None:
    before = describe_place(str(folder / "local"))
    (folder / "local").rmdir()
    (folder / "local").mkdir()
    assert describe_place(str(folder / "local")) == before
    (folder / "link").symlink_to(folder / "local")
    assert describe_place(str(folder / "link")) == before


def test_a_disk_keeps_its_name_after_a_boot(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, lines = describe_place(str(folder)), LINES.format(folder)
    (folder.parent / "mounts").write_text(lines.replace("0:41", "0:57"))
    assert describe_place(str(folder)) == before
    for source in ("none", "C:\\134"):  # of a tmpfs, and of a disk of Windows, which another host has, too
        (folder.parent / "mounts").write_text(lines.replace("server:/export", source))
        place = describe_place(str(folder))
        assert place.splitlines()[0].endswith(" 0:40 /")
        with monkeypatch.context() as patch:
            patch.setattr(places, "_find_host", lambda: "another host")
            assert describe_place(str(folder)) != place


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("ceph", "kvasir@0f1e.cephfs=/docs"), ("fuse.juicefs", "JuiceFS:docs"), ("fuse.gcsfuse", "docs-bucket"),
        ("fuse.glusterfs", "server:docs"), ("fuse.s3fs", "s3fs"), ("9p", "docs"), ("fuse.bindfs", "/srv/docs"),
    ],
)  # fmt: skip
def test_a_share_has_the_same_place_on_all_hosts(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, source: str
) -> None:
    lines = LINES.format(folder).replace("nfs4 server:/export", f"{kind} {source}")
    mounts = folder.parent / "mounts"

    def describe_from(host: str, lines: str, *disk: str) -> str:
        mounts.write_text(lines)
        with monkeypatch.context() as patch:
            patch.setattr(places, "_find_host", lambda: host)
            return describe_place(str(folder), *disk).splitlines()[0]

    elsewhere = lines.replace("0:40", "0:77")
    is_recognised = kind not in {"fuse.s3fs", "9p", "fuse.bindfs"}
    assert (describe_from("one", lines) == describe_from("other", elsewhere)) is is_recognised
    named = describe_from("one", lines, "handbook-share")
    assert named == describe_from("other", elsewhere, "handbook-share")
    assert named != describe_from("one", lines.replace(f" {folder} ", " /elsewhere "), "handbook-share"), "unmounted"


def test_a_system_without_names_of_disks_has_no_places(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_MOUNTS", folder / "none")
    assert describe_place(str(folder)) == ""


def test_paths_are_compared_by_their_parts() -> None:
    assert [is_below(path, "/a") for path in ("/a", "/a/b", "/ab", "/")] == [True, True, False, False]
    assert is_below("/a", "/")


async def test_a_narrowed_source_is_where_its_documents_are(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    plain, narrowed = (build("folder", tmp_path, path="docs", **more) for more in ({}, {"exclude": ["drafts/**"]}))
    assert await narrowed.find_place() == await plain.find_place() == describe_place(str(tmp_path / "docs"))  # type: ignore[attr-defined]
    share = build("folder", tmp_path, path="docs", disk="handbook-share")
    assert (await share.find_place()).startswith("handbook-share ")  # type: ignore[attr-defined]
    for one in (plain, narrowed, share):
        await one.close()

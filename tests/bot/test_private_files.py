"""Tests that the state is for one account alone, whatever the umask, and also in a folder that somebody else made."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bot.private_files import protect_path, protect_tree, write_named_file
from engine.files import make_shared_folder, share_tree


def get_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def list_open(folder: Path) -> list[str]:
    """Return the files and folders that other accounts have rights to."""
    return [f"{path} {get_mode(path):o}" for path in (folder, *folder.rglob("*")) if get_mode(path) & 0o077]


def test_everything_in_an_old_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    (home / "lancedb" / "table").mkdir(parents=True)
    for path, mode in ((home / "kvasir.db", 0o644), (home / "lancedb" / "table" / "1.lance", 0o666), (outside, 0o644)):
        path.write_text("x")
        path.chmod(mode)
    (home / "tool").write_text("x")
    (home / "tool").chmod(0o755)
    (home / "link").symlink_to(outside)
    home.chmod(0o777)
    protect_tree(home)
    assert get_mode(outside) == 0o644, "links are not followed"
    (home / "link").unlink()
    assert list_open(home) == []
    assert get_mode(home / "tool") == 0o700
    protect_path(tmp_path / "absent")


def test_a_named_file_is_for_its_owner_alone_even_if_it_was_open(tmp_path: Path) -> None:
    path, outside = tmp_path / "votes.jsonl", tmp_path / "outside"
    for one in (path, outside):
        one.write_text("old")
        one.chmod(0o644)
    with path.open() as reader:
        write_named_file(path, "new")
        assert reader.read() == "old", "who has the old file open sees nothing of the new one"
    assert (path.read_text(), get_mode(path)) == ("new", 0o600)
    (tmp_path / "link").symlink_to(outside)
    for target in (tmp_path / "link", tmp_path, Path("/dev/null")):
        with pytest.raises(OSError, match="a link, a folder or a device"):
            write_named_file(target, b"new")
    assert outside.read_text() == "old"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "outside", "votes.jsonl"]


def test_downloads_may_be_read_by_other_accounts_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        make_shared_folder(tmp_path / "cache" / "weights" / "model")
        for name, mode in (("a.bin", 0o600), ("tool", 0o700)):
            path = tmp_path / "cache" / "weights" / "model" / name
            path.write_text("x")
            path.chmod(mode)
        share_tree(tmp_path / "cache" / "weights" / "model")
    finally:
        os.umask(umask)
    modes = {path.name: get_mode(path) for path in (tmp_path / "cache").rglob("*")}
    assert modes == {"weights": 0o755, "model": 0o755, "a.bin": 0o644, "tool": 0o755}

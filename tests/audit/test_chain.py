"""Tests of chains: everything that is changed, cut, swapped or deleted afterwards is found."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audit.chain import parse_line
from bot.audit.keys import AuditKeyError, rotate_keys
from bot.audit.reading import EntryReader
from bot.audit.recorder import AuditRecorder
from bot.audit.verification import verify_audit
from tests.audit.writing import list_chains, make_settings, write_entries

ROOT = Path(__file__).parents[2]
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an audit of one file and 30 entries."""
    folder = tmp_path_factory.mktemp("written")
    write_entries(make_settings(folder), 29)
    return folder


def copy_audit(written: Path, folder: str) -> Path:
    target = Path(folder) / "copy"
    shutil.copytree(written, target)
    return target


def test_what_was_written_verifies(written: Path) -> None:
    report = verify_audit(make_settings(written))
    assert (report.entries, report.problems, report.remarks) == (30, [], [])
    (chain,) = list_chains(make_settings(written))
    assert (chain.stat().st_mode & 0o777, chain.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert (written / "audit.key").stat().st_mode & 0o777 == 0o600


@given(place=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
@settings(deadline=None)
def test_a_flipped_byte_is_found(written: Path, place: float, flipped: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (chain,) = list_chains(make_settings(copy := copy_audit(written, folder)))
        data = bytearray(chain.read_bytes())
        data[int(place * len(data))] ^= flipped
        chain.write_bytes(data)
        assert verify_audit(make_settings(copy)).problems


@given(begin=st.floats(0, 1, exclude_max=True), share=st.floats(0, 1))
@settings(deadline=None)
def test_bytes_that_are_cut_out_are_found(written: Path, begin: float, share: float) -> None:
    """Also those at the end, because a signed head names the last entry."""
    with tempfile.TemporaryDirectory() as folder:
        (chain,) = list_chains(make_settings(copy := copy_audit(written, folder)))
        data = chain.read_bytes()
        first = int(begin * len(data))
        last = min(len(data), first + 1 + int(share * len(data)))
        chain.write_bytes(data[:first] + data[last:])
        assert verify_audit(make_settings(copy)).problems


@given(st.permutations(range(6)).filter(lambda order: order != sorted(order)))
@settings(deadline=None)
def test_swapped_entries_are_found(written: Path, order: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (chain,) = list_chains(make_settings(copy := copy_audit(written, folder)))
        lines = chain.read_bytes().splitlines(keepends=True)
        lines[3:9] = [lines[3 + n] for n in order]
        chain.write_bytes(b"".join(lines))
        report = verify_audit(make_settings(copy))
        first = 4 + next(n for n in range(6) if order[n] != n)
        assert f"entry {first} is not the one that was written" in report.problems[0]


def test_a_repeated_and_an_invented_entry_are_found(written: Path, tmp_path: Path) -> None:
    copy = copy_audit(written, str(tmp_path))
    (chain,) = list_chains(make_settings(copy))
    lines = chain.read_bytes().splitlines(keepends=True)
    for wrong in ([*lines, lines[-1]], [*lines[:5], b'{"event":"action","mac":"00"}\n', *lines[5:]]):
        chain.write_bytes(b"".join(wrong))
        assert verify_audit(make_settings(copy)).problems


def test_a_renamed_a_copied_and_a_deleted_file_are_found(written: Path, tmp_path: Path) -> None:
    copy = copy_audit(written, str(tmp_path))
    (chain,) = list_chains(make_settings(copy))
    other = chain.with_name(chain.name.replace("T", "T0"))
    shutil.copy(chain, other)
    assert "does not belong to this file" in verify_audit(make_settings(copy)).problems[0]
    other.unlink()
    chain.rename(other)
    problems = verify_audit(make_settings(copy)).problems
    assert any("does not belong" in one for one in problems)
    assert any(f"{chain.name} is missing" in one for one in problems)


def test_a_changed_head_is_found(written: Path, tmp_path: Path) -> None:
    copy = copy_audit(written, str(tmp_path))
    (heads,) = (copy / "audit").glob("heads-*.jsonl")
    heads.write_bytes(heads.read_bytes().replace(b'"entries":30', b'"entries":29'))
    assert "is not a head that a key of the audit signed" in verify_audit(make_settings(copy)).problems[0]


def test_heads_show_that_the_audit_and_its_key_are_gone(tmp_path: Path) -> None:
    settings_ = make_settings(tmp_path, heads=str(tmp_path / "evidence"))
    write_entries(settings_, 3)
    kept = tmp_path / "kept.log"
    (heads,) = (tmp_path / "evidence").iterdir()
    kept.write_bytes(b"".join(b"Nov 30 host " + one for one in heads.read_bytes().splitlines(keepends=True)))
    assert verify_audit(settings_, kept).problems == []
    shutil.rmtree(settings_.folder)
    settings_.key_file.unlink()
    for file in (None, kept):
        assert "is not a head that a key of the audit signed" in verify_audit(settings_, file).problems[-1]
    write_entries(here := make_settings(tmp_path), 3)  # with a new key
    assert verify_audit(here).problems == []
    assert f"{kept.name}: line 1 is not a head" in verify_audit(here, kept).problems[0]


def test_places_without_a_head_are_problems(tmp_path: Path) -> None:
    """A folder that is not mounted, and a file that has other lines."""
    settings_ = make_settings(tmp_path, heads=str(tmp_path / "disk" / "evidence"))
    assert verify_audit(make_settings(tmp_path)).remarks == ("There is no audit yet.",)
    write_entries(settings_, 3)
    assert not (tmp_path / "disk").exists()
    assert "evidence has no head" in verify_audit(settings_).problems[0]
    other = tmp_path / "other.log"
    other.write_text("Nov 30 host cron: started\n")
    assert "other.log has no head" in verify_audit(make_settings(tmp_path), other).problems[0]


def test_a_file_that_cannot_be_opened_stops_nothing(written: Path, tmp_path: Path) -> None:
    """Here a folder with its name; it is the newest of today."""
    settings_ = make_settings(copy_audit(written, str(tmp_path)))
    (chain,) = list_chains(settings_)
    (settings_.folder / chain.name.replace("T", "T9")).mkdir()
    with chain.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as the process that writes it
        write_entries(settings_, 1)
    (new,) = (path for path in list_chains(settings_) if path.is_file() and path != chain)
    assert parse_line(new.read_bytes().splitlines()[0])["after"] == chain.name


def test_entries_that_are_lost_during_a_write_are_recorded_by_the_next(tmp_path: Path) -> None:
    recorder = AuditRecorder(settings_ := make_settings(tmp_path))

    class Loss:
        def __str__(self) -> str:
            recorder.count_lost(7, "the disk does not keep up")
            return "lost"

    recorder.write([{"event": "action", "value": Loss()}])
    recorder.write([{"event": "action"}])
    recorder.close()
    lines = [parse_line(line) for line in list_chains(settings_)[0].read_bytes().splitlines()]
    assert [line.get("count") for line in lines if line["event"] == "lost"] == [7]


def test_more_files_than_a_process_may_open_are_read(tmp_path: Path) -> None:
    now = [100 * DAY_S]
    recorder = AuditRecorder(settings_ := make_settings(tmp_path), now=lambda: now[0])
    for _ in range(60):
        recorder.write([{"event": "action", "at": "1970"}])
        now[0] += DAY_S
    recorder.close()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 30, limits[1]))
    try:
        assert len(list(EntryReader(settings_, ()).read_entries())) == 60
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_without_heads_the_next_file_shows_a_cut(tmp_path: Path) -> None:
    """The first entry of a file names the last entry of the one before, even if somebody deleted all heads."""
    settings_ = make_settings(tmp_path)
    now = [10 * DAY_S]
    recorder = AuditRecorder(settings_, now=lambda: now[0])
    for _ in range(2):
        for _ in range(5):
            recorder.write([{"event": "action"}])
        now[0] += DAY_S
    recorder.close()
    first, _ = list_chains(settings_)
    for path in settings_.folder.glob("heads-*"):
        path.unlink()
    assert verify_audit(settings_).problems == []
    first.write_bytes(b"".join(first.read_bytes().splitlines(keepends=True)[:-1]))
    assert f"{first.name}: it ends after 5 entries, but it was longer" in verify_audit(settings_).problems[0]
    first.unlink()
    assert "is missing" in verify_audit(settings_).problems[0]


def test_the_next_process_continues_the_file(written: Path, tmp_path: Path) -> None:
    copy = make_settings(copy_audit(written, str(tmp_path)))
    for _ in range(3):
        write_entries(copy, 1)
    assert len(list_chains(copy)) == 1
    assert (verify_audit(copy).entries, verify_audit(copy).problems) == (33, [])


def test_a_file_that_was_changed_is_not_continued(written: Path, tmp_path: Path) -> None:
    copy = make_settings(copy_audit(written, str(tmp_path)))
    (chain,) = list_chains(copy)
    data = chain.read_bytes()
    chain.write_bytes(data.replace(b'"n":7', b'"n":8'))
    write_entries(copy, 1)
    assert len(list_chains(copy)) == 2
    assert len(verify_audit(copy).problems) == 1


def test_a_new_key_signs_and_the_old_one_still_verifies(written: Path, tmp_path: Path) -> None:
    copy = make_settings(copy_audit(written, str(tmp_path)))
    recorder = AuditRecorder(copy)
    recorder.write([{"event": "action"}])
    old, new = copy.key_file.read_text(), rotate_keys(copy.key_file)
    recorder.write_head()
    recorder.write([{"event": "action"}])
    recorder.close()
    (chain,) = list_chains(copy)
    events = [parse_line(line)["event"] for line in chain.read_bytes().splitlines()]
    assert Counter(events) == {"begin": 1, "action": 31, "new-key": 1}
    assert verify_audit(copy).problems == []
    copy.key_file.write_text(old)
    assert f"needs the key {new.newest}" in " ".join(verify_audit(copy).problems)


@pytest.mark.parametrize("text", ["", "not a key\n", "a1 00ff\n"])
def test_a_key_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    copy = make_settings(tmp_path)
    write_entries(copy, 1)
    copy.key_file.write_text(text)
    with pytest.raises(AuditKeyError, match="does not hold keys"):
        verify_audit(copy)
    copy.key_file.unlink()
    with pytest.raises(AuditKeyError, match="KVASIR_AUDIT_KEY_FILE"):
        verify_audit(copy)


def test_old_files_expire_and_the_chain_says_so(tmp_path: Path) -> None:
    now = [100 * DAY_S]
    recorder = AuditRecorder(make_settings(tmp_path, keep_days=3), now=lambda: now[0])
    for _ in range(6):
        recorder.write([{"event": "action"}])
        now[0] += DAY_S
    recorder.close()
    settings_ = make_settings(tmp_path)
    assert len(list_chains(settings_)) == 4
    assert verify_audit(settings_).problems == []
    list_chains(settings_)[0].unlink()
    assert "is missing, and no entry says that it expired" in verify_audit(settings_).problems[0]


def test_heads_that_are_kept_elsewhere_name_no_files_that_expired_long_ago(tmp_path: Path) -> None:
    """The entry that says that a file expired expires, too."""
    now = [100 * DAY_S]
    settings_ = make_settings(tmp_path, keep_days=1)
    recorder, kept = AuditRecorder(settings_, now=lambda: now[0]), tmp_path / "kept.jsonl"
    for _ in range(6):
        recorder.write([{"event": "action"}])
        recorder.write_head()
        lines = {line for path in settings_.folder.glob("heads-*.jsonl") for line in path.read_bytes().splitlines()}
        kept.write_bytes(b"\n".join(lines | set(kept.read_bytes().splitlines() if kept.exists() else ())) + b"\n")
        now[0] += DAY_S
    recorder.close()
    assert verify_audit(settings_, kept).problems == []
    list_chains(settings_)[0].unlink()
    assert "is missing, and no entry says that it expired" in verify_audit(settings_, kept).problems[0]


@pytest.mark.parametrize("lose", [lambda path: shutil.rmtree(path.parent), lambda path: os.truncate(path, 0)])
def test_entries_after_a_file_was_deleted_or_cut_are_in_another_one(
    tmp_path: Path, lose: Callable[[Path], object]
) -> None:
    settings_ = make_settings(tmp_path)
    recorder = AuditRecorder(settings_)
    recorder.write([{"event": "action"}])
    (lost,) = list_chains(settings_)
    lose(lost)
    assert recorder.write([{"event": "share"}], durable=True)
    recorder.close()
    lines = [parse_line(line) for path in list_chains(settings_) for line in path.read_bytes().splitlines()]
    assert [one["event"] for one in lines] == ["begin", "share"]
    assert [one.startswith(lost.name) for one in verify_audit(settings_).problems] == [True]


@pytest.mark.slow
def test_three_processes_write_at_the_same_time(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-m", "tests.audit.writing", str(tmp_path), "500", mark], cwd=ROOT)
        for mark in "abc"
    ]
    assert [one.wait() for one in writers] == [0, 0, 0]
    settings_ = make_settings(tmp_path)
    report = verify_audit(settings_)
    assert (report.problems, report.remarks) == ([], [])
    lines = [parse_line(line) for path in list_chains(settings_) for line in path.read_bytes().splitlines()]
    assert Counter(one["mark"] for one in lines if "mark" in one) == {"a": 500, "b": 500, "c": 500}


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_a_torn_line_at_most(tmp_path: Path) -> None:
    """It is no tampering, and the next process begins a new file."""
    settings_ = make_settings(tmp_path)
    command = [sys.executable, "-m", "tests.audit.writing", str(tmp_path), "1000000", "a"]
    with subprocess.Popen(command, cwd=ROOT) as writer:
        while writer.poll() is None and (sum(path.stat().st_size for path in list_chains(settings_)) < 50_000):
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
    (chain,) = list_chains(settings_)
    intact = chain.read_bytes().rpartition(b"\n")[0] + b"\n"
    chain.write_bytes(intact + b'{"event":"action","at":"2026')
    report = verify_audit(settings_)
    assert report.problems == []
    assert "the process died while it wrote the last line" in report.remarks[0]
    write_entries(settings_, 3)
    assert len(list_chains(settings_)) == 2
    assert verify_audit(settings_).problems == []
    assert len(verify_audit(settings_).remarks) == 1

"""Several hosts share one manifest: what one of them does not see is neither deleted nor closed for the others."""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from knowledge.errors import PendingDeletionsChanged, SourceUnavailable
from knowledge.interfaces import EVERYONE
from knowledge.library import Library
from knowledge.settings import PathRights
from knowledge.sync.manifest.lease import LeaseOwner
from knowledge.sync.manifest.replica_configurations import ReplicaConfiguration
from tests.library.library_bench import Bench, read_state, texts
from tests.library.rights_source import Now, RightsDict, make_minutes
from tests.sources.building import build

ROOT = Path(__file__).parents[2]
BOARD = {"readers": ("board",)}


class PlacedDict(RightsDict):
    """A source from a dictionary that lies on a disk."""

    place = "host a"

    async def find_place(self) -> str:
        if not self.place:
            raise SourceUnavailable("The disk is not there. Mount it.")
        return self.place


def make_placed(count: int, place: str = "host a") -> PlacedDict:
    """Return a source with the first minutes of the board, as a host sees it."""
    source, minutes = PlacedDict(), make_minutes(count)
    source.texts, source.versions, source.rights = minutes.texts, minutes.versions, minutes.rights
    source.place = place
    return source


async def read_readers(bench: Bench) -> Any:
    """Return the readers and pending deletions in the manifest."""
    source = make_placed(0)
    async with bench.library(source) as library:
        return await read_state(library, source.key)


# ── Unknown instead of gone ──────────────────────────────────────────────────────────────────────────────────────────


async def test_questions_of_a_host_that_lacks_documents_change_nothing(bench: Bench, now: Now) -> None:
    ours, theirs = make_placed(8), make_placed(1, "host b")
    async with bench.library(ours) as here, bench.library(theirs) as there:
        assert (await here.refresh()).ok
        before = await read_readers(bench)
        for _ in range(20):
            now.s += 60
            assert await texts(there, "minutes", limit=20, **BOARD) == ["The board minutes number 0."]
            assert set(await there.filter_current(await list_chunks(here))) <= set(await list_chunks(here))
        assert await read_readers(bench) == before
        now.s += 60
        assert len(await texts(here, "minutes", limit=20, **BOARD)) == 8
        now.s += 60
        assert await there.access.find_drift(20) == []
        [access] = await there.access.find_documents("wiki/7.md")
        assert "cannot see 7.md" in access.problem
        assert len(await texts(here, "minutes", limit=20, **BOARD)) == 8


async def list_chunks(library: Any) -> list[str]:
    manifest = await library._find_searched()
    return sorted(await manifest.list_chunk_ids())


async def test_a_document_that_is_gone_from_its_own_disk_is_closed(bench: Bench, now: Now) -> None:
    ours = make_placed(2)
    async with bench.library(ours) as library:
        await library.refresh()
        del ours.rights["1.md"]
        now.s += 60
        assert await texts(library, "minutes", **BOARD) == ["The board minutes number 0."]
        manifest = await library._find_searched()
        assert dict(await manifest.list_readers(ours.key))["1.md"] == "[]"


async def test_a_source_may_say_that_it_cannot_see_a_document(bench: Bench, now: Now) -> None:
    class Blind(RightsDict):
        async def read_rights(self, documents: Any) -> Any:
            return {**dict.fromkeys(documents), **await super().read_rights(documents)}

    source = Blind()
    for name in ("a.md", "b.md"):
        source.put(name, f"The minutes of {name}")
    async with bench.library(source) as library:
        await library.refresh()
        lost = source.rights.pop("a.md")
        now.s += 60
        assert await texts(library, "minutes", **BOARD) == ["The minutes of b.md"]
        source.rights["a.md"] = lost
        assert sorted(await texts(library, "minutes", **BOARD)) == ["The minutes of a.md", "The minutes of b.md"]


async def test_a_sync_on_another_disk_deletes_nothing_without_approval(bench: Bench) -> None:
    ours, theirs = make_placed(8), make_placed(1, "host b")
    theirs.put("new.md", "The minutes of another host")
    async with bench.library(ours) as here, bench.library(theirs) as there:
        await here.refresh()
        for _ in range(3):
            report = (await there.refresh()).sources["wiki"]
            assert (report.deleted, report.pending_deletions) == (0, 7)
            assert "another disk or host" in str(report.error)
            assert len(await texts(here, "minutes", limit=20, **BOARD)) == 8
        oldest = await (await there._find_searched()).list_oldest_rights(theirs.key, before=math.inf, limit=20)
        assert {one.document for one in oldest} == {"0.md", "new.md"}, "the sweep asks for what it can see"
        report = (await here.refresh()).sources["wiki"]
        assert (report.deleted, report.pending_deletions, report.error) == (1, 0, None), "its own disk is trusted"
        assert (await read_readers(bench))[1] == []
        del ours.texts["7.md"]
        assert (await here.refresh()).sources["wiki"].deleted == 1
        await there.refresh()
        marks = (await there.status()).approval_marks()
        report = (await there.refresh(approve=marks)).sources["wiki"]
        assert (report.deleted, report.pending_deletions, report.error) == (6, 0, None), "the new disk is approved"
        del theirs.texts["new.md"]
        assert (await there.refresh()).sources["wiki"].deleted == 1, "and trusted from now on"


async def test_a_place_that_cannot_be_seen_stops_the_sync(bench: Bench, now: Now) -> None:
    ours = make_placed(2)
    async with bench.library(ours) as library:
        await library.refresh()
        ours.place = ""
        del ours.texts["1.md"], ours.rights["1.md"]
        now.s += 60
        report = (await library.refresh()).sources["wiki"]
        assert (report.deleted, report.error) == (0, "The disk is not there. Mount it.")
        assert await texts(library, "minutes", **BOARD) == []
        assert len((await read_readers(bench))[0]) == 2


async def wait_for_replicas(library: Library, count: int) -> None:
    """Wait until a library sees so many other processes."""
    while len(await library.configurations.list_others()) < count:  # noqa: ASYNC110 - polled
        await asyncio.sleep(0.01)


# ── Another configuration ────────────────────────────────────────────────────────────────────────────────────────────


async def test_questions_under_another_configuration_change_no_rights(bench: Bench, now: Now) -> None:
    bench.readers, bench.names_readers = EVERYONE | {"board"}, True
    ours, theirs = make_placed(4), make_placed(4)
    async with bench.library(ours) as here:
        await here.refresh()
        before = await read_readers(bench)
        bench.readers = frozenset({"nobody"})
        theirs.rights = {name: frozenset({"nobody"}) for name in theirs.rights}  # as a source narrows what it names
        async with bench.library(theirs) as there:
            for _ in range(20):
                now.s += 60
                assert await texts(there, "minutes", **BOARD) == []
        assert await read_readers(bench) == before
        now.s += 60
        assert len(await texts(here, "minutes", **BOARD)) == 4


async def test_a_source_that_another_configuration_lacks_waits_for_approval(bench: Bench) -> None:
    ours, other = make_placed(3), RightsDict("notes", "/notes")
    other.put("n.md", "The board notes")
    async with bench.library(ours, other) as here, here.configurations.announce("a|1|2|3"):
        await here.refresh()
        async with bench.library(other) as there, there.configurations.announce("b|1|2|3"):
            await wait_for_replicas(here, 1)
            await wait_for_replicas(there, 1)
            for _ in range(3):
                assert (await there.refresh()).ok
            assert len(await texts(here, "minutes", sources=["wiki"], **BOARD)) == 3
            status = await there.status()
            [removed] = status.removed
            assert (removed.name, removed.pending_deletions, removed.is_removed) == ("wiki", 3, True)
            assert removed.listed_by == (there.configurations.ours.host,)
            assert list(status.other_configurations.values()) == [["wiki"]]
            assert list((await here.status()).other_configurations.values()) == [["wiki"]]
            assert (await here.status()).removed == ()
            with pytest.raises(PendingDeletionsChanged):
                await there.refresh("wiki", approve={"wiki": "another mark"})
            assert len(await texts(here, "minutes", sources=["wiki"], **BOARD)) == 3
            report = await there.refresh("wiki", approve=status.approval_marks("wiki"))
            assert report.sources["wiki"].deleted == 3
            assert await texts(here, "minutes", sources=["wiki"], **BOARD) == []
            assert (await there.status()).removed == ()
            assert await texts(there, "notes", **BOARD) == ["The board notes"]


async def test_what_another_configuration_leaves_out_waits_for_approval(bench: Bench, now: Now) -> None:
    bench.names_readers = True
    ours, theirs = make_placed(8), make_placed(1)  # as one that excludes seven of them
    async with bench.library(ours) as here:
        await here.refresh()
        bench.rights = (PathRights("9.md", frozenset({"bo"})),)
        async with bench.library(theirs) as there:
            async with here.configurations.announce("a|1|2|3"):
                await wait_for_replicas(there, 1)
                report = (await there.refresh()).sources["wiki"]
                assert (report.deleted, report.pending_deletions, report.error) == (0, 7, None)
                for _ in range(2):
                    now.s += 60
                    assert await texts(there, "minutes", limit=20, **BOARD) == ["The board minutes number 0."]
                    assert len(await texts(here, "minutes", limit=20, **BOARD)) == 8
                assert (await here.refresh()).sources["wiki"].pending_deletions == 0
            report = (await there.refresh()).sources["wiki"]
            assert (report.deleted, report.pending_deletions) == (7, 0), "the other process has ended"


async def test_a_new_index_waits_for_the_sources_of_other_configurations(bench: Bench) -> None:
    ours, notes = make_placed(3), RightsDict("notes", "/notes")
    notes.put("n.md", "The board notes")
    async with bench.library(ours, notes) as before:
        await before.refresh()
    bench.chunker = "2"
    async with (
        bench.library(ours, notes) as here,
        bench.library(notes) as there,
        here.configurations.announce("a|1|2|3"),
    ):
        await wait_for_replicas(there, 1)
        for _ in range(2):
            assert (await there.refresh()).ok
        assert len(await texts(here, "board", **BOARD)) == 4
        assert (await there.status()).growth is not None
        assert (await here.refresh()).ok
        assert (await there.status()).growth is None
        assert len(await texts(here, "board", **BOARD)) == 4


async def test_a_source_with_another_root_waits_for_approval(bench: Bench) -> None:
    ours = make_placed(3)
    moved = RightsDict("wiki", "/elsewhere")
    moved.put("m.md", "The moved minutes")
    async with bench.library(ours) as here:
        await here.refresh()
        async with bench.library(moved) as there:
            await there.refresh()
            assert len(await texts(here, "minutes", **BOARD)) == 3
            [removed] = (await there.status()).removed
            assert (removed.name, removed.root) == ("wiki (dict /wiki)", "/wiki")
            report = await there.refresh(approve=(await there.status()).approval_marks())
            assert {name: one.deleted for name, one in report.sources.items()} == {"wiki (dict /wiki)": 3, "wiki": 0}
        assert await texts(here, "minutes", **BOARD) == []


async def test_replicas_with_the_same_configuration_are_not_named(bench: Bench) -> None:
    source = make_placed(1)
    async with bench.library(source) as one, one.configurations.announce("a|1|2|3"):
        async with bench.library(source) as two, two.configurations.announce("b|1|2|3"):
            await wait_for_replicas(one, 1)
            assert (await one.status()).other_configurations == {}
            other = ReplicaConfiguration("c|1|2|3", one.configurations.ours.host, {})
            differences = one.configurations.list_differences([other, two.configurations.ours])
            assert list(differences.values()) == [["wiki"]], "two processes with one host name"
        assert await one.configurations.list_others() == []


async def test_a_killed_process_does_not_differ_from_its_successor(bench: Bench) -> None:
    bench.owner = lambda: LeaseOwner(is_dead=lambda name: name.startswith("killed|"))
    source, other = make_placed(1), RightsDict("notes", "/notes")
    async with (
        bench.library(source, other) as killed,
        killed.configurations.announce("killed|1|2|3"),
        bench.library(source, other) as running,
        running.configurations.announce("b|1|2|3"),
        bench.library(source) as successor,
    ):
        await wait_for_replicas(successor, 1)
        assert [one.replica for one in await successor.configurations.list_others()] == ["b|1|2|3"]


# ── Mounts ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def find_namespace() -> tuple[str, ...] | None:
    """Return the command that gives a process its own mounts, None if there is none here."""
    for command in (("unshare", "--mount"), ("unshare", "--map-root-user", "--mount")):
        try:
            tried = subprocess.run(
                [*command, "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True, timeout=10
            )
        except OSError:
            continue
        if tried.returncode == 0:
            return command
    return None


def run_there(home: Path, folder: Path, setup: str, *, questions: int = 0, syncs: int = 0) -> Any:
    """Ask and sync as another host does, whose mounts ``setup`` makes."""
    command = [*(find_namespace() or ()), sys.executable, "-m", "tests.library.other_host", str(home), str(folder)]
    done = subprocess.run(
        [*command, str(questions), str(syncs), setup], check=False, capture_output=True, cwd=ROOT, timeout=100
    )
    assert done.returncode == 0, done.stderr.decode()[-2_000:]
    return json.loads(done.stdout)


MOUNTS = {
    "another disk": "mount -t tmpfs none {0}; cp -p {1}/0.md {0}",
    "another folder of the same disk": "mkdir {1}-b; cp -p {1}/0.md {1}-b; mount --bind {1}-b {0}",
    "an absent folder": "mount -t tmpfs none {2}",
    "an empty disk": "mount -t tmpfs none {0}",
}


@pytest.mark.slow
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_partial_mount_changes_nothing(bench: Bench, tmp_path: Path, mount: str, now: Now) -> None:
    if find_namespace() is None:
        pytest.skip("this kernel gives no mount namespaces here")
    folder, copies, home = tmp_path / "disk" / "docs", tmp_path / "copies", tmp_path / "home"
    for one in (folder, copies, home):
        one.mkdir(parents=True)
    for n in range(8):
        for place in (folder, copies):
            (place / f"{n}.md").write_text(f"The lighthouse {n}")
    bench.home, bench.url = home, f"sqlite:///{home / 'kvasir.db'}"
    source = build("folder", Path("/"), name="docs", path=str(folder), watch=False)
    setup = MOUNTS[mount].format(folder, copies, tmp_path / "disk")
    async with bench.library(source) as library:
        assert (await library.refresh()).ok
        now.s += 60
        before = await read_state(library, source.key)
        there = run_there(home, folder, setup, questions=100, syncs=3)
        assert len(there["found"]) == (1 if "0.md" in setup else 0)
        assert there["state"] == before
        assert len(there["errors"]) == 3
        assert all(there["errors"])
        now.s += 60
        assert len(await texts(library, "lighthouse", limit=20)) == 8
        assert (await library.refresh()).ok
        assert (await library.status()).sources[0].pending_deletions == 0
        assert await read_state(library, source.key) == before


@pytest.mark.slow
def test_a_disk_below_the_folder_may_be_absent(tmp_path: Path) -> None:
    if find_namespace() is None:
        pytest.skip("this kernel gives no mount namespaces here")
    folder, copies, home = tmp_path / "docs", tmp_path / "copies", tmp_path / "home"
    for one in (folder / "below", copies, home):
        one.mkdir(parents=True)
    (folder / "top.md").write_text("The lighthouse at the top")
    (copies / "0.md").write_text("The lighthouse below")
    mounted = f"mount -t tmpfs none {folder}/below; cp -p {copies}/0.md {folder}/below"
    everything = ["The lighthouse at the top", "The lighthouse below"]
    there = run_there(home, folder, mounted, syncs=1)
    assert (there["errors"], there["after"]) == ([None], everything)
    absent = run_there(home, folder, "true", syncs=3)
    assert "another disk or host" in absent["errors"][-1]
    there = run_there(home, folder, mounted, syncs=1)
    assert (there["errors"], there["after"]) == ([None], everything)

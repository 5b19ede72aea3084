"""A file of a direct message, through the real library: who finds it, and when a changed choice counts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bot.document_additions import DocumentAdditions
from knowledge.interfaces import EVERYONE, SourceKey
from knowledge.library import Library
from knowledge.settings import SourceSpec
from knowledge.sources.uploads.source import PushSource
from tests.library.library_bench import Bench
from tests.sync.doubles import passages
from tests.viewers import make_members

ORIGIN = "D1:1.0"


@contextlib.asynccontextmanager
async def open_additions(folder: Path) -> AsyncIterator[tuple[Library, DocumentAdditions]]:
    """Open a library with the documents that people add in Slack."""
    spec = SourceSpec("added", "push", {"path": "files"}, folder)
    store = DocumentAdditions(spec, folder, None).store  # type: ignore[arg-type]
    source = PushSource(SourceKey("added", "push", str(store.folder)), store, readers=EVERYONE, must_exist=False)
    async with Bench(folder, passages).library(source) as library:
        yield library, DocumentAdditions(spec, folder, library)


async def test_a_changed_choice_of_readers_counts_at_once(tmp_path: Path) -> None:
    async with open_additions(tmp_path) as (library, additions):

        async def list_finders() -> list[str]:
            people = {"sender": ("U1",), "member": ("U2",), "both": ("U1", "U2")}
            viewers = {name: make_members(*principals) for name, principals in people.items()}
            viewers["channel"] = make_members("C1")
            found = []
            for name, those in viewers.items():
                if (await library.search("how many days of leave", viewers=those)).hits:
                    assert await library.count_readable(those) == {"added": 1}
                    found.append(name)
                else:
                    assert await library.count_readable(those) == {}
            return found

        data = b"# Leave\nHow many days of leave? Thirty days of leave."
        await additions.store_message_file("leave.md", data, sender="U1", origin=ORIGIN, title=None)
        assert await additions.sync_documents(["U1/leave.md"]) == {}
        assert await list_finders() == ["sender"]
        for readers, finders in (
            (["U1", "C1"], ["sender", "channel"]),
            (None, ["sender", "member", "both", "channel"]),
            (["U1"], ["sender"]),
        ):
            assert await additions.change_readers(ORIGIN, sender="U1", readers=readers) == ["U1/leave.md"]
            assert await additions.sync_documents(["U1/leave.md"]) == {}
            assert await list_finders() == finders


async def test_old_files_leave_the_index_and_its_files(tmp_path: Path) -> None:
    """Also if they are many, so that their deletion would wait for an approval."""
    async with open_additions(tmp_path) as (library, additions):
        for number in range(30):
            added_at, word = (100.0, "veryold") if number < 25 else (200.0, "young")
            additions.store._now = lambda added_at=added_at: added_at  # type: ignore[misc]
            await additions.store_document(f"{number}.md", f"# Note\n{word} note {number}".encode(), by="U1")
        await additions.sync_documents(())
        assert await additions.remove_older(100.0) == 0
        assert await additions.remove_older(150.0) == 25
        assert await library.count_readable(make_members("U1")) == {"added": 5}
        assert (await library.search("young note", viewers=make_members("U1"))).hits
        await library.scrub_store()
        files = [path for path in tmp_path.rglob("*") if path.is_file() and "kvasir.db" not in path.name]
        assert all(b"veryold" not in path.read_bytes() for path in files)
        assert any(b"young" in path.read_bytes() for path in files)
        assert (await library.search("young note", viewers=make_members("U1"))).hits

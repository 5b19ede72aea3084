"""What is taken away at a source is shown to nobody a minute later, without a sync; the services are at the wire."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from knowledge.interfaces import EVERYONE, RightsSource, Source, Viewers
from knowledge.library import Library
from knowledge.sources.uploads.upload_store import UploadStore
from tests.library.library_bench import Bench
from tests.library.rights_source import Now
from tests.sources.building import build
from tests.sources.confluence.fake_confluence import FakeConfluence
from tests.sources.contract import Ability, Workbench, opened, workbenches
from tests.sources.drive.fake_drive import FakeDrive

BENCHES = [
    bench
    for bench in workbenches().values()
    if not bench.slow and bench.kind in {"confluence", "drive", "folder", "notion", "push", "sql"}
]
Revoke = Callable[[], object]


async def count_found(library: Library, viewers: Viewers) -> int:
    return len({hit.document for hit in (await library.search("lighthouse keeper", viewers=viewers, limit=20)).hits})


@pytest.mark.slow
@pytest.mark.parametrize("kind", BENCHES, ids=lambda kind: kind.__name__)
async def test_a_deleted_document_and_a_silent_source_are_not_shown(
    bench: Bench, now: Now, kind: type[Workbench], tmp_path: Path
) -> None:
    assert Ability.REMOVE not in kind.cannot
    viewers = Viewers.of(EVERYONE)
    (tmp_path / "place").mkdir()
    async with opened(kind(tmp_path / "place")) as place:
        for name in ("a.md", "b.md", "c.md"):
            await place.put(name, f"The lighthouse keeper of {name}".encode())
        source = place.source()
        assert isinstance(source, RightsSource)
        async with bench.library(source) as library:
            assert (await library.refresh()).ok
            assert await count_found(library, viewers) == 3
            await place.remove("b.md")
            now.s += 60
            assert await count_found(library, viewers) == 2
            await place.break_down()
            now.s += 60
            hits = (await library.search("lighthouse keeper", viewers=viewers)).hits
            assert hits == ()
            assert await library.count_readable(viewers) == {}
        await source.close()


# ── Revoked rights ───────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.asynccontextmanager
async def open_confluence(tmp_path: Path, *, cloud: bool) -> AsyncIterator[tuple[Source, str, list[Revoke]]]:
    async with FakeConfluence(cloud=cloud) as wiki:
        for space in ("ENG", "HR"):
            wiki.space(space, readers=[("user", "ada"), ("user", "bo")])
        text = "<p>The lighthouse keeper</p>"
        top, eng = wiki.page("top", text), wiki.page("own", text)
        wiki.page("leaf", text, parent=wiki.page("middle", text, parent=top.id).id)
        moved, hr = wiki.page("moved", text), wiki.page("of hr", text, space="HR")
        edition = "cloud" if cloud else "data-center"
        yield (
            build("confluence", tmp_path, url=wiki.url, edition=edition, token_env="T", secrets={"token": "t0ken"}),
            "confluence:user:ada",
            [
                lambda: setattr(eng, "users", ["bo"]),
                lambda: setattr(top, "users", ["bo"]),
                lambda: setattr(moved, "space", "HR"),
                lambda: wiki.space_readers.update({hr.space: [("user", "bo")]}),
            ],
        )


@contextlib.asynccontextmanager
async def open_drive(tmp_path: Path) -> AsyncIterator[tuple[Source, str, list[Revoke]]]:
    async with FakeDrive() as drive:
        root, shared = drive.folder("root"), drive.shared_drive("0Ashared")
        drive.grant(shared, type="user", emailAddress="ada@x.com")
        drive.file("shared.md", b"The shared lighthouse keeper", shared, drive=shared)
        files = [drive.file(f"{n}.md", b"The lighthouse keeper %d" % n, root) for n in range(3)]
        for file in files:
            drive.grant(file, type="user", emailAddress="ada@x.com")
        secrets = {"credentials": drive.credentials()}
        places: dict[str, Any] = {"drives": [shared], "folders": [root], "url": drive.url}
        yield (
            build("drive", tmp_path, credentials_env="KEY", secrets=secrets, **places),
            "drive:user:ada@x.com",
            [
                lambda: (drive.granted[files[0]].clear(), drive.edited(files[0])),
                drive.granted[files[1]].clear,  # its change feed is late
                drive.granted[shared].clear,
                lambda: drive.trash(files[2]),
            ],
        )


@contextlib.asynccontextmanager
async def open_sql(tmp_path: Path) -> AsyncIterator[tuple[Source, str, list[Revoke]]]:
    def run(statement: str) -> None:
        with contextlib.closing(sqlite3.connect(tmp_path / "records.db")) as connection, connection:
            connection.execute(statement)

    run("CREATE TABLE records (id INTEGER, body TEXT, who TEXT)")
    for n in range(1, 5):
        run(f"INSERT INTO records VALUES ({n}, 'The lighthouse keeper {n}', 'nurse, U{n}')")
    keys = {"table": "records", "key": "id", "text": "body", "readers_column": "who", "url_env": "URL"}
    yield (
        build("sql", tmp_path, secrets={"url": f"sqlite:///{tmp_path / 'records.db'}"}, **keys),
        "nurse",
        [
            lambda: run("UPDATE records SET who = 'U1' WHERE id = 1"),
            lambda: run("UPDATE records SET who = NULL WHERE id = 2"),
            lambda: run("UPDATE records SET who = '[]' WHERE id = 3"),
            lambda: run("DELETE FROM records WHERE id = 4"),
        ],
    )


@contextlib.asynccontextmanager
async def open_uploads(tmp_path: Path) -> AsyncIterator[tuple[Source, str, list[Revoke]]]:
    store = UploadStore(tmp_path / "inbox", max_bytes=10_000)
    for name in ("a.md", "b.md"):
        store.store_document(name, f"The lighthouse keeper of {name}".encode(), by="U1", readers=["U1"])
    yield (
        build("push", tmp_path, path="inbox"),
        "U1",
        [
            lambda: store.store_document("a.md", b"The lighthouse keeper of a.md", by="U1", readers=["U2"]),
            lambda: store.remove_documents(lambda one: one.name == "b.md"),
        ],
    )


PLACES: dict[str, Callable[[Path], Any]] = {
    "confluence cloud": lambda path: open_confluence(path, cloud=True),
    "confluence data center": lambda path: open_confluence(path, cloud=False),
    "drive": open_drive,
    "sql": open_sql,
    "uploads": open_uploads,
}


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
async def test_a_revoked_right_is_refused_within_a_minute(bench: Bench, now: Now, place: str, tmp_path: Path) -> None:
    async with PLACES[place](tmp_path) as (source, reader, revocations):
        viewers, times = Viewers.of({reader}), []
        async with bench.library(source) as library:
            assert (await library.refresh()).ok
            times.append(await count_found(library, viewers))
            for revoke in revocations:
                revoke()
                now.s += 60
                times.append(await count_found(library, viewers))
            assert times == sorted(set(times), reverse=True), "each revocation takes something away"
            assert times[-1] == 0
            assert await library.count_readable(viewers) == {}
            assert (await library.refresh()).ok
            assert await count_found(library, viewers) == 0
        await source.close()

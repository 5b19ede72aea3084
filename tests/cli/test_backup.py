"""Tests of ``kvasir backup`` and ``kvasir restore``: on both databases, while a sync runs, and after an erasure."""

from __future__ import annotations

import argparse
import asyncio
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.backup_folder import BackupError, BackupFolder
from bot.cli.commands import backup, erase, restore, run
from bot.config.settings import Settings, load_settings
from bot.library_opening import open_configured_library
from bot.storage.preferences import PersonalPreferences, Preferences
from bot.storage.turns.ledger import open_ledger
from knowledge.database.database import Database
from knowledge.database.dump import reflect_tables
from knowledge.errors import BackupRunning
from knowledge.library import Library
from knowledge.sources.uploads.source import open_upload_store
from tests.database.scripts import run_script

pytestmark = pytest.mark.slow

ADA, BO, CY = "U0ADA00001", "U0BO000002", "U0CY000003"
TOPICS = ("cantina", "parking", "vacation", "laptops", "travel", "sickness", "visitors", "mail")
QUESTIONS = tuple(f"What are the hours of {topic}?" for topic in TOPICS)
CONFIGURATION = """
[[source]]
name = "docs"
kind = "folder"
path = "docs"

[[source]]
name = "added"
kind = "push"
"""


class Site:
    """An installation, which may be wiped; documents and backups lie next to it."""

    def __init__(self, folder: Path, url: str = "", **more: str) -> None:
        self.folder = folder
        (folder / "kvasir.toml").write_text(CONFIGURATION)
        self.environ = {"KVASIR_HOME": str(folder / "home"), **more}
        self.use_database(url)

    def use_database(self, url: str) -> None:
        self.environ |= {"KVASIR_DATABASE_URL": url}

    def wipe(self, url: str = "") -> None:
        """Delete the state and the store, and take another database."""
        shutil.rmtree(self.folder / "home")
        self.use_database(url)

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ, self.folder)

    def write_documents(self, day: str) -> None:
        docs = self.folder / "docs"
        docs.mkdir(exist_ok=True)
        for number, topic in enumerate(TOPICS):
            (docs / f"{topic}.md").write_text(f"# {topic}\n\nThe hours of {topic} are {number + 7} to 18 on {day}.\n")

    def add_file(self, name: str, text: str, by: str) -> None:
        store = open_upload_store(self.settings.knowledge.sources[1], self.settings.home)
        store.store_document(name, text.encode(), by=by)

    async def backup(self, name: str, *, vectors: bool = True) -> BackupFolder:
        folder = BackupFolder(self.folder / name)
        folder.create()
        await backup.make_backup(self.settings, folder, vectors=vectors)
        return folder

    async def restore(self, folder: BackupFolder, marks: Sequence[str] = ()) -> restore.Restored:
        return await restore.restore_backup(self.settings, folder, folder.verify(), set(marks))

    async def read_rows(self) -> Mapping[str, list[Any]]:
        database = Database(self.settings.database_url)
        try:
            return await database.read(
                lambda connection: {
                    table.name: sorted(map(repr, map(tuple, connection.execute(table.select()))))
                    for table in reflect_tables(connection)
                }
            )
        finally:
            await database.close()


async def use_plain_role(site: Site) -> None:
    """Take a role that may change rows alone; the one before changes tables."""
    owner, role = site.settings.database_url, f"plain_{secrets.token_hex(4)}"
    rights = f"ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role};\n"
    rights += f"ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO {role}"
    await run_script(owner, f"CREATE ROLE {role} LOGIN PASSWORD 'secret';\n{rights}")
    site.environ |= {"KVASIR_DATABASE_DIRECT_URL": owner}
    site.use_database(owner.replace("kvasir:", f"{role}:"))


async def find_passages(library: Library) -> list[list[tuple[str, str]]]:
    return [[(hit.id, hit.text) for hit in (await library.search(question)).hits] for question in QUESTIONS]


async def fill(site: Site) -> list[list[tuple[str, str]]]:
    """Sync documents and a file of each person, and store what people chose; return the passages of the questions."""
    site.write_documents("Monday")
    site.add_file("ada.md", "# Ada\n\nThe hours of cycling are 5 to 6.", ADA)
    site.add_file("bo.md", "# Bo\n\nThe hours of climbing are 20 to 22.", BO)
    async with open_ledger(site.settings.database_url) as ledger:
        for person in (ADA, CY):
            await PersonalPreferences(ledger.database).change_preferences("T1", person, lambda _: Preferences("deep"))
    async with open_configured_library(site.settings) as library:
        await library.refresh()
        return await find_passages(library)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.mark.parametrize(("before", "after"), [("sqlite", "sqlite"), ("sqlite", "postgres"), ("postgres", "sqlite")])
async def test_everything_is_as_it_was(site: Site, before: str, after: str, request: pytest.FixtureRequest) -> None:
    urls = {kind: "" if kind == "sqlite" else request.getfixturevalue("empty_postgres") for kind in (before, after)}
    site.use_database(urls[before])
    found = await fill(site)
    folder = await site.backup("backup")
    rows = await site.read_rows()
    site.wipe(urls[after])
    if after == "postgres":
        await use_plain_role(site)
    restored = await site.restore(folder)
    assert (restored.differences, restored.problems, restored.vectors) == (0, [], 10)
    new_rows = await site.read_rows()
    assert new_rows.keys() == rows.keys()
    for table in rows.keys() - {"knowledge_indexes"}:  # its rows know of the comparison
        assert new_rows[table] == rows[table], table
    async with open_configured_library(site.settings) as library:
        assert await find_passages(library) == found
        report = await library.refresh()
        assert [source.chunks_written for source in report.sources.values()] == [0, 0]
        assert (await library.syncs.repair_index()).differences == 0
        site.add_file("cy.md", "# Cy\n\nThe hours of chess are 1 to 2.", BO)
        assert (await library.refresh()).sources["added"].added == 1, "new rows get new numbers"


async def test_what_a_sync_deletes_meanwhile_is_in_the_backup(site: Site) -> None:
    found = await fill(site)
    folder = BackupFolder(site.folder / "backup")
    folder.create()
    async with open_configured_library(site.settings) as library:
        async with library.rows.keep_rows():
            card = await backup._read_database(site.settings, folder)
            site.write_documents("Tuesday")
            (site.folder / "docs" / "mail.md").unlink()
            report = await library.refresh()
            assert (report.sources["docs"].updated, report.sources["docs"].deleted) == (7, 1)
            with pytest.raises(BackupRunning):
                await library.syncs.repair_index()
            with pytest.raises(BackupRunning):
                await library.scrub_store()
            assert await library._indexes.written.store.count() == 10 + 7
            vectors = await backup._write_vectors(library, folder)
        await library.refresh()
        assert await library._indexes.written.store.count() == 9, "what had to wait is deleted"
        assert (await library.syncs.repair_index()).differences == 0
    folder.seal(replace(card, vectors=vectors))
    site.wipe()
    assert (await site.restore(folder)).differences == 0
    async with open_configured_library(site.settings) as library:
        assert await find_passages(library) == found


async def test_a_backup_is_made_while_a_sync_runs(site: Site) -> None:
    await fill(site)
    async with open_configured_library(site.settings) as library:

        async def sync_again() -> None:
            for number in range(4):
                site.write_documents(f"day {number}")
                await library.refresh()

        syncs = asyncio.create_task(sync_again())
        folders = [await site.backup(f"backup {number}") for number in range(2)]
        await syncs
    for folder in folders:
        site.wipe()
        assert (await site.restore(folder)).differences == 0
        async with open_configured_library(site.settings) as library:
            assert all(await find_passages(library))


async def test_an_installation_with_a_namespace_keeps_its_vectors(site: Site) -> None:
    site.environ |= {"KVASIR_NAMESPACE": "acme"}
    found = await fill(site)
    folder = await site.backup("backup")
    site.wipe()
    assert (await site.restore(folder)).vectors == 10
    async with open_configured_library(site.settings) as library:
        assert await find_passages(library) == found


async def test_without_vectors_the_documents_are_read_again(site: Site) -> None:
    found = await fill(site)
    folder = await site.backup("backup", vectors=False)
    site.wipe()
    restored = await site.restore(folder)
    assert (restored.vectors, restored.differences) == (0, 10)
    async with open_configured_library(site.settings) as library:
        await library.refresh()
        assert await find_passages(library) == found


async def test_a_flipped_byte_is_refused(site: Site) -> None:
    await fill(site)
    folder = await site.backup("backup")
    site.wipe()
    for path in sorted(path for path in folder.path.rglob("*") if path.is_file()):
        good = path.read_bytes()
        middle = len(good) // 2
        path.write_bytes(good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :] if good else b"x")
        with pytest.raises(BackupError, match="Name another"):
            await site.restore(folder)
        path.write_bytes(good)
    (folder.tables / "bot_new.jsonl.gz").write_bytes(b"")
    with pytest.raises(BackupError, match="is not as it was written"):
        await site.restore(folder)
    assert not site.settings.home.exists()


async def test_nothing_is_overwritten(site: Site) -> None:
    await fill(site)
    folder = await site.backup("backup", vectors=False)
    with pytest.raises(BackupError, match="is not empty"):
        await site.backup("backup")
    with pytest.raises(BackupError, match=r"database has data already \((bot|knowledge)_\w+\)\. Stop Kvasir"):
        await site.restore(folder)
    for path in site.settings.home.glob("kvasir.db*"):
        path.unlink()
    site.add_file("ada.md", "# Ada\n\nAnother text.", ADA)
    with pytest.raises(BackupError, match="is there already"):
        await site.restore(folder)
    site.wipe()
    site.settings.home.mkdir()
    async with open_ledger(site.settings.database_url):
        pass  # tables without rows do no harm
    assert (await site.restore(folder)).problems == []
    with pytest.raises(BackupError, match="no complete backup"):
        BackupFolder(site.settings.home).verify()


async def test_an_interrupted_restore_goes_on(site: Site) -> None:
    found = await fill(site)
    folder = await site.backup("backup")
    site.wipe()
    for step in range(4):
        task = asyncio.create_task(site.restore(folder))
        await asyncio.sleep(0.02 * 4**step)
        task.cancel()
        await asyncio.wait([task])
    if (site.settings.home / "restore-unfinished").exists():
        assert (await site.restore(folder)).differences == 0
    async with open_configured_library(site.settings) as library:
        assert await find_passages(library) == found
    with pytest.raises(BackupError, match="has data already"):
        await site.restore(folder)


async def test_kvasir_does_not_start_on_half_a_restore(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.settings.home.mkdir()
    (site.settings.home / "restore-unfinished").touch()
    monkeypatch.setenv("KVASIR_HOME", str(site.settings.home))
    arguments = argparse.Namespace(docs=None, config=site.folder / "kvasir.toml", make=False, no_sandbox=False)
    with pytest.raises(BackupError, match="Run `kvasir restore` again"):
        await run.main(arguments)


async def test_a_backup_of_a_newer_kvasir_is_refused(site: Site) -> None:
    await fill(site)
    folder = await site.backup("backup", vectors=False)
    card = folder.verify()
    (folder.path / "backup.json").unlink()
    folder.seal(replace(card, revisions={**card.revisions, "bot": "0099"}))
    site.wipe()
    with pytest.raises(BackupError, match="newer Kvasir"):
        await site.restore(folder)


@pytest.mark.usefixtures("hasty_store")
async def test_an_erasure_that_came_later_is_repeated(
    site: Site, empty_postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One person only added a file, which the database has; the other one only chose something."""
    site.use_database(empty_postgres)
    await fill(site)
    folder = await site.backup("backup")
    monkeypatch.setenv("KVASIR_HOME", str(site.settings.home))
    monkeypatch.setenv("KVASIR_DATABASE_URL", site.settings.database_url)
    arguments = {"config": site.folder / "kvasir.toml", "json": True}
    for person in (BO, CY):
        assert await erase.main(argparse.Namespace(command="erase", subject=person, dry_run=False, **arguments)) == 0
    kept = site.folder / "kept"
    shutil.copytree(site.settings.home / "audit", kept)
    key = (site.settings.home / "audit.key").read_bytes()
    assert all(BO.encode() not in path.read_bytes() for path in kept.iterdir())
    site.wipe()
    monkeypatch.setenv("KVASIR_DATABASE_URL", "")
    site.settings.home.mkdir()
    restored = argparse.Namespace(command="restore", folder=folder.path, audit=site.folder / "none", **arguments)
    assert await restore.main(restored) == 1
    assert "audit.key is missing, so erasures after this backup are unknown" in capsys.readouterr().err
    site.wipe()
    monkeypatch.setenv("KVASIR_DATABASE_URL", "")
    site.settings.home.mkdir()
    (site.settings.home / "audit.key").write_bytes(key)
    restored = argparse.Namespace(command="restore", folder=folder.path, audit=kept, **arguments)
    assert await restore.main(restored) == 0
    async with open_ledger(site.settings.database_url) as ledger:
        preferences = PersonalPreferences(ledger.database)
        assert await preferences.find_preferences("T1", CY) == Preferences()
        assert await preferences.find_preferences("T1", ADA) == Preferences("deep")
    async with open_configured_library(site.settings) as library:
        store = open_upload_store(site.settings.knowledge.sources[1], site.settings.home, library.content)
        assert [one.name for one in await asyncio.to_thread(store.list_records)] == ["ada.md"]
        assert "20 to 22" not in str((await library.search("climbing")).hits)


async def test_erasures_that_cannot_be_read_are_a_problem(site: Site) -> None:
    await fill(site)
    folder = await site.backup("backup", vectors=False)
    site.wipe()
    restored = await site.restore(folder, marks=["", "ab:cd"])
    assert restored.erased == []
    (problem,) = restored.problems
    assert re.match(
        r"2 later erasures are of an earlier Kvasir, or need a key .* Repeat them by kvasir erase\.", problem
    )


async def test_secrets_are_not_in_a_backup(tmp_path: Path) -> None:
    secret = "s3cret-of-the-engine"
    site = Site(tmp_path, KVASIR_ENGINE_API_KEY=secret, KVASIR_ENGINE_URL="http://127.0.0.1:9/v1")
    await fill(site)
    text = (site.folder / "kvasir.toml").read_text() + f"# {secret}\n"
    (site.folder / "kvasir.toml").write_text(text)
    folder = await site.backup("backup", vectors=False)
    for path in (path for path in folder.path.rglob("*") if path.is_file()):
        assert secret.encode() not in path.read_bytes()
    assert (folder.path.stat().st_mode & 0o777) == 0o700
    assert "audit.key" not in folder.verify().files


async def test_new_tables_are_in_a_backup(site: Site) -> None:
    await fill(site)
    url = site.settings.database_url
    await run_script(
        url, "CREATE TABLE knowledge_future (id INTEGER PRIMARY KEY, data BLOB, share FLOAT, settled BOOLEAN)"
    )
    await run_script(url, "INSERT INTO knowledge_future VALUES (1, x'00ff', 0.1, 1), (2, NULL, NULL, 0)")
    folder = await site.backup("backup", vectors=False)
    assert folder.verify().rows["knowledge_future"] == 2

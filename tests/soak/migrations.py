"""Migrates many rows in a process that is killed again and again, while people ask a bot of the version before.

The revisions of the test add a column, fill it in all rows, and make an index. They say that the Kvasir before them
runs with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import text

from bot.answering.events import AnswerEvent, Question, Sources, Text
from knowledge.database.database import Database
from knowledge.database.migrations import Migrations, apply_revisions
from knowledge.sync.manifest.index_manifest import IndexManifest
from knowledge.sync.manifest.manifest import open_manifest
from knowledge.sync.manifest.tables import MIGRATIONS
from tests.forks import end_fork, start_fork
from tests.slack.running_bot import PASSAGE, make_finished, run_bot_in_sandbox
from tests.sync.many_rows import KEY, fill_manifest, make_id

_NEW = ("9001", "9002", "9003")
_HEAD = '''"""{summary}."""
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
compatible_since = "{since}"
'''
_BODIES = {
    "9001": """
def upgrade():
    op.add_column("knowledge_chunks", sa.Column("shade", sa.Text, server_default="", nullable=False))
""",
    "9002": """
def backfill(connection):
    some = "SELECT id FROM knowledge_chunks WHERE shade = '' LIMIT 20000"
    changed = f"UPDATE knowledge_chunks SET shade = 's' || place WHERE id IN ({some})"
    return bool(connection.exec_driver_sql(changed).rowcount)

def upgrade():
    pass
""",
    "9003": """
def upgrade():
    op.create_index("knowledge_chunks_shade", "knowledge_chunks", ["shade"])
""",
}
_STARTED = b"migrating\n"
_ANSWER_S = 120.0
_PATIENCE_S = 2.0
"""As ``open_ledger`` has it."""


@dataclass
class MigrationOutcome:
    """What came of a migration."""

    rows: int = 0
    kills: int = 0
    questions: int = 0
    answered: int = 0
    failures: list[str] = field(default_factory=list)


def write_revisions(folder: Path) -> Migrations:
    """Write the manifest's revisions and three more; return the migrations of the Kvasir that has them."""
    versions = folder / "versions"
    if not versions.exists():
        shutil.copytree(MIGRATIONS.versions, versions)
        before = MIGRATIONS.newest
        for revision in _NEW:
            head = _HEAD.format(summary="A change", revision=revision, before=before, since=MIGRATIONS.newest)
            (versions / f"r{revision}_change.py").write_text(head + _BODIES[revision])
            before = revision
    return replace(MIGRATIONS, versions=versions, newest=_NEW[-1])


class MigratedWorld:
    """A bot that answers from a manifest which another process migrates."""

    def __init__(self, url: str, folder: Path, *, rows: int, kills: int, seed: int) -> None:
        self._url = url
        self._folder = folder
        self._kills = kills
        self._random = random.Random(seed)
        self.outcome = MigrationOutcome(rows=rows)
        self._manifest: IndexManifest

    async def run(self) -> MigrationOutcome:
        """Fill the manifest, migrate it under questions, and check what is there at the end."""
        await fill_manifest(self._url, self.outcome.rows)
        migrations = write_revisions(self._folder)
        manifest = await open_manifest(self._url)
        (index,) = await manifest.list_indexes()
        self._manifest = manifest.open_index(index)
        migrating = asyncio.create_task(self._migrate())
        try:
            options = {"script": self._answer, "database": self._url, "patience_s": _PATIENCE_S}
            async with run_bot_in_sandbox(self._folder / "sandbox", "socket", **options) as bot:
                while not migrating.done() or self.outcome.questions < 3:
                    number = self.outcome.questions = self.outcome.questions + 1
                    root = await bot.ask(f"@Kvasir what is q{number}?")
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_ANSWER_S):
                            await bot.wait_for_answer(root, f"answer {number}.")
                            self.outcome.answered += 1
                await migrating
                if self.outcome.answered < self.outcome.questions:
                    self.outcome.failures.append(f"{self.outcome.questions - self.outcome.answered} without an answer")
        finally:
            migrating.cancel()
            await asyncio.wait([migrating])
            await manifest.close()
        await self._check_rows(migrations)
        return self.outcome

    async def _answer(self, question: Question) -> AsyncGenerator[AnswerEvent]:
        """Look some chunks up as a search does, and store who may read them."""
        numbers = [self._random.randint(1, self.outcome.rows) for _ in range(50)]
        found = await self._manifest.find_current(list(map(make_id, numbers)), [KEY])
        if len({row.id for row in found}) != len(set(numbers)):
            self.outcome.failures.append(f"only {len(found)} of {len(set(numbers))} chunks were found")
        await self._manifest.record_rights({found[0].row: frozenset({"*"})}, 2.0, 3.0)
        asked = re.search(r"q(\d+)", question.text)
        assert asked is not None
        yield Sources((PASSAGE,))
        yield Text(f"This is answer {asked[1]}.", (PASSAGE,))
        yield make_finished(PASSAGE)

    async def _migrate(self) -> None:
        """Kill the migration again and again, then let it end."""
        for kill in range(self._kills + 1):
            process = await start_fork(run_migration, self._url, self._folder, stdout=PIPE)
            assert process.stdout is not None
            try:
                assert await process.stdout.readline() == _STARTED
                if kill < self._kills:
                    await asyncio.sleep(self._random.uniform(0.1, 1.5))
                    self.outcome.kills += process.returncode is None
                    with contextlib.suppress(ProcessLookupError):
                        process.kill()
                status = await process.wait()
            finally:
                await end_fork(process)
        if status:
            self.outcome.failures.append(f"the migration ended with {status}")

    async def _check_rows(self, migrations: Migrations) -> None:
        database = Database(self._url)
        filled = text("SELECT count(*) FROM knowledge_chunks WHERE shade = 's' || place")
        ((count,),) = await database.fetch_rows(filled)
        ((revision,),) = await database.fetch_rows(text(f"SELECT version_num FROM {migrations.table}"))
        await database.close()
        if (count, revision) != (self.outcome.rows, migrations.newest):
            self.outcome.failures.append(f"{count} of {self.outcome.rows} rows are filled at revision {revision}")


def run_migration(url: str, folder: Path) -> None:
    """Migrate, as a process of its own."""
    sys.stdout.buffer.write(_STARTED)
    sys.stdout.flush()
    asyncio.run(apply_revisions(url, write_revisions(folder)))

"""Tables for tests that are about something else: one file a process is migrated, and each new database is a copy."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from knowledge.database.database import parse_url
from knowledge.database.migrations import Migrations, apply_revisions

_FILES: dict[tuple[str, ...], bytes] = {}
"""The content of a file by the names of its tables."""


async def copy_tables(url: str, *migrations: Migrations) -> None:
    """Make the tables of a SQLite file that is not there yet; a server migrates its own."""
    parsed = parse_url(url)
    path, names = Path(parsed.database or ""), tuple(one.name for one in migrations)
    if parsed.get_backend_name() != "sqlite" or path.exists():
        return
    if names not in _FILES:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "kvasir.db"
            for one in migrations:
                await apply_revisions(f"sqlite:///{file}", one)
            _FILES[names] = file.read_bytes()
    path.touch(0o600)
    path.write_bytes(_FILES[names])

"""People and their principals from a CSV or TOML file, which is read again when it changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from knowledge.errors import IdentityError
from knowledge.identity.email_addresses import list_email_principals
from knowledge.identity.people_table import InvalidTable, PeopleTable, parse_people
from knowledge.interfaces.people import Person

_MAX_BYTES = 64 * 1024 * 1024

_Stamp = tuple[int, int, int, int]
"""What changes when a file is written or replaced: size, mtime, ctime and inode."""


class FileIdentitySource:
    """Gives people the principals that a file names. While the file is invalid, nobody gets any."""

    answers_in_bulk = True
    namespace = ""

    def __init__(self, path: Path) -> None:
        self.identity_name = path.name
        self._path = path
        self._lock = asyncio.Lock()
        self._stamp: _Stamp | None = None
        self._table = PeopleTable()

    async def find_principals(self, people: Sequence[Person], /) -> Mapping[str, frozenset[str]]:
        """Return the principals of the people whom the file names.

        Raises:
            IdentityError: the file is missing or invalid.

        """
        table = await self._load_table()
        found = ((person, table.find_principals(person)) for person in people)
        return {
            person.id: principals | list_email_principals(replace(person, principals=person.principals | principals))
            for person, principals in found
            if principals
        }

    async def find_holdable(self, principals: frozenset[str], /) -> frozenset[str]:
        """Return the principals that the file gives to somebody.

        Raises:
            IdentityError: the file is missing or invalid.

        """
        table = await self._load_table()
        return principals & frozenset[str]().union(*table.by_id.values(), *table.by_email.values())

    async def check_identities(self) -> str:
        """Return how many people the file names, and what Kvasir does not use.

        Raises:
            IdentityError: the file is missing or invalid.

        """
        table = await self._load_table()
        said = f"{len(table.by_id.keys() | table.by_email.keys())} people"
        if table.skipped_rows:
            said += f", {table.skipped_rows} rows without a Slack id or a valid e-mail address are not used"
        if table.ignored_columns:
            said += f", columns that are not used: {', '.join(table.ignored_columns)}"
        return said

    async def _load_table(self) -> PeopleTable:
        async with self._lock:
            return await asyncio.to_thread(self._load_current)

    def _load_current(self) -> PeopleTable:
        """Return the current content of the file."""
        try:
            stamp = _read_stamp(self._path)
            if stamp != self._stamp:
                self._stamp = None  # until the new content is known to be valid, nothing of the old one counts
                self._table = self._read_file(stamp)
                self._stamp = stamp
        except OSError as error:
            self._stamp = None
            why = f"{self._path} cannot be read ({error.strerror}), so nobody gets rights from it."
            raise IdentityError(f"{why} Check the file under [identity].") from None
        except (InvalidTable, UnicodeDecodeError) as error:
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise IdentityError(f"{self._path} gives nobody any rights: {why}. Correct the file.") from None
        return self._table

    def _read_file(self, stamp: _Stamp) -> PeopleTable:
        if stamp[0] > _MAX_BYTES:
            raise InvalidTable("it is larger than 64 MB")
        text = self._path.read_bytes().decode("utf-8-sig")
        if _read_stamp(self._path) != stamp:
            raise InvalidTable("it changed while it was read")
        return parse_people(text, is_toml=self._path.suffix.lower() == ".toml")


def _read_stamp(path: Path) -> _Stamp:
    status = os.stat(path)  # noqa: PTH116 - one call
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def read_names(path: Path) -> frozenset[str]:
    """Return the names of people in a file, none if it is invalid: ``FileIdentitySource`` reports that."""
    try:
        return parse_people(path.read_text(encoding="utf-8-sig"), is_toml=path.suffix.lower() == ".toml").names
    except (OSError, UnicodeDecodeError, InvalidTable):
        return frozenset()

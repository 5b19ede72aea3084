"""Refuses what a run writes after another process has taken the lease of the leader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar, cast

from knowledge.database.database import Database, Rows, Work
from knowledge.interfaces import Store
from knowledge.sync.manifest.lease import Lease
from knowledge.sync.manifest.manifest import Manifest

_T = TypeVar("_T")
_WRITES: Final = frozenset({"write", "delete", "drop_index", "maintain", "scrub", "check"})
"""The methods of a store that change it. A check may heal the index."""


class Fence:
    """The term of a run. Its manifest and its store raise ``LeaseLost`` instead of writing under another term."""

    def __init__(self, lease: Lease, term: int) -> None:
        self._lease = lease
        self._term = term

    def guard_manifest(self, manifest: Manifest) -> Manifest:
        """Return the manifest; each transaction that writes compares the term first."""
        check = partial(self._lease.check_term, term=self._term)
        return manifest.use_database(FencedDatabase(manifest.database, check))

    def guard_store(self, store: Store) -> Store:
        """Return the store; each call that writes compares the term immediately before."""
        return cast("Store", _FencedStore(store, partial(self._lease.confirm, self._term)))


class FencedDatabase(Database):
    """A database whose writing transactions begin with a check, and are rolled back if it raises."""

    def __init__(self, database: Database, check: Callable[[Any], None]) -> None:
        """``check`` gets the connection."""
        self._database = database
        self._check = check

    def now(self) -> float:
        """Return the time by the database's clock."""
        return self._database.now()

    async def read(self, work: Work[_T]) -> _T:
        """Return what the work returns, in a transaction that writes nothing."""
        return await self._database.read(work)

    async def write(self, work: Work[_T]) -> _T:
        """Return what the work returns, in a transaction that begins with the check."""

        def check_and_work(connection: Any) -> _T:  # noqa: ANN401 - SQLAlchemy is imported below this layer only
            self._check(connection)
            return work(connection)

        return await self._database.write(check_and_work)

    async def fetch_rows(self, query: Any, values: Mapping[str, Any] | None = None) -> Rows:  # noqa: ANN401 - as above
        """Return every row that a query finds."""
        return await self._database.fetch_rows(query, values)


class _FencedStore:
    """A store whose calls that write wait for a check first."""

    def __init__(self, store: Store, confirm: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._confirm = confirm

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any method of a store
        call = getattr(self._store, name)
        if name not in _WRITES:
            return call

        async def confirm_and_call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
            await self._confirm()
            return await call(*arguments, **options)

        return confirm_and_call

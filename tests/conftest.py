"""What holds for every test: a property is checked by what it finds, never by how long a busy machine takes."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from bot.storage.tables import MIGRATIONS
from bot.storage.turns.ledger import Ledger, open_ledger
from tests.database.scripts import EMPTY_POSTGRESQL, run_script
from tests.database.templates import copy_tables
from tests.pgbouncer import add_parameter, pgbouncer_server
from tests.postgres import create_database, find_vector_programs, postgres_server
from tests.proofs import record_report
from tests.tiers import COLLECTED, mark_tiers, spread_tests, watch_test

# By --hypothesis-profile: `make check` tries a few random examples, and other runs the same 100 each time. A change
# that has nothing to do with a rare example is not stopped by it.
settings.register_profile("kvasir", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("check", settings.get_profile("kvasir"), max_examples=5, derandomize=False, database=None)
settings.register_profile("long", settings.get_profile("kvasir"), max_examples=2000, derandomize=False)
settings.load_profile("kvasir")


def pytest_configure() -> None:
    """Let processes that tests start react to Ctrl-C, which a shell's background job ignores; log plain tracebacks.

    Rich tracebacks of the errors that tests cause would take longer than the tests.
    """
    renderer = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], renderer])
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None]:
    """Give each test its tier before any is deselected, and spread what is left over the workers."""
    config.stash[COLLECTED] = list(items)
    mark_tiers(items)
    yield
    items[:] = spread_tests(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Record what a test showed, once for all workers."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        record_report(report)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let helpers know which test starts a server."""
    with watch_test(item):
        return (yield)


def pytest_collection() -> None:
    """Collect thousands of tests without a search for garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave what thousands of tests and their libraries are made of out of every later garbage collection."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def keep_logging() -> Iterator[None]:
    """Put the configuration of logs and the umask back, which a command that runs in this process replaces."""
    root = logging.getLogger()
    handlers, level, structure = root.handlers[:], root.level, structlog.get_config()
    umask = os.umask(0o022)
    os.umask(umask)
    yield
    os.umask(umask)
    root.handlers, root.level = handlers, level
    structlog.configure(**structure)


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[str]:
    """Run a PostgreSQL whose databases all tests of a process share, because its start takes two seconds."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="module")
def postgres(shared_postgres: str) -> str:
    """Return the URL of a database that the tests of a module share."""
    return create_database(shared_postgres)


@pytest.fixture(scope="session")
def vector_postgres() -> Iterator[str]:
    """Run a PostgreSQL with pgvector, which all tests of a process share."""
    with postgres_server(programs=find_vector_programs()) as url:
        yield url


@pytest.fixture
def empty_postgres(shared_postgres: str) -> str:
    """Return the URL of an empty database."""
    return create_database(shared_postgres)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=[pytest.mark.slow, pytest.mark.servers])])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """Open an empty ledger on each database."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite3'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")
        await run_script(url, EMPTY_POSTGRESQL)
    await copy_tables(url, MIGRATIONS)
    async with open_ledger(url) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_pgbouncer(shared_postgres: str) -> Iterator[str]:
    """Run a PgBouncer in transaction mode in front of the PostgreSQL that all tests of a process share."""
    with pgbouncer_server(shared_postgres) as url:
        yield url


@pytest.fixture
def pooled_postgres(shared_pgbouncer: str, empty_postgres: str) -> str:
    """Return the URL of an empty database behind PgBouncer."""
    return add_parameter(f"{shared_pgbouncer.rpartition('/')[0]}/{empty_postgres.rpartition('/')[2]}")

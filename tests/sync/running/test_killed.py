"""SIGKILL at every step of a sync: search stays whole, and one sync repairs everything, on both stores."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from tests.services import WeaviateServer
from tests.store_servers import share_server
from tests.sync.running.killed_installation import SEAMS, Installation, replaced
from tests.sync.running.killed_sync import migrate, opened

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FIRST = {seam: change for change, seams in reversed(SEAMS.items()) for seam in seams}
EACH = sorted((change, f"after {seam}") for seam, change in FIRST.items())
SOME = [("edit", "after write"), ("edit", "before delete"), ("rechunk", "after activate"), ("rechunk", "after drop")]


@pytest.fixture(scope="module")
def weaviate() -> WeaviateServer:
    return share_server("weaviate")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Give one installation for all steps: what a killed sync leaves, the next ones meet."""
    return Installation(tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, weaviate: WeaviateServer) -> Installation:
    return Installation(tmp_path_factory.mktemp("served"), "weaviate", weaviate.variables)


async def killed(installation: Installation, change: str, step: str) -> None:
    if not installation.generation:
        await installation.begin()
    outcome = await installation.round(change, step)
    assert outcome.killed, f"{step} was not met"
    assert outcome.well, outcome


@pytest.mark.parametrize(("change", "step"), EACH)
async def test_the_next_sync_repairs_one_killed_at_any_step(embedded: Installation, change: str, step: str) -> None:
    await killed(embedded, change, step)


@pytest.mark.parametrize(("change", "step"), SOME)
async def test_the_next_sync_repairs_one_into_weaviate_killed_at_any_step(
    served: Installation, change: str, step: str
) -> None:
    await killed(served, change, step)


@pytest.fixture
def old(tmp_path: Path) -> Installation:
    """Give a installation whose manifest version 1 wrote."""
    installation = Installation(tmp_path)
    with sqlite3.connect(installation.home / "kvasir.db") as connection:
        connection.executescript((Path(__file__).parents[1] / "manifest" / "manifest_1.sqlite.sql").read_text())
    return installation


@pytest.mark.parametrize("statement", [1, 8])
async def test_the_next_start_completes_a_killed_migration(old: Installation, statement: int) -> None:
    assert await old._killed("after table", statement, approve=False)
    with sqlite3.connect(old.home / "kvasir.db") as connection:
        assert connection.execute("SELECT version FROM knowledge_schema").fetchall() == [(1,)]
        assert connection.execute("SELECT count(*) FROM knowledge_documents").fetchone() == (3,)
    await migrate(old.world)
    async with opened(old.world) as library:
        assert (await library.status()).sources[0].documents == 0
    with sqlite3.connect(old.home / "kvasir.db") as connection:
        assert connection.execute("SELECT version FROM knowledge_schema").fetchall() == [(2,)]


async def test_syncs_killed_again_and_again_lose_and_double_nothing(embedded: Installation) -> None:
    dice = random.Random(7)
    if not embedded.generation:
        await embedded.begin()
    for _ in range(3):
        change, seams = dice.choice(list(SEAMS.items()))
        outcome = await embedded.round(change, f"before {dice.choice(seams)}", dice.randint(1, 3))
        assert outcome.well, outcome


async def test_searches_while_a_document_is_replaced_in_weaviate_find_no_gap_and_no_mix(
    tmp_path: Path, weaviate: WeaviateServer
) -> None:
    result = await replaced(Installation(tmp_path, "weaviate", weaviate.variables), 15)
    assert (result.empty, result.mixed) == (0, 0)
    assert result.searches > 5
    assert result.versions > 2

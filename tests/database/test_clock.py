"""Times that decide come from the database: the clocks of hosts may differ by minutes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.storage.api_keys import ApiKey, ApiKeys
from bot.storage.installations.installations import OAuthStates
from bot.storage.replicas import Replicas
from bot.storage.turns.ledger import Ledger, open_ledger
from bot.storage.turns.question_counts import LimitReached, QuestionCounts
from bot.storage.turns.questions import QuestionKey, QuestionMessage
from knowledge.database.clock import database_time
from knowledge.database.database import Database
from knowledge.sync.rights import RightsChecker

OFF_S = 300.0
SetClock = Callable[[float], None]
QUESTION = QuestionMessage(QuestionKey("T1", "C1", "1.1"), "1.1", "U1", "how?")


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SetClock]:
    """Return what sets this host's clock to a time that is wrong by some seconds."""
    real = time.time
    offset = [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    yield lambda seconds: offset.__setitem__(0, seconds)
    offset[0] = 0.0


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
async def test_the_expression_is_the_time(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}" if kind == "sqlite" else request.getfixturevalue("postgres")
    database = Database(url)
    try:
        found = (await database.fetch_rows(select(database_time())))[0][0]
        assert abs(found - time.time()) < OFF_S
        assert abs(database.now() - time.time()) < OFF_S
    finally:
        await database.close()


@pytest.fixture(params=[-OFF_S, OFF_S])
async def ledgers(
    request: pytest.FixtureRequest, empty_postgres: str, set_clock: SetClock
) -> AsyncIterator[tuple[Ledger, Ledger]]:
    """Open the ledgers of two hosts. The clock of the second one, which counts from now on, is wrong."""
    async with open_ledger(empty_postgres, patience_s=30, owner="one|1|1|x") as one:
        set_clock(request.param)
        async with open_ledger(empty_postgres, patience_s=30, owner="other|1|1|x") as other:
            yield one, other


@pytest.mark.slow
async def test_a_wrong_clock_steals_no_turn_and_shortens_no_lease(ledgers: tuple[Ledger, Ledger]) -> None:
    one, other = ledgers
    await one.claim_question(QUESTION)
    assert await other.list_unfinished() == []
    await other.claim_question(later := QuestionMessage(QuestionKey("T1", "C2", "2.1"), "2.1", "U1", "and now?"))
    assert await one.list_unfinished() == []
    await one.release_leases()
    assert [turn.message for turn in await other.list_unfinished()] == [QUESTION]
    await other.release_leases()
    assert {turn.message.key for turn in await one.list_unfinished()} == {QUESTION.key, later.key}


@pytest.mark.slow
async def test_a_wrong_clock_neither_ends_nor_extends_what_expires(
    ledgers: tuple[Ledger, Ledger],
) -> None:
    one, other = (ApiKeys(ledger.database) for ledger in ledgers)
    for expires_at, is_valid in ((one.database.now() + 60, True), (one.database.now() - 60, False)):
        _, secret = await one.create_key(ApiKey("key", "person", expires_at=expires_at))
        assert [await keys.find_key(secret) is not None for keys in (one, other)] == [is_valid, is_valid]
    state = await OAuthStates(one.database).issue_state()
    assert await OAuthStates(other.database).consume_state(state)


@pytest.mark.slow
async def test_hosts_with_wrong_clocks_count_the_same_minutes(ledgers: tuple[Ledger, Ledger]) -> None:
    counts = [QuestionCounts(ledger.database) for ledger in ledgers]

    async def count_for_both() -> None:
        for _ in range(6):  # two minutes at most, with two questions each
            for one in counts:
                await one.count_question("T1", {"U1": 2})

    with pytest.raises(LimitReached):
        await count_for_both()


@pytest.mark.slow
async def test_a_replica_with_a_wrong_clock_is_alive(ledgers: tuple[Ledger, Ledger]) -> None:
    replicas = [Replicas(ledger.database, "T1", "1") for ledger in ledgers]
    for one in replicas:
        await one.record_heartbeat()
    assert [await one.count_living() for one in replicas] == [2, 2]


@pytest.mark.slow
async def test_hosts_with_wrong_clocks_trust_rights_for_the_same_time(ledgers: tuple[Ledger, Ledger]) -> None:
    one, other = (RightsChecker({}, now=ledger.database.now) for ledger in ledgers)
    for asked_at, is_old in ((one.fresh_since + 5, False), (one.fresh_since - 5, True)):
        assert [checker.needs_check(frozenset({"U1"}), asked_at) for checker in (one, other)] == [is_old, is_old]

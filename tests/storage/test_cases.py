"""Tests of the stored cases, over both databases."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import sqlalchemy as sa

from bot.storage.cases import Case, CaseHit, Cases, Outcome, make_hit
from bot.storage.personal_data import PersonalData
from bot.storage.retention import Retention
from bot.storage.tables import cases
from bot.storage.turns.ledger import Ledger

HIT = CaseHit("fan-in", 7, [["2026-03-02", "A", "B", "10.00", "T-1"]])
CASE = Case("c1", "aml", "B", 3.0, [HIT])


async def test_a_case_is_opened_once_and_decided_once(ledger: Ledger) -> None:
    stored = Cases(ledger.database)
    other = replace(CASE, id="c2", account="C", score=9.0)
    assert await stored.open_cases([CASE, other]) == 2
    assert await stored.open_cases([CASE]) == 0
    assert await stored.list_open(1) == ([other], 2)
    assert await stored.decide_case("c1", Outcome.YES, "Too many senders.", "T1", "U1")
    assert not await stored.decide_case("c1", Outcome.NO, "Changed my mind.", "T1", "U2")
    assert await stored.open_cases([CASE]) == 0, "a decided case stays decided"
    assert await stored.find_case("c1") == replace(CASE, outcome=Outcome.YES, decided_by="U1")
    assert await stored.find_case("c9") is None
    assert await stored.list_decided("aml") == [({"fan-in"}, True)]
    assert await stored.list_decided("other") == []
    assert await stored.list_open(5) == ([other], 1)


async def test_an_open_case_gets_the_transactions_that_join_it(ledger: Ledger) -> None:
    stored = Cases(ledger.database)
    more = [*HIT.transactions, ["2026-03-04", "C", "B", "11.00", "T-2"]]
    other = CaseHit("repeat", 3, [["2026-01-01", "D", "B", "5.00", "T-0"]])
    await stored.open_cases([replace(CASE, score=4.0, hits=[HIT, other])])
    grown = replace(CASE, id="c2", hits=[CaseHit("fan-in", 8, more)])
    assert await stored.open_cases([grown]) == 0
    assert await stored.list_open(5) == ([replace(grown, score=4.0, hits=[*grown.hits, other])], 1)
    assert await stored.find_case("c1") is None, "a decision would be about fewer transactions"
    assert await stored.open_cases([grown]) == 0
    await stored.decide_case("c2", Outcome.NO, "A market.", "T1", "U1")
    assert await stored.open_cases([grown]) == 0
    again = replace(grown, id="c3", hits=[CaseHit("fan-in", 9, more)])
    assert await stored.open_cases([again]) == 1, "there are more than at the decision"


def list_payments(first: int, last: int) -> list[list[str]]:
    return [[f"2026-03-{n:03}", "A", "B", "10.00", f"row {n - first}"] for n in range(first, last + 1)]


async def test_a_joined_case_has_the_transactions_of_both(ledger: Ledger) -> None:
    stored = Cases(ledger.database)
    await stored.open_cases([replace(CASE, hits=[make_hit("structuring", list_payments(2, 6))])])
    assert await stored.open_cases([replace(CASE, id="c2", hits=[make_hit("structuring", list_payments(6, 9))])]) == 0
    ((joined,), _) = await stored.list_open(5)
    ((hit,), times) = joined.hits, [row[0] for row in list_payments(2, 9)]
    assert (hit.count, [row[0] for row in hit.transactions]) == (8, times)
    assert await stored.open_cases([replace(CASE, id="c3", hits=[make_hit("structuring", list_payments(9, 99))])]) == 0
    ((joined,), _) = await stored.list_open(5)
    assert [(hit.count, len(hit.transactions)) for hit in joined.hits] == [(98, 20)]
    # They share none of the transactions that are shown.
    assert (
        await stored.open_cases([replace(CASE, id="c4", hits=[make_hit("structuring", list_payments(80, 200))])]) == 0
    )


@pytest.mark.parametrize(
    "other",
    [
        replace(CASE, id="c2", profile="other"),
        replace(CASE, id="c2", account="C"),
        replace(CASE, id="c2", hits=[replace(HIT, rule="repeat")]),
        replace(CASE, id="c2", hits=[replace(HIT, transactions=[["2026-05-02", "A", "B", "10.00", "T-1"]])]),
    ],
)
async def test_another_pattern_is_a_case_of_its_own(ledger: Ledger, other: Case) -> None:
    assert await Cases(ledger.database).open_cases([CASE, other]) == 2


async def test_the_person_who_decided_is_exported_and_erased_and_the_decision_stays(ledger: Ledger) -> None:
    stored = Cases(ledger.database)
    await stored.open_cases([CASE])
    await stored.decide_case("c1", Outcome.NO, "I know them.", "T1", "U1")
    person = PersonalData(ledger.database, "U1")
    ((row,),) = (await person.export_rows()).values()
    assert (row["reason"], row["outcome"]) == ("I know them.", "no")
    assert {"account", "hits"}.isdisjoint(row), "they are about a customer"
    assert (await person.erase_rows())["bot_cases"] == 1
    ((outcome, reason, user),) = await ledger.database.fetch_rows(
        sa.select(cases.c.outcome, cases.c.reason, cases.c.decided_by)
    )
    assert (outcome, reason, user) == ("no", "", "")
    assert await stored.list_decided("aml") == [({"fan-in"}, False)]


async def test_old_cases_go_after_their_span(ledger: Ledger) -> None:
    stored = Cases(ledger.database)
    await stored.open_cases([CASE, replace(CASE, id="c2", account="C")])
    old = sa.update(cases).where(cases.c.id == "c1").values(changed_at=time.time() - 100)
    await ledger.database.write(lambda connection: connection.execute(old))
    await ledger.purge_rows(replace(Retention(), cases_s=1_000))
    assert (await stored.list_open(5))[1] == 2
    await ledger.purge_rows(replace(Retention(), cases_s=50))
    assert [one.id for one in (await stored.list_open(5))[0]] == ["c2"]

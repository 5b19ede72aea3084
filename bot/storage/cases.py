"""Stores the cases that rules over transactions open, and what people decide about them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from bot.storage.columns import match_columns
from bot.storage.tables import cases, insert_into
from knowledge.database.database import Database, transaction

MAX_REASON_CHARACTERS = 2_000
_MAX_TRANSACTIONS = 20
_MAX_KEYS = 5_000

_IS_OPEN = cases.c.outcome == ""
_LIST_OPEN = sa.select(cases).where(_IS_OPEN).order_by(cases.c.score.desc(), cases.c.account, cases.c.id)
_COUNT_OPEN = sa.select(sa.func.count()).select_from(cases).where(_IS_OPEN)
_FIND = sa.select(cases).where(match_columns(cases.c.id))
_LIST_OPEN_OF = sa.select(cases).where(_IS_OPEN, match_columns(cases.c.profile, cases.c.account))
_LIST_DECIDED = sa.select(cases.c.hits, cases.c.outcome).where(~_IS_OPEN, match_columns(cases.c.profile))


class Outcome(StrEnum):
    """What a person decides about a case."""

    YES = "yes"
    """It is suspicious."""
    NO = "no"


@dataclass(frozen=True, slots=True)
class CaseHit:
    """A rule that the account of a case hits."""

    rule: str
    count: int
    """How many transactions the rule counts."""
    transactions: Sequence[Sequence[str]] = field(repr=False)
    """The first of them: time, sender, receiver, amount and name."""
    keys: Sequence[str] = field(default=(), repr=False, compare=False)
    """A hash of each of them. A hit that an earlier Kvasir stored has none."""


def make_hit(rule: str, transactions: Sequence[Sequence[str]]) -> CaseHit:
    """Return a hit with the first of its transactions, and the keys of all."""
    return CaseHit(
        rule,
        len(transactions),
        transactions[:_MAX_TRANSACTIONS],
        [_make_key(one) for one in transactions[:_MAX_KEYS]],
    )


def _make_key(transaction: Sequence[str]) -> str:
    """Return a hash of what a transaction says, without its name: that may be the number of a row, which moves."""
    return hashlib.blake2b(json.dumps(list(transaction[:-1])).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Case:
    """An account that rules flagged, for a person who decides."""

    id: str
    profile: str
    account: str = field(repr=False)
    score: float
    hits: Sequence[CaseHit]
    outcome: Outcome | None = None
    decided_by: str = ""
    """The Slack id of the person who decided, "" if that person was erased."""


class Cases:
    """The cases. Every method raises ``DatabaseError`` or a subclass."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @transaction
    def open_cases(self, connection: sa.Connection, found: Collection[Case]) -> int:
        """Store new cases and return how many are new; those that were stored before stay as they are.

        An open case that shares a rule's transaction with a new one of its account becomes the new one. So it gets
        another id, and a button that shows the earlier one is refused.
        """
        return sum(_store_case(connection, one) for one in found)

    async def list_open(self, most: int) -> tuple[Sequence[Case], int]:
        """Return the open cases with the highest scores, and how many there are in all."""
        rows = await self.database.fetch_rows(_LIST_OPEN.limit(most))
        ((count,),) = await self.database.fetch_rows(_COUNT_OPEN)
        return [_read_case(row) for row in rows], count

    async def find_case(self, id_: str) -> Case | None:
        """Return a case, None if it was deleted."""
        return next((_read_case(row) for row in await self.database.fetch_rows(_FIND, {"of_id": id_})), None)

    @transaction
    def decide_case(
        self, connection: sa.Connection, id_: str, outcome: Outcome, reason: str, team: str, user: str
    ) -> bool:
        """Store a decision; return False if the case is not open any more."""
        values = {"outcome": outcome, "reason": reason[:MAX_REASON_CHARACTERS], "team": team, "decided_by": user}
        update = sa.update(cases).where(_IS_OPEN, cases.c.id == id_)
        return bool(connection.execute(update.values(**values, changed_at=time.time())).rowcount)

    async def list_decided(self, profile: str) -> Sequence[tuple[Collection[str], bool]]:
        """Return the rules of each decided case of a profile, and whether it is suspicious."""
        rows = await self.database.fetch_rows(_LIST_DECIDED, {"of_profile": profile})
        return [({hit["rule"] for hit in json.loads(row.hits)}, row.outcome == Outcome.YES) for row in rows]


def _store_case(connection: sa.Connection, one: Case) -> int:
    """Return 1 if a case is new, 0 if it was stored before or continues an open one."""
    if connection.execute(_FIND, {"of_id": one.id}).first() is not None:
        return 0
    of_account = {"of_profile": one.profile, "of_account": one.account}
    for earlier in map(_read_case, connection.execute(_LIST_OPEN_OF, of_account).all()):
        if not _list_transactions(earlier).isdisjoint(_list_transactions(one)):
            update = sa.update(cases).where(_IS_OPEN, cases.c.id == earlier.id)
            if connection.execute(update.values(_make_row(_join_cases(earlier, one)))).rowcount:
                return 0
    return connection.execute(
        insert_into(cases, connection.dialect.name).on_conflict_do_nothing(), _make_row(one)
    ).rowcount


def _list_transactions(case: Case) -> set[tuple[str, str]]:
    """Return the rules with the keys of their transactions."""
    return {(hit.rule, key) for hit in case.hits for key in _list_keys(hit)}


def _list_keys(hit: CaseHit) -> list[str]:
    return list(dict.fromkeys([*hit.keys, *map(_make_key, hit.transactions)]))


def _join_cases(earlier: Case, later: Case) -> Case:
    """Return the later case with what only the earlier one has."""
    hits = {hit.rule: hit for hit in later.hits}
    hits |= {one.rule: _join_hits(one, hits[one.rule]) if one.rule in hits else one for one in earlier.hits}
    return replace(later, score=max(earlier.score, later.score), hits=list(hits.values()))


def _join_hits(earlier: CaseHit, later: CaseHit) -> CaseHit:
    keys = list(dict.fromkeys([*_list_keys(earlier), *_list_keys(later)]))
    rows = {_make_key(one): one for one in (*earlier.transactions, *later.transactions)}
    return CaseHit(
        later.rule,
        max(len(keys), earlier.count, later.count),
        sorted(rows.values(), key=list)[:_MAX_TRANSACTIONS],
        keys[:_MAX_KEYS],
    )


def purge_cases(connection: sa.Connection, before: float) -> None:
    """Delete the cases that were opened or decided before a time."""
    connection.execute(sa.delete(cases).where(cases.c.changed_at < before))


def _make_row(case: Case) -> dict[str, Any]:
    hits = [asdict(hit) for hit in case.hits]
    return {
        "id": case.id,
        "team": "",  # of the person who decides
        "profile": case.profile,
        "account": case.account,
        "score": case.score,
        "hits": json.dumps(hits, ensure_ascii=False),
        "outcome": "",
        "reason": "",
        "decided_by": "",
        "changed_at": time.time(),
    }


def _read_case(row: Any) -> Case:  # noqa: ANN401 - a row
    hits = [CaseHit(**hit) for hit in json.loads(row.hits)]
    outcome = Outcome(row.outcome) if row.outcome else None
    return Case(row.id, row.profile, row.account, row.score, hits, outcome, row.decided_by)

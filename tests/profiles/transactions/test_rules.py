"""Properties of the rules: planted patterns are found, the order of rows says nothing, and windows hold."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.profiles.transactions.payments import Payment, PaymentTable
from bot.profiles.transactions.rules import (
    Amount,
    Cycle,
    EarlierHits,
    FanIn,
    FanOut,
    Linked,
    Repeat,
    RuleHit,
    Structuring,
    Unusual,
)


class TransactionRule(Protocol):
    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]: ...


RULES: Sequence[TransactionRule] = (
    FanIn(5, 3), FanOut(5, 3), Repeat(2, 2), Structuring(5, 2, 1_000, 0.2), Amount(900), Unusual(3, 3),
    Cycle(6, 4, 0.2), Cycle(6, 4, 0.2, ordered=False), Cycle(6, 3, 0.5, shortest=2),
)  # fmt: skip
NAMES = st.sampled_from("abcdefg")
ROWS = st.lists(st.tuples(st.integers(0, 20), NAMES, NAMES, st.integers(1, 1_200)), max_size=60)


def make_payments(rows: Sequence[tuple[int, str, str, int]]) -> list[Payment]:
    return [
        Payment(float(day), sender, receiver, float(amount), f"t{n}", str(day))
        for n, (day, sender, receiver, amount) in enumerate(rows)
    ]


def find_hits(
    rule: TransactionRule, payments: Sequence[Payment], earlier: EarlierHits | None = None
) -> dict[str, RuleHit]:
    hits = list(rule.find_hits(PaymentTable(payments), earlier or EarlierHits()))
    assert len({hit.account for hit in hits}) == len(hits), "an account is found once"
    return {hit.account: hit for hit in hits}


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(rows: list[tuple[int, str, str, int]], rng: random.Random) -> None:
    payments = make_payments(rows)
    shuffled = rng.sample(payments, len(payments))
    for rule in RULES:
        assert find_hits(rule, payments) == find_hits(rule, shuffled), rule


@given(ROWS)
def test_a_hit_names_payments_of_the_account_within_the_window(rows: list[tuple[int, str, str, int]]) -> None:
    for rule in RULES:
        for account, hit in find_hits(rule, make_payments(rows)).items():
            days = [one.day for one in hit.payments]
            assert days == sorted(days)
            assert days[-1] - days[0] <= getattr(rule, "window_days", 20), rule
            assert hit.strength >= 1
            assert any(account in {one.sender, one.receiver} for one in hit.payments)
            if not isinstance(rule, Cycle):
                assert all(account in {one.sender, one.receiver} for one in hit.payments)


@given(ROWS)
def test_thresholds_hold(rows: list[tuple[int, str, str, int]]) -> None:
    payments = make_payments(rows)
    for hit in find_hits(FanIn(5, 3), payments).values():
        assert len({one.sender for one in hit.payments}) >= 3
    for hit in find_hits(Structuring(5, 2, 1_000, 0.2), payments).values():
        assert len(hit.payments) >= 2
        assert all(800 <= one.amount < 1_000 for one in hit.payments)
    for hit in find_hits(Cycle(6, 4, 0.2), payments).values():
        assert 3 <= len(hit.payments) <= 4
        assert {one.sender for one in hit.payments} == {one.receiver for one in hit.payments}
        assert max(one.amount for one in hit.payments) * 0.8**3 <= min(one.amount for one in hit.payments)


@given(ROWS, st.integers(2, 6), st.integers(0, 14), st.data())
def test_planted_patterns_are_found(rows: list[tuple[int, str, str, int]], count: int, day: int, data: Any) -> None:
    days = [day + data.draw(st.integers(0, 5)) for _ in range(count)]
    noise = make_payments(rows)

    def plant(*planted: tuple[int, str, str, int]) -> list[Payment]:
        return [*noise, *(Payment(float(d), s, r, float(a), f"p{d}{s}{r}{a}", str(d)) for d, s, r, a in planted)]

    many = plant(*((d, f"x{n}", "mule", 50) for n, d in enumerate(days)))
    assert "mule" in find_hits(FanIn(5, count), many)
    many = plant(*((d, "mule", f"x{n}", 50) for n, d in enumerate(days)))
    assert "mule" in find_hits(FanOut(5, count), many)
    below = plant(*((d, "smurf", "shop", 999 - n) for n, d in enumerate(days)))
    assert {"smurf", "shop"} <= find_hits(Structuring(5, count, 1_000, 0.1), below).keys()
    assert {"smurf", "shop"} <= find_hits(Repeat(5, count), below).keys()
    ring = [f"r{n}" for n in range(count)]
    circle = plant(*((d, ring[n], ring[(n + 1) % count], 1_000 - 20 * n) for n, d in enumerate(sorted(days))))
    assert set(ring) <= find_hits(Cycle(5, 6, 0.03, shortest=2), circle).keys()
    loose = plant(*((d, ring[n], ring[(n + 1) % count], 1_000) for n, d in enumerate(days)))
    assert set(ring) <= find_hits(Cycle(5, 6, 0.01, ordered=False, shortest=2), loose).keys()


def test_a_window_that_is_too_short_finds_nothing() -> None:
    payments = make_payments([(0, "a", "m", 5), (3, "b", "m", 5), (6, "c", "m", 5)])
    assert find_hits(FanIn(5, 3), payments) == {}
    assert find_hits(FanIn(6, 3), payments).keys() == {"m"}


def test_transfers_to_oneself_count_for_no_rule_about_others() -> None:
    payments = make_payments([(day, "a", "a", 500) for day in range(5)] + [(5, "b", "a", 5), (5, "a", "c", 5)])
    for rule in (FanIn(9, 2), FanOut(9, 2), Repeat(9, 2)):
        assert find_hits(rule, payments) == {}


def test_an_amount_may_lose_exactly_its_share() -> None:
    payments = [
        Payment(float(n), sender, receiver, amount, f"t{n}", "")
        for n, (sender, receiver, amount) in enumerate([("a", "b", 13.0), ("b", "c", 11.7), ("c", "a", 10.53)])
    ]
    assert find_hits(Cycle(5, 3, 0.1), payments).keys() == set("abc")
    assert find_hits(Cycle(5, 3, 0.09), payments) == {}


def test_an_amount_is_unusual_for_its_sender_alone() -> None:
    rows = [(day, "small", "shop", 10) for day in range(4)] + [(day, "large", "shop", 500) for day in range(4)]
    rows += [(9, "small", "friend", 500)]
    found = find_hits(Unusual(5, 3), make_payments(rows))
    assert {name: [one.amount for one in hit.payments] for name, hit in found.items()} == {
        "small": [500.0],
        "friend": [500.0],
    }


def test_linked_accounts_pay_several_that_other_rules_found() -> None:
    payments = make_payments([(1, "x", "a", 5), (2, "b", "x", 5), (3, "y", "a", 5), (4, "x", "x", 5)])
    earlier = EarlierHits({"repeat": {"a", "b"}, "other": {"x"}})
    found = find_hits(Linked(2, ["repeat"]), payments, earlier)
    assert {name: len(hit.payments) for name, hit in found.items()} == {"x": 2}


def test_a_dense_table_ends_the_search_early_and_says_so() -> None:
    rng = random.Random(3)
    names = [f"n{n}" for n in range(30)]
    rows = [(1, *rng.sample(names, 2), 100) for _ in range(3_000)]
    earlier = EarlierHits()
    find_hits(Cycle(30, 8, 0.1, ordered=False), make_payments(rows), earlier)
    assert earlier.unfinished["cycle"]


@pytest.mark.slow
def test_many_generated_rows_are_ranked() -> None:
    rng = random.Random(11)
    rows = [
        (
            rng.randrange(150),
            f"n{rng.randrange(20_000)}",
            f"n{int(rng.paretovariate(1)) % 20_000}",
            rng.randrange(1, 9_999),
        )
        for _ in range(120_000)
    ]
    table, earlier = PaymentTable(make_payments(rows)), EarlierHits()
    for rule in (
        FanIn(30, 5),
        FanOut(30, 5),
        Repeat(1, 2),
        Structuring(7, 3, 1e4, 0.1),
        Unusual(5, 3),
        Cycle(30, 6, 0.1),
    ):
        assert all(hit.payments for hit in rule.find_hits(table, earlier))

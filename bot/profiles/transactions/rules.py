"""The rules over transactions. Each finds accounts, with the payments that make the account conspicuous. Pure.

A rule is a dataclass whose fields are its parameters in ``profile.toml``. ``RULES`` names them all. ``find_hits``
yields each account at most once.
"""

from __future__ import annotations

import bisect
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

from pydantic import Field

from bot.profiles.transactions.payments import Payment, PaymentTable

_MAX_STEPS: Final = 2_000
_MAX_ALL_STEPS: Final = 5_000_000
"""How many payments a search for cycles looks at, from one payment on and in a whole table."""

_ROUNDING: Final = 1e-9
"""A smaller share of an amount is an error of floating point."""

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, slots=True)
class RuleHit:
    """An account that a rule finds."""

    account: str
    payments: Sequence[Payment]
    """What the rule counts, in the order of time."""
    strength: float
    """How often the threshold of the rule fits into what was counted; 1 or more."""


@dataclass(slots=True)
class EarlierHits:
    """What rules found before: a rule may build on others."""

    accounts: dict[str, set[str]] = field(default_factory=dict)
    """The accounts, by the name of the rule."""
    unfinished: Counter[str] = field(default_factory=Counter)
    """From how many payments on a search ended early, by the kind of the rule."""


@dataclass(frozen=True, slots=True)
class FanIn:
    """Many senders pay one account within a window."""

    window_days: Positive
    senders: Count

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:  # noqa: ARG002
        """Yield the receivers."""
        yield from _find_windows(table.by_receiver, self.window_days, self.senders, lambda one: one.sender)


@dataclass(frozen=True, slots=True)
class FanOut:
    """One account pays many receivers within a window."""

    window_days: Positive
    receivers: Count

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:  # noqa: ARG002
        """Yield the senders."""
        yield from _find_windows(table.by_sender, self.window_days, self.receivers, lambda one: one.receiver)


@dataclass(frozen=True, slots=True)
class Repeat:
    """One account pays another one several times within a window."""

    window_days: Positive
    payments: Count

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:  # noqa: ARG002
        """Yield both accounts of the pair, each with the pair that has most payments."""
        pairs: dict[tuple[str, str], list[Payment]] = {}
        for one in table.payments:
            if one.sender != one.receiver:
                pairs.setdefault((one.sender, one.receiver), []).append(one)
        yield from _pick_strongest(
            RuleHit(account, window, len(window) / self.payments)
            for accounts, payments in pairs.items()
            if len(window := _find_largest_window(payments, self.window_days)) >= self.payments
            for account in accounts
        )


@dataclass(frozen=True, slots=True)
class Structuring:
    """An account pays, or gets, several amounts just below a limit within a window."""

    window_days: Positive
    payments: Count
    limit: Positive
    below: Share
    """An amount is just below the limit if at most this share of the limit is missing."""

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:  # noqa: ARG002
        """Yield senders and receivers."""
        least = self.limit * (1 - self.below)
        close = PaymentTable(one for one in table.payments if least <= one.amount < self.limit)
        yield from _pick_strongest(
            hit
            for side in (close.by_sender, close.by_receiver)
            for hit in _find_windows(side, self.window_days, self.payments)
        )


@dataclass(frozen=True, slots=True)
class Amount:
    """A payment has at least an amount."""

    at_least: Positive

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:  # noqa: ARG002
        """Yield senders and receivers."""
        yield from _collect_hits(one for one in table.payments if one.amount >= self.at_least)


@dataclass(frozen=True, slots=True)
class Unusual:
    """A payment is many times larger or smaller than what its sender usually pays."""

    factor: Positive
    payments: Count
    """How many payments a sender must have, so that a median is known."""

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:  # noqa: ARG002
        """Yield senders and receivers."""
        yield from _collect_hits(one for made in table.by_sender.values() for one in self._pick_unusual(made))

    def _pick_unusual(self, made: Sequence[Payment]) -> Sequence[Payment]:
        if len(made) < self.payments:
            return ()
        usual = statistics.median(one.amount for one in made)
        return [one for one in made if not usual / self.factor < one.amount < usual * self.factor]


@dataclass(frozen=True, slots=True)
class Cycle:
    """Money comes back to its account over other accounts within a window."""

    window_days: Positive
    length: Count
    """The most payments of a cycle."""
    shrink: Share
    """In order, an amount is at most this share smaller than the one before, and never larger. In any order, it
    differs by at most this share from that of the first payment."""
    ordered: bool = True
    """Whether no payment may be earlier than the one before."""
    shortest: Count = 3
    """The fewest payments of a cycle; with 2, a refund is one."""

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:
        """Yield the accounts of cycles, each with its shortest one."""
        yield from _pick_strongest(
            RuleHit(one.sender, tuple(sorted(cycle)), 1 + 1 / len(cycle))
            for cycle in self._find_cycles(table, earlier)
            for one in cycle
        )

    def _find_cycles(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[Sequence[Payment]]:
        by_amount = {sender: sorted(made, key=_get_amount) for sender, made in table.by_sender.items()}
        left = _MAX_ALL_STEPS
        for first in table.payments:
            steps = 0
            paths: list[tuple[Payment, ...]] = [(first,)] if first.sender != first.receiver else []
            while paths and steps < min(_MAX_STEPS, left):
                path = paths.pop()
                if path[-1].receiver == first.sender:
                    if len(path) >= self.shortest:
                        yield path
                elif len(path) < self.length:
                    possible = self._list_similar(path, by_amount.get(path[-1].receiver, ()))
                    steps += 1 + len(possible)
                    paths += [(*path, one) for one in self._list_next(path, possible)]
            left -= steps
            earlier.unfinished["cycle"] += bool(paths)

    def _list_similar(self, path: Sequence[Payment], made: Sequence[Payment]) -> Sequence[Payment]:
        """Return those of an account's payments, which are in the order of amounts, whose amount continues a path."""
        base = path[-1 if self.ordered else 0].amount
        most = base if self.ordered else base * (1 + self.shrink) * (1 + _ROUNDING)
        begin = bisect.bisect_left(made, base * (1 - self.shrink) * (1 - _ROUNDING), key=_get_amount)
        return made[begin : bisect.bisect_right(made, most, key=_get_amount)]

    def _list_next(self, path: Sequence[Payment], possible: Sequence[Payment]) -> Collection[Payment]:
        """Return the payments that continue a path; of those that lead to the same place, only the first one."""
        first, last = path[0], path[-1]
        used = {one.sender for one in path[1:]} | {last.receiver}
        found: dict[Hashable, Payment] = {}
        for one in possible:
            is_later = one.day >= last.day if self.ordered else one > first
            if is_later and one.day - first.day <= self.window_days and one.receiver not in used:
                key = (one.receiver, one.amount) if self.ordered else one.receiver
                found[key] = min(found.get(key, one), one)
        return found.values()


@dataclass(frozen=True, slots=True)
class Linked:
    """An account has payments with several accounts that other rules found."""

    accounts: Count
    rules: list[str]

    def find_hits(self, table: PaymentTable, earlier: EarlierHits) -> Iterator[RuleHit]:
        """Yield the accounts."""
        found = {account for name in self.rules for account in earlier.accounts.get(name, ())}
        for account in sorted(table.accounts):
            sides = (table.by_sender.get(account, ()), table.by_receiver.get(account, ()))
            payments = [one for side in sides for one in side if {one.sender, one.receiver} & found - {account}]
            others = {name for one in payments for name in (one.sender, one.receiver)} - {account}
            if len(others) >= self.accounts:
                yield RuleHit(account, tuple(sorted(payments)), len(others) / self.accounts)


RULES: Final[Mapping[str, type]] = {
    "fan-in": FanIn,
    "fan-out": FanOut,
    "repeat": Repeat,
    "structuring": Structuring,
    "amount": Amount,
    "unusual": Unusual,
    "cycle": Cycle,
    "linked": Linked,
}
"""The kinds of rules, by the name in ``profile.toml``."""


def _get_amount(payment: Payment) -> float:
    return payment.amount


def _find_windows(
    groups: Mapping[str, Sequence[Payment]],
    window_days: float,
    least: int,
    find_key: Callable[[Payment], Hashable] | None = None,
) -> Iterator[RuleHit]:
    """Yield the accounts with a window of enough payments, or of enough other accounts, which the key returns."""
    for account, made in groups.items():
        payments = made if find_key is None else [one for one in made if one.sender != one.receiver]
        if len(payments if find_key is None else set(map(find_key, payments))) >= least:
            window = _find_largest_window(payments, window_days, find_key)
            count = len(window) if find_key is None else len(set(map(find_key, window)))
            if count >= least:
                yield RuleHit(account, window, count / least)


def _find_largest_window(
    payments: Sequence[Payment], window_days: float, find_key: Callable[[Payment], Hashable] | None = None
) -> Sequence[Payment]:
    """Return the first window with most payments, or with most different keys; the payments are in order."""
    inside: Counter[Hashable] = Counter()
    begin, best, best_count = 0, (0, 0), 0
    for end, last in enumerate(payments):
        inside[end if find_key is None else find_key(last)] += 1
        while last.day - payments[begin].day > window_days:
            key = begin if find_key is None else find_key(payments[begin])
            inside[key] -= 1
            if not inside[key]:
                del inside[key]
            begin += 1
        if len(inside) > best_count:
            best, best_count = (begin, end + 1), len(inside)
    return tuple(payments[slice(*best)])


def _collect_hits(payments: Iterator[Payment]) -> Iterator[RuleHit]:
    """Yield the accounts of payments that are conspicuous alone."""
    by_account: dict[str, list[Payment]] = {}
    for one in payments:
        for account in {one.sender, one.receiver}:
            by_account.setdefault(account, []).append(one)
    for account, found in by_account.items():
        yield RuleHit(account, tuple(sorted(found)), float(len(found)))


def _pick_strongest(hits: Iterator[RuleHit]) -> Collection[RuleHit]:
    """Return the strongest hit of each account; of equal ones the one with the first payments."""
    best: dict[str, RuleHit] = {}
    for hit in hits:
        old = best.get(hit.account)
        if old is None or (-hit.strength, list(hit.payments)) < (-old.strength, list(old.payments)):
            best[hit.account] = hit
    return best.values()

"""Orders accounts by the rules that they hit, and says what each rule is worth by decided cases. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.profiles.transactions.payments import PaymentTable
from bot.profiles.transactions.profile import TransactionProfile, WeightedRule
from bot.profiles.transactions.rules import EarlierHits, RuleHit

_MOST_STRENGTH: Final = 3.0
"""From this multiple of the threshold on, a hit has twice its weight."""
_PRIOR_CASES: Final = 2.0
"""How many cases of the usual outcome each rule begins with, so that a rule without cases weighs 0."""


@dataclass(frozen=True, slots=True)
class WeighedHit:
    """A rule that an account hits."""

    rule: WeightedRule
    hit: RuleHit

    @property
    def score(self) -> float:
        """Return what the hit adds to the score of its account."""
        return self.rule.weight * math.log2(1 + min(self.hit.strength, _MOST_STRENGTH))


@dataclass(frozen=True, slots=True)
class RankedAccount:
    """An account with the rules that it hits, those that add most first."""

    account: str
    hits: Sequence[WeighedHit]

    @property
    def score(self) -> float:
        """Return the sum over the rules."""
        return sum(one.score for one in self.hits)


@dataclass(frozen=True, slots=True)
class AccountRanking:
    """The accounts of a table that hit rules, the most conspicuous first."""

    accounts: Sequence[RankedAccount]
    all_accounts: int
    """How many accounts the table has."""
    unfinished: Mapping[str, int]
    """From how many payments on a search ended early, by the kind of the rule."""

    def flag_share(self, percent: float) -> Sequence[RankedAccount]:
        """Return the first accounts, at most a share of all accounts of the table."""
        return self.accounts[: math.floor(self.all_accounts * percent / 100)]


def rank_accounts(profile: TransactionProfile, table: PaymentTable) -> AccountRanking:
    """Return the accounts of a table in the order of their scores."""
    earlier = EarlierHits()
    by_account: dict[str, list[WeighedHit]] = {}
    for rule in profile.rules:
        found = earlier.accounts.setdefault(rule.name, set())
        for hit in rule.rule.find_hits(table, earlier):
            found.add(hit.account)
            by_account.setdefault(hit.account, []).append(WeighedHit(rule, hit))
    ranked = [
        RankedAccount(account, tuple(sorted(hits, key=lambda one: -one.score))) for account, hits in by_account.items()
    ]
    ranked.sort(key=lambda one: (-one.score, one.account))
    return AccountRanking(ranked, len(table.accounts), +earlier.unfinished)


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """What people decided about the cases of a rule."""

    rule: str
    yes: int
    no: int
    weight: float
    """The weight that these decisions suggest."""

    @property
    def precision(self) -> float:
        """Return the share of the decided cases that are suspicious."""
        return self.yes / (self.yes + self.no)


def count_figures(decided: Iterable[tuple[Collection[str], bool]]) -> Sequence[RuleFigures]:
    """Return the figures of the rules, by their names, from the rules of each decided case and whether it was a yes.

    A weight is the logarithm of how much more often the rule hits in a yes than in a no.
    """
    cases = list(decided)
    all_yes = sum(is_yes for _, is_yes in cases)
    all_no = len(cases) - all_yes
    figures = []
    for name in sorted({name for rules, _ in cases for name in rules}):
        outcomes = [is_yes for rules, is_yes in cases if name in rules]
        yes, no = sum(outcomes), len(outcomes) - sum(outcomes)
        figures.append(RuleFigures(name, yes, no, suggest_weight(yes, no, all_yes, all_no)))
    return figures


def suggest_weight(yes: int, no: int, all_yes: int, all_no: int) -> float:
    """Return the log-odds of a rule with ``yes`` and ``no`` among all; 0 if nothing tells the outcomes apart."""
    if not all_yes or not all_no:
        return 0.0
    usual = all_yes / (all_yes + all_no)
    odds = (yes + _PRIOR_CASES * usual) / (no + _PRIOR_CASES * (1 - usual))
    return math.log(odds * all_no / all_yes)

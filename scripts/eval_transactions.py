"""Measure the rules of the profile ``money-laundering`` on simulated worlds: weights fitted on one, read on the other.

    scripts/eval_transactions.py [FOLDER] [--profile NAME]

FOLDER has worlds of AMLSim as ``.tgz``, each with ``transactions.csv`` and ``nodes.csv``, which labels accounts. The
default is ``$KVASIR_EVAL_DIR/profiles/transactions``. Only the columns of ``transactions.csv`` reach the rules. The
thresholds are those of the shipped profile; no world has chosen them. Each figure stands next to the ranking by the
number of different senders, at the same number of flags.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import random
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.profiles.registry import Profiles
from bot.profiles.transactions.payments import ColumnMap, PaymentTable
from bot.profiles.transactions.profile import TransactionProfile
from bot.profiles.transactions.ranking import AccountRanking, rank_accounts, suggest_weight
from bot.profiles.transactions.table_file import read_table_file

COLUMNS = ColumnMap("sourceNodeId", "targetNodeId", "value", "time", days_per_number=1)
SHARES = (1, 2, 5, 10, 20, 50)
CLAIMED_RECALL = 0.913
"""A recall that others publish without its share of flagged accounts."""


@dataclass(frozen=True, slots=True)
class World:
    """A simulated world."""

    name: str
    table: PaymentTable
    launders: Mapping[str, bool]
    """Whether an account launders, for every account."""

    def order_rest(self, first: Sequence[str]) -> list[str]:
        """Return all accounts: the ordered ones, and then the others in an order that says nothing."""
        rest = sorted(self.launders.keys() - set(first))
        random.Random(7).shuffle(rest)
        return [*first, *rest]

    def rank_by_senders(self) -> list[str]:
        """Return the accounts by the number of their different senders; equal ones in an order that says nothing."""
        senders = {name: len({one.sender for one in found}) for name, found in self.table.by_receiver.items()}
        return sorted(self.order_rest([]), key=lambda name: -senders.get(name, 0))

    def measure(self, order: Sequence[str], flags: int) -> tuple[float, float]:
        """Return recall and precision of the first accounts."""
        found = sum(self.launders[name] for name in order[:flags])
        return found / sum(self.launders.values()), found / max(flags, 1)

    def count_flags(self, order: Sequence[str], recall: float) -> int:
        """Return how many accounts must be flagged for a recall."""
        missing = recall * sum(self.launders.values())
        for flags, name in enumerate(order, 1):
            missing -= self.launders[name]
            if missing <= 0:
                return flags
        return len(order)


def read_world(path: Path) -> World:
    """Return the world of an archive."""
    with tarfile.open(path) as archive, tempfile.TemporaryDirectory() as folder:
        files = {Path(member.name).name: member for member in archive.getmembers() if member.isfile()}
        nodes, rows = (archive.extractfile(files[name]) for name in ("nodes.csv", "transactions.csv"))
        assert nodes is not None
        assert rows is not None
        table = Path(folder) / "transactions.csv"
        table.write_bytes(rows.read())
        launders = {row["nodeid"]: row["isFraud"] == "1" for row in csv.DictReader(io.TextIOWrapper(nodes, "utf-8"))}
        return World(path.stem, PaymentTable(read_table_file(table, COLUMNS).payments), launders)


def fit_weights(profile: TransactionProfile, ranking: AccountRanking, world: World) -> TransactionProfile:
    """Return the profile with the weights that the labels of a world suggest."""
    all_yes = sum(world.launders.values())
    rules = []
    for rule in profile.rules:
        hit = [one.account for one in ranking.accounts if any(found.rule.name == rule.name for found in one.hits)]
        yes = sum(world.launders[name] for name in hit)
        weight = suggest_weight(yes, len(hit) - yes, all_yes, len(world.launders) - all_yes)
        print(f"  {rule.name:16}{yes:6} of {len(hit):6} hit accounts launder, weight {weight:5.2f}")
        rules.append(replace(rule, weight=weight))
    return replace(profile, rules=tuple(rules))


def list_scored(ranking: AccountRanking, weights: Mapping[str, float]) -> list[str]:
    """Return the accounts of a ranking in the order of other weights."""
    scores = {
        one.account: sum(replace(hit, rule=replace(hit.rule, weight=weights[hit.rule.name])).score for hit in one.hits)
        for one in ranking.accounts
    }
    return sorted(scores, key=lambda name: (-scores[name], name))


def print_curve(title: str, world: World, order: Sequence[str]) -> None:
    """Print recall and precision by the share of flagged accounts."""
    cells = []
    for share in SHARES:
        recall, precision = world.measure(order, len(order) * share // 100)
        cells.append(f"{recall:6.1%} /{precision:6.1%}")
    flags = world.count_flags(order, CLAIMED_RECALL)
    print(f"  {title:26}{'  '.join(cells)}   {CLAIMED_RECALL:.1%} needs {flags:,} flags ({flags / len(order):.0%})")


def main() -> None:
    """Print the figures in both directions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("KVASIR_EVAL_DIR", ".")) / "profiles" / "transactions"
    parser.add_argument("folder", nargs="?", type=Path, default=default)
    parser.add_argument("--profile", default="money-laundering")
    arguments = parser.parse_args()
    worlds = [read_world(path) for path in sorted(arguments.folder.glob("*.tgz"))]
    if len(worlds) < 2:
        sys.exit(f"{arguments.folder} needs two worlds as .tgz. Name their folder, or set KVASIR_EVAL_DIR.")
    profile = Profiles(None).load_profile(arguments.profile)
    rankings = {}
    for world in worlds:
        began = time.process_time()
        rankings[world.name] = rank_accounts(profile, world.table)
        seconds = time.process_time() - began
        print(f"{world.name}: {len(world.table.payments):,} transactions ranked in {seconds:.1f} s of processor time")
    for fitted in worlds:
        print(f"\nWeights fitted on {fitted.name}:")
        weights = {one.name: one.weight for one in fit_weights(profile, rankings[fitted.name], fitted).rules}
        for world in worlds:
            if world is fitted:
                continue
            ranking, senders = rankings[world.name], world.rank_by_senders()
            order = world.order_rest(list_scored(ranking, weights))
            print(f"Read on {world.name}: recall / precision with {', '.join(map(str, SHARES))} % of accounts flagged")
            print_curve("by different senders", world, senders)
            print_curve("by the rules", world, order)
            shipped = world.order_rest([one.account for one in ranking.accounts])
            print_curve("by the shipped weights", world, shipped)
            for name in (name for name, weight in weights.items() if weight):
                print_curve(f"without {name}", world, world.order_rest(list_scored(ranking, {**weights, name: 0.0})))
            bare = {**weights, "repeat": 0.0, "unusual-amount": 0.0, "linked": 0.0}
            print_curve("only fan-in, fan-out, cycle", world, world.order_rest(list_scored(ranking, bare)))
            flags = len(order) // 10
            ratio = world.measure(order, flags)[0] / world.measure(senders, flags)[0]
            print(f"  with 10 % flagged, the rules find {ratio:.2f} times what different senders find")


if __name__ == "__main__":
    main()

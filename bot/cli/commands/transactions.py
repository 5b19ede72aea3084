"""``kvasir transactions``: rank the accounts of a table by the rules of a profile, and open cases for people."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from bot.answering.outgoing import release_text
from bot.audit.commands import DirectAuditLog
from bot.audit.entries import AuditEntry, Event
from bot.cli.command_settings import load_command_settings
from bot.cli.people import find_person
from bot.config.settings import Settings
from bot.library_opening import open_configured_library
from bot.profiles.profile import ProfileError
from bot.profiles.registry import Profiles
from bot.profiles.transactions.payments import PaymentReader, PaymentTable
from bot.profiles.transactions.policy_passages import PolicyPassages
from bot.profiles.transactions.profile import TransactionProfile
from bot.profiles.transactions.ranking import (
    AccountRanking,
    RankedAccount,
    count_figures,
    rank_accounts,
)
from bot.profiles.transactions.table_file import check_columns, check_size, read_table_file
from bot.storage.cases import Case, Cases, make_hit
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_json, print_note, print_result, print_rows
from knowledge.interfaces import ANY_MEMBER
from knowledge.sources.sql.source import open_rows
from knowledge.tables import describe_tables

_SHOWN_TRANSACTIONS: Final = 5
_QUOTE: Final = 300
_PASSAGE: Final = ("source", "document", "title", "heading", "text", "url")


async def main(arguments: argparse.Namespace) -> int:
    """Print the flagged accounts, or what people decided; open cases if that is asked for."""
    settings = load_command_settings(arguments, required=False)
    if not 0 < arguments.share <= 100:  # noqa: PLR2004 - percent
        raise ProfileError("--share should be a number of percent above 0, at most 100.")
    profiles = Profiles(settings.configuration.profiles)
    profile: TransactionProfile = await asyncio.to_thread(profiles.load_profile, arguments.profile, "transactions")
    if arguments.figures:
        await _print_figures(settings, profile, as_json=arguments.json)
        return 0
    reader = await _read_table(settings, profile, arguments)
    ranking = await asyncio.to_thread(rank_accounts, profile, PaymentTable(reader.payments))
    flagged = ranking.flag_share(arguments.share)
    async with _open_passages(settings, arguments.person) as passages:
        described = [await _describe_account(one, passages) for one in flagged]
    # A reader such as ``head`` may end the command while it prints.
    opened = await _open_cases(settings, profile, flagged) if arguments.open_cases else ""
    if arguments.csv:
        print_rows(_list_rows(described))
    for number, account in enumerate(described if not arguments.csv else (), 1):
        if arguments.json:
            print_json(account)
        else:
            print_result(_format_account(number, account))
    _print_table_facts(reader, ranking, len(flagged), as_json=arguments.json and not arguments.csv)
    if opened:
        print_note(opened)
    return 0


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _read_table(settings: Settings, profile: TransactionProfile, arguments: argparse.Namespace) -> PaymentReader:
    """Return the payments of the file or the source.

    Raises:
        ProfileError: neither is named, or the table cannot be read.
        SourceError: the database cannot be read.

    """
    path: Path | None = arguments.file
    if path is not None:
        reader, name = await asyncio.to_thread(read_table_file, path, profile.columns), path.name
    elif arguments.source is not None:
        reader, name = await _read_source(settings, profile, arguments.source), arguments.source
    else:
        raise ProfileError("Name a file with transactions, or --source with the name of a source of kind sql.")
    if not reader.payments:
        raise ProfileError(
            f"No row of {name} is a transaction ({_describe_skipped(reader) or 'it is empty'}). Check [columns] in"
            f" {profile.profile.path}."
        )
    return reader


async def _read_source(settings: Settings, profile: TransactionProfile, name: str) -> PaymentReader:
    spec = next((one for one in settings.knowledge.sources if one.name == name and one.kind == "sql"), None)
    if spec is None:
        raise ProfileError(f"kvasir.toml has no source {name!r} of kind sql. Add it, or name a file.")
    reader = PaymentReader(profile.columns)
    async with aclosing(open_rows(spec, settings.home)) as batches:
        async for columns, rows in batches:
            check_columns(profile.columns, list(columns), name)
            await asyncio.to_thread(reader.read_rows, rows)
            check_size(reader, name)
    return reader


@contextlib.asynccontextmanager
async def _open_passages(settings: Settings, person: str | None) -> AsyncIterator[PolicyPassages | None]:
    """Open the search for passages of the policy; None without sources. A note says why passages may be missing."""
    if not settings.knowledge.sources:
        yield None
        return
    async with open_configured_library(settings) as library:
        viewers = ANY_MEMBER
        if person is not None:
            viewers = (await find_person(settings, library.identities, person)).viewers
        passages = PolicyPassages(library.search, viewers)
        yield passages
        if passages.failure is not None:
            print_note(f"Passages of the policy may be missing: {passages.failure}")


# ── What is printed ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _describe_account(one: RankedAccount, passages: PolicyPassages | None) -> dict[str, Any]:
    """Return an account with its rules, in the shape that scripts rely on."""
    rules = []
    for found in one.hits:
        passage = None if passages is None else await passages.find_passage(found.rule.policy)
        rules.append(
            {
                "rule": found.rule.name,
                "title": dict(found.rule.title),
                "adds": round(found.score, 4),
                "transactions": [
                    {name: _release(getattr(payment, name)) for name in ("time", "sender", "receiver", "amount", "id")}
                    for payment in found.hit.payments
                ],
                "policy": None if passage is None else {name: _release(getattr(passage, name)) for name in _PASSAGE},
            }
        )
    return {"account": release_text(one.account), "score": round(one.score, 4), "rules": rules}


def _release(value: object) -> object:
    return release_text(value) if isinstance(value, str) else value


def _format_account(number: int, account: Mapping[str, Any]) -> str:
    lines = [f"{number}. {account['account']}  score {account['score']:.1f}"]
    for rule in account["rules"]:
        payments, policy = rule["transactions"], rule["policy"]
        count = f"{len(payments)} transaction{'' if len(payments) == 1 else 's'}"
        lines.append(f"   {rule['title']['en']}: {count}, adds {rule['adds']:.1f}")
        line = "     {time}  {sender} → {receiver}  {amount:,.2f}  ({id})"
        lines += [line.format_map(one) for one in payments[:_SHOWN_TRANSACTIONS]]
        if len(payments) > _SHOWN_TRANSACTIONS:
            lines.append(f"     and {len(payments) - _SHOWN_TRANSACTIONS} more")
        if policy is not None:
            quote = " ".join(describe_tables(policy["text"]).split())[:_QUOTE]
            lines.append(f"     Policy: {_name_passage(policy)}: {quote}")
    return "\n".join(lines)


def _name_passage(policy: Mapping[str, str]) -> str:
    path = " › ".join(filter(None, (policy["title"], policy["heading"])))
    return f"{path} ({policy['source']}: {policy['document']})"


def _list_rows(accounts: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[object]]:
    """Yield the names of the columns, and a row for each account."""
    yield ["rank", "account", "score", "rules", "transactions", "policy"]
    for number, one in enumerate(accounts, 1):
        rules = [rule["rule"] for rule in one["rules"]]
        ids = dict.fromkeys(payment["id"] for rule in one["rules"] for payment in rule["transactions"])
        names = dict.fromkeys(_name_passage(rule["policy"]) for rule in one["rules"] if rule["policy"] is not None)
        yield [number, one["account"], f"{one['score']:.4f}", *map("; ".join, (rules, ids, names))]


def _print_table_facts(reader: PaymentReader, ranking: AccountRanking, flagged: int, *, as_json: bool) -> None:
    """Print how much of the table was read and flagged."""
    if as_json:
        read = {
            "rows": reader.rows,
            "skipped": dict(reader.skipped),
            "first_skipped": reader.first_skipped,
            "repeated": reader.repeated,
        }
        hit = {"accounts": ranking.all_accounts, "hit": len(ranking.accounts), "flagged": flagged}
        print_json({"table": read | hit | {"unfinished": dict(ranking.unfinished)}})
        return
    print_note(
        f"{reader.rows:,} rows, {ranking.all_accounts:,} accounts: {len(ranking.accounts):,} hit a rule,"
        f" {flagged:,} are flagged. A person decides about each."
    )
    if reader.skipped:
        print_note(f"{sum(reader.skipped.values()):,} rows were left out: {_describe_skipped(reader)}.")
    if reader.repeated:
        print_note(f"{reader.repeated:,} rows repeat another one and count once.")
    for kind, count in ranking.unfinished.items():
        print_note(f"The search for a {kind} ended early from {count:,} transactions on. Narrow its window or length.")


def _describe_skipped(reader: PaymentReader) -> str:
    counts = ", ".join(f"{count:,} without a readable {column}" for column, count in reader.skipped.most_common())
    return f"{counts} ({'; '.join(reader.first_skipped)})" if counts else ""


# ── Cases ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _open_cases(settings: Settings, profile: TransactionProfile, flagged: Sequence[RankedAccount]) -> str:
    """Open a case for each account, and return a sentence about them."""
    name = profile.profile.name
    found = [make_case(name, one, has_names=bool(profile.columns.id)) for one in flagged]
    async with open_ledger(settings.database_url) as ledger:
        count = await Cases(ledger.database).open_cases(found)
    facts = {"action": "open", "profile": name, "count": count}
    await DirectAuditLog(settings.audit).record(AuditEntry(Event.CASE, facts=facts))
    known = len(found) - count
    return f"{count:,} new cases, {known:,} known before. An owner sees them in Slack by: /kb cases"


def make_case(profile: str, one: RankedAccount, *, has_names: bool) -> Case:
    """Return a case; the same account with the same transactions always gets the same id.

    Without ``has_names`` the transactions are named by their rows, which move when the table grows.
    """
    rows = {
        found.rule.name: [[p.time, p.sender, p.receiver, f"{p.amount:.2f}", p.id] for p in found.hit.payments]
        for found in one.hits
    }
    named = rows if has_names else {name: [row[:-1] for row in found] for name, found in rows.items()}
    digest = hashlib.sha256(json.dumps([profile, one.account, named], sort_keys=True).encode()).hexdigest()[:32]
    return Case(digest, profile, one.account, one.score, [make_hit(*found) for found in rows.items()])


async def _print_figures(settings: Settings, profile: TransactionProfile, *, as_json: bool) -> None:
    async with open_ledger(settings.database_url) as ledger:
        figures = count_figures(await Cases(ledger.database).list_decided(profile.profile.name))
    for one in figures:
        if as_json:
            print_json(asdict(one) | {"precision": round(one.precision, 4), "weight": round(one.weight, 2)})
            continue
        rule = profile.find_rule(one.rule)
        now = "not in the profile any more" if rule is None else f"now {rule.weight:g}"
        share = f"{one.yes} of {one.yes + one.no} cases are suspicious ({one.precision:.0%})"
        print_result(f"{one.rule:24}{share}; suggested weight {one.weight:.1f}, {now}")
    if not figures:
        print_note("Nobody has decided a case yet. Open cases with --open-cases; owners decide them by /kb cases.")

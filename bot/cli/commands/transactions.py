"""``kvasir transactions``: rank the accounts of a table by the rules of a profile, and open cases for people."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import hashlib
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Final

from bot.answering.outgoing import release_text
from bot.audit.commands import DirectAuditLog
from bot.audit.entries import AuditEntry, Event
from bot.cli.command_settings import load_command_settings
from bot.cli.people import find_person
from bot.config.settings import Settings
from bot.errors import BotError
from bot.library_opening import open_configured_library
from bot.profiles.profile import ProfileError
from bot.profiles.registry import Profiles, load_profile
from bot.profiles.transactions.payments import Payment, PaymentReader, PaymentTable
from bot.profiles.transactions.policy_passages import PolicyPassages
from bot.profiles.transactions.profile import TransactionProfile
from bot.profiles.transactions.ranking import RankedAccount, Ranking, RuleFigures, RuleHit, count_figures, rank_accounts
from bot.profiles.transactions.table_file import check_columns, check_size, read_table_file
from bot.storage.cases import Case, CaseHit, Cases
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_json, print_note, print_piece, print_result
from knowledge.errors import KnowledgeError
from knowledge.interfaces import ANY_MEMBER, Hit
from knowledge.sources.sql.source import open_rows
from knowledge.tables import describe_tables

_STORED_TRANSACTIONS: Final = 20
_SHOWN_TRANSACTIONS: Final = 5
_QUOTE: Final = 300
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for a formula."""


async def main(arguments: argparse.Namespace) -> int:
    """Print the flagged accounts, or what people decided; open cases if that is asked for."""
    settings = load_command_settings(arguments, required=False)
    if not 0 < arguments.share <= 100:  # noqa: PLR2004 - percent
        raise ProfileError("--share should be a number of percent above 0, at most 100.")
    profile = await asyncio.to_thread(_load_profile, settings, arguments.profile)
    if arguments.figures:
        async with open_ledger(settings.database_url) as ledger:
            figures = count_figures(await Cases(ledger.database).list_decided(profile.profile.name))
        _print_figures(profile, figures, as_json=arguments.json)
        return 0
    reader = await _read_table(settings, profile, arguments)
    ranking = await asyncio.to_thread(rank_accounts, profile, PaymentTable(reader.payments))
    flagged = ranking.flag_share(arguments.share)
    async with _open_passages(settings, arguments.person) as passages:
        if arguments.csv:
            await _print_csv(flagged, passages)
        else:
            for number, one in enumerate(flagged, 1):
                await _print_account(number, one, passages, as_json=arguments.json)
        if passages is not None and passages.failure is not None:
            print_note(f"Passages of the policy may be missing: {passages.failure}")
    _print_table_facts(reader, ranking, len(flagged), as_json=arguments.json and not arguments.csv)
    if arguments.open_cases:
        await _open_cases(settings, profile, flagged)
    return 0


def _load_profile(settings: Settings, name: str) -> TransactionProfile:
    profile = Profiles(settings.configuration.profiles).find_profile(name)
    loaded = load_profile(profile)
    if not isinstance(loaded, TransactionProfile):
        raise ProfileError(f"{name} is a profile of kind {profile.kind}. Choose one of kind transactions.")
    return loaded


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
    """Open the search for passages of the policy; None without sources, or where the library does not open."""
    if not settings.knowledge.sources:
        yield None
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            library = await stack.enter_async_context(open_configured_library(settings))
        except (KnowledgeError, BotError) as error:
            print_note(f"The passages of the policy are missing: {error}")
            yield None
            return
        viewers = ANY_MEMBER
        if person is not None:
            viewers = (await find_person(settings, library.identities, person)).viewers
        yield PolicyPassages(library.search, viewers)


# ── What is printed ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _print_account(number: int, one: RankedAccount, passages: PolicyPassages | None, *, as_json: bool) -> None:
    found = [(hit, None if passages is None else await passages.find_passage(hit.rule.policy)) for hit in one.hits]
    if as_json:
        print_json(
            {
                "account": release_text(one.account),
                "score": round(one.score, 4),
                "rules": [_make_json(hit, passage) for hit, passage in found],
            }
        )
        return
    print_result(f"{number}. {release_text(one.account)}  score {one.score:.1f}")
    for hit, passage in found:
        payments = hit.hit.payments
        print_result(f"   {hit.rule.find_title('en')}: {_count_transactions(payments)}, adds {hit.score:.1f}")
        for payment in payments[:_SHOWN_TRANSACTIONS]:
            sides = f"{release_text(payment.sender)} → {release_text(payment.receiver)}"
            print_result(
                f"     {release_text(payment.time)}  {sides}  {payment.amount:,.2f}  ({release_text(payment.id)})"
            )
        if len(payments) > _SHOWN_TRANSACTIONS:
            print_result(f"     and {len(payments) - _SHOWN_TRANSACTIONS} more")
        if passage is not None:
            quote = " ".join(describe_tables(release_text(passage.text)).split())[:_QUOTE]
            print_result(f"     Policy: {_name_passage(passage)}: {quote}")


def _count_transactions(payments: Sequence[Payment]) -> str:
    return f"{len(payments)} transaction{'' if len(payments) == 1 else 's'}"


def _name_passage(hit: Hit) -> str:
    path = " › ".join(release_text(part) for part in (hit.title, hit.heading) if part)
    return f"{path} ({hit.source}: {release_text(hit.document)})"


def _make_json(hit: RuleHit, passage: Hit | None) -> Mapping[str, object]:
    policy = None
    if passage is not None:
        policy = {
            name: release_text(getattr(passage, name)) for name in ("source", "document", "title", "heading", "text")
        }
        policy["url"] = passage.url or ""
    return {
        "rule": hit.rule.name,
        "title": dict(hit.rule.title),
        "adds": round(hit.score, 4),
        "transactions": [
            {
                "time": release_text(one.time),
                "sender": release_text(one.sender),
                "receiver": release_text(one.receiver),
                "amount": one.amount,
                "id": release_text(one.id),
            }
            for one in hit.hit.payments
        ],
        "policy": policy,
    }


async def _print_csv(flagged: Sequence[RankedAccount], passages: PolicyPassages | None) -> None:
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["rank", "account", "score", "rules", "transactions", "policy"])
    for number, one in enumerate(flagged, 1):
        found = [await passages.find_passage(hit.rule.policy) for hit in one.hits] if passages is not None else []
        names = dict.fromkeys(_name_passage(hit) for hit in found if hit is not None)
        rules, ids = "; ".join(hit.rule.name for hit in one.hits), "; ".join(_list_ids(one))
        cells = [release_text(one.account), f"{one.score:.4f}", rules, ids, "; ".join(names)]
        writer.writerow([number, *(f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells)])
    print_piece(output.getvalue())


def _list_ids(one: RankedAccount) -> Sequence[str]:
    return list(dict.fromkeys(release_text(payment.id) for hit in one.hits for payment in hit.hit.payments))


def _print_table_facts(reader: PaymentReader, ranking: Ranking, flagged: int, *, as_json: bool) -> None:
    """Print how much of the table was read and flagged."""
    if as_json:
        facts = {
            "rows": reader.rows,
            "skipped": dict(reader.skipped),
            "first_skipped": list(reader.first_skipped),
            "accounts": ranking.all_accounts,
            "hit": len(ranking.accounts),
            "flagged": flagged,
            "unfinished": dict(ranking.unfinished),
        }
        print_json({"table": facts})
        return
    print_note(
        f"{reader.rows:,} rows, {ranking.all_accounts:,} accounts: {len(ranking.accounts):,} hit a rule,"
        f" {flagged:,} are flagged. A person decides about each."
    )
    if reader.skipped:
        print_note(f"{sum(reader.skipped.values()):,} rows were left out: {_describe_skipped(reader)}.")
    for kind, count in ranking.unfinished.items():
        print_note(f"The search for a {kind} ended early from {count:,} transactions on. Narrow its window or length.")


def _describe_skipped(reader: PaymentReader) -> str:
    counts = ", ".join(f"{count:,} without a readable {column}" for column, count in reader.skipped.most_common())
    return f"{counts} ({'; '.join(reader.first_skipped)})" if counts else ""


# ── Cases ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _open_cases(settings: Settings, profile: TransactionProfile, flagged: Sequence[RankedAccount]) -> None:
    name = profile.profile.name
    found = [make_case(name, one) for one in flagged]
    async with open_ledger(settings.database_url) as ledger:
        count = await Cases(ledger.database).open_cases(found)
    facts = {"action": "open", "profile": name, "count": count}
    await DirectAuditLog(settings.audit).record(AuditEntry(Event.CASE, facts=facts))
    known = len(found) - count
    print_note(f"{count:,} new cases, {known:,} known before. An owner sees them in Slack by: /kb cases")


def make_case(profile: str, one: RankedAccount) -> Case:
    """Return a case; the same account with the same transactions always gets the same id."""
    hits = [
        CaseHit(
            hit.rule.name,
            len(hit.hit.payments),
            [_make_stored(payment) for payment in hit.hit.payments[:_STORED_TRANSACTIONS]],
        )
        for hit in one.hits
    ]
    content = [[hit.rule.name, *map(_make_stored, hit.hit.payments)] for hit in one.hits]
    digest = hashlib.sha256(json.dumps([profile, one.account, sorted(content)]).encode()).hexdigest()[:32]
    return Case(digest, profile, one.account, one.score, hits)


def _make_stored(one: Payment) -> Sequence[str]:
    return [one.time, one.sender, one.receiver, f"{one.amount:.2f}", one.id]


def _print_figures(profile: TransactionProfile, figures: Sequence[RuleFigures], *, as_json: bool) -> None:
    for one in figures:
        rule = profile.find_rule(one.rule)
        if as_json:
            print_json(asdict(one) | {"precision": round(one.precision, 4), "weight": round(one.weight, 2)})
        else:
            now = f", now {rule.weight:g}" if rule is not None else ", not in the profile any more"
            print_result(
                f"{one.rule:24}{one.yes} of {one.yes + one.no} cases are suspicious ({one.precision:.0%});"
                f" suggested weight {one.weight:.1f}{now}"
            )
    if not figures:
        print_note("Nobody has decided a case yet. Open cases with --open-cases; owners decide them by /kb cases.")

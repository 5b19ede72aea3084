"""``kvasir audit``: verify, export, summarise the audit, or change its key."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from bot.audit.entries import AuditEntry, Event
from bot.audit.file_log import open_audit_log
from bot.audit.keys import rotate_keys
from bot.audit.reading import AuditSummary, EntryReader, summarise_entries
from bot.audit.settings import AuditSettings
from bot.audit.verification import verify_audit
from bot.cli.command_settings import load_command_settings
from bot.config.settings import Settings
from bot.storage.audit_people import AuditPeople
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_error, print_json, print_note, print_outcome

OK, FAILED = 0, 1
_MOST_LISTED = 20


async def main(arguments: argparse.Namespace) -> int:
    """Run one action; exit status 1 if something in the audit was changed, cut or deleted."""
    settings = load_command_settings(arguments)
    match arguments.action:
        case "verify":
            return _verify_audit(settings.audit, arguments.heads, json=arguments.json)
        case "rotate":
            keys = rotate_keys(settings.audit.key_file)
            text = f"The key {keys.newest} signs from now on, in running processes within minutes. Back up the file."
            print_outcome({"key": keys.newest}, text, json=arguments.json)
        case _:
            await _read_audit(settings, arguments)
    return OK


def _verify_audit(settings: AuditSettings, heads: Path | None, *, json: bool) -> int:
    report = verify_audit(settings, heads)
    text = f"{report.entries} entries in {len(report.files)} file(s) are as they were written."
    result = {
        "ok": not report.problems,
        "entries": report.entries,
        "files": {one.file: one.entries for one in report.files},
        "problems": report.problems,
        "remarks": report.remarks,
    }
    print_outcome(result, text, json=json)
    for sentence in report.remarks:
        print_note(sentence)
    for sentence in report.problems:
        print_error(sentence)
    return FAILED if report.problems else OK


async def _read_audit(settings: Settings, arguments: argparse.Namespace) -> None:
    """Print entries or their numbers; the audit records that, too."""
    async with open_ledger(settings.database_url) as ledger:
        people = AuditPeople(ledger.database, SharedChanges(ledger.database))
        listed = await people.list_people()
        about = await people.find_names(arguments.person)
        facts = {"action": arguments.action, "since": arguments.since}
        async with open_audit_log(settings.audit, people) as audit:
            await audit.record(AuditEntry(Event.EXPORT, facts=facts, people={"about": about}))
    entries = EntryReader(settings.audit, listed).read_entries(since=arguments.since, user=arguments.person)
    if arguments.action == "report":
        summary = summarise_entries(entries)
        print_outcome(asdict(summary), format_summary(summary), json=arguments.json)
    else:
        for entry in entries:
            print_json(asdict(entry))


def format_summary(summary: AuditSummary) -> str:
    """Return the numbers as text."""
    parts: dict[str, Mapping[str, int]] = {
        "Events": summary.events,
        "Questions and looks by person": summary.people,
        "Answers with passages of a source": summary.sources,
        "Refusals by person": summary.refusals,
        f"Unusual reading: different documents, where the median is {summary.usual:g}": summary.unusual,
    }
    lines: list[str] = []
    for title, counts in parts.items():
        ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
        lines += [title, *(f"  {count:>8}  {name or 'nobody'}" for name, count in ordered[:_MOST_LISTED])]
        lines += [f"  and {len(ordered) - _MOST_LISTED} more"] if len(ordered) > _MOST_LISTED else []
        lines += [] if ordered else ["  none"]
    return "\n".join(lines)

"""``kvasir export``: write what is stored about a person as JSON, and the files that the person added."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bot.answering.outgoing import release_text
from bot.audit.entries import AuditEntry, Event
from bot.audit.file_log import open_audit_log
from bot.cli.command_settings import load_command_settings
from bot.cli.erasers import SLACK_ID, list_pages, list_uploads
from bot.config.settings import Settings
from bot.errors import SettingsError
from bot.private_files import write_named_file
from bot.storage.audit_people import AuditPeople
from bot.storage.personal_data import PersonalData
from bot.storage.shared_changes import SharedChanges
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_json, print_note
from knowledge.database.content import SharedContent
from knowledge.errors import SourceError
from knowledge.opening import open_content
from knowledge.sources.uploads.source import open_upload_store


async def main(arguments: argparse.Namespace) -> int:
    """Write a file, a folder with the person's files, or standard output. Only this account can read them."""
    settings = load_command_settings(arguments)
    user: str = arguments.user
    if not (SLACK_ID.fullmatch(user) and user.startswith(("U", "W"))):
        raise SettingsError(f"{user} is no Slack id of a person such as U012AB3CD. A profile in Slack shows it.")
    async with open_ledger(settings.database_url) as ledger:
        rows = await PersonalData(ledger.database, user).export_rows()
        people = AuditPeople(ledger.database, SharedChanges(ledger.database))
        async with open_audit_log(settings.audit, people) as audit:
            about = {"about": await people.find_names(user)}
            await audit.record(AuditEntry(Event.EXPORT, facts={"action": "export of a person"}, people=about))
    async with open_content(settings.knowledge) as content:
        uploads = await list_uploads(settings, content, user)
        pages = await list_pages(settings, content, user)
        exported = {
            "user": user,
            "tables": {name: [_release_row(row) for row in found] for name, found in rows.items()},
            "files": [_release_row(asdict(one) | {"source": spec.name}) for spec, found in uploads for one in found],
            "pages": [_release_row(asdict(one) | {"source": spec.name}) for spec, found in pages for one in found],
        }
        target: Path | None = arguments.json
        if target is None:
            print_json(exported)
            return 0
        try:
            written = await asyncio.to_thread(_write_export, settings, content, target, exported, uploads)
        except (OSError, SourceError) as error:
            raise SettingsError(f"{target} cannot be written ({error}). Name another place.") from error
    print_note(f"{written} has what is stored about {user}. It is personal data: give it to that person alone.")
    return 0


def _write_export(
    settings: Settings,
    content: SharedContent | None,
    target: Path,
    exported: Mapping[str, Any],
    uploads: Sequence[Any],
) -> Path:
    """Write the export, and the files if the target is a folder; return the path of the JSON file."""
    if target.suffix == ".json" and not target.is_dir():
        write_named_file(target, json.dumps(exported, ensure_ascii=False, indent=1))
        return target
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    for spec, records in uploads:
        store = open_upload_store(spec, settings.home, content)
        for record in records:
            write_named_file(target / f"{record.sha256[:8]}-{record.plain_name}", store.read_data(record))
    return _write_export(settings, content, target / "person.json", exported, ())


def _release_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: release_text(value) if isinstance(value, str) else value for name, value in row.items()}

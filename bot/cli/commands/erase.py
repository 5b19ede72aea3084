"""``kvasir erase``: delete what is stored about a person or a workspace, and print a receipt."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict

from bot.audit.commands import DirectAuditLog
from bot.audit.entries import AuditEntry, Event
from bot.audit.erasures import mark_subject
from bot.audit.keys import ensure_keys
from bot.cli.command_settings import load_command_settings
from bot.cli.erasers import ERASERS, SLACK_ID, ErasedStore, Erasure
from bot.errors import BotError, SettingsError
from bot.slack.wire.errors import SlackUnauthorized
from bot.slack.wire.installation import check_token
from bot.slack.wire.settings import SlackSettings
from bot.slack.wire.transport.web_client import open_http_session
from bot.slack.workspace.installations.parts import InstallationParts
from bot.storage.turns.ledger import open_ledger
from bot.terminal.output import print_outcome
from knowledge.database.database import Database
from knowledge.errors import KnowledgeError

NOT_ERASED = (
    "Messages in Slack, those of Kvasir among them: delete them there.",
    "Messages in the workspace on this machine: stop Kvasir, and delete the folder sandbox in KVASIR_HOME.",
    "Documents of your sources that mention the person: change them there, and the next sync follows.",
    "Readers that kvasir.toml, the file of people or a source names: remove the person there.",
    "Questions of other people that mention the person, and their answers, until the retention of turns ends.",
    "Answers to other people that cite the person's files, until then.",
    "The text of verified answers, which stay without the name of their owner: /kb verified.",
    "Logs and backups, which you keep. kvasir.log in KVASIR_HOME is a log.",
    "The memory of a running engine: kvasir engine restart.",
)
"""What is not Kvasir's to erase, or not a person's alone, and the next step."""


class ErasureRefused(BotError):
    """Nothing is erased; the text says why."""


async def main(arguments: argparse.Namespace) -> int:
    """Erase, or count; exit status 1 if something remains that should not."""
    settings = load_command_settings(arguments)
    subject: str = arguments.subject
    if not SLACK_ID.fullmatch(subject):
        raise SettingsError(
            f"{subject} is no Slack id such as U012AB3CD of a person or T012AB3CD of a workspace. A profile in Slack "
            "shows that of a person, and kvasir doctor those of workspaces."
        )
    async with open_ledger(settings.database_url) as ledger:
        erasure = Erasure(settings, ledger.database, subject, is_trial=arguments.dry_run)
        if erasure.person is None and settings.slack is not None:
            await refuse_installed(settings.slack, ledger.database, subject)
        receipt = await erase_everywhere(erasure)
    is_complete = all(one.is_complete for one in receipt)
    facts: dict[str, object] = {
        "of": "a person" if erasure.person is not None else subject,
        "dry_run": erasure.is_trial,
        "complete": is_complete,
        "stores": {one.store: one.erased for one in receipt},
    }
    if settings.audit.enabled:  # by this mark a restore of an older backup erases the subject again
        facts["mark"] = mark_subject(ensure_keys(settings.audit.key_file), subject)
    await DirectAuditLog(settings.audit).record(AuditEntry(Event.ERASURE, facts=facts))
    value = {
        "subject": subject,
        "dry_run": erasure.is_trial,
        "complete": is_complete,
        "stores": [asdict(one) for one in receipt],
        "not_erased": NOT_ERASED,
    }
    print_outcome(value, _describe_receipt(erasure, receipt), json=arguments.json)
    return 0 if is_complete else 1


async def erase_everywhere(erasure: Erasure) -> list[ErasedStore]:
    """Run all erasers, also after one failed, and return the receipt."""
    receipt: list[ErasedStore] = []
    for erase in ERASERS:
        try:
            receipt += await erase(erasure)
        except (KnowledgeError, BotError, OSError) as error:
            name = erase.__name__.replace("_", " ")
            receipt.append(ErasedStore(name, 0, f"{error} Then run this command again.", is_complete=False))
    return receipt


async def refuse_installed(slack: SlackSettings, database: Database, team: str) -> None:
    """Refuse to erase a workspace, or an organization, that has the app installed by OAuth.

    Raises:
        ErasureRefused: Slack accepts its token.
        SlackError: Slack does not answer.
        TokenKeyError: no key opens its token.
        DatabaseError: the database fails.

    """
    if slack.oauth is None:
        return
    async with open_http_session() as session:
        parts = InstallationParts(slack, slack.oauth, database, session)
        installation = await parts.installations.find_installation(team)
        if installation is None:
            return
        try:
            async with parts.open_api(installation) as api:
                await check_token(api)
        except SlackUnauthorized:
            return
    raise ErasureRefused(f"Slack accepts the token of {installation.name} ({team}). Uninstall the app there first.")


def _describe_receipt(erasure: Erasure, receipt: Sequence[ErasedStore]) -> str:
    begin = "A real run would erase" if erasure.is_trial else "Erased"
    lines = [f"{one.erased:>9,}  {one.store}" + (f". {one.remains}" if one.remains else "") for one in receipt]
    notes = [f"- {note}" for note in NOT_ERASED]
    return "\n".join([f"{begin} {erasure.subject}:", *lines, "What this command does not erase:", *notes])

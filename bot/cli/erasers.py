"""Erase one person or one workspace, store by store. Each eraser returns lines of the receipt.

A new store of personal data gets an eraser in ``ERASERS``; a new table is declared in ``bot.storage.personal_data``.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bot.config.settings import Settings
from bot.document_additions import DocumentAdditions, wait_for_sync
from bot.errors import BotError
from bot.library_opening import open_configured_library, open_page_cache
from bot.local_workspace import find_local_slack
from bot.slack.posting.document_publisher import delete_document
from bot.slack.wire.errors import SlackError
from bot.slack.wire.transport.web_api import SlackWebApi
from bot.slack.wire.transport.web_client import open_http_session, open_web_api
from bot.slack.workspace.installations.parts import InstallationParts
from bot.storage.audit_people import AuditPeople
from bot.storage.personal_data import PersonalData
from bot.storage.shared_changes import SharedChanges
from bot.storage.workspace_rows import WorkspaceRows
from knowledge.database.content import SharedContent
from knowledge.database.database import Database
from knowledge.errors import KnowledgeError
from knowledge.opening import open_content
from knowledge.settings import SourceSpec
from knowledge.sources.pages.page_list import AddedPage, open_page_list
from knowledge.sources.uploads.source import open_upload_store
from knowledge.sources.uploads.upload_store import UploadRecord

SLACK_ID: Final = re.compile(r"[UWTE][A-Z0-9]{2,}")
_SCRUB_S: Final = 60.0  # how long to wait until other processes do not read what was deleted
_SYNC_S: Final = 300.0  # how long to wait for a sync that is running
_TABLES: Final = {
    "bot_turns": "questions",
    "bot_answers": "answers",
    "bot_feedback": "votes",
    "bot_wishes": "personal settings",
    "bot_answer_documents": "records of canvases and files",
    "bot_answer_shares": "shares of answers",
    "bot_threads": "threads",
    "bot_channel_settings": "settings of channels",
    "bot_approved_channels": "approved channels",
    "bot_verified_answers": "verified answers",
    "bot_cases": "decisions on cases of transactions",
    "bot_installations": "installations",
    "bot_api_keys": "keys of the API",
    "bot_audit_people": "keys that open the audit's texts about its people",
}
"""What people call the tables; the others are of use to developers alone."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is to be erased."""

    settings: Settings
    database: Database
    subject: str
    """The Slack id of a person, a workspace or an organization."""
    is_trial: bool = False

    @property
    def person(self) -> PersonalData | None:
        """Return the data of the person, None for a workspace."""
        return PersonalData(self.database, self.subject) if self.subject.startswith(("U", "W")) else None


@dataclass(frozen=True, slots=True)
class ErasedStore:
    """A line of the receipt."""

    store: str
    erased: int
    remains: str = ""
    """What is still there, whose it is, and the next step."""
    is_complete: bool = True


Eraser = Callable[[Erasure], Awaitable[Sequence[ErasedStore]]]


async def erase_slack_documents(erasure: Erasure) -> Sequence[ErasedStore]:
    """Delete the canvases and files of answers, which are the bot's own, in Slack."""
    documents = await erasure.person.list_documents() if erasure.person is not None else []
    left = []
    for key, document in documents if not erasure.is_trial else ():
        try:
            async with _open_api(erasure, key.team) as api:
                is_deleted = await delete_document(api, document)
        except (SlackError, BotError, OSError, TimeoutError):
            is_deleted = False
        if not is_deleted:
            left.append(document.id)
    remains = f"Slack did not delete {', '.join(left)}. Delete them there." if left else ""
    return [ErasedStore("canvases and files of answers in Slack", len(documents) - len(left), remains, not left)]


@contextlib.asynccontextmanager
async def _open_api(erasure: Erasure, team: str) -> AsyncIterator[SlackWebApi]:
    """Open the Web API of a workspace.

    Raises:
        BotError, SlackError: there is no token of it.

    """
    settings = erasure.settings
    slack = settings.slack or find_local_slack(settings.home / "sandbox", settings.sandbox_port)
    if slack.oauth is None:
        async with open_web_api(slack) as api:
            yield api
        return
    async with open_http_session() as session:
        parts = InstallationParts(slack, slack.oauth, erasure.database, session)
        found = [one for one in await parts.installations.list_all() if team in {one.team, one.enterprise}]
        if not found:
            raise BotError(f"The app is not installed in {team}.")
        async with parts.open_api(found[0]) as api:
            yield api


async def erase_rows(erasure: Erasure) -> Sequence[ErasedStore]:
    """Erase the rows of the bot's tables, and stop the answers that are being written."""
    if erasure.person is not None:
        counts = await erasure.person.erase_rows(is_trial=erasure.is_trial)
    else:
        rows = WorkspaceRows(erasure.database, erasure.subject, keeps_audit=erasure.settings.audit.on_erase == "keep")
        counts = await rows.erase_workspace(is_trial=erasure.is_trial)
    return [ErasedStore(f"{_TABLES.get(table, 'rows')} ({table})", count) for table, count in counts.items()]


async def erase_audit_names(erasure: Erasure) -> Sequence[ErasedStore]:
    """Delete the keys that open what the audit says about a person; its entries stay, with a pseudonym."""
    store = "keys that open the audit's texts about the person"
    if erasure.person is None or erasure.settings.audit.on_erase == "keep":
        kept = "" if erasure.person is None else 'The audit stays readable: on_erase = "keep" in [audit] says so.'
        return [ErasedStore(store, 0, kept)]
    people = AuditPeople(erasure.database, SharedChanges(erasure.database))
    names = await people.find_names(erasure.subject)
    for name in names if not erasure.is_trial else ():
        await people.forget_person(name)
    return [ErasedStore(store, len(names))]


async def erase_uploads(erasure: Erasure) -> Sequence[ErasedStore]:
    """Delete the files that a person added, with their passages in the index."""
    if erasure.person is None:
        return []
    async with open_content(erasure.settings.knowledge) as content:
        uploads = await list_uploads(erasure.settings, content, erasure.subject)
        removed = {spec.name: [one.name for one in records] for spec, records in uploads}
        for spec, _ in uploads if not erasure.is_trial else ():
            removed[spec.name] = await asyncio.to_thread(
                open_upload_store(spec, erasure.settings.home, content).remove_documents,
                lambda record: record.added_by == erasure.subject,
            )
    remains = "" if erasure.is_trial else await _sync_removals(erasure.settings, removed)
    count = sum(map(len, removed.values()))
    return [ErasedStore("added files, with their passages in the index", count, remains, not remains)]


async def list_uploads(
    settings: Settings, content: SharedContent | None, user: str
) -> list[tuple[SourceSpec, list[UploadRecord]]]:
    """Return the files that a person added, by their source. Raises ``SourceError``."""
    return [
        (spec, [one for one in await store.run(store.list_records) if one.added_by == user])
        for spec in await _list_specs(settings, content, "push")
        for store in [open_upload_store(spec, settings.home, content)]
    ]


async def _list_specs(settings: Settings, content: SharedContent | None, kind: str) -> list[SourceSpec]:
    """Return the sources of a kind, also those that only the shared database has, because no file lists them here."""
    specs = {spec.name: spec for spec in settings.knowledge.sources if spec.kind == kind}
    names = set() if content is None else await content.list_sources(kind)
    return [*specs.values(), *(SourceSpec(name, kind, {}, settings.home) for name in names - specs.keys())]


async def _sync_removals(settings: Settings, removed: Mapping[str, Sequence[str]]) -> str:
    """Delete the passages of removed files, by source, and clean the embedded store; return what remains, or "".

    Without removed files too, because an earlier run may have stopped in between.
    """
    try:
        async with open_configured_library(settings) as library:
            for spec in settings.knowledge.sources:
                if spec.name in removed:
                    additions = DocumentAdditions(spec, settings.home, library, library.content)
                    await additions.sync_removals(removed[spec.name], patience_s=_SYNC_S)
            state = await library.status()
            await wait_for_sync(library.scrub_store, _SYNC_S)
    except (KnowledgeError, BotError) as error:
        return f"The index may still have their passages: {error} Then run this command again."
    sources = (*state.sources, *state.removed)
    pending = [one.name for one in sources if one.name in removed and one.pending_deletions]
    next_steps = " && ".join(f"kvasir sync --approve {name}" for name in pending)
    return f"Passages of removed files wait for approval. {next_steps}, then run this command again." if pending else ""


async def erase_page_names(erasure: Erasure) -> Sequence[ErasedStore]:
    """Remove the name of a person from the pages of the web that the person added; the pages stay."""
    if erasure.person is None:
        return []
    async with open_content(erasure.settings.knowledge) as content:
        pages = await list_pages(erasure.settings, content, erasure.subject)
        for spec, _ in pages if not erasure.is_trial else ():
            await asyncio.to_thread(open_page_list(spec, erasure.settings.home, content).forget_person, erasure.subject)
    return [ErasedStore("names at pages of the web that the person added", sum(len(found) for _, found in pages))]


async def list_pages(
    settings: Settings, content: SharedContent | None, user: str
) -> list[tuple[SourceSpec, list[AddedPage]]]:
    """Return the pages of the web that a person added, by their source. Raises ``SourceError``."""
    return [
        (spec, [page for page in await pages.run(pages.list_pages) if page.added_by == user])
        for spec in await _list_specs(settings, content, "pages")
        for pages in [open_page_list(spec, settings.home, content)]
    ]


async def erase_web_cache(erasure: Erasure) -> Sequence[ErasedStore]:
    """Delete the cached pages of the web, because nobody knows for whose questions they were read."""
    cache = open_page_cache(erasure.settings)
    try:
        count, remains = await cache.count_pages(), ""
        if not erasure.is_trial:
            await cache.delete_pages()
    except KnowledgeError as error:
        remains = str(error)
    finally:
        await cache.close()
    return [ErasedStore("cached pages of the web, of all people", count, remains, not remains)]


async def scrub_database(erasure: Erasure) -> Sequence[ErasedStore]:
    """Remove from the files of SQLite what was deleted; a PostgreSQL server has its own log and backups."""
    if not erasure.settings.database_url.startswith("sqlite"):
        own = "PostgreSQL's own log (WAL), dead rows until its VACUUM, and backups are the server's."
        return [ErasedStore("database files", 0, own)]
    is_clean = erasure.is_trial or await erasure.database.scrub_files(_SCRUB_S, compact=True)
    remains = f"Other programs read the database for {_SCRUB_S:.0f} s. Run this command again, or after a stop."
    return [ErasedStore("database files", 0, "" if is_clean else remains, is_clean)]


ERASERS: Final[Sequence[Eraser]] = (
    erase_slack_documents,
    erase_rows,
    erase_uploads,
    erase_page_names,
    erase_web_cache,
    erase_audit_names,
    scrub_database,
)
"""All erasers in their order: the database's files come last."""

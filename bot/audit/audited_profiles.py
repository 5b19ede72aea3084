"""Applies profiles to documents, and records who did it before anybody sees what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from bot.audit.entries import AuditEntry, AuditLog, Event, name_person
from bot.profiles.checklist.profile import Checklist
from bot.profiles.checklist.review import Review
from bot.profiles.checklist.reviewer import Reviewer
from bot.profiles.document_profiles import DocumentProfile, DocumentResult
from bot.profiles.document_reader import MaterialLibrary, ReadDocument
from bot.profiles.extraction.extraction import Extraction
from bot.profiles.extraction.extractor import Extractor
from bot.profiles.extraction.profile import ExtractionProfile
from bot.profiles.notes.note import Note, NoteRules, NoteSection
from bot.profiles.notes.writer import NoteWriter
from bot.profiles.profile import Profile
from bot.profiles.registry import Profiles
from engine.interfaces import ANONYMOUS, Requester


@dataclass(frozen=True, slots=True)
class ProfileUser:
    """Who applies a profile."""

    requester: Requester = ANONYMOUS
    """Its salt is that of the person; each document adds its own."""
    team: str = ""
    key: str = ""
    """The id of the API's key."""

    def find_requester(self, document: ReadDocument) -> Requester:
        """Return who asks the engine about a document."""
        return replace(self.requester, cache_salt=document.mix_salt(self.requester.cache_salt))


NOBODY = ProfileUser()


@dataclass(frozen=True, slots=True)
class AuditedProfiles:
    """Applies profiles, and records who read which document with which profile."""

    library: MaterialLibrary
    """Reads the documents."""
    profiles: Profiles
    _extractor: Extractor = field(repr=False)
    _reviewer: Reviewer = field(repr=False)
    _note_writer: NoteWriter = field(repr=False)
    _audit: AuditLog = field(repr=False)

    async def apply(self, profile: DocumentProfile, document: ReadDocument, user: ProfileUser) -> DocumentResult:
        """Return what a profile makes of a document.

        Raises:
            AuditFailed: the audit is strict and the entry cannot be written.
            EmbedderError, TranscriptError: as ``write_note``.

        """
        match profile:
            case ExtractionProfile():
                return await self.extract(profile, document, user)
            case Checklist():
                return await self.review(profile, document, user)
            case _:
                return await self.write_note(profile, document, user)

    async def extract(
        self, profile: ExtractionProfile, document: ReadDocument, user: ProfileUser = NOBODY
    ) -> Extraction:
        """Return the values of a document.

        Raises:
            AuditFailed: the audit is strict and the entry cannot be written.

        """
        extraction = await self._extractor.extract(profile, document, user.find_requester(document))
        found = (one.field for one in extraction.values)
        await self._record(profile.profile, document, user, found, extraction.dropped)
        return extraction

    async def review(self, checklist: Checklist, document: ReadDocument, user: ProfileUser = NOBODY) -> Review:
        """Return the answers to all statements of a checklist.

        Raises:
            AuditFailed: the audit is strict and the entry cannot be written.

        """
        review = await self._reviewer.review(checklist, document, user.find_requester(document))
        await self._record(checklist.profile, document, user, (one.label for one in review.answers), review.dropped)
        return review

    async def write_note(
        self,
        rules: NoteRules,
        document: ReadDocument,
        user: ProfileUser = NOBODY,
        *,
        show: Callable[[NoteSection], None] = lambda _: None,
    ) -> Note:
        """Return the note of a transcript; ``show`` gets each section as soon as it is written.

        Raises:
            AuditFailed: the audit is strict and the entry cannot be written.
            EmbedderError: the conversation cannot be searched.
            TranscriptError: the document is no transcript.

        """
        await self._record(rules.profile, document, user)
        return await self._note_writer.write(rules, document, user.find_requester(document), show)

    async def _record(
        self, profile: Profile, document: ReadDocument, user: ProfileUser, found: Iterable[str] = (), dropped: int = 0
    ) -> None:
        facts: dict[str, object] = {"profile": profile.name, "values": dict(Counter(found)), "dropped": dropped}
        facts |= {"key": user.key} if user.key else {}
        person = name_person(user.team, user.requester.person)
        entry = AuditEntry(Event.EXTRACTION, person, facts, {"files": [document.title]})
        await self._audit.record(entry, required=True)

"""Records each extraction and each check of a contract before anybody sees what was found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bot.audit.entries import AuditEntry, AuditLog, Event, name_person
from bot.profiles.checklist.profile import Checklist
from bot.profiles.checklist.review import Review
from bot.profiles.checklist.reviewer import Reviewer
from bot.profiles.document_reader import MaterialLibrary, ReadDocument
from bot.profiles.extraction.extraction import Extraction
from bot.profiles.extraction.extractor import Extractor
from bot.profiles.extraction.profile import ExtractionProfile
from bot.profiles.registry import Profiles
from engine.interfaces import ANONYMOUS, Requester


@dataclass(frozen=True, slots=True)
class AuditedExtractor:
    """Extracts by another extractor, and records who took values out of which file."""

    _extractor: Extractor
    _audit: AuditLog
    library: MaterialLibrary
    """Reads the files."""
    profiles: Profiles

    async def extract(
        self,
        profile: ExtractionProfile,
        document: ReadDocument,
        requester: Requester = ANONYMOUS,
        *,
        team: str = "",
        key: str = "",
    ) -> Extraction:
        """Return the values of a document; ``key`` is the id of the API's key.

        Raises:
            AuditFailed: the audit is strict and the entry cannot be written.

        """
        extraction = await self._extractor.extract(profile, document, requester)
        facts = {
            "profile": profile.profile.name,
            "values": dict(Counter(one.field for one in extraction.values)),
            "dropped": extraction.dropped,
            **({"key": key} if key else {}),
        }
        person = name_person(team, requester.person)
        entry = AuditEntry(Event.EXTRACTION, person, facts, {"files": [document.title]})
        await self._audit.record(entry, required=True)
        return extraction


@dataclass(frozen=True, slots=True)
class AuditedReviewer:
    """Reviews by another reviewer, and records who checked which contract."""

    _reviewer: Reviewer
    _audit: AuditLog

    async def review(self, checklist: Checklist, document: ReadDocument) -> Review:
        """Return the answers to all statements of a checklist.

        Raises:
            AuditFailed: the audit is strict and the entry cannot be written.

        """
        review = await self._reviewer.review(checklist, document)
        counts = Counter(one.label for one in review.answers)
        facts = {"profile": checklist.profile.name, "values": dict(counts), "dropped": review.dropped}
        person = name_person("", ANONYMOUS.person)
        await self._audit.record(
            AuditEntry(Event.EXTRACTION, person, facts, {"files": [document.title]}), required=True
        )
        return review

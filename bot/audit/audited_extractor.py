"""Records each extraction and each check of a contract before anybody sees what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.audit.entries import AuditEntry, AuditLog, Event, name_person
from bot.profiles.checklist.profile import Checklist
from bot.profiles.checklist.review import Review
from bot.profiles.checklist.reviewer import Reviewer
from bot.profiles.document_reader import MaterialLibrary, ReadDocument
from bot.profiles.extraction.extraction import Extraction
from bot.profiles.extraction.extractor import Extractor
from bot.profiles.extraction.profile import ExtractionProfile
from bot.profiles.profile import Profile
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
        facts = _describe(profile.profile, (one.field for one in extraction.values), extraction.dropped)
        facts |= {"key": key} if key else {}
        await _record(self._audit, name_person(team, requester.person), facts, document)
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
        facts = _describe(checklist.profile, (one.label for one in review.answers), review.dropped)
        await _record(self._audit, name_person("", ANONYMOUS.person), facts, document)
        return review


def _describe(profile: Profile, found: Iterable[str], dropped: int) -> dict[str, object]:
    return {"profile": profile.name, "values": dict(Counter(found)), "dropped": dropped}


async def _record(audit: AuditLog, person: str, facts: Mapping[str, object], document: ReadDocument) -> None:
    await audit.record(AuditEntry(Event.EXTRACTION, person, facts, {"files": [document.title]}), required=True)

"""Records each extraction before anybody sees its values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from bot.audit.entries import AuditEntry, AuditLog, Event, name_person
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

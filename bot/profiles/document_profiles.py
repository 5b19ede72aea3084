"""The kinds of profiles that read one document, and what they make of it."""

from __future__ import annotations

from typing import Final

from bot.profiles.checklist import profile as checklists
from bot.profiles.checklist.review import Review, build_review_json
from bot.profiles.extraction import profile as extractions
from bot.profiles.extraction.extraction import Extraction, build_extraction_json
from bot.profiles.notes import note as notes

DOCUMENT_KINDS: Final = (extractions.KIND, checklists.KIND, notes.KIND)
DocumentProfile = extractions.ExtractionProfile | checklists.Checklist | notes.NoteRules
DocumentResult = Extraction | Review | notes.Note


def build_result_json(result: DocumentResult) -> dict[str, object]:
    """Return a result for programs."""
    match result:
        case Extraction():
            return build_extraction_json(result)
        case Review():
            return build_review_json(result)
        case _:
            return notes.build_note_json(result)

"""Tests of the table of canvases and files that belong to answers."""

from __future__ import annotations

from pathlib import Path

from bot.storage.answer_documents import AnswerDocument, AnswerDocuments, DocumentKind
from bot.storage.retention import Retention
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey

KEY, OTHER = QuestionKey("T1", "C1", "100.1"), QuestionKey("T1", "C1", "100.2")
CANVAS, FILE = AnswerDocument("F1", DocumentKind.CANVAS), AnswerDocument("F2", DocumentKind.FILE)


async def test_documents_are_listed_until_they_are_removed_or_old(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path / 'kvasir.db'}") as ledger:
        documents = AnswerDocuments(ledger.database)
        for document in (CANVAS, FILE, FILE):
            await documents.add_document(KEY, document)
        await documents.add_document(OTHER, FILE)
        assert await documents.list_documents(KEY) == [CANVAS, FILE]
        await documents.remove_document(KEY, CANVAS)
        assert await documents.list_documents(KEY) == [FILE]
        await ledger.purge_rows(Retention(3_600.0, 3_600.0))
        assert await documents.list_documents(OTHER) == [FILE]
        await ledger.purge_rows(Retention(-1.0, 3_600.0))
        assert await documents.list_documents(KEY) == await documents.list_documents(OTHER) == []

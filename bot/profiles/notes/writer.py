"""Writes the note of a conversation. Nothing of it is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from bot.answering.answer import Answerer
from bot.answering.retrieval.retriever import Search
from bot.messages import extraction as texts
from bot.profiles.document_reader import MaterialLibrary, ReadDocument
from bot.profiles.engine_replies import MODEL_S
from bot.profiles.notes.note import Note, NoteRules, NoteSection, search_conversation, write_sections
from bot.profiles.notes.transcript import make_material, read_transcript
from engine.interfaces import ANONYMOUS, Requester


@dataclass(frozen=True, slots=True)
class NoteWriter:
    """Writes notes with one engine, any number at once."""

    _library: MaterialLibrary
    _create_answerer: Callable[[Search], Answerer]
    """Returns what answers from one search alone, and drops unsupported sentences."""
    _model_s: float = MODEL_S

    async def write(
        self,
        rules: NoteRules,
        document: ReadDocument,
        requester: Requester = ANONYMOUS,
        show: Callable[[NoteSection], None] = lambda _: None,
    ) -> Note:
        """Return the note of a transcript; ``show`` gets each section as soon as it is written.

        Raises:
            EmbedderError: the conversation cannot be searched.
            TranscriptError: the document is no transcript.

        """
        said = await asyncio.to_thread(read_transcript, document.text)
        conversation = await asyncio.to_thread(make_material, said, document.title)
        index, language = await self._library.index_material(conversation), document.language
        answerer = self._create_answerer(search_conversation(index))
        written: list[NoteSection] = []
        notices = [texts.CUT] if document.is_cut else []
        try:
            async with (
                asyncio.timeout(self._model_s),
                aclosing(write_sections(rules, answerer, said, language, requester)) as sections,
            ):
                async for section in sections:
                    written.append(section)
                    show(section)
        except TimeoutError:
            notices.append(texts.LATE)
        return Note(document.title, rules, language, tuple(written), tuple(notices))

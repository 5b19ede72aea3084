"""Find the verified answer to a question, for its viewers: the same question, or a similar one that is only offered."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from bot.answering.events import Passage, Question
from bot.answering.retrieval.follow_ups import depends_on_history
from bot.answering.support.embedding_cache import Embed, EmbeddingCache, Vector
from bot.answering.verified_answers.same_question import has_same_facts, is_same_question
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.languages.registry import choose_language
from knowledge.embedding.calibration import OfferThresholds
from knowledge.errors import KnowledgeError
from knowledge.interfaces import Viewers
from knowledge.search.query import parse_query, separate_filters

_log = structlog.get_logger("kvasir.verified")

_LONGEST: Final = 300
"""Characters of a question for which a similar one is looked for."""
_BATCH: Final = 64
_CACHED_TEXTS: Final = 20_000


class CurrentChunks(Protocol):
    """What the finder needs of the library; ``knowledge.library`` has the real one."""

    async def filter_current(self, chunks: Collection[str], viewers: Viewers, /) -> frozenset[str]:
        """Return which of some chunks are current and may be read by all viewers."""

    async def list_current(self, chunks: Collection[str], /) -> frozenset[str]:
        """Return which of some chunks are current; it checks no rights."""


class StoredVerifiedAnswers(Protocol):
    """What the finder needs of the stored answers; ``bot.storage.verified_answers`` has the real ones."""

    async def list_answers(self, team: str, /) -> Sequence[VerifiedAnswer]:
        """Return the verified answers of a workspace, or of ``ALL_TEAMS``, the newest first."""

    async def mark_for_review(self, id_: str, /) -> None:
        """Store that an owner has to look at an answer before it is shown again."""


class VerifiedAnswerFinder:
    """Finds verified answers. One that not all viewers may read does not exist for them."""

    def __init__(
        self,
        stored: StoredVerifiedAnswers,
        library: CurrentChunks,
        *,
        embed: Embed | None = None,
        thresholds: OfferThresholds | None = None,
        marks: bool = True,
    ) -> None:
        """Without ``embed`` nothing similar is found. Without ``marks``, answers that need review are not stored so."""
        self._stored = stored
        self._library = library
        self._vectors = (
            EmbeddingCache(embed, texts=_CACHED_TEXTS) if embed is not None and thresholds is not None else None
        )
        self._thresholds = thresholds or OfferThresholds(1.0, 1.0)
        self._marks = marks

    async def find_same(self, question: Question) -> VerifiedAnswer | None:
        """Return the verified answer to the same question, None if there is none for sure.

        Raises:
            DatabaseError: the answers, or what the viewers may read, cannot be found out.

        """
        if not may_have_verified_answer(question):
            return None
        for one in await self._list_active(question):
            if any(is_same_question(text, question.text) for text in one.texts) and await self.may_show(one, question):
                return one
        return None

    async def find_similar(self, question: Question) -> Sequence[VerifiedAnswer]:
        """Return the active answers to similar questions, the most similar first; who may read them is not checked.

        Raises:
            DatabaseError: the answers cannot be read.

        """
        if not may_have_verified_answer(question):
            return ()
        return await self._rank_similar(question, await self._list_active(question))

    async def may_show(self, answer: VerifiedAnswer, question: Question) -> bool:
        """Return whether all viewers of a question may see an answer now, where it was asked.

        Raises:
            DatabaseError: what they may read cannot be found out.

        """
        return are_within(answer.passages, question.asker.within) and await self.may_read(
            answer, question.asker.viewers
        )

    async def may_read(self, answer: VerifiedAnswer, viewers: Viewers) -> bool:
        """Return whether an answer is active and all viewers may read what it cites now.

        An answer that cites something that has changed or vanished is put into review.

        Raises:
            DatabaseError: what they may read cannot be found out.

        """
        if not answer.is_active(time.time()):
            return False
        if await self.is_readable(answer, viewers):
            return True
        await self.review_answer(answer)
        return False

    async def is_readable(self, answer: VerifiedAnswer, viewers: Viewers) -> bool:
        """Return whether all that an answer cites is current and all viewers may read it.

        Raises:
            DatabaseError: what they may read cannot be found out.

        """
        chunks = answer.chunks
        return bool(chunks) and chunks <= await self._library.filter_current(chunks, viewers)

    async def may_read_rest(self, answer: VerifiedAnswer, viewers: Viewers) -> bool:
        """Return whether all viewers may read what is still current of all that an answer cites.

        Raises:
            DatabaseError: what they may read cannot be found out.

        """
        current = await self._library.list_current(answer.chunks)
        return current <= await self._library.filter_current(answer.chunks, viewers)

    async def review_answer(self, answer: VerifiedAnswer) -> bool:
        """Put an answer into review if something that it cites is not current; return whether it needs review.

        Raises:
            DatabaseError: the manifest or the answers cannot be read.

        """
        if answer.needs_review:
            return True
        if answer.chunks <= await self._library.list_current(answer.chunks):
            return False
        if self._marks:
            _log.info("verified answer needs review", id=answer.id)
            await self._stored.mark_for_review(answer.id)
        return True

    async def _list_active(self, question: Question) -> list[VerifiedAnswer]:
        if question.asker.is_confidential:  # an owner's answer was approved for other cases
            return []
        return [one for one in await self._stored.list_answers(question.asker.team) if one.is_active(time.time())]

    async def _rank_similar(self, question: Question, active: Sequence[VerifiedAnswer]) -> list[VerifiedAnswer]:
        """Return the answers to near questions with the same facts, the nearest first."""
        question_text = question.text.strip()
        if self._vectors is None or not active or len(question_text) > _LONGEST:
            return []
        try:
            vectors = dict(await self._vectors([question_text]))
            texts = [text for one in active for text in one.texts]
            for start in range(0, len(texts), _BATCH):  # a search for somebody else comes in between
                vectors |= await self._vectors(texts[start : start + _BATCH])
        except KnowledgeError as error:
            _log.warning("questions not compared", error=str(error))
            return []
        excesses: dict[str, float] = {}
        for one in active:
            for text in one.texts:
                excess = self._compare_questions(question_text, text, vectors)
                if excess >= 0 and has_same_facts(text, question_text):
                    excesses[one.id] = max(excess, excesses.get(one.id, 0.0))
        return sorted((one for one in active if one.id in excesses), key=lambda one: -excesses[one.id])

    def _compare_questions(self, question: str, text: str, vectors: Mapping[str, Vector]) -> float:
        """Return by how much the cosine of two questions exceeds what an offer needs."""
        is_same_language = choose_language(question) == choose_language(text)
        threshold = self._thresholds.same_language if is_same_language else self._thresholds.across_languages
        return float(vectors[question] @ vectors[text]) - threshold


def may_have_verified_answer(question: Question) -> bool:
    """Return whether a question stands alone and asks for what is known: not for the web, documents or a file."""
    text = question.text
    return not (
        question.wants_web
        or question.wants_documents
        or separate_filters(text)[1]
        or any(material.is_given for material in question.materials)
        or (question.history and depends_on_history(text))
    )


def are_within(passages: Sequence[Passage], within: str) -> bool:
    """Return whether all passages come from the sources of a channel; a filter of another kind admits none."""
    if not within:
        return True
    with suppress(KnowledgeError):
        query = parse_query(f"{within} x", datetime.now(UTC))
        names = {name.casefold() for name in query.sources}
        only_sources = not (query.kinds or query.after or query.before)
        return only_sources and all(passage.source.casefold() in names for passage in passages)
    return False


async def find_first_readable(
    finder: VerifiedAnswerFinder, answers: Sequence[VerifiedAnswer], question: Question, most: int = 3
) -> VerifiedAnswer | None:
    """Return the first of some answers that all viewers of a question may see; None if there is none."""
    try:
        for one in answers[:most]:
            if await finder.may_show(one, question):
                return one
    except KnowledgeError as error:
        _log.warning("rights to a verified answer not read", error=str(error))
    return None

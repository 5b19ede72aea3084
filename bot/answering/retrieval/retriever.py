"""Find the passages for a question within a deadline, in the order in which a prompt shows them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Protocol

from bot.answering.events import Notice, Passage
from bot.answering.limits import Limits
from bot.answering.markdown.link_policy import (
    collect_allowed_hosts,
    strip_foreign_links,
    strip_invisible_characters,
)
from bot.answering.notices.answer_notices import explain_unavailable_engine
from bot.answering.retrieval.channel_filters import add_filters
from bot.answering.retrieval.follow_ups import depends_on_history
from bot.answering.retrieval.passage_order import (
    CLOSE,
    ConversationPassages,
    FindReadableChunks,
    PlacedPassage,
    place_hits,
)
from bot.answering.retrieval.question_rewriting import Rewriter
from bot.answering.retrieval.search_plan import plan_search, remove_web_wishes
from bot.answering.retrieval.unmentioned_names import find_unmentioned
from bot.answering.turn import Turn
from bot.languages.registry import Language
from bot.messages import answers
from bot.messages.errors import explain_error
from bot.messages.forms.materials import PAGES
from bot.messages.message import render_message
from engine.interfaces import ChatEngine
from knowledge.errors import InvalidFilter, KnowledgeError, NothingRead, UnknownSource
from knowledge.interfaces import LiveWebRequest, Material, SearchResult, Viewers
from knowledge.masking import DEFAULT_RECOGNISER, Recogniser
from knowledge.search.query import separate_filters

_NAME_CHARS: Final = 200
_COLONS: Final = re.compile("[:\uff1a]")


class Search(Protocol):
    """Searches the documents and the web; ``Library.search`` implements it."""

    async def __call__(
        self,
        query: str,
        *,
        limit: int,
        viewers: Viewers,
        live: LiveWebRequest | None = None,
        materials: Sequence[Material] = (),
    ) -> SearchResult:
        """Find passages that every one of ``viewers`` may see, best first, and as ``live`` says on the web.

        The passages of ``materials`` come first.

        Raises:
            KnowledgeError: they cannot be searched.

        """


class Retriever:
    """Finds passages for questions, and remembers which ones each conversation has seen."""

    def __init__(
        self,
        search: Search,
        engine: ChatEngine,
        *,
        still: FindReadableChunks | None,
        limits: Limits,
        recogniser: Recogniser = DEFAULT_RECOGNISER,
    ) -> None:
        self._search = search
        self._recogniser = recogniser
        self._engine = engine
        self._rewriter = Rewriter(engine)
        self._still = still
        self._limits = limits
        self._searching = asyncio.Semaphore(limits.searches)
        self.places = ConversationPassages()

    async def find_passages(self, turn: Turn) -> Notice | None:
        """Search; on success ``turn.passages`` is filled, else the reason is returned."""
        typed = turn.question
        turn.question = separate_filters(typed)[0] or typed
        history = remove_web_wishes(turn.asked_question.history)
        rewritten = await self._rewriter.rewrite_question(turn.question, history, turn.requester)
        try:
            plan = plan_search(
                typed,
                turn.asked_question,
                history,
                rewritten,
                live=turn.web.live,
                documents_s=self._limits.search_s,
                now=datetime.now(UTC),
                mask=functools.partial(self._recogniser.mask, names=turn.asked_question.asker.names),
            )
            turn.search_query = plan.query
            async with self._searching, asyncio.timeout(plan.within_s):
                result = await self._search(
                    plan.query,
                    limit=self._limits.hits,
                    viewers=turn.asked_question.asker.viewers,
                    live=plan.live,
                    materials=turn.asked_question.materials,
                )
                placed = await self._place_result(turn, result, starts_over=plan.starts_over)
        except (InvalidFilter, UnknownSource, NothingRead) as error:
            turn.mark_unreadable()
            return Notice(render_message(explain_error(error), turn.language))
        except KnowledgeError as error:
            return Notice(render_message(answers.SEARCH_FAILED, turn.language, reason=explain_error(error)))
        except TimeoutError:
            return Notice(render_message(answers.SEARCH_SLOW, turn.language, seconds=f"{plan.within_s:g}"))
        turn.timings["search"] = time.monotonic() - turn.began
        turn.answerable, turn.related, turn.trouble = result.answerable, result.related, result.trouble
        is_missed = turn.web.when == "always" or not result.answerable  # else the web would not have been searched
        turn.web = replace(turn.web, look=result.web, withheld=plan.withheld if is_missed else "")
        wide = not self._engine.status().small_model  # its prompt is short, and the hit itself comes first
        if not wide:
            turn.unmentioned_names = find_unmentioned(turn.question, result.hits, datetime.now(UTC).year)
        rank = {hit.id: place for place, hit in enumerate(result.hits)}
        numbered = sorted(enumerate(placed, 1), key=lambda one: rank.get(one[1].hit.id, len(rank)))
        turn.passages = tuple(_make_passage(n, one, turn.language, wide=wide) for n, one in numbered)
        return None

    async def find_warnings(self, turn: Turn, warnings: Sequence[str]) -> tuple[list[tuple[str, Passage]], int]:
        """Return the warnings that stand in a guideline that the viewers may read, each with its passage.

        Their passages become passages of the turn. The number is that of warnings that could not be searched for.
        """
        found: list[tuple[str, Passage]] = []
        searched = 0
        with contextlib.suppress(TimeoutError):
            async with self._searching, asyncio.timeout(self._limits.search_s):
                for warning in warnings:
                    with contextlib.suppress(KnowledgeError):
                        passage = await self._find_warning(turn, warning)
                        found += [] if passage is None else [(warning, passage)]
                        searched += 1
        return found, len(warnings) - searched

    async def _find_warning(self, turn: Turn, warning: str) -> Passage | None:
        asker = turn.asked_question.asker
        words = " ".join(_COLONS.sub(" ", warning).split())  # a colon would make a filter of "in:" or "after:"
        query = add_filters(words, asker.within, datetime.now(UTC))
        result = await self._search(query, limit=self._limits.hits, viewers=asker.viewers)
        hit = next((hit for hit in result.hits if _fold(warning) in _fold(hit.text)), None)
        if hit is None:
            return None
        known = (passage for passage in turn.passages if hit.id in passage.chunks)
        passage = next(known, None) or _make_passage(
            len(turn.passages) + 1, PlacedPassage(hit), turn.language, wide=False
        )
        if passage not in turn.passages:
            turn.passages = (*turn.passages, passage)
        return passage

    async def _place_result(self, turn: Turn, result: SearchResult, *, starts_over: bool) -> list[PlacedPassage]:
        """Return the passages in the prompt's order; by rank without an engine or for a small model."""
        status, question = self._engine.status(), turn.asked_question
        hits = result.hits
        if status.small_model or explain_unavailable_engine(status, turn.language) is not None:
            near = hits[: self._limits.hits]
            return [PlacedPassage(hit) for hit in near if hit.web or hit.score >= CLOSE * near[0].score]
        earlier = () if starts_over or not question.history else self.places.list_passages(question.asker.conversation)
        chunks = {chunk for one in earlier for chunk in one.chunks}
        still = await self._still(chunks, question.asker.viewers) if chunks and self._still else frozenset()
        placed = place_hits(hits, earlier, still, self._limits.hits, is_follow_up=depends_on_history(turn.question))
        if result.related:  # else no engine reads it, and what it has read stays as it is
            self.places.note_passages(question.asker.conversation, question.text.strip(), placed)
        return placed


def _make_passage(n: int, placed: PlacedPassage, language: Language, *, wide: bool) -> Passage:
    hit = placed.hit
    is_document = hit.web is None and hit.material is None
    text = (hit.context if wide else "") or hit.text
    if not is_document:  # a stranger may have written all of it
        text = strip_invisible_characters(text)
    chunks = () if not is_document else ((wide and hit.chunks) or (hit.id,))
    as_of = hit.web.fetched_at if hit.web else None if hit.material else hit.synced_at
    passage = Passage(
        n, hit.source, hit.document, "", "", hit.url, text, as_of, placed.since, hit.web, chunks, hit.material
    )
    title = _clean_name(hit.title, passage)
    if hit.material is not None and hit.material.page and (page := PAGES.get(hit.material.kind)):
        title = render_message(page, language, title=title, page=hit.material.page)
    if hit.web is None:  # a citation shows something else than an address, also if a file's name is one
        title = title or _clean_name(hit.document, passage) or hit.source
    return replace(passage, title=title, heading=_clean_name(hit.heading, passage))


def _fold(text: str) -> str:
    return "".join(text.split()).casefold()


def _clean_name(part: str, passage: Passage) -> str:
    """Return a title or heading, which a citation shows, as one short line; a document's text allows links in it."""
    name = " ".join(strip_invisible_characters(part).split())
    bare = strip_foreign_links(name, ())
    if bare != name and passage.is_document:
        bare = strip_foreign_links(name, collect_allowed_hosts([passage]))
    return bare[:_NAME_CHARS].strip()

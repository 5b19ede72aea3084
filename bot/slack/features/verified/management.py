"""What owners do with verified answers: verify, list, renew and delete them, each within what the owner may read."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from bot.answering.events import Passage
from bot.answering.verified_answers.finder import VerifiedAnswerFinder
from bot.answering.verified_answers.same_question import is_same_question
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.audit.entries import Event
from bot.slack.turns.shared_parts import SharedParts
from bot.storage.verified_answers import VerifiedAnswers

_log = structlog.get_logger("kvasir.verified")

VALID_S: Final = 180 * 86_400.0
"""How long an answer is valid unless its owner chooses another day."""
_SOON_S: Final = 14 * 86_400.0
"""How long before its end an answer needs its owner."""


@dataclass(frozen=True, slots=True)
class ManagedAnswers:
    """The verified answers that an owner manages."""

    answers: Sequence[VerifiedAnswer]
    """The newest first; those that need review are marked."""
    unreadable: Sequence[VerifiedAnswer]
    """Those that others verified and that cite what the owner may not read; their texts are not for the owner."""


class VerifiedManagement:
    """Manages verified answers for owners. Every method that touches the database raises ``DatabaseError``."""

    def __init__(self, shared: SharedParts, stored: VerifiedAnswers, finder: VerifiedAnswerFinder) -> None:
        self._shared = shared
        self._stored = stored
        self._finder = finder

    def _owns_sources(self, user: str, passages: Collection[Passage]) -> bool:
        return all(self._shared.access.is_owner(user, one.source) for one in passages)

    async def find_answer(self, user: str, id_: str) -> VerifiedAnswer | None:
        """Return an answer that a person manages and may read, None if there is none."""
        return next((one for one in (await self.list_for(user)).answers if one.id == id_), None)

    async def list_for(self, user: str) -> ManagedAnswers:
        """Return the answers that a person manages; those whose sources have changed are put into review."""
        viewers = await self._shared.find_person(user)
        readable: list[VerifiedAnswer] = []
        unreadable: list[VerifiedAnswer] = []
        for one in await self._stored.list_answers(self._shared.me.team):
            if not self._owns_sources(user, one.passages):
                continue
            checked = replace(one, needs_review=await self._finder.review_answer(one))
            # Only the person who verified the answer knows what a deleted passage said, and who might read it.
            may_see = await self._finder.may_read_rest(one, viewers) and (one.owner == user or not checked.needs_review)
            (readable if may_see else unreadable).append(checked)
        return ManagedAnswers(readable, unreadable)

    async def list_due(self, user: str) -> Sequence[VerifiedAnswer]:
        """Return those of the person's answers that expire soon, have expired or need review."""
        due_at = time.time() + _SOON_S
        return [one for one in (await self.list_for(user)).answers if not one.is_active(due_at)]

    async def may_read(self, user: str, answer: VerifiedAnswer) -> bool:
        """Return whether a person may read all that an answer cites now."""
        return await self._finder.is_readable(answer, await self._shared.find_person(user))

    async def verify_answer(self, user: str, draft: VerifiedAnswer) -> VerifiedAnswer | None:
        """Store an answer in a person's name; None if the person may not read or does not own what it cites.

        It replaces an answer to the same question from the same documents, or one that needs review.
        """
        if not (self._owns_sources(user, draft.passages) and await self.may_read(user, draft)):
            return None
        names = await self._shared.threads.find_names([user])
        answer = replace(
            draft,
            id=draft.id or uuid.uuid4().hex,
            owner=user,
            owner_name=names.get(user, user),
            verified_at=time.time(),
            needs_review=False,
        )
        managed = await self.list_for(user)
        replaced = [one.id for one in managed.answers if one.id != answer.id and self._replaces_answer(answer, one)]
        await self._stored.save_answer(answer, replaced)
        facts = {"answer": answer.id, "replaced": replaced, "action": "save"}
        await self._shared.record_event(Event.VERIFIED, user, facts)
        _log.info("answer verified", id=answer.id, user=user, replaced=len(replaced))
        return answer

    async def renew_answer(self, user: str, answer: VerifiedAnswer) -> VerifiedAnswer | None:
        """Make an answer valid for ``VALID_S`` from now; None if what it cites has changed."""
        return await self.verify_answer(user, replace(answer, expires_at=time.time() + VALID_S))

    async def delete_answer(self, user: str, answer: VerifiedAnswer) -> None:
        """Delete an answer."""
        await self._stored.delete_answer(answer.id)
        await self._shared.record_event(Event.VERIFIED, user, {"answer": answer.id, "action": "delete"})
        _log.info("verified answer deleted", id=answer.id, user=user)

    def _replaces_answer(self, new: VerifiedAnswer, old: VerifiedAnswer) -> bool:
        if not any(is_same_question(text, new.question) for text in old.texts):
            return False
        documents = [{(one.source, one.document) for one in answer.passages} for answer in (new, old)]
        return not old.is_active(time.time()) or documents[0] == documents[1]

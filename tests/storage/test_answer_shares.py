"""Tests of where answers to private questions are shared."""

from __future__ import annotations

from bot.storage.retention import Retention
from bot.storage.turns.answer_shares import CLAIM_S, AnswerShares
from bot.storage.turns.ledger import open_ledger
from bot.storage.turns.questions import QuestionKey


async def test_shares_are_claimed_once_and_forgotten_with_the_answers(url: str) -> None:
    key, now = QuestionKey("T1", "D1", "1.0"), [1_000_000.0]
    async with open_ledger(url) as ledger:
        shares = AnswerShares(ledger.database, lambda: now[0])
        await shares.offer_share(key, "C1", "general")
        await shares.offer_share(key, "C2", "other")
        assert await shares.claim_share(key)
        assert not await shares.claim_share(key)
        now[0] += CLAIM_S + 1.0
        assert await shares.claim_share(key), "the process that claimed it has died"
        await shares.note_shared(key, "2.0")
        found = await shares.find_shared(QuestionKey("T1", "C1", "2.0"))
        assert found is not None
        assert found == await shares.find_share(key)
        assert (found.target, found.target_name, found.claimed_at) == ("C1", "general", now[0])
        assert await shares.find_shared(QuestionKey("T1", "C2", "2.0")) is None
        now[0] += CLAIM_S + 1.0
        await shares.release_share(key, "1.5")
        assert not await shares.claim_share(key), "another question was deleted than the one that is there"
        await shares.release_share(key, "2.0")
        assert await shares.claim_share(key)
        await ledger.purge_rows(Retention(-1.0, 3_600.0))
        assert await shares.find_share(key) is None

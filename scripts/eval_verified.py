"""Measure verified answers: which questions get one at once, which are offered one, and how often that is wrong.

Each row of a set is a question with a verified answer, and other ways to ask it (``paraphrases``). It has the same
words with politeness and other writing (``variants``), and questions that ask something else (``near_misses``). A
paraphrase is asked while the other ones are stored as phrasings, as an owner would. Usage: ``scripts/eval_verified.py
[SET …]``.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.answering.events import Passage, Question
from bot.answering.verified_answers.finder import VerifiedAnswerFinder
from bot.answering.verified_answers.verified_answer import VerifiedAnswer
from bot.languages.registry import choose_language
from knowledge.embedding import find_calibration
from knowledge.interfaces import Viewers
from scripts.eval_sets import open_cached_embedder
from scripts.question_pairs import PAIR_SETS, read_question_pairs

PASSAGE = Passage(1, "docs", "a.md", "A", "", None, "", chunks=("c",))


class OpenLibrary:
    """A library whose passages everybody may read."""

    async def filter_current(self, chunks: frozenset[str], _viewers: Viewers) -> frozenset[str]:
        return chunks

    async def list_current(self, chunks: frozenset[str]) -> frozenset[str]:
        return chunks


class GivenAnswers:
    """The verified answers that a measurement sets."""

    answers: Sequence[VerifiedAnswer] = ()

    async def list_answers(self, _team: str) -> Sequence[VerifiedAnswer]:
        return self.answers

    async def mark_for_review(self, id_: str) -> None:
        raise AssertionError(id_)


def make_answer(id_: str, question: str, phrasings: Sequence[str]) -> VerifiedAnswer:
    """Return a verified answer that never expires."""
    return VerifiedAnswer(
        id=id_, team="", question=question, phrasings=tuple(phrasings), answer="", language=choose_language(question),
        passages=(PASSAGE,), owner="", owner_name="", verified_at=0.0, expires_at=time.time() + 1e9,
    )  # fmt: skip


async def measure(name: str, finder: VerifiedAnswerFinder, stored: GivenAnswers) -> None:
    """Print what the questions of a set get."""
    rows = read_question_pairs(name)
    full = [make_answer(str(n), row.question, row.paraphrases) for n, row in enumerate(rows)]
    counts: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    slowest = 0.0

    async def ask(kind: str, n: int, text: str, answers: Sequence[VerifiedAnswer]) -> None:
        nonlocal slowest
        stored.answers = answers
        began = time.perf_counter()
        same = await finder.find_same(Question(text))
        slowest = max(slowest, time.perf_counter() - began)
        similar = [] if same is not None else list(await finder.find_similar(Question(text)))[:1]
        totals[kind] += 1
        got = "served" if same is not None else "offered" if similar else "nothing"
        found = next(iter([same] if same is not None else similar), None)
        is_right = found is not None and found.id == str(n)
        counts[f"{kind}: {got}{'' if found is None or is_right else ' another'}"] += 1

    for n, row in enumerate(rows):
        for text in row.variants:
            await ask("variant", n, text, full)
        for kind, text in row.near_misses:
            await ask(f"near miss ({kind})", n, text, full)
        for text in row.paraphrases:
            others = [one for one in row.paraphrases if one != text]
            known = [*full[:n], replace(full[n], phrasings=tuple(others)), *full[n + 1 :]]
            await ask("paraphrase", n, text, known)
            await ask("paraphrase, nothing near", n, text, [*full[:n], *full[n + 1 :]])
    print(f"{name}: {len(rows)} verified answers, slowest look-up {slowest * 1e3:.1f} ms")
    for line, count in sorted(counts.items()):
        kind = line.partition(": ")[0]
        print(f"  {line:45} {count:4} of {totals[kind]:4}  {count / totals[kind]:.0%}")


async def main(names: Sequence[str]) -> None:
    """Measure the named sets."""
    embedder = await open_cached_embedder()
    stored = GivenAnswers()
    thresholds = find_calibration(embedder.identity).offers
    finder = VerifiedAnswerFinder(stored, OpenLibrary(), embed=embedder.embed_symmetric, thresholds=thresholds)
    for name in names:
        await measure(name, finder, stored)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or PAIR_SETS))

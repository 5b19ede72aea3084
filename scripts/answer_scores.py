"""Score answers against references: right, cited, refused, marked. Pure functions."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.answer_text import (
    cited_numbers,
    contains,
    count_words,
    first_words,
    is_refusal,
    repeats,
    split_sentences,
    without_marked,
)

# ── One answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Item:
    """A question with its right answer; without references or facts, the documents do not answer it."""

    id: str
    set: str
    lang: str
    question: str
    references: tuple[str, ...] = ()
    """Each of these is a right answer."""
    facts: tuple[tuple[str, ...], ...] = ()
    """Alternative patterns of each key fact; an answer is right with at least half of the facts."""
    pages: tuple[str, ...] = ()
    """Ends of the paths of documents that answer; empty if the text of the passage decides."""
    wrong: tuple[str, ...] = ()
    """Patterns of wrong answers."""
    cites: bool = True
    """Whether a right answer has to cite."""

    @property
    def key(self) -> str:
        """Its name among all sets: XQuAD has the same ids in each language."""
        return f"{self.set}/{self.id}"

    @property
    def answerable(self) -> bool:
        """Whether the documents answer it."""
        return bool(self.references or self.facts)


@dataclass(frozen=True, slots=True)
class Record:
    """The answer of one side."""

    id: str
    side: str
    text: str
    """The text shown as the model's words, with markers and marks; "" for an extract or a refusal of Kvasir."""
    raw: str
    """The model's text before any check; "" if it was not asked."""
    refused: bool
    """Whether the product refused without the model."""
    extract: bool
    passages: tuple[tuple[int, str, str], ...]
    """Number, document and text of the retrieved passages, with the numbers of the citations."""
    marked: int = 0
    removed: int = 0
    first_s: float | None = None
    total_s: float = 0.0
    notices: tuple[str, ...] = ()
    prompt: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one answer."""

    answerable: bool
    right: bool
    right_unverified: bool
    """The score of the model's text before marks and removals."""
    found: bool
    """Whether the retrieved passages have the reference."""
    refused: bool
    extract: bool
    claims: bool
    """Whether unmarked text of the model is shown that is not a refusal."""
    cited: int
    cited_right: int
    facts: float | None
    words: int
    sentences: int
    marked: int
    removed: int
    first_s: float | None
    total_s: float
    cites: bool = True

    @property
    def good(self) -> bool:
        """A right answer with a right citation, or a right refusal."""
        if not self.answerable:
            return self.refused
        return self.right and (self.cited_right > 0 or not self.cites)


def facts_share(item: Item, text: str) -> float | None:
    """Return the share of the key facts that a text states; None without facts."""
    if not item.facts:
        return None
    text = unicodedata.normalize("NFKC", text)
    stated = [any(re.search(one, text, re.IGNORECASE | re.DOTALL) for one in fact) for fact in item.facts]
    return sum(stated) / len(stated)


def is_right(item: Item, text: str) -> bool:
    """Return whether a text without extracts and marked sentences answers a question correctly."""
    if (
        not text.strip()
        or repeats(item.question, text)
        or any(re.search(one, text, re.IGNORECASE) for one in item.wrong)
    ):
        return False
    share = facts_share(item, text)
    if share is not None:
        return share == 1 if item.set == "newcomer" else share >= 0.5
    return any(contains(reference, first_words(text)) for reference in item.references)


def holds(item: Item, document: str, text: str) -> bool:
    """Return whether a passage has the answer, by its document or by the reference in its text."""
    if item.facts:
        ours = not item.pages or any(document == page or document.endswith(f"/{page}") for page in item.pages)
        return ours and (item.set == "newcomer" or bool(facts_share(item, text)))
    return any(contains(reference, text) for reference in item.references)


def score(item: Item, record: Record) -> Score:
    """Score one answer."""
    own = without_marked(record.text)
    by_number = {number: (document, text) for number, document, text in record.passages}
    cited = [number for number in cited_numbers(own) if number in by_number]
    right_cited = [number for number in cited if item.answerable and holds(item, *by_number[number])]
    right = item.answerable and is_right(item, own)
    refused = not right and (record.refused or (bool(record.text) and is_refusal(own)))
    return Score(
        answerable=item.answerable,
        right=right,
        right_unverified=item.answerable and is_right(item, record.raw),
        found=any(holds(item, document, text) for _, document, text in record.passages),
        refused=refused,
        extract=record.extract,
        claims=bool(own.strip()) and not refused,
        cited=len(cited),
        cited_right=len(right_cited),
        facts=facts_share(item, own) if item.answerable else None,
        words=count_words(record.text),
        sentences=len(split_sentences(record.text)),
        marked=record.marked,
        removed=record.removed,
        first_s=record.first_s,
        total_s=record.total_s,
        cites=item.cites,
    )


# ── Many answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Return the figures of one part; shares are in percent, None without a count."""
    answerable = [one for one in scores if one.answerable]
    others = [one for one in scores if not one.answerable]
    sentences = sum(one.sentences + one.removed for one in scores)
    return {
        "questions": len(answerable),
        "unanswerable": len(others),
        "good": _share(scores, lambda one: one.good),
        "good of answerable": _share(answerable, lambda one: one.good),
        "accuracy": _share(answerable, lambda one: one.right),
        "accuracy unverified": _share(answerable, lambda one: one.right_unverified),
        "found": _share(answerable, lambda one: one.found),
        "accuracy of found": _share([one for one in answerable if one.found], lambda one: one.right),
        "key facts": _mean([100 * one.facts for one in answerable if one.facts is not None]),
        "citation precision": _ratio(sum(one.cited_right for one in answerable), sum(one.cited for one in answerable)),
        "citation recall": _share(
            [one for one in answerable if one.right and one.cites], lambda one: one.cited_right > 0
        ),
        "right refusals": _share(others, lambda one: one.refused),
        "false answers": _share(others, lambda one: one.claims),
        "wrong refusals": _share(answerable, lambda one: one.refused),
        "extracts": _share(scores, lambda one: one.extract),
        "marked": _ratio(sum(one.marked for one in scores), sentences),
        "removed": _ratio(sum(one.removed for one in scores), sentences),
        "words": _median([one.words for one in scores if one.words]),
        "first s": _median([one.first_s for one in scores if one.first_s is not None]),
        "first s p90": _p90([one.first_s for one in scores if one.first_s is not None]),
        "whole s": _median([one.total_s for one in scores]),
        "whole s p90": _p90([one.total_s for one in scores]),
    }


def differences(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return Kvasir's sums minus the plain recipe's, in points."""
    kvasir, plain = parts.get("kvasir"), parts.get("plain")
    if not kvasir or not plain:
        return {}
    return {
        name: round(kvasir[name] - plain[name], 1)
        for name in ("good", "good of answerable")
        if kvasir[name] is not None and plain[name] is not None
    }


def _share(scores: Sequence[Score], counts: Callable[[Score], bool]) -> float | None:
    return _ratio(sum(1 for one in scores if counts(one)), len(scores))


def _ratio(part: int, whole: int) -> float | None:
    return round(100 * part / whole, 1) if whole else None


def _mean(values: Sequence[float]) -> float | None:
    return round(statistics.fmean(values), 1) if values else None


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 2) if values else None


def _p90(values: Sequence[float]) -> float | None:
    return round(sorted(values)[min(len(values) - 1, int(0.9 * len(values)))], 2) if values else None

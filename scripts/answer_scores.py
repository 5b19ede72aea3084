"""Score answers against references: right, cited, refused, marked. Pure functions."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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

OWN_WORDS = "own-words"
"""The beginning of the names of the sets whose questions people asked in their own words."""
_MARKDOWN = re.compile(r"(?m)^> ?|[*`\\\\]")
FIRST_PASSAGES = 5
"""Passages of each side in which the answer is looked for; the plain recipe has no more."""

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
    """Alternative patterns of each key fact."""
    pages: tuple[str, ...] = ()
    """Ends of the paths of documents that answer; empty if the text of the passage decides."""
    wrong: tuple[str, ...] = ()
    """Patterns of wrong answers."""
    cites: bool = True
    """Whether a right answer has to cite."""
    kind: str = ""
    """What answers it: ``prose``, ``figure`` or ``table``; ``none`` where nothing does, "" if unknown."""

    @property
    def least_facts(self) -> float:
        """The share of the key facts that a right answer states."""
        return 1.0 if self.set == "newcomer" or self.set.startswith(OWN_WORDS) else 0.5

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
    extracts: str = ""
    """The extracts shown, as Markdown."""
    retrieved: tuple[tuple[str, str], ...] = ()
    """Document and text of the retrieved passages, best first; those of ``passages`` if empty."""
    replayed: bool = False
    """Whether the model's words were recorded before, so that the seconds say nothing."""

    @property
    def first_passages(self) -> tuple[tuple[str, str], ...]:
        """The best retrieved passages, as many for each side."""
        return (self.retrieved or tuple((document, text) for _, document, text in self.passages))[:FIRST_PASSAGES]


@dataclass(frozen=True, slots=True)
class Score:
    """The score of one answer."""

    answerable: bool
    right: bool
    right_unverified: bool
    """The score of the model's text before marks and removals."""
    found: bool
    """Whether the retrieved passages have the reference."""
    found_five: bool
    """Whether one of the first five passages has it."""
    found_first: bool
    """Whether the first passage has it."""
    shown: bool
    """Whether the answer stands in what a person sees without a mark, extracts included."""
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
    closest: bool = False
    """Whether extracts are shown alone, which is no answer and no refusal."""
    replayed: bool = False

    @property
    def unknown(self) -> bool:
        """A bare "I do not know"."""
        return self.refused and not self.extract

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
    forms = _list_forms(text)
    flags = re.IGNORECASE | re.DOTALL
    stated = [any(re.search(one, form, flags) for one in fact for form in forms) for fact in item.facts]
    return sum(stated) / len(stated)


def _list_forms(text: str) -> tuple[str, ...]:
    """Return the forms of a text that a pattern may match: as it is, normalised, and without Markdown's marks."""
    normal = unicodedata.normalize("NFKC", text)
    return tuple(dict.fromkeys((normal, text, _MARKDOWN.sub("", normal), _MARKDOWN.sub("", text))))


def states_answer(item: Item, text: str) -> bool:
    """Return whether a reference, or enough of the key facts, stand in a text."""
    share = facts_share(item, text)
    if share is not None:
        return share >= item.least_facts
    return any(contains(reference, text) for reference in item.references)


def is_right(item: Item, text: str) -> bool:
    """Return whether a text without extracts and marked sentences answers a question correctly."""
    if (
        not text.strip()
        or repeats(item.question, text)
        or any(re.search(one, text, re.IGNORECASE) for one in item.wrong)
    ):
        return False
    return states_answer(item, text if item.facts else first_words(text))


def holds(item: Item, document: str, text: str) -> bool:
    """Return whether a passage has the answer, by its document or by the reference in its text."""
    if item.facts:
        ours = not item.pages or any(document == page or document.endswith(f"/{page}") for page in item.pages)
        return ours and (item.set == "newcomer" or bool(facts_share(item, text)))
    return any(contains(reference, text) for reference in item.references)


def is_shown(item: Item, record: Record) -> bool:
    """Return whether the answer stands in what a person sees without a mark, extracts included."""
    own = without_marked(record.text)
    if any(re.search(one, own, re.IGNORECASE) for one in item.wrong):
        return False
    return item.answerable and states_answer(item, f"{own}\n{record.extracts}")


def score(item: Item, record: Record) -> Score:
    """Score one answer."""
    own = without_marked(record.text)
    holding = [holds(item, document, text) for document, text in record.first_passages]
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
        found_five=any(holding),
        found_first=any(holding[:1]),
        shown=is_shown(item, record),
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
        closest=record.extract and not record.text.strip(),
        replayed=record.replayed,
    )


def add_passages(kvasir: Record, plain: Record, count: int = 3) -> Record:
    """Return the plain recipe's answer followed by its first passages, cut to the characters that Kvasir showed.

    Kvasir's paths of passages and its marks count as characters. Where the plain answer is longer than all that Kvasir
    showed, it stays whole, and no passage follows.
    """
    left = len(kvasir.text) + len(kvasir.extracts) - len(plain.text)
    texts = cut_evenly([text for _, text in plain.first_passages[:count]], left)
    return replace(plain, side="extracts", extracts="\n".join(filter(None, texts)), extract=any(texts))


def cut_evenly(texts: Sequence[str], chars: int) -> list[str]:
    """Return the beginnings of texts with so many characters in all: what a short one leaves, the longer ones get."""
    left, lengths = max(0, chars), dict[int, int]()
    for done, place in enumerate(sorted(range(len(texts)), key=lambda place: len(texts[place]))):
        lengths[place] = min(len(texts[place]), left // (len(texts) - done))
        left -= lengths[place]
    return [text[: lengths[place]] for place, text in enumerate(texts)]


# ── Many answers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """Return the figures of one part; shares are in percent, None without a count."""
    answerable = [one for one in scores if one.answerable]
    others = [one for one in scores if not one.answerable]
    found_five = [one for one in answerable if one.found_five]
    sentences = sum(one.sentences + one.removed for one in scores)
    timed = [one for one in scores if not one.replayed]
    first_s = [one.first_s for one in timed if one.first_s is not None]
    return {
        "questions": len(answerable),
        "unanswerable": len(others),
        "good": _share(scores, lambda one: one.good),
        "good of answerable": _share(answerable, lambda one: one.good),
        "accuracy": _share(answerable, lambda one: one.right),
        "accuracy unverified": _share(answerable, lambda one: one.right_unverified),
        "wrong answers": _share(answerable, lambda one: one.claims and not one.right),
        "shown": _share(answerable, lambda one: one.shown),
        "closest": _share(answerable, lambda one: one.closest),
        "wrong refusals": _share(answerable, lambda one: one.refused),
        "unknown": _share(answerable, lambda one: one.unknown),
        "found": _share(answerable, lambda one: one.found),
        "found in five": _share(answerable, lambda one: one.found_five),
        "found first": _share(answerable, lambda one: one.found_first),
        "accuracy of found": _share([one for one in answerable if one.found], lambda one: one.right),
        "accuracy of five": _share(found_five, lambda one: one.right),
        "shown of five": _share(found_five, lambda one: one.shown),
        "key facts": _mean([100 * one.facts for one in answerable if one.facts is not None]),
        "citation precision": _ratio(sum(one.cited_right for one in answerable), sum(one.cited for one in answerable)),
        "citation recall": _share(
            [one for one in answerable if one.right and one.cites], lambda one: one.cited_right > 0
        ),
        "right refusals": _share(others, lambda one: one.refused),
        "false answers": _share(others, lambda one: one.claims),
        "others: extracts": _share(others, lambda one: one.extract),
        "others: unknown": _share(others, lambda one: one.unknown),
        "extracts": _share(scores, lambda one: one.extract),
        "marked": _ratio(sum(one.marked for one in scores), sentences),
        "removed": _ratio(sum(one.removed for one in scores), sentences),
        "words": _median([one.words for one in scores if one.words]),
        "timed": len(timed),
        "first s": _median(first_s),
        "first s p90": _p90(first_s),
        "whole s": _median([one.total_s for one in timed]),
        "whole s p90": _p90([one.total_s for one in timed]),
    }


KIND_FIGURES = ("questions", "found in five", "accuracy", "shown", "closest", "unknown")
"""The figures of questions of one kind."""
NEAR_MISS_FIGURES = ("unanswerable", "false answers", "others: extracts", "others: unknown")
"""The figures of questions of the kind ``none``."""

COMPARED = {
    "plain": ("good", "good of answerable", "accuracy", "wrong answers", "false answers", "shown"),
    "extracts": ("shown",),
}
"""The figures that are compared with Kvasir's, for each other side."""


def differences(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Return Kvasir's shares minus those of each other side, in points."""
    kvasir = parts.get("kvasir", {})
    return {
        side: {
            name: round(kvasir[name] - parts[side][name], 1)
            for name in names
            if kvasir[name] is not None and parts[side][name] is not None
        }
        for side, names in COMPARED.items()
        if kvasir and side in parts
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

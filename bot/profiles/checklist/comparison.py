"""What changed between two versions of a contract: answers to statements, and clauses. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from string import ascii_lowercase
from typing import Final

from bot.answering.outgoing import release_text
from bot.profiles.checklist.review import Review, StatementAnswer, build_review_json
from bot.profiles.document_reader import ReadDocument
from bot.profiles.spans import FoldedText, Span, find_item_mark, split_clauses

CHANGE_COLUMNS: Final = ("change", "statement", "before", "after", "text")
_ROMAN: Final = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx".split()  # noqa: SIM905
_SUCCESSIONS: Final = frozenset([*pairwise(map(str, range(100))), *pairwise(ascii_lowercase), *pairwise(_ROMAN)])
_NEARBY: Final = 12  # a list goes on after at most so many other marks, such as those of a list within it


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of a contract."""

    old: Review
    new: Review
    changes: tuple[tuple[StatementAnswer, StatementAnswer], ...]
    """The answers before and after, where the label or a clause is another one."""
    added: tuple[str, ...]
    """Clauses that only the new version has, in its order."""
    removed: tuple[str, ...]
    """Clauses that only the old version has, in its order."""


def compare_versions(old: Review, new: Review, before: ReadDocument, after: ReadDocument) -> Comparison:
    """Return what changed; another number of a clause and other white space are no change."""
    earlier, later = _read_clauses(before.texts), _read_clauses(after.texts)
    changes = tuple(
        (one, other)
        for one, other in zip(old.answers, new.answers, strict=True)
        if (one.label, _list_said(one, earlier)) != (other.label, _list_said(other, later))
    )
    texts, others = list(earlier.values()), list(later.values())
    return Comparison(old, new, changes, tuple(_subtract(others, texts)), tuple(_subtract(texts, others)))


def _list_said(answer: StatementAnswer, clauses: Mapping[tuple[int, Span], str]) -> list[str]:
    return [clauses[one.passage.n, one.span] for one in answer.clauses]


def _read_clauses(texts: Sequence[str]) -> dict[tuple[int, Span], str]:
    """Return the clauses of a contract without the marks of lists; "1.5 million" and "A. Meyer" begin with no mark."""
    folded = {
        (number, span): FoldedText(span.cut(text)).text
        for number, text in enumerate(texts, 1)
        for span in split_clauses(text)
    }
    # "2." may be a clause of its own.
    marks = {place: mark for place, said in folded.items() if (mark := find_item_mark(f"{said} "))}
    listed = {place for place, is_listed in zip(marks, _are_listed([*marks.values()]), strict=True) if is_listed}
    return {
        place: said[len(marks[place]) :].strip() if place in listed else said.strip() for place, said in folded.items()
    }


def _are_listed(marks: Sequence[str]) -> list[bool]:
    """Return of each mark whether it is a bullet, or one nearby comes before or after it in a list."""
    parts = [re.findall(r"[^\W_]+", mark.lower()) for mark in marks]
    forms = [re.sub(r"[\w\s.]", "", mark) for mark in marks]
    found = [not part for part in parts]
    for n, later in enumerate(parts):
        for k in range(max(0, n - _NEARBY), n):
            level, earlier = len(later) - 1, parts[k]
            step = (*earlier[level : level + 1], *later[level:])
            follows = earlier[:level] == later[:level] and step in _SUCCESSIONS  # 2.4, 2.5; 2.4, 3
            if forms[k] == forms[n] and (follows or later == [*earlier, "1"]):
                found[n] = True
                found[k] |= len(earlier) <= len(later)  # 3 may follow any number such as 2.4
    return found


def _subtract(clauses: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """Yield the clauses that the others lack, each as often as it is more often there."""
    left = Counter(others)
    for one in clauses:
        left[one] -= 1
        if one and left[one] < 0:
            yield one


def build_comparison_json(comparison: Comparison) -> dict[str, object]:
    """Return a comparison for programs, with both reviews."""
    return {
        "old": build_review_json(comparison.old),
        "new": build_review_json(comparison.new),
        "changes": [
            {"statement": one.statement.name, "before": one.label, "after": other.label}
            for one, other in comparison.changes
        ],
        "added": [release_text(one) for one in comparison.added],
        "removed": [release_text(one) for one in comparison.removed],
    }


def list_change_rows(comparison: Comparison) -> Iterator[Sequence[str]]:
    """Yield a row for each changed answer, and for each clause that was added or removed."""
    for one, other in comparison.changes:
        text = release_text(" ".join(clause.text for clause in other.clauses))
        yield "answer", one.statement.name, one.label, other.label, text
    for change, clauses in (("added", comparison.added), ("removed", comparison.removed)):
        yield from ((change, "", "", "", release_text(clause)) for clause in clauses)

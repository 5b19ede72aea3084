"""What changed between two versions of a contract: answers to statements, and clauses. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bot.answering.outgoing import release_text
from bot.profiles.checklist.review import Review, StatementAnswer, build_review_json
from bot.profiles.document_reader import ReadDocument
from bot.profiles.spans import FoldedText, find_item_mark, split_clauses

CHANGE_COLUMNS: Final = ("change", "statement", "before", "after", "text")


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
    changes = tuple(
        (one, other)
        for one, other in zip(old.answers, new.answers, strict=True)
        if (one.label, _list_said(one)) != (other.label, _list_said(other))
    )
    texts, later = _list_clauses(before.texts), _list_clauses(after.texts)
    return Comparison(old, new, changes, tuple(_subtract(later, texts)), tuple(_subtract(texts, later)))


def _list_said(answer: StatementAnswer) -> list[str]:
    return [_fold_clause(one.text) for one in answer.clauses]


def _list_clauses(texts: Sequence[str]) -> list[str]:
    return [_fold_clause(span.cut(text)) for text in texts for span in split_clauses(text)]


def _fold_clause(text: str) -> str:
    folded = FoldedText(text).text
    return folded[len(find_item_mark(folded)) :].strip()


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

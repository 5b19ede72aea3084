from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.support.alignment import align_texts

VOCABULARY = ["tea", "is", "not", "free", "before", "noon", "at", "the", "office", "茶", "不", "免费"]
WORDS = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("sentence", "stretch", "negated"),
    [
        ("Tea is not free in the office.", "Tea is free in the office.", True),
        ("Tea is free in the office.", "Tea isn't free in the office.", True),
        ("The tool does not delete old files.", "The tool deletes old files.", True),
        ("It cannot be used in the office.", "It can not be used in the office.", False),
        ("试用期内可以休年假。", "试用期内不可以休年假。", True),
        ("Tea is free in the office.", "Coffee is not sold here at all, but tea is free in the office.", False),
        ("Tea is free in the office.", "Tea is free in the office, and coffee is not.", False),
        ("Tea is free in the office.", "Tea, unlike coffee that no visitor may have, is free in the office.", False),
    ],
)
def test_negation_counts_if_other_words_match(sentence: str, stretch: str, *, negated: bool) -> None:
    found = align_texts(sentence, stretch)
    assert found is not None
    assert found.is_negated == negated


@pytest.mark.parametrize(
    ("sentence", "stretch"),
    [
        ("Close the valve before the test.", "Close the valve after the test."),
        ("The prices of tea increased last year.", "The prices of tea decreased last year."),
        ("茶的价格增加了。", "茶的价格减少了。"),
    ],
)
def test_opposites_are_found_in_both_directions(sentence: str, stretch: str) -> None:
    for one, other in ((sentence, stretch), (stretch, sentence)):
        found = align_texts(one, other)
        assert found is not None
        assert found.has_opposite


def test_different_texts_are_not_aligned() -> None:
    assert align_texts("Bananas are yellow.", "Tea is free in the office.") is None
    assert align_texts("", "Tea is free.") is None


@given(WORDS)
def test_text_aligns_with_itself(words: list[str]) -> None:
    found = align_texts(" ".join(words), " ".join(words))
    assert found is not None
    assert (found.changed_words, found.is_negated, found.kept_share) == (frozenset(), False, 1.0)


@given(WORDS, WORDS)
def test_kept_share_is_between_zero_and_one(mine: list[str], theirs: list[str]) -> None:
    found = align_texts(" ".join(mine), " ".join(theirs))
    if found is not None:
        assert 0.0 <= found.kept_share <= 1.0
        assert all(old != new for old, new in found.changed_words)

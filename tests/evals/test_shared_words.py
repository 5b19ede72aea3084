"""Test the share of a question's words that stand in the passage that answers it."""

from __future__ import annotations

import pytest

from scripts.answer_scores import Item
from scripts.measure_shared_words import choose_section, cut_around_facts, list_content_terms, measure_shared

ITEM = Item("q", "own-words-gateway", "en", "How long is the wait before a retry?", facts=((r"\b30 s\b",),))


def test_function_words_and_single_chinese_characters_do_not_count() -> None:
    assert list_content_terms("How long is the wait before a retry?") == ["long", "wait", "befor", "retri"]
    assert list_content_terms("端口是多少") == ["端口", "口是", "是多", "多少"]
    assert list_content_terms("what is it") == []


def test_words_are_compared_by_their_stems() -> None:
    assert measure_shared(ITEM.question, "It waits; retries follow.") == pytest.approx(0.5)
    assert measure_shared("默认端口", "端口") == pytest.approx(1 / 3)
    assert measure_shared("what is it", "It is.") is None


def test_the_section_that_states_the_fact_counts_before_one_with_more_words() -> None:
    sections = ("How long to wait before a retry", "The delay is 30 s.", "The wait is 30 s.")
    assert choose_section(ITEM, sections) == "The wait is 30 s."


def test_a_stretch_stands_around_the_fact_and_within_the_section() -> None:
    section = f"{'x ' * 50}The wait is 30 s.{' retry' * 20}"
    stretch = cut_around_facts(ITEM, section, 40)
    assert len(stretch) == 40
    assert "30 s" in stretch
    assert cut_around_facts(ITEM, "It is 30 s.", 40) == "It is 30 s."

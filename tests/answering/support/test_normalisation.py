from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.support.normalisation import find_subject, resolve_pronoun, strip_frame, strip_preamble


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("According to passage 3, employees get 25 days.", "employees get 25 days."),
        ("The passage states that employees get 25 days.", "employees get 25 days."),
        ("Based on the documents, you can.", "you can."),
        ("Based on the provided context [1], the limit is 5.", "the limit is 5."),
        ("Passage 2 says: keep it.", "keep it."),
        ("It is mentioned in the guide that tea is free.", "tea is free."),
        ("根据段落3，员工每年享有十五天年假。", "员工每年享有十五天年假。"),
        ("文中提到，员工有十五天。", "员工有十五天。"),
        ("However, it is free.", "it is free."),
        ("Additionally, according to the documents, it is free.", "it is free."),
        ("此外，试用期内不得休年假。", "试用期内不得休年假。"),
        ("Yes, you are right. Employees get 25 days.", "Employees get 25 days."),
        ("No, that is not possible.", "that is not possible."),
        ("不，试用期内不能休假。", "试用期内不能休假。"),
        ("Yes, you are right.", ""),
        ("The document describes the steps in detail.", "The document describes the steps in detail."),
        ("Sources are listed in kvasir.toml.", "Sources are listed in kvasir.toml."),
        ("不同部门有不同的规定。", "不同部门有不同的规定。"),
        ("根据公司规定，员工须打卡。", "根据公司规定，员工须打卡。"),
    ],
)
def test_framing_words_are_removed(sentence: str, claim: str) -> None:
    assert strip_frame(sentence) == claim


@pytest.mark.parametrize(
    ("claim", "subject", "resolved"),
    [
        ("it is free.", "Tea", "Tea is free."),
        ("They can be carried over.", "Unused days", "Unused days can be carried over."),
        ("它支持 Redis。", "该插件", "该插件支持 Redis。"),
        ("This plugin is old.", "Tea", "This plugin is old."),
        ("Italy is far.", "Tea", "Italy is far."),
        ("it is free.", "", "it is free."),
    ],
)
def test_leading_pronoun_becomes_previous_subject(claim: str, subject: str, resolved: str) -> None:
    assert resolve_pronoun(claim, subject) == resolved


@pytest.mark.parametrize(
    ("sentence", "subject"),
    [
        ("Unused days can be carried over.", "Unused days"),
        ("However, the `limit-count` plugin is old.", ""),
        ("该插件支持 Redis。", "该插件"),
        ("It is free.", ""),
        ("", ""),
    ],
)
def test_subject_of_sentence_is_found(sentence: str, subject: str) -> None:
    assert find_subject(sentence) == subject


@given(st.text(max_size=200))
def test_claim_is_end_of_sentence_without_frame(sentence: str) -> None:
    claim = strip_frame(sentence)
    assert sentence.strip().endswith(claim)
    assert strip_frame(claim) == claim


@given(st.sampled_from(["According to passage 2, ", "However, ", "根据段落3，", "Yes, you are right. "]))
def test_stacked_frames_are_removed(frame: str) -> None:
    assert strip_frame(frame + frame + "Tea is free.") == "Tea is free."


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("文档中提到，年假28天。", "年假28天。"),
        ("文件显示方式可以更改。", "文件显示方式可以更改。"),
        ("文档说明书由人事部发放。", "文档说明书由人事部发放。"),
    ],
)
def test_name_that_resembles_preamble_is_kept(sentence: str, shown: str) -> None:
    assert strip_preamble(sentence) == shown

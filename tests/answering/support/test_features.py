from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.support.claims import extract_claims
from bot.answering.support.conflicts import is_contradicted
from bot.answering.support.features import FEATURES, compute_features
from bot.answering.support.matching import (
    Match,
    analyse_passage,
    contains_literally,
    join_matches,
    match_passage,
)
from knowledge.embedding import IDENTITY, find_calibration

SCALE = find_calibration(IDENTITY).support.scale


def match_claim(sentence: str, passage: str, path: str = "") -> Match:
    """Return the match of a sentence with all sentences of a passage, none more similar than another."""
    analysed = analyse_passage(passage, path)
    return match_passage(extract_claims(sentence), analysed, dict.fromkeys(range(len(analysed.sentences)), 0.9), SCALE)


def find_contradictions(sentence: str, passage: str, question: str = "") -> set[str]:
    """Return the names of the features that contradict a sentence."""
    values = compute_features(match_claim(sentence, passage), extract_claims(question))
    return {name for name, value in zip(FEATURES[2:], values[2:], strict=True) if value}


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Keep it for thirty days.", "It is kept for 30 days."),
        ("保留三十天。", "It is kept for 30 days."),
        ("Set `ttl` to 300 before the move.", "One sets `ttl` to 300 ahead of a move."),
        ("Finance approves it.", "It is approved by the finance department."),
        ("At most five days can be taken.", "Up to five days can be taken."),
        ("It is due within 36 months.", "It is due within three years."),
        ("SSO is set up by an owner.", "Single sign-on is set up by an owner."),
        ("A year costs 25 euros.", "It costs 25 euros annually."),
        ("Never more than 5 are kept.", "At most 5 are kept."),
        ("The Philippines belong to it.", "A Philippine island belongs to it, the Philippines as a whole."),
        ("Copies go abroad. These are kept.", "Copies go abroad; all of them are kept."),
        ("Logs are kept by default.", "Logs are kept by default, which cannot be changed."),
    ],
)
def test_same_statement_has_no_contradiction(sentence: str, passage: str) -> None:
    assert find_contradictions(sentence, passage) == set()
    assert not is_contradicted(match_claim(sentence, passage))


@pytest.mark.parametrize(
    ("sentence", "passage", "feature"),
    [
        ("It is kept for 31 days.", "It is kept for 30 days.", "number"),
        ("保留三十一天。", "It is kept for 30 days.", "number"),
        ("Do it on Friday.", "Do it on Monday.", "number"),
        ("每周五清洗机器。", "每周一清洗机器。", "number"),
        ("Send `after` along.", "Send `before` along.", "identifier"),
        ("请求头为 X-Token。", "The header is X-Sign.", "name"),
        ("酒店通过“携途”预订。", "酒店通过“途安”预订。", "name"),
        ("Copies are in Frankfurt and Paris.", "Copies are in Frankfurt and Dublin.", "name"),
        ("Logs stay 90 days.", "Logs stay 7 years. Tickets stay 90 days.", "binding"),
        ("Writes are not accepted.", "Writes are accepted.", "negation"),
        ("Dogs can be carried over.", "Cats cannot be carried over.", "denial"),
        ("The tool does not delete pictures.", "The tool deletes pictures.", "denial"),
        (
            "The Council was not Elizabeth's group of advisers.",
            "The Council was Elizabeth's group of advisers.",
            "denial",
        ),
        ("It is not one of 12 types of valves.", "It is one of 12 types of valves. No pump is a valve.", "denial"),
        ("Close it before the test.", "Close it after the test.", "opposite"),
        ("Pour water into acid, never acid into water.", "Pour acid into water, never water into acid.", "swapped"),
        ("男性不低于45公斤，女性不低于50公斤。", "男性不低于50公斤，女性不低于45公斤。", "swapped"),
        ("It uses HTTP.", "It uses HTTPS.", "name"),
        ("Logs from Paris Bay are not kept.", "Logs from Paris Bay are kept.", "negation"),
        ("日志不会保留。", "Logs are kept for a year.", "negation"),
        (
            "You can add the Watson Content catalog to greet a user.",
            "You can add the General Purpose catalog to greet a user. It is free. Watson Content is another one.",
            "renamed",
        ),
    ],
)
def test_contradictions_have_names(sentence: str, passage: str, feature: str) -> None:
    assert feature in find_contradictions(sentence, passage)


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Audit logs are kept for 31 days.", "Audit logs are kept for 30 days."),
        ("员工每年享有二十天带薪年假。", "员工每年享有十五天带薪年假。"),
        ("Expenses up to €40 do not need approval.", "Expenses up to €50 do not need approval."),
        ("Copies of the data are kept in Paris.", "Copies of the data are kept in Dublin."),
        ("The tool does not delete old pictures.", "The tool deletes old pictures."),
        ("Close the valve before the pressure test.", "Close the valve after the pressure test."),
        ("Managers report to directors each week.", "Directors report to managers each week."),
        ("The report is due on 4 May 2024.", "The report is due on 3 May 2024."),
        (
            "The support team answers 60 tickets on average.",
            "Over the weekend the support team answers 40 tickets on average.",
        ),
        ("项目奖金是6000元。", "项目奖金达到5000元。"),
    ],
)
def test_passage_contradicts_claim_with_one_changed_fact(sentence: str, passage: str) -> None:
    assert is_contradicted(match_claim(sentence, passage))


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("Audit logs are kept for 31 days.", "Tickets are closed after 30 days."),
        ("It takes 5 minutes to restore a table.", "Restoring a table is easy. A backup takes 40 minutes."),
        ("Cats and dogs are allowed in the office.", "Dogs and cats are allowed in the office."),
        ("Emails are archived.", "Emails are archived in Dublin for 30 days."),
        (
            "Audit logs are kept for 7 years and tickets for 90 days.",
            "Tickets are kept for 90 days and audit logs for 7 years.",
        ),
        ("Logs stay for 30 days.", "日志保留四十天。"),
        ("新服务上线前应运行不少于72小时。", "新服务上线前须运行至少72小时。"),
        ("The plan did not exist in the year 1035.", "The plan started to exist in the year 1234."),
        ("An expense of €60 needs approval by the manager.", "Expenses above €50 need approval by the manager."),
        ("Expenses of €40 do not need approval.", "Expenses up to €50 do not need approval."),
        ("Sign the deal with the buyer rather than the seller.", "Sign the deal with the buyer, not the seller."),
        (
            "The cable goes to the right port from the left port.",
            "The cable goes from the left port to the right port.",
        ),
        ("泳池7月开放。", "泳池六月至八月开放。"),
        ("泳池9月开放。", "泳池六月至八月开放。"),
        ("The first start takes 17 minutes.", "The first start takes 5 to 10 minutes."),
        ("The first start takes 7 minutes.", "The first start takes 5 to 10 minutes."),
        ("只有启用实时网络才会向第三方发送数据。", "除非启用实时网络，否则不会向第三方发送数据。"),
        ("未启用实时网络时，不会向第三方发送数据。", "除非启用实时网络，否则不会向第三方发送数据。"),
        ("40欧元的费用不需要审批。", "50欧元以下的费用不需要审批。"),
        (
            "Copies of the data are kept in Dublin.",
            "Copies of the data are kept in Paris. They are encrypted. Nobody reads them. The same holds for Dublin.",
        ),
        (
            "A hotel room may cost €120 per night for stays of more than three nights.",
            "A hotel room may cost up to €150 per night for stays of more than three nights.",
        ),
        ("Expenses of €60 do not need approval.", "Expenses up to €50 do not need approval."),
        (
            "During probation, notice is two weeks, not three months.",
            "During probation the notice period is two weeks; after it, it is three months.",
        ),
        ("Meteora is not an album by Pearl Jam.", "Meteora is an album by Metallica, not Pearl Jam."),
    ],
)
def test_passage_does_not_contradict_unmentioned_fact(sentence: str, passage: str) -> None:
    assert not is_contradicted(match_claim(sentence, passage))


def test_title_and_question_provide_names() -> None:
    name = FEATURES.index("name")
    assert compute_features(match_claim("A VPN session ends.", "A session ends.", "VPN guide"))[name] == 0.0
    assert "name" in find_contradictions("A VPN session ends.", "A session ends.")
    assert "name" not in find_contradictions("A VPN session ends.", "A session ends.", "When does a VPN session end?")


def test_two_passages_together_support_claim() -> None:
    sentence = "Tea costs 2 euros and coffee 3 euros."
    one, other = match_claim(sentence, "Tea costs 2 euros."), match_claim(sentence, "Coffee costs 3 euros.")
    both, number = join_matches(one, other), FEATURES.index("number")
    assert compute_features(one)[number] == 1.0
    assert compute_features(both)[number] == 0.0
    assert both.overlap > max(one.overlap, other.overlap)


def test_literal_sentence_ignores_white_space() -> None:
    assert contains_literally("First, keep it cold. Then shake.", "Keep  it\ncold.")
    assert not contains_literally("Keep it cold.", "Keep it warm.")
    assert contains_literally("打开后，请保持冷藏。", "请保持冷藏")


def test_part_of_number_is_not_contained() -> None:
    assert contains_literally("The port is 80. It is free.", "The port is 80.")
    for passage in ("The port is 8080.", "The port is 80.5", "The port is 80 million"):
        assert not contains_literally(passage, "The port is 80.")
    assert not contains_literally("It holds 2,500 files.", "500 files")


def test_text_after_negation_is_not_contained() -> None:
    assert not contains_literally("Alcohol is not reimbursed.", "reimbursed.")
    assert not contains_literally("试用期内不可以休年假。", "可以休年假。")


@given(st.text(max_size=120), st.text(min_size=1, max_size=300))
def test_any_texts_can_be_compared(sentence: str, passage: str) -> None:
    if analyse_passage(passage).sentences:
        found = match_claim(sentence, passage)
        values = compute_features(found)
        assert values.shape == (len(FEATURES),)
        assert np.isfinite(values).all()
        if not found.sentence.words & found.stretch.words:
            assert not is_contradicted(found)


@given(st.text(min_size=1, max_size=200))
def test_no_text_contradicts_itself(text: str) -> None:
    if analyse_passage(text).sentences:
        assert not is_contradicted(match_claim(text, text))

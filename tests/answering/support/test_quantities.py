from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.support.claims import extract_claims
from bot.answering.support.quantities import find_numbers, normalise_text
from tests.growth import takes_linear_time


def has_all_quantities(sentence: str, passage: str) -> bool:
    """Return whether the passage has every quantity of the sentence."""
    there = find_numbers(normalise_text(passage))
    found = [mention for mention in find_numbers(normalise_text(sentence)) if not mention.each]
    assert found, sentence
    return all(any(mention.agrees_with(other) for other in there) for mention in found)


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("三十天", "30 days"), ("十五天", "15天"), ("two weeks", "14 days"), ("three years", "36 months"),
        ("半年", "six months"), ("half an hour", "30分钟"), ("20万元", "200,000 yuan"),
        ("一亿二千万元", "120 million yuan"), ("三万亿元", "3,000 billion yuan"),
        ("two million five hundred thousand euros", "2,500,000 euros"), ("十万元", "100,000元"),
        ("1.5 million dollars", "$1,500,000"), ("百分之二十", "20 %"), ("20 percent", "20%"), ("2 pm", "14:00"),
        ("下午两点", "14:00"), ("凌晨2点", "2 a.m."), ("from 10 to 12", "between 10:00 and 12:00"),
        ("31 March", "March 31"), ("3月31日", "31 March"), ("2024年1月", "January 2024"),
        ("January 2024", "2024年1月15日"), ("成立于1968年", "成立于1968年2月20日"),
        ("opened in 2017", "opened on August 26, 2017"), ("in 2017", "2017年8月"), ("1月15日", "15 January 2024"),
        ("3月发放", "十二月和三月发放"), ("三月发放", "paid in March"), ("三月发放", "三月五日发放"), ("三成", "30 %"),
        ("between 2 and 8 °C", "2至8摄氏度"), ("10公里", "10,000 metres"), ("45 euros", "€45"), ("0.5毫升", "0.5 ml"),
        ("two approvals", "2 approvals"), ("二楼", "the second floor"), ("the 15th of the month", "每月15日"),
        ("0800 555 019", "0800555019"), ("a hundred and twenty metres of 120", "120 m"),
        ("two hundred and fifty", "250"), ("两名", "2 people"), ("三个", "三名"), ("18岁", "18 years"),
        ("two times a year", "twice a year"), ("每年两次", "twice a year"), ("at most twice", "不超过两次"),
        ("by the end of May", "截至五月底"),
    ],
)  # fmt: skip
def test_equal_quantities_match(sentence: str, passage: str) -> None:
    assert has_all_quantities(sentence, passage)


@pytest.mark.parametrize(
    ("sentence", "passage"),
    [
        ("30 days", "30 hours"), ("15 days", "25 days"), ("三天", "三十天"), ("€45", "$45"),
        ("1,500 euros", "15,000 euros"), ("14:00", "14:30"), ("January 2022", "2024年1月"),
        ("成立于1969年", "成立于1968年2月20日"), ("2017年8月", "opened on May 26, 2017"),
        ("15 January 2024", "2024-01-16"), ("五次", "5 minutes"), ("三种", "3年"), ("十个", "10 days"),
        ("2 pm", "2 am"), ("20 %", "20 euros"), ("31 March", "30 March"), ("Paid in March.", "Paid in April."),
        ("Paid in May.", "Paid in April."), ("第三次", "第二次"), ("twice a day", "three times a day"),
        ("closed until May", "closed until June"), ("6.9 %", "69 %"), ("10 km", "10 m"),
        ("0800 555 019", "0800 555 018"),
    ],
)  # fmt: skip
def test_different_quantities_do_not_match(sentence: str, passage: str) -> None:
    assert not has_all_quantities(sentence, passage)


@pytest.mark.parametrize(
    "text",
    [
        "one of them", "十分重要", "一般来说", "万一出错", "AES-256", "first of all", "a month", "每月", "you may",
        "people march",
    ],
)  # fmt: skip
def test_text_without_quantity_has_none(text: str) -> None:
    masked = normalise_text(text).replace("aes-256", "")
    assert [mention for mention in find_numbers(masked) if not mention.each] == []


@given(st.integers(0, 99_999))
def test_chinese_numerals_are_parsed(number: int) -> None:
    digits = "零一二三四五六七八九"
    out, rest = "", number
    for scale, name in ((10_000, "万"), (1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, rest = divmod(rest, scale)
        if digit:
            out += digits[digit] + name
        elif out and rest and not out.endswith("零"):
            out += "零"
    text = f"{out or '零'}元"
    (mention,) = find_numbers(text)
    assert float(number) in {reading.value for reading in mention.readings}


@given(st.text(max_size=200))
def test_any_text_is_parsed(text: str) -> None:
    folded = normalise_text(text)
    for mention in find_numbers(folded):
        assert 0 <= mention.start < mention.end <= len(folded)


def test_long_list_of_figures_takes_linear_time() -> None:
    assert len(find_numbers("a 1, 2, 3, " * 5000)) == 15_000
    assert takes_linear_time(lambda size: find_numbers("a 1, 2, 3, " * size), 5000)


@pytest.mark.parametrize(
    "text", ["一" * 2000, "九" * 400 + "月一日", "9" * 400 + "天", "三" + "万亿" * 400, "hundred " * 400]
)
def test_very_long_numbers_are_parsed(text: str) -> None:
    assert find_numbers(text)


def test_dates_are_not_words() -> None:
    assert (
        extract_claims("Leave is paid on 5 March 2024, then again.").words
        == extract_claims("Leave is paid on 2024-03-05, then again.").words
    )

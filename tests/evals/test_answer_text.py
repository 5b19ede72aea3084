"""Test which answers are equivalent: numbers, dates, scripts, marks, markers and refusals."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.answer_text import (
    cited_numbers,
    contains,
    count_words,
    first_words,
    is_refusal,
    split_sentences,
    tokens_of,
    without_marked,
)

CHINESE_DIGITS = "零一二三四五六七八九"


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("four", "He had 4 of them."),
        ("twenty-four", "24 in all"),
        ("three hundred and five", "305"),
        ("3.5 million", "about 3,500,000 people"),
        ("三百", "共300人"),
        ("1.2亿", "120000000"),
        ("两万三千", "23000"),
        ("百分之三十", "增长了30%"),
        ("二〇一二年", "2012年"),
        ("1999年", "在1999年3月2日开始"),
        ("March 2, 1999", "It began on 1999-03-02."),
        ("2 March 1999", "1999年3月2日"),
        ("March 2nd", "on March 2, 1999"),
        ("two.", "it was two of them"),
        ("the Norse", "from Norse raiders"),
        ("光荣和ω-force", "由光荣和 ω-Force 开发"),
        ("Ｔom’s", "tom [1]"),
    ],
)
def test_equivalents_are_the_same(reference: str, text: str) -> None:
    assert contains(reference, text)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("308", "1308 points"),
        ("four", "fourteen"),
        ("5", "5.5 sacks"),
        ("March 2", "March 3"),
        ("1999年3月", "1999年4月"),
        ("三百", "三百零五"),
        ("Kawann Short", "Short and Kawann"),
        ("the limit of 60 requests a minute from one address", "the limit of 70 requests a minute from one address"),
        ("", "anything"),
    ],
)
def test_others_are_not(reference: str, text: str) -> None:
    assert not contains(reference, text)


def test_a_long_reference_may_lose_a_word() -> None:
    assert contains(
        "the second oldest continuously operating university of Texas",
        "the oldest continuously operating university of Texas",
    )


@given(st.integers(0, 999_999))
def test_a_number_equals_itself_however_it_is_grouped(number: int) -> None:
    assert tokens_of(f"{number:,}") == tokens_of(str(number)) == [str(number)]


@given(st.integers(1, 99))
def test_a_chinese_number_equals_its_digits(number: int) -> None:
    tens, ones = divmod(number, 10)
    numeral = (
        (CHINESE_DIGITS[tens] if tens > 1 else "") + ("十" if tens else "") + (CHINESE_DIGITS[ones] if ones else "")
    )
    assert tokens_of(numeral) == [str(number)]


@given(st.dates(min_value=date(1000, 1, 1)))
def test_a_date_equals_itself_however_it_is_written(day: date) -> None:
    forms = (
        f"{day:%B} {day.day}, {day.year}",
        f"{day.day} {day:%B} {day.year}",
        f"{day:%b} {day.day}, {day.year}",
        day.isoformat(),
        f"{day.year}年{day.month}月{day.day}日",
    )
    assert len({tuple(tokens_of(form)) for form in forms}) == 1


@given(st.text())
def test_every_text_holds_itself_and_its_tokens_stay_the_same(text: str) -> None:
    tokens = tokens_of(text)
    assert contains(text, text) == bool(tokens)
    assert tokens_of(" ".join(tokens)) == tokens or any(char.isdigit() for token in tokens for char in token)


@given(st.text(), st.integers(0, 20))
def test_first_words_are_a_beginning_within_the_limit(text: str, most: int) -> None:
    beginning = first_words(text, most)
    assert text.startswith(beginning)
    assert count_words(beginning) <= most


def test_marked_sentences_are_gone() -> None:
    text = "A is 3.5 times B [1]. B is new. ⚠ 甲是乙。丙是丁。 ⚠\n- a list item [2]"
    assert split_sentences(text) == [
        "A is 3.5 times B [1].",
        "B is new. ⚠",
        "甲是乙。",
        "丙是丁。 ⚠",
        "- a list item [2]",
    ]
    assert without_marked(text) == "A is 3.5 times B [1].\n甲是乙。\n- a list item [2]"


def test_markers_are_read_in_every_form() -> None:
    assert cited_numbers("a [2], b [1, 3] 【2】 c[4][1]") == [2, 1, 3, 4]
    assert not cited_numbers("an [option] of arr[i]")


@pytest.mark.parametrize(
    "text",
    [
        "I don't know.",
        "I do not know: the documents do not seem to answer this.",
        "The passages do not mention the price.",
        "There is no information about that in the documents.",
        "The cost is not specified in the provided passages.",
        "我不知道。",
        "根据提供的段落，没有提到具体的价格。",
        "文档中没有找到相关内容。",
        "文中并未提及。",
    ],
)
def test_refusals_are_known(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize("text", ["The limit is 60 [1].", "使用 limit-count 插件 [1]。", "It knows two modes."])
def test_answers_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)

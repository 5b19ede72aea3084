"""Where values stand in texts: as they are, in other forms, and never where the text has them not."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.profiles.spans import (
    FoldedText,
    Span,
    ValueType,
    extend_to_number,
    find_value,
    normalise_value,
    split_clauses,
    split_sentences,
)
from tests.growth import takes_linear_time

ALPHABET = "abAB12 .,;。，\n\u3000Ａ１年月日元$€-“”’éÉßﬁ\u0301中文合同三"
texts = st.text(ALPHABET, max_size=80) | st.text(max_size=40)


def letters(text: str) -> str:
    return "".join(FoldedText(text).letters[0])


@pytest.mark.parametrize(
    ("text", "value", "type_", "found"),
    [
        ("The rent is 900 EUR.", "900 EUR", "text", "900 EUR"),
        ("by NORDLYS\n  Bakery  Ltd. and", "Nordlys Bakery Ltd.", "text", "NORDLYS\n  Bakery  Ltd."),
        ("合同编号：ＡＢ１２３。", "AB123", "text", "ＡＢ１２３"),
        ("“Fjell” Mills", '"fjell" mills', "text", "“Fjell” Mills"),
        ("made as of March 3, 2025 by", "2025-03-03", "date", "March 3, 2025"),
        ("签订于2025年3月3日。", "3 March 2025", "date", "2025年3月3日"),
        ("签订于２０２５年３月３日。", "2025-03-03", "date", "２０２５年３月３日"),
        ("价款为12万元。", "120,000元", "amount", "12万元"),
        ("pays $ 1,200.00 a month", "1200 USD", "amount", "$ 1,200.00"),
        ("not exceed EUR 250,000.", "250000 EUR", "amount", "EUR 250,000"),
        ("made as of March 3, 2025 by", "2025-03-04", "date", None),
        ("made as of March 3, 2025 by", "March 2025", "date", None),
        ("pays 1,200 EUR", "1200 USD", "amount", None),
        ("pays C$1,200", "1200 USD", "amount", None),
        ("pays C$1,200", "1200 CAD", "amount", "C$1,200"),
        ("the parties agree", "art", "text", None),
        ("costs 12000 a year", "2000", "text", None),
        ("cap is 2,5 million USD", "USD 5,000,000", "amount", None),
        ("cap is 2,5 million USD", "5 million USD", "amount", None),
        ("cap is 2,5 million USD", "2,5 million USD", "amount", "2,5 million USD"),
        ("cap is EUR 1.250.000.", "EUR 1.25", "amount", None),
        ("cap is EUR 1.25.", "EUR 1.250.000", "amount", None),
        ("pays €1.200,50", "50", "amount", None),
        ("pays 1 250 000 EUR", "0 EUR", "amount", None),
        ("pays 1 250 000 EUR", "1250000 EUR", "text", "1 250 000 EUR"),
        ("Section 12 3 copies", "123", "text", None),
        ("Section 12 3 copies", "12 3", "text", "12 3"),
        ("account NO93 8601 1117 947", "NO9386011117947", "text", "NO93 8601 1117 947"),
        ("clause 1.2 and 3", "3", "text", "3"),
        ("In 2025, 2 copies", "2", "text", "2"),
        ("pay EUR 1 000 now", "EUR 1", "amount", None),
        ("CHF 1'000", "CHF 1", "amount", None),
        ("款项1亿2000万元", "RMB 20 million", "amount", None),
        ("共三十五万元", "五万元", "amount", None),
        ("十二月五日", "二月五日", "date", None),
        ("共500万元", "500", "text", None),
        ("Na -5 mmol/L", "5 mmol/L", "text", None),
        ("doses of 3-5 mg", "5 mg", "text", "5 mg"),
        ("\n-5 mg a day", "5 mg", "text", "5 mg"),
        ("take 1/2 tablets", "2 tablets", "text", None),
        ("right", "", "text", None),
        ("right", " \n", "text", None),
    ],
)
def test_a_value_is_found_as_it_stands_or_normalised(
    text: str, value: str, type_: ValueType, found: str | None
) -> None:
    span = find_value(FoldedText(text), value, type_)
    assert (span.cut(text) if span else None) == found


@given(texts, texts, st.sampled_from(["text", "date", "amount", "list", "entity"]))
@example("ﬁ", "i", "text")
@example("İ1", "i", "text")
def test_every_found_value_is_in_its_span(text: str, value: str, type_: ValueType) -> None:
    span = find_value(FoldedText(text), value, type_)
    if span is None:
        return
    assert 0 <= span.start < span.end <= len(text)
    if type_ not in {"date", "amount"}:
        assert letters(value) in letters(span.cut(text))


@given(texts)
def test_sentences_and_clauses_cover_all_but_white_space(text: str) -> None:
    for parts in (list(split_sentences(text)), list(split_clauses(text))):
        assert "".join("".join(one.cut(text).split()) for one in parts) == "".join(text.split())
        assert all(one.cut(text) == one.cut(text).strip() for one in parts)
        assert all(one.end <= other.start for one, other in pairwise(parts))


@given(texts)
def test_folded_stretches_lead_back_to_the_text(text: str) -> None:
    folded = FoldedText(text)
    for start in range(0, len(folded.text), 7):
        span = folded.find_origin(start, len(folded.text))
        assert 0 <= span.start <= span.end <= len(text)


def test_sentences_end_where_people_end_them() -> None:
    english = "1.2 Made by Fjell Mills, Inc. and Co. The U.S. law applies; so does\nNo. 5."
    text = f"{english} 合同生效。然后（见附件）。\n\nTerm"
    assert [one.cut(text) for one in split_sentences(text)] == [english, "合同生效。", "然后（见附件）。", "Term"]


def test_the_heading_of_a_clause_belongs_to_no_sentence() -> None:
    text = "2. Price\nThe Buyer pays.\n\n3.12 Termination\nEither party may leave.\n\n4. The Buyer shall\npay soon."
    assert [one.cut(text) for one in split_sentences(text)][:5] == [
        "2. Price",
        "The Buyer pays.",
        "3.12 Termination",
        "Either party may leave.",
        "4.",
    ]


def test_dates_and_money_are_normalised() -> None:
    assert normalise_value("3 March 2025", "date") == "2025-03-03"
    assert normalise_value("2025年3月3日", "date") == "2025-03-03"
    assert normalise_value("March 2025", "date") == ""
    assert normalise_value("EUR 250,000 or USD 3", "amount") == ""
    assert normalise_value("12万元", "amount") == "120000 CNY"
    assert normalise_value("3 March 2025", "text") == ""
    assert normalise_value("USD 1,200.50", "amount") == "1200.5 USD"
    assert normalise_value("EUR 0.125", "amount") == "0.125 EUR"
    assert normalise_value("C$ 1,200", "amount") == normalise_value("1,200 Canadian dollars", "amount") == "1200 CAD"
    assert normalise_value("A$3 million", "amount") == "3000000 AUD"
    assert normalise_value("HK$500", "amount") == normalise_value("HKD 500", "amount") == "500 HKD"
    assert normalise_value("US$500", "amount") == "500 USD"
    assert normalise_value("R$ 500", "amount") == "", "a currency that is not known"


@pytest.mark.parametrize(
    "text",
    [
        "2,5 million USD", "€1.200,50", "EUR 1.250.000", "USD 1,5", "EUR 1.200", "USD 1'200.50", "1 250 000 EUR",
        "2，5万元",
    ],
)  # fmt: skip
def test_an_ambiguous_number_is_not_normalised(text: str) -> None:
    assert normalise_value(text, "amount") == ""


@pytest.mark.parametrize(
    "text",
    [
        "$1.5 bn", "EUR 250k", "5 hundred dollars", "EUR 500–600", "EUR 500 to 600", "3万5千元", "1亿2000万元",
        "港币500元", "CAD $500", "$500 (Canadian)",
    ],
)  # fmt: skip
def test_an_amount_that_goes_on_or_has_two_currencies_is_not_normalised(text: str) -> None:
    assert normalise_value(text, "amount") == ""


def test_an_amount_is_normalised_with_other_words() -> None:
    assert normalise_value("USD 500 per month for 12 months", "amount") == "500 USD"
    assert normalise_value("EUR 500 excl. VAT", "amount") == "500 EUR"


def test_a_number_at_the_edge_is_taken_whole() -> None:
    for text in ("pay 12 500 EUR", "pay 1 000 EUR"):
        found = re.search(r"\d+ EUR", text)
        assert found is not None
        assert extend_to_number(text, Span(*found.span()), "amount").cut(text) == text.removeprefix("pay ")


@pytest.mark.parametrize("text", ["2025-02-30", "31 April 2025", "2025年2月30日", "2025-13-01"])
def test_an_impossible_date_is_not_normalised(text: str) -> None:
    assert normalise_value(text, "date") == ""


def test_offsets_count_code_points() -> None:
    text = unicodedata.normalize("NFC", "😀😀 合同价款：１２元")
    assert find_value(FoldedText(text), "12元", "amount") == Span(8, 11)


@pytest.mark.parametrize(
    "piece", ["a. ", "第1条 ", "１２", "1 2,5", "1 234", "万1", "\n\n", "(((", "é", "A\n", "Of ", "\n(a) b"]
)
def test_work_is_linear(piece: str) -> None:
    assert takes_linear_time(lambda count: find_value(FoldedText(piece * count), "zz", "amount"), 2_000)
    assert takes_linear_time(lambda count: list(split_clauses(piece * count)), 2_000)

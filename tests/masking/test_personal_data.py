"""Personal data: recall on planted sentences, false hits in real documentation, words of context, names and records."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.masking import PERSONAL, PRIVATE, Finding, Kind, NameIndex, Recogniser, compile_record_number
from knowledge.masking import find_personal_data as find
from tests.masking.planted import CHECKED, CONTEXT, HELD_OUT, NAMES, TUNING, list_planted

ROOT = Path(__file__).parents[2]

FOUND = {
    # Numbers that need a word, before or after them
    "my SSN is 536904399": Kind.ID, "943 476 5870 on the form": Kind.ID, "NHS number 9434765870": Kind.ID,
    "9434765870 is my NHS number": Kind.ID, "national insurance number AB123456C": Kind.ID,
    "AB 12 34 56 C on the payslip": Kind.ID, "Steuer-ID 36574261809": Kind.ID,
    "36 574 261 809 steht im Bescheid": Kind.ID, "65 170839 J 003 ist falsch": Kind.ID,
    "Krankenversichertennummer A123456780": Kind.ID, "NIR 295109912611193": Kind.ID,
    "Steuernummer 151/815/08156": Kind.ID, "DNI 54362315K": Kind.ID, "her X2482300W ends": Kind.ID,
    "RCCMNL83S18D969H on the invoice": Kind.ID, "BSN 111222333": Kind.ID, "USt-IdNr. DE136695976": Kind.ID,
    "DEA AB1234563": Kind.ID, "护照号 E12345678 丢了": Kind.PASSPORT, "passport C01X00T47": Kind.PASSPORT,
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<": Kind.PASSPORT,
    "L898902C36UTO7408122F1204159ZE184226B<<<<<10": Kind.PASSPORT, "born on 12 March 1984": Kind.BIRTH_DATE,
    "DOB: 03/12/1984": Kind.BIRTH_DATE, "geboren am 12.03.1984": Kind.BIRTH_DATE,
    "他1984年3月12日出生": Kind.BIRTH_DATE, "DOB 12-Mar-1984": Kind.BIRTH_DATE,
    "born 1984-03-12T00:00:00Z": Kind.BIRTH_DATE, "身份证 110105 19491231 002X": Kind.ID,
    "MRN-00123456 is hers": Kind.RECORD, "MRN00123456": Kind.RECORD, "出生日期：1984-03-12": Kind.BIRTH_DATE,
    "MRN 00123456": Kind.RECORD, "病历号：A1234567": Kind.RECORD, "Kontonummer 12345678": Kind.ACCOUNT,
    "phone 5551234567": Kind.PHONE, "ann@example.com": Kind.EMAIL,
}  # fmt: skip
NOT_FOUND = [
    "order 536904399", "build 9434765870", "ticket 36574261809 is open", "the SSN is secret. Order 536904399 came",
    "NHS digital has 12 teams and 9434765871 rows",  # no valid checksum
    "released on 12 March 1984", "2024-05-01", "from 03/12/1984 to 04/12/1984", "record 12345 of the table",
    "sglang@0.5.1 and react@18.2.0", "version 1.2.3.4", "ISBN 978-3-16-148410-0", "part 295109912611193",
    "USt-IdNr. DE136695970", "patients with 12345678 rows", "passport.js 0.4.1", "the account was opened on 2024-05-01",
    "100-200-300", "E12345678", "GPU-0 2048 4096 8192", "seeds 1234567 7654321",
    "故障发生于2024年3月12日", "发生日期：2024-03-12", "输出生成时间 2024-03-12", "the phone costs 1299.99 EUR",
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), FOUND.items())
def test_personal_data_is_found(text: str, kind: Kind) -> None:
    assert [one.kind for one in find(text)] == [kind]


@pytest.mark.parametrize("text", NOT_FOUND)
def test_other_numbers_are_not_found(text: str) -> None:
    assert [(one.kind, text[one.start : one.end]) for one in find(text)] == []


def test_one_word_counts_for_a_list_of_numbers() -> None:
    text = "NHS numbers 9434765870, 4010232137 and 4505577104"
    assert len(find(text)) == 3


def test_full_width_digits_are_found() -> None:
    assert [one.kind for one in find("病历号：１２３４５６７")] == [Kind.RECORD]


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ask Ann Lee about it", "Ann Lee"), ("ANN LEE's laptop", "ANN LEE"), ("Lee, Ann is ill", "Lee, Ann"),
        ("ask Ann\u200bLee", "Ann\u200bLee"), ("ask Ann  \n  Lee", "Ann  \n  Lee"), ("王\u200b伟", "王\u200b伟"),
        ("问一下王伟的年假", "王伟"), ("给Jean-Luc O'Brien发邮件", "Jean-Luc O'Brien"),
        ("Hat Müller-Lüdenscheidt unterschrieben?", ""), ("Greta kommt", "Greta"), ("greta the film", ""),
        ("Annabel Lee is another person", ""), ("Ann and Lee", ""),
    ],
)  # fmt: skip
def test_listed_names_are_found(text: str, found: str) -> None:
    names = ["Ann Lee", "王伟", "Jean-Luc O'Brien", "Hanna Müller", "Greta", ""]
    assert [text[one.start : one.end] for one in find(text, names)] == ([found] if found else [])


def test_a_long_list_of_names_does_not_slow_a_text() -> None:
    """A text is read once, whatever the list has: ten thousand people with the same first name."""
    index = NameIndex(f"Ann Lee{chr(97 + n % 26) * (1 + n // 26)}" for n in range(10_000))
    assert len(list(index.find_names("Ann Leeb 1 " * 4_000))) == 4_000


# ── Record numbers of the operator ───────────────────────────────────────────────────────────────────────────────────


def test_configured_record_numbers_are_found_without_context() -> None:
    recogniser = Recogniser(record_numbers=[compile_record_number(r"\bKH-\d{6}\b")])
    assert recogniser.mask("open KH-123456 and KH-12345") == "open … and KH-12345"
    assert recogniser.find("KH-123456", PERSONAL) == [Finding(0, 9, Kind.RECORD)]


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "is no regular expression"), (r"KH\d+", "should match 1 to 64 characters"),
        (r"\d*", "should match 1 to 64 characters"), (r"(?:a|a){1,20}b", "repeat single characters alone"),
        (r"(?:\d{1,9}-){1,9}x", "should match|repeat single characters alone"),
        (r"\d{1,20}\d{1,20}\d{1,20}x", "at most 2"), (r"(?:\d{1,5}x){4}", "at most 2"),
        (r"(\d{3})\1", "repeat single characters alone"), (r"\d{1,99}", "should match 1 to 64 characters"),
    ],
)  # fmt: skip
def test_record_numbers_that_could_be_slow_are_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        compile_record_number(pattern)


@pytest.mark.parametrize("pattern", [r"KH-\d{6}", r"[A-Z]{2}\d{4,8}", r"(?i)pat\d{2,4}[a-z]?\d{3}", r"(?:AB|CD)\d{5}"])
def test_ordinary_record_numbers_are_accepted(pattern: str) -> None:
    assert compile_record_number(pattern).pattern == pattern


# ── Recall and false hits ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kinds", [CHECKED, NAMES], ids=["checksums", "listed names"])
def test_almost_all_planted_values_are_found(kinds: dict[str, object]) -> None:
    """At least 98 of 100, in sentences that the patterns were not tuned on."""
    recogniser, count = Recogniser(), 20
    missed = [
        one
        for one in list_planted(kinds, HELD_OUT, count)  # type: ignore[arg-type]
        if not one.is_found(recogniser, [one.value] if kinds is NAMES else ())
    ]
    assert len(missed) <= 0.02 * count * len(kinds), Counter(one.kind for one in missed)


def test_most_values_are_found_by_context_alone() -> None:
    missed = [one for one in list_planted(CONTEXT, HELD_OUT, 50) if not one.is_found(Recogniser())]
    assert len(missed) <= 0.1 * 50 * len(CONTEXT), Counter(one.kind for one in missed)


def test_own_documentation_has_almost_no_false_hits() -> None:
    """At most one of 200 paragraphs. E-mail addresses in it are no false hits: they are examples of themselves."""
    paragraphs = [
        one
        for file in sorted((ROOT / "docs").glob("*.md"))
        for one in file.read_text(encoding="utf-8").split("\n\n")
        if one.strip()
    ]
    found = [
        [one[hit.start : hit.end] for hit in hits]
        for one in paragraphs
        if (hits := Recogniser().find(one, PRIVATE - {Kind.EMAIL}))
    ]
    assert len(paragraphs) > 1_000
    assert len(found) <= len(paragraphs) / 200, found


def test_the_sentences_for_tuning_are_others() -> None:
    assert TUNING.keys() == HELD_OUT.keys()
    assert not {text for texts in TUNING.values() for text in texts} & {t for texts in HELD_OUT.values() for t in texts}
    assert all(re.search(r"\{\}", text) for texts in (*TUNING.values(), *HELD_OUT.values()) for text in texts)


@given(st.lists(st.lists(st.sampled_from(["Ada", "Lee", "Bo", "Ng"]), min_size=1, max_size=4), max_size=6), st.data())
def test_names_that_begin_alike_are_found_at_the_end_of_a_text(names: list[list[str]], data: st.DataObject) -> None:
    index = NameIndex(" ".join(name) for name in names)
    text = " ".join(["ask", *data.draw(st.sampled_from(names))]) if names else "ask Ada"
    assert bool(list(index.find_names(text))) == bool(names)

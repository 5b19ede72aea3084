"""Test scores of single answers and of many: right, cited, refused, marked."""

from __future__ import annotations

from dataclasses import replace

from scripts.answer_scores import Item, Record, differences, score, summarise

ITEM = Item("q1", "xquad-en", "en", "How many points did the defense give up?", references=("308",))
UNKNOWN = Item("q2", "xquad-en", "en", "Who won the cup in 2031?")
FACTS = Item(
    "q3",
    "gateway",
    "en",
    "Is QUIC supported?",
    facts=(("experimental", "HTTP/3"), ("OpenSSL 3", "quictls")),
    pages=("http3.md",),
    wrong=("^No",),
)
PASSAGES = ((1, "a.md", "The defense gave up 308 points."), (2, "b.md", "The offense scored 500 points."))
RECORD = Record("q1", "kvasir", "It gave up 308 points [1].", "It gave up 308 points [1].", False, False, PASSAGES)


def test_a_right_answer_with_a_right_citation_is_good() -> None:
    how = score(ITEM, RECORD)
    assert (how.right, how.found, how.cited, how.cited_right, how.good) == (True, True, 1, 1, True)


def test_a_right_answer_with_another_citation_or_none_is_not() -> None:
    assert not score(ITEM, replace(RECORD, text="It gave up 308 points [2].")).good
    assert not score(ITEM, replace(RECORD, text="It gave up 308 points.")).good
    assert not score(ITEM, replace(RECORD, text="It gave up 308 points [7].")).good


def test_a_marked_sentence_is_no_answer_but_the_model_was_right() -> None:
    how = score(ITEM, replace(RECORD, text="It gave up 308 points. ⚠", marked=1))
    assert (how.right, how.right_unverified, how.good) == (False, True, False)


def test_an_extract_is_no_answer_and_no_refusal() -> None:
    for item in (ITEM, UNKNOWN):
        how = score(item, replace(RECORD, text="", extract=True))
        assert (how.right, how.refused, how.extract, how.good) == (False, False, True, False)


def test_a_refusal_is_good_only_where_nothing_answers() -> None:
    for record in (replace(RECORD, text="", refused=True), replace(RECORD, text="I don't know.")):
        assert score(UNKNOWN, record).good
        assert (score(ITEM, record).refused, score(ITEM, record).good) == (True, False)
    assert not score(UNKNOWN, RECORD).good


def test_key_facts_count_by_their_alternatives_and_the_page_counts() -> None:
    passages = ((1, "en/latest/http3.md", "HTTP/3 is experimental."), (2, "en/latest/ssl.md", "HTTP/3 uses TLS 1.3."))
    record = Record("q3", "plain", "It is experimental [1] [2].", "", False, False, passages)
    how = score(FACTS, record)
    assert (how.facts, how.right, how.cited, how.cited_right, how.good) == (0.5, True, 2, 1, True)
    assert not score(FACTS, replace(record, text="No, it is experimental [1].")).right
    assert not score(FACTS, replace(record, text="It is fast [1].")).right


def test_an_answer_that_repeats_the_question_is_none() -> None:
    item = Item("n", "newcomer", "zh", "能用中文提问吗？", facts=(("中文",),), cites=False)
    assert not score(item, replace(RECORD, text="能用中文提问。")).right
    assert score(item, replace(RECORD, text="可以用中文。")).right


def test_sums_are_shares_of_what_counts() -> None:
    wrong = replace(RECORD, text="It gave up 12 points [2].", raw="It gave up 12 points [2].", removed=1, marked=0)
    figures = summarise(
        [score(ITEM, RECORD), score(ITEM, wrong), score(UNKNOWN, replace(RECORD, text="I don't know."))]
    )
    assert figures["good"] == 66.7
    assert figures["good of answerable"] == figures["accuracy"] == figures["accuracy of found"] == 50
    assert figures["citation precision"] == 50
    assert figures["citation recall"] == figures["right refusals"] == 100
    assert figures["removed"] == 25
    assert figures["false answers"] == 0
    assert summarise([score(UNKNOWN, RECORD)])["false answers"] == 100
    assert figures["key facts"] is None
    plain = summarise([score(ITEM, wrong)])
    assert differences({"kvasir": figures, "plain": plain}) == {"good": 66.7, "good of answerable": 50.0}
    assert differences({"kvasir": figures}) == {}

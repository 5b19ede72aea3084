"""Test scores of single answers and of many: right, cited, refused, marked."""

from __future__ import annotations

from dataclasses import replace

from scripts.answer_scores import Item, Record, add_passages, differences, score, summarise

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
    compared = {"good": 66.7, "good of answerable": 50.0, "accuracy": 50.0, "wrong answers": -50.0, "shown": 50.0}
    assert differences({"kvasir": figures, "plain": plain}) == {"plain": compared}
    assert differences({"kvasir": figures, "extracts": plain}) == {"extracts": {"shown": 50.0}}
    assert differences({"kvasir": figures}) == {}


OWN = Item(
    "q4",
    "own-words-gateway",
    "en",
    "which answer do i get when the limit is hit",
    facts=((r"\b503\b",), ("rejected_code",)),
    pages=("limit.md",),
    kind="table",
)
ROW = "| `rejected_code` | **503** |"
ANSWER = Record("q4", "kvasir", "You get 503 from rejected_code [1].", "", False, False, ((1, "limit.md", ROW),))
EXTRACT = replace(ANSWER, text="", extract=True, extracts=f"I found no direct answer.\n\n**Limit** [1]\n> {ROW}")


def test_an_answer_in_own_words_needs_all_facts() -> None:
    assert score(OWN, ANSWER).right
    assert not score(OWN, replace(ANSWER, text="You get 503 [1].")).right


def test_the_closest_passages_show_an_answer_and_are_neither_an_answer_nor_a_refusal() -> None:
    how = score(OWN, EXTRACT)
    assert (how.shown, how.closest) == (True, True)
    assert (how.right, how.refused, how.claims, how.unknown) == (False, False, False, False)
    figures = summarise([how])
    assert (figures["closest"], figures["shown"]) == (100, 100)
    assert figures["accuracy"] == figures["wrong answers"] == figures["wrong refusals"] == figures["unknown"] == 0


def test_what_is_shown_adds_the_extracts_to_the_unmarked_text() -> None:
    half = replace(ANSWER, text="You get 503 [1].")
    assert not score(OWN, half).shown
    assert score(OWN, replace(half, extract=True, extracts="> `rejected_code`: see there")).shown
    marked = replace(ANSWER, text="You get 503 from rejected_code. ⚠", marked=1)
    assert not score(OWN, marked).shown


def test_only_the_first_five_passages_count_in_the_order_of_the_search() -> None:
    others = tuple((f"{place}.md", "nothing") for place in range(5))
    how = score(OWN, replace(ANSWER, retrieved=(*others, ("limit.md", ROW))))
    assert (how.found, how.found_five, how.found_first) == (True, False, False)
    how = score(OWN, replace(ANSWER, retrieved=(("latest/limit.md", ROW), *others)))
    assert (how.found_five, how.found_first) == (True, True)
    how = score(OWN, replace(ANSWER, retrieved=(*others[:4], ("limit.md", ROW))))
    assert (how.found_five, how.found_first) == (True, False)
    figures = summarise([how, score(OWN, replace(ANSWER, text="", refused=True, retrieved=others))])
    assert (figures["found in five"], figures["accuracy"], figures["accuracy of five"]) == (50, 50, 100)
    assert (figures["shown of five"], figures["unknown"]) == (100, 50)


def test_an_unknown_answer_is_bare() -> None:
    bare = replace(ANSWER, text="", refused=True)
    assert score(OWN, bare).unknown
    assert not score(OWN, replace(bare, extract=True, extracts="> something")).unknown
    figures = summarise([score(UNKNOWN, one) for one in (bare, replace(EXTRACT, passages=()), RECORD)])
    assert (figures["others: unknown"], figures["others: extracts"], figures["false answers"]) == (33.3, 33.3, 33.3)


def test_the_extracts_side_shows_as_many_characters_as_kvasir() -> None:
    passages = ((1, "a.md", "a" * 30), (2, "limit.md", ROW), (3, "c.md", "c" * 900), (4, "d.md", "d" * 900))
    plain = Record("q4", "plain", "It is 503.", "It is 503.", False, False, passages)
    kvasir = replace(ANSWER, text="x" * 100, extracts="y" * 100)
    both = add_passages(kvasir, plain)
    assert (both.side, both.text) == ("extracts", plain.text)
    assert len(both.text) + len(both.extracts.replace("\n", "")) == 200
    assert "dd" not in both.extracts
    assert score(OWN, both).shown
    assert not score(OWN, plain).shown
    assert add_passages(replace(ANSWER, text="short"), plain).extracts == ""

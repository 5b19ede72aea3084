"""Tests of extracts, which answer without a model: their sentences, emphasis and Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.answering.events import Passage
from bot.answering.extracts.answer_types import classify_question, find_decisive_span
from bot.answering.extracts.extract import SOURCE_CHARS, SOURCES, choose_extracts
from bot.answering.markdown.citations import Numbering
from bot.answering.markdown.sentences import passage_sentences, split_pieces
from bot.slack.wire.text.cutting import find_open_fence
from knowledge.chunking.chunker import chunk_document
from knowledge.parsing.formats.markdown import parse_markdown
from knowledge.parsing.formats.tables import parse_table

LIMITS_EN = """The office is open all day. Everybody is welcome to visit us, also in the evening.

| kind | limit |
| --- | --- |
| hotel | 120 euros |
| meal | 30 euros |

The kitchen is on the second floor. It has been renovated this year and is larger than before."""
FILLER = "The kitchen is open all day and everybody likes to sit there for a while. " * 8
BLOCKS = [
    "Leave is asked for in the portal. The **manager answers. Within five** days [see e.g. the page](https://a.example).",
    "## Expenses",
    "| kind | limit |\n| --- | --- |\n| hotel | 120 |\n| meal | 30 |",
    "```sh\nkvasir sync  # a source\n\nkvasir status\n```",
    "Run this:\n\n```\nmake run\n```",
    "```\nnever closed\nat all",
    "> Nobody is asked twice.\n> Really.",
    "- Hotels are booked by the office.\n\n  Write to them early. They are kind.\n  - Not on Sundays.",
    "1. Go to the desk.\n\n       ```\n       deep <code>\n       in two lines\n       ```",
    "2. Ask for the form. Fill it in `now. Really` soon.",
    "停车免费。停车场在房子后面，请不要停在门口。[3] 自1998年起开放。",
    "| " + "wide cell | " * 60,
    "word " * 150,
    "长" * 900,
]


def make_passage(text: str, n: int = 1) -> Passage:
    return Passage(n, "docs", f"{n}.md", "Guide", "Sources", None, text)


def show_extract(question: str, *texts: str) -> str:
    """Return the extract of the first source."""
    markdown, _ = choose_extracts(question, [make_passage(text, n) for n, text in enumerate(texts, 1)], Numbering())
    first = markdown.split("\n\n**Guide")[0]
    return "\n".join(line.removeprefix(">").removeprefix(" ") for line in first.splitlines()[1:])


def test_extract_starts_with_first_step() -> None:
    page = Path(__file__).parents[3] / "docs" / "sources.md"
    chunks = chunk_document(
        parse_markdown(page.read_bytes(), "sources.md"), source="docs", document_id="sources.md", url=None,
        readers=frozenset({"*"}), count_tokens=lambda text: len(text) // 4,
    )  # fmt: skip
    (text,) = [found.text for found in chunks if "How do I add a source?" in found.heading]
    answer = show_extract("how do I add a source?", text)
    assert answer.startswith("1. Open `kvasir.toml`")
    assert "[[source]]" in answer
    assert answer.count("```") == 2
    assert "2. Restart Kvasir." in answer


def test_rows_are_list_items_with_the_names_of_their_columns() -> None:
    answer = show_extract("What is the limit for a hotel?", LIMITS_EN)
    assert "- kind: hotel; limit: **120** euros" in answer
    assert "|" not in answer
    bare = show_extract("What about the hotel?", "| | |\n| --- | --- |\n| hotel | 120 euros |")
    assert bare.replace("**", "") == "- hotel; 120 euros"


def test_question_finds_the_row_by_the_name_of_its_column() -> None:
    table = "| service | port |\n| --- | --- |\n| metrics | 9464 |"
    answer = show_extract("Which port is open?", f"{FILLER}\n\n{table}\n\n{FILLER}")
    assert "- service: metrics; port: 9464" in answer.replace("**", "")


def test_row_of_a_spreadsheet_is_shown_whole_and_alone() -> None:
    data = "metric,kind,meaning\n" + "".join(f"m_{n},GAUGE,Number {n}. Grows.\n" for n in range(30))
    data += "proxy_state,GAUGE,State of the proxy. 0 is normal. 2 is locked.\n"
    [section] = parse_table(data.encode(), "metrics.csv").sections
    expected = "- metric: proxy_state; kind: GAUGE; meaning: State of the proxy. 0 is normal. 2 is locked."
    assert expected in show_extract("What does proxy_state mean?", section.text).split("\n")


def test_columns_of_text_are_not_joined_to_one_line() -> None:
    text = "The settings:\n\nname\ttype\tdefault\nttl\tint\t36\nhost\tstr\tlocalhost"
    assert passage_sentences(text) == ["The settings:", "name\ttype\tdefault", "ttl\tint\t36", "host\tstr\tlocalhost"]
    assert passage_sentences("1.\tRestart it after you\nchange the port.") == ["Restart it after you change the port."]


def test_long_row_keeps_its_first_cell() -> None:
    cells = "; ".join(f"Level {n}: {'works on what the team plans, ' * 3}" for n in range(9))
    extract = show_extract("Who writes the kickoffs?", f"+ Category: Writing; {cells}; Lead: writes the kickoffs")
    assert extract.startswith("Category: Writing; …")
    assert extract.endswith("Lead: writes the kickoffs")
    assert len(extract) <= SOURCE_CHARS


@pytest.mark.parametrize(
    "text",
    [
        "meaning,metric\nNumber 1. Grows.,m_1\nNumber 2. Shrinks; rarely: grows.,m_2",
        "1,First. Then more.\n2,Second. Then less.",
        "note\nOne. Two. Three.\nFour.",
    ],
)
def test_each_row_is_one_sentence(text: str) -> None:
    [section] = parse_table(text.encode(), "a.csv").sections
    rows = [line.removeprefix("+ ") for line in section.text.split("\n")]
    assert passage_sentences(section.text) == rows


def test_copy_of_a_passage_is_not_shown_twice() -> None:
    text = "Vacation in Berlin is 20 days a year. Ask your manager early."
    other = text.replace("Berlin is 20", "Munich is 25")
    passages = [make_passage(text), make_passage(f"{text}\n", 2), make_passage(other, 3)]
    markdown, shown = choose_extracts("How long is vacation?", passages, Numbering(), is_sure=False)
    assert (markdown.count("20 days"), [passage.document for passage in shown]) == (1, ["1.md", "3.md"])


def test_code_is_complete_and_has_its_introduction() -> None:
    text = f"{FILLER}\n\nTo sync all sources now, run:\n\n```sh\nkvasir sync\n```\n\n{FILLER}"
    answer = show_extract("Which command syncs all sources now?", text)
    assert "```sh\nkvasir sync\n```" in answer
    assert "To sync all sources now, run:" in answer


def test_long_code_is_cut_to_best_lines() -> None:
    lines = [f'setting_{number} = "value {number}"' for number in range(40)]
    text = "```toml\n" + "\n".join([*lines, 'owners = ["U1"]', *lines]) + "\n```"
    answer = show_extract("How do I set owners?", text)
    assert answer.startswith("```toml\n")
    assert answer.endswith("\n```")
    assert 'owners = ["U1"]' in answer


@pytest.mark.parametrize(
    ("question", "long", "expected"),
    [
        ("Who founded the harbour office?", "and then somebody walked home, ", "Ann Lee founded the harbour office"),
        ("港务局是谁创办的？", "然后大家都回家去了，", "港务局由安娜创办"),
    ],
)
def test_long_sentence_is_cut_to_best_part(question: str, long: str, expected: str) -> None:
    answer = show_extract(question, f"{long * 40}{expected}，{long * 40}")
    assert expected in answer.replace("**", "")
    assert answer.startswith("…")
    assert answer.endswith("…")


@pytest.mark.parametrize(
    ("question", "text", "emphasised"),
    [
        ("When was the bridge opened?", "The bridge was opened on 4 May 1983 by the king.", "4 May 1983"),
        ("How many days of leave are there?", "There are 25 days of leave for everybody.", "25 days"),
        (
            "Who wrote the handbook for guests?",
            "The handbook for guests was written by Ann van Lee in May.",
            "Ann van Lee",
        ),
        ("大桥是什么时候通车的？", "大桥于1983年5月4日通车，由市长主持。", "1983年5月4日"),
        ("年假有多少天？", "员工每年有15天年假。", "15天"),
        ("What percentage of people is paid?", "Of 300 people, 56% are paid.", "56%"),
    ],
)
def test_answering_words_are_emphasised(question: str, text: str, emphasised: str) -> None:
    start, end = find_decisive_span(classify_question(question), text, question) or (0, 0)
    assert text[start:end] == emphasised
    assert f"**{emphasised}**" in show_extract(question, text)


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("When was the bridge opened?", "Opened: 1983, 1990 and 2004, says the bridge's book."),
        ("How many days of leave are there?", "See `leave_days = 25` for the days of leave."),
        ("How many days of leave are there?", "See [the 25 days of leave](https://a.example/25)."),
        ("What is a bridge?", "A bridge of 1983 spans 20 metres."),
    ],
)
def test_unclear_answer_is_not_emphasised(question: str, text: str) -> None:
    assert "**" not in show_extract(question, text)


def test_similarity_chooses_sentences() -> None:
    passage = make_passage(
        "\n\n".join(f"Word{number} stands here, and much else is said beside it." for number in range(8))
    )
    similar = np.full(8, 0.8, np.float32)
    similar[5] = 0.95
    markdown, _ = choose_extracts("Who knows?", [passage], Numbering(), {1: similar})
    assert "Word5 stands here" in markdown


def test_sources_without_answer_are_omitted() -> None:
    markdown, chosen = choose_extracts(
        "How many days of annual leave are there?",
        [
            make_passage("There are 25 days of annual leave."),
            make_passage("Cats sleep.", 2),
            make_passage("The annual leave is 25 days, we said.", 3),
        ],
        Numbering(),
    )
    assert [passage.document for passage in chosen] == ["1.md", "3.md"]
    assert "[1]" in markdown
    assert "[2]" in markdown
    assert "Cats" not in markdown


def test_footnote_of_document_is_not_a_citation() -> None:
    assert show_extract("Is it open?", "It is open.[3] See items[2] and [a link](https://a.example).") == (
        "It is open.\\[3] See items\\[2] and [a link](https://a.example)."
    )
    assert (
        show_extract("Which item is it?", "It is item `a[1]` or `[2]`, see [3].")
        == "It is item `a[1]` or `[2]`, see \\[3]."
    )


def test_titles_do_not_break_markup() -> None:
    passage = Passage(1, "docs", "g.md", "**[x](y)** `z`", "", None, "Text.")
    markdown, _ = choose_extracts("?", [passage], Numbering())
    assert markdown.splitlines()[0] == "**x(y) z** [1]"
    assert [piece.kind for piece in split_pieces(markdown)] == ["prose", "item"]


def list_blocks(markdown: str) -> list[str]:
    """Return the extracts, one for each source."""
    blocks: list[list[str]] = []
    for line in markdown.split("\n"):
        if re.fullmatch(r"\*\*Guide › Sources\*\* \[\d\]", line):
            blocks.append([])
        elif line.startswith(">"):
            blocks[-1].append(line[2:])
        else:
            assert not line
    return ["\n".join(block) for block in blocks]


@given(st.lists(st.lists(st.sampled_from(BLOCKS), max_size=12), min_size=1, max_size=5), st.sampled_from(BLOCKS))
def test_any_passages_make_short_valid_markdown(texts: list[list[str]], question: str) -> None:
    passages = [make_passage("\n\n".join(blocks), n) for n, blocks in enumerate(texts, 1)]
    markdown, chosen = choose_extracts(question, passages, Numbering())
    found = list_blocks(markdown)
    assert len(found) == len(chosen) <= SOURCES
    assert [passage.n for passage in chosen] == list(range(1, len(chosen) + 1))
    for block in found:
        assert len(block) <= SOURCE_CHARS
        pieces = split_pieces(block)
        for piece in pieces:
            if piece.kind == "code":
                assert find_open_fence(piece.text) is None
            else:
                assert piece.kind != "table"
                assert piece.text.count("**") % 2 == 0
                assert piece.text.count("`") % 2 == 0
                assert "](" not in re.sub(r"\[[^\[\]]*\]\([^()]*\)", "", piece.text)


def test_unpaired_mark_does_not_join_words() -> None:
    markdown, _ = choose_extracts("", [make_passage("0`0")], Numbering())
    assert "0 0" in markdown


@given(st.text(max_size=900), st.text(max_size=40))
def test_extract_contains_only_words_of_passages(text: str, question: str) -> None:
    passage = make_passage(text)
    similar = {1: np.linspace(0.7, 0.9, len(passage_sentences(text)), dtype=np.float32)}
    for markdown, _ in (
        choose_extracts(question, [passage], Numbering()),
        choose_extracts(question, [passage], Numbering(), similar),
    ):
        for block in list_blocks(markdown):
            assert len(block) <= SOURCE_CHARS
            for piece in re.split(r"[\W_]+", block):
                assert piece in text
